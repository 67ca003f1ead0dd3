"""tar headers in every dialect, and what readers of tar disagree on."""

import io
import tarfile

import pytest

from scanners.containers.tar import TarDirectory, matches, read_members
from scanners.engine import scan_blob
from scanners.errors import FormatError, LimitExceeded
from scanners.findings import FileReport, Verdict
from scanners.limits import Budget, Limits
from scanners.reader import BytesReader
from scanners.reading import Blob
from tests.builders.tars import Entry, long_name, pax, tar


def directory(data: bytes) -> TarDirectory:
    return read_members(BytesReader(data), Budget())


def contents(data: bytes) -> dict[str, bytes]:
    return {
        entry.name: data[entry.data_offset : entry.data_offset + entry.size]
        for entry in directory(data).entries
        if entry.is_regular
    }


def codes(data: bytes) -> list[str]:
    return [code for code, _, _ in directory(data).anomalies]


def scan(data: bytes) -> FileReport:
    return scan_blob(BytesReader(data), "model.tar").report


FILES = {"a.txt": b"one", "folder" * 10 + "/" + "b" * 90 + ".txt": b"two" * 1000, "grün.txt": b""}


@pytest.mark.parametrize("dialect", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_what_tarfile_writes(dialect: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=dialect) as archive:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

    assert contents(out.getvalue()) == FILES
    assert not codes(out.getvalue())
    report = scan(out.getvalue())
    assert (report.verdict, report.coverage.unread) == (Verdict.CLEAN, 0)


def test_header_without_magic_is_read_as_tarfile_does() -> None:
    data = tar(Entry(name="a", data=b"x", magic=bytes(8)))

    assert contents(data) == {"a": b"x"}


def test_signed_checksum_of_old_programs_is_accepted() -> None:
    entry = Entry(name="\xff")
    header = entry.build()[:512]
    field = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in field)

    assert matches(Blob(reader=BytesReader(tar(Entry(name="\xff", checksum=signed))), name="x"))


def test_size_in_base_256_is_read() -> None:
    number = b"\x80" + (3).to_bytes(11, "big")

    assert contents(tar(Entry(name="a", data=b"xyz", number=number))) == {"a": b"xyz"}


def test_long_names_of_gnu_and_pax_are_used() -> None:
    data = tar(long_name("n" * 300), Entry(data=b"1"), pax({"path": "p" * 300}), Entry(data=b"2"))

    assert contents(data) == {"n" * 300: b"1", "p" * 300: b"2"}


def test_pax_size_rules_over_the_header() -> None:
    assert contents(tar(pax({"size": "3"}), Entry(name="a", data=b"xyz", size=0))) == {"a": b"xyz"}


def test_pax_header_for_all_applies_to_all() -> None:
    data = tar(pax({"size": "2"}, kind=b"g"), Entry(name="a", data=b"xy", size=0), Entry(name="b", data=b"zz", size=0))

    assert contents(data) == {"a": b"xy", "b": b"zz"}


def test_sizes_that_differ_between_headers_are_noted() -> None:
    assert codes(tar(pax({"size": "3"}), Entry(name="a", data=b"xyz", size=1))) == ["tar-size-differs"]


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "..\\a"])
def test_names_that_lead_outside_are_noted(name: str) -> None:
    assert codes(tar(Entry(name=name))) == ["archive-traversal"]


@pytest.mark.parametrize(
    ("name", "kind", "link", "expected"),
    [
        ("a", b"2", "../b", "archive-traversal"),
        ("a", b"2", "/etc/passwd", "archive-traversal"),
        ("a/b/c", b"2", "../d", "tar-link"),
        ("a/b", b"2", "../../d", "archive-traversal"),
        ("a/b", b"1", "c", "tar-link"),
        ("a/b", b"1", "../c", "archive-traversal"),
        ("a", b"3", "", "tar-device"),
        ("a", b"6", "", "tar-device"),
    ],
)
def test_links_and_devices_are_noted(name: str, kind: bytes, link: str, expected: str) -> None:
    assert codes(tar(Entry(name=name, kind=kind, link=link))) == [expected]


def test_two_members_of_one_name_are_both_read() -> None:
    data = tar(Entry(name="a", data=b"1"), Entry(name="a", data=b"2"))

    assert [data[entry.data_offset : entry.data_offset + 1] for entry in directory(data).entries] == [b"1", b"2"]
    assert codes(data) == ["tar-duplicate-member"]


def test_members_behind_the_end_mark_are_read_and_noted_once() -> None:
    data = tar(Entry(name="a", data=b"1")) + tar(Entry(name="b", data=b"2")) + tar(Entry(name="c", data=b"3"))

    assert contents(data) == {"a": b"1", "b": b"2", "c": b"3"}
    assert codes(data) == ["tar-members-after-end"]


def test_members_behind_a_broken_header_are_read() -> None:
    data = Entry(name="a", data=b"1").build() + b"x" * 512 + tar(Entry(name="b", data=b"2"))

    assert contents(data) == {"a": b"1", "b": b"2"}
    assert codes(data) == ["tar-members-after-garbage"]


def test_bytes_behind_the_archive_are_noted() -> None:
    assert codes(tar(Entry(name="a")) + b"something else") == ["tar-trailing-bytes"]


@pytest.mark.parametrize("end", [0, 1024])
def test_payload_behind_the_archive_is_found(end: int) -> None:
    data = tar(Entry(name="a"))[:512] + bytes(end) + b"cos\nsystem\n(S'echo x'\ntR."

    assert scan(data).verdict is Verdict.MALICIOUS


def test_member_that_ends_outside_the_file_is_incomplete() -> None:
    report = scan(tar(Entry(name="a.txt", data=b"x" * 2000))[:1000])

    assert report.verdict is Verdict.INCOMPLETE


def test_negative_size_is_noted_and_not_followed() -> None:
    assert codes(tar(Entry(name="a", number=b"\xff" * 12))) == ["tar-negative-size"]


def test_first_block_must_be_a_header() -> None:
    with pytest.raises(FormatError):
        directory(b"x" * 1024)


def test_too_many_members_end_in_the_budget() -> None:
    data = tar(*(Entry(name=str(index)) for index in range(20)))

    with pytest.raises(LimitExceeded):
        read_members(BytesReader(data), Budget(limits=Limits(members=10)))


@pytest.mark.parametrize("data", [b"", bytes(1024), b"a" * 512, b"\x80\x02}." + bytes(600)])
def test_other_bytes_are_no_archive(data: bytes) -> None:
    assert not matches(Blob(reader=BytesReader(data), name="x.tar"))


def test_members_are_what_tarfile_finds_in_mutated_archives() -> None:
    data = tar(
        long_name("n" * 150), Entry(data=b"1"), pax({"path": "q"}), Entry(data=b"22"), Entry(name="c/d", data=b"333")
    )
    for at in range(0, len(data), 3):
        for value in (0x00, 0x31, 0xFF):
            changed = data[:at] + bytes([value]) + data[at + 1 :]
            try:
                with tarfile.open(fileobj=io.BytesIO(changed)) as archive:
                    expected = {
                        (info.offset_data, info.size)
                        for info in archive
                        if info.isreg() and info.offset_data + info.size <= len(changed)
                    }
            except (tarfile.TarError, ValueError, UnicodeDecodeError):
                continue
            try:
                found = {(entry.data_offset, entry.size) for entry in directory(changed).entries}
            except FormatError:
                found = set()
            assert expected <= found, (at, value)


def test_every_truncation_gives_a_verdict() -> None:
    data = tar(Entry(name="config.json", data=b"{}"), Entry(name="b", data=b"2"))

    for length in range(1, len(data), 7):
        assert scan(data[:length]).verdict is not Verdict.ERROR
