"""Every reading of a zip archive: each row of the table of loader differences, and the arithmetic of its records."""

import io
import lzma
import struct
import zipfile

import pytest

from scanners.containers.zip import ZipDirectory, ZipEntry, looks_like_zip, member_reader, read_directory
from scanners.errors import FormatError, LimitExceeded, Unsupported
from scanners.limits import Budget, Limits
from scanners.reader import BytesReader
from tests.builders.zips import DEFLATED, Archive, Member, archive, torch_archive, zip64_archive

A = Member(name=b"archive/data.pkl", data=b"AAAA")
B = Member(name=b"archive/data.pkl", data=b"BBBB")
VERSION = Member(name=b"archive/version", data=b"3\n")


class Unseekable:
    """Something to write to that cannot go back, like a pipe."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def flush(self) -> None:
        pass


def directory(data: bytes) -> ZipDirectory:
    return read_directory(BytesReader(data), Budget())


def codes(data: bytes) -> set[str]:
    return {anomaly.code for anomaly in directory(data).anomalies}


def contents(data: bytes) -> list[bytes]:
    """What every loader together would deliver, in order."""
    return [content(data, entry) for entry in directory(data).everything if entry.data_offset >= 0]


def content(data: bytes, entry: ZipEntry) -> bytes:
    reader = member_reader(BytesReader(data), entry, Budget())
    return reader.read_at(0, reader.size)


def test_ordinary_archive_has_its_members_and_no_anomaly() -> None:
    data = archive(("a", b"1"), ("b", b"22"), ("c/", b""))

    assert [(entry.name, entry.loader) for entry in directory(data).entries] == [
        ("a", "directory"),
        ("b", "directory"),
        ("c/", "directory"),
    ]
    assert not directory(data).anomalies
    assert not directory(data).others


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_reads_what_zipfile_writes(method: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression=method) as made:
        made.writestr("a.txt", b"x" * 1000)
        made.writestr("grün/ä.txt", b"y")

    data = out.getvalue()
    assert contents(data) == [b"x" * 1000, b"y"]
    assert [entry.name for entry in directory(data).entries] == ["a.txt", "grün/ä.txt"]
    assert not directory(data).anomalies


def test_streamed_zipfile_output_with_descriptors_is_ordinary() -> None:
    out = Unseekable()
    with zipfile.ZipFile(out, "w", compression=zipfile.ZIP_DEFLATED) as made:  # type: ignore[call-overload]  # less than a file, as zipfile allows
        made.writestr("a.txt", b"x" * 1000)
        made.writestr("b.txt", b"y" * 1000)

    assert contents(bytes(out.written)) == [b"x" * 1000, b"y" * 1000]
    assert not directory(bytes(out.written)).anomalies


def test_torch_layout_takes_sizes_from_the_directory_and_offsets_from_local_headers() -> None:
    data = torch_archive(b"\x80\x02N.", [("data/0", b"w" * 100), ("data/1", b"")])

    entries = {entry.name: entry for entry in directory(data).entries}
    assert entries["archive/data/0"].data_offset % 64 == 0
    assert content(data, entries["archive/data/0"]) == b"w" * 100
    assert content(data, entries["archive/data/1"]) == b""
    assert not directory(data).anomalies


def test_zip64_records_and_fields_are_followed() -> None:
    extra = struct.pack("<HHQQ", 1, 16, 4, 4)
    wide = Member(name=b"a", data=b"AAAA", extra=extra, local_extra=extra, size=0xFFFFFFFF)
    data = bytearray(Archive(members=[wide], zip64=True).build())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 24] = b"\xff" * 4
    data[18:22] = b"\xff" * 4

    assert contents(bytes(data)) == [b"AAAA"]
    assert not directory(bytes(data)).anomalies


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("fields", ["size compressed offset", "size compressed", "offset", "size offset", ""])
def test_zip64_fields_stand_for_what_is_full_and_for_nothing_else(fields: str, local: bool) -> None:
    data = zip64_archive([("a", b"AAAA"), ("b", b""), ("c", b"CC")], fields=fields, local=local)

    assert contents(data) == [b"AAAA", b"", b"CC"]
    assert not directory(data).anomalies
    with zipfile.ZipFile(io.BytesIO(data)) as reference:
        assert [reference.read(name) for name in reference.namelist()] == [b"AAAA", b"", b"CC"]


def test_zip64_sizes_that_lie_are_an_anomaly() -> None:
    assert codes(zip64_archive([("a", b"AAAA"), ("c", b"CC")], lie=2))
    assert codes(zip64_archive([("a", b"AAAA"), ("c", b"CC")], lie=1 << 62))


# ---- the table: what torch reads and what zipfile reads


def test_two_entries_of_one_name_are_both_read() -> None:
    data = Archive(members=[A, B, VERSION]).build()

    assert contents(data) == [b"AAAA", b"BBBB", b"3\n"]
    assert codes(data) == {"zip-duplicate-member"}


def test_upper_case_twin_before_data_pkl_is_read_and_noted() -> None:
    data = Archive(members=[Member(name=b"archive/DATA.PKL", data=b"AAAA"), B]).build()

    assert contents(data) == [b"AAAA", b"BBBB"]
    assert codes(data) == {"zip-case-duplicate"}


def test_other_name_in_the_local_header_is_read_and_noted() -> None:
    data = Archive(members=[Member(name=b"archive/data.pkl", local_name=b"archive/x", data=b"AAAA")]).build()

    assert contents(data) == [b"AAAA"]
    assert codes(data) == {"zip-local-name-differs"}


def test_directory_entry_that_points_at_another_members_header_is_read_there() -> None:
    data = Archive(members=[A, Member(name=b"archive/x", data=b"BBBB", header_offset=0)]).build()

    assert contents(data)[:2] == [b"AAAA", b"AAAA"]
    assert "zip-local-name-differs" in codes(data)


def test_member_left_behind_by_an_alias_is_found_in_the_gap() -> None:
    data = Archive(members=[A, Member(name=b"archive/x", data=b"BBBB", header_offset=0)]).build()

    assert [entry.loader for entry in directory(data).others] == ["streaming"]
    assert contents(data)[-1] == b"BBBB"


def test_encrypted_flag_in_the_local_header_alone_hides_nothing() -> None:
    data = Archive(members=[Member(name=b"a", data=b"AAAA", local_flags=1)]).build()

    assert contents(data) == [b"AAAA"]
    assert codes(data) == {"zip-encryption-differs", "zip-encrypted"}


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_encrypted_flag_in_both_headers_is_noted(flag: int) -> None:
    data = Archive(members=[Member(name=b"a", data=b"AAAA", flags=flag)]).build()

    assert contents(data) == [b"AAAA"]
    assert codes(data) == {"zip-encrypted"}


def test_two_archives_behind_each_other_are_both_read() -> None:
    data = Archive(members=[A, VERSION]).build() + Archive(members=[B, VERSION]).build()

    assert contents(data) == [b"AAAA", b"3\n", b"BBBB", b"3\n"]
    assert [entry.loader for entry in directory(data).everything] == ["directory"] * 2 + ["zipfile"] * 2
    assert "zip-loaders-disagree" in codes(data)


def test_two_archives_of_different_layout_are_both_read() -> None:
    first = Archive(members=[Member(name=b"archive/data.pkl", data=b"A" * 99)]).build()
    data = first + Archive(members=[B, VERSION]).build()

    assert set(contents(data)) == {b"A" * 99, b"BBBB", b"3\n"}
    assert "zip-hidden-member" in codes(data)


def test_archive_in_the_comment_of_another_is_read_and_so_is_the_outer_one() -> None:
    inner = Archive(members=[B, VERSION]).build()
    data = Archive(members=[A, VERSION], comment=inner).build()

    assert {b"AAAA", b"BBBB"} <= set(contents(data))
    assert "zip-archive-in-comment" in codes(data)


def test_prefix_before_the_first_member_is_noted() -> None:
    data = Archive(members=[A], prefix=b"j" * 64).build()

    assert contents(data) == [b"AAAA"]
    assert codes(data) == {"zip-prefix"}


def test_prefix_that_the_offsets_count_is_noted_too() -> None:
    data = Archive(members=[A], prefix=b"j" * 64, adjust_prefix=True).build()

    assert contents(data) == [b"AAAA"]
    assert codes(data) == {"zip-prefix"}


def test_long_trailer_leaves_only_streaming_readers() -> None:
    data = Archive(members=[A], trailer=b"j" * 70_000).build()

    assert contents(data) == [b"AAAA"]
    assert {entry.loader for entry in directory(data).everything} == {"streaming"}
    assert "zip-no-directory" in codes(data)


def test_short_trailer_is_noted() -> None:
    assert codes(Archive(members=[A], trailer=b"j" * 10).build()) == {"zip-trailer"}


@pytest.mark.parametrize("name", [b"../data.pkl", b"/data.pkl", b"..\\data.pkl", b"a/../../data.pkl", b"C:\\data.pkl"])
def test_names_that_lead_outside_are_noted(name: bytes) -> None:
    assert codes(Archive(members=[Member(name=name, data=b"AAAA")]).build()) == {"archive-traversal"}


@pytest.mark.parametrize("name", [b"a..b/data.pkl", b"a/...", b"c:d", b"a b"])
def test_names_with_dots_that_stay_inside_are_not(name: bytes) -> None:
    assert not codes(Archive(members=[Member(name=name, data=b"AAAA")]).build())


def test_nul_in_a_name_is_noted_and_the_name_kept_whole() -> None:
    data = Archive(members=[Member(name=b"archive/data.pkl\x00.txt", data=b"AAAA")]).build()

    assert directory(data).entries[0].name == "archive/data.pkl\x00.txt"
    assert codes(data) == {"zip-nul-in-name"}


def test_method_that_differs_between_headers_gives_both_readings() -> None:
    member = Member(name=b"a", data=b"AAAA" * 20, method=DEFLATED, local_method=0)
    data = Archive(members=[member]).build()

    assert contents(data) == [b"AAAA" * 20, member.body]
    assert codes(data) == {"zip-local-method-differs"}


# ---- more ambiguities


def test_member_only_in_the_local_headers_is_found() -> None:
    data = Archive(members=[A, Member(name=b"archive/x.pkl", data=b"BBBB", in_directory=False), VERSION]).build()

    assert contents(data) == [b"AAAA", b"3\n", b"BBBB"]
    assert codes(data) == {"zip-hidden-member"}


def test_hidden_deflated_member_of_unknown_size_is_unpacked() -> None:
    hidden = Member(
        name=b"x.pkl",
        data=b"BBBB" * 30,
        method=DEFLATED,
        flags=8,
        local_crc=0,
        local_size=0,
        in_directory=False,
        after=b"PK\x07\x08" + bytes(12),
    )

    assert contents(Archive(members=[A, hidden]).build())[-1] == b"BBBB" * 30


def test_entries_beyond_the_promised_number_are_read() -> None:
    data = Archive(members=[A, VERSION], promised=1).build()

    assert len(directory(data).entries) == 2
    assert codes(data) == {"zip-directory-count"}


def test_stored_archive_as_last_member_is_no_ambiguity() -> None:
    data = archive(("a", b"1"), ("inner.zip", archive(("b", b"2"))))

    assert [entry.name for entry in directory(data).everything] == ["a", "inner.zip"]
    assert not directory(data).anomalies


def test_overlapping_members_are_noted() -> None:
    inner = archive(("b", b"2"))
    at = inner.index(b"PK\x03\x04")
    data = Archive(members=[Member(name=b"a", data=inner), Member(name=b"b", data=b"2", header_offset=31 + at)]).build()

    assert "zip-overlap" in codes(data)


def test_symbolic_link_is_noted() -> None:
    assert codes(Archive(members=[Member(name=b"a", data=b"b", attributes=0xA1FF << 16)]).build()) == {"zip-symlink"}


def test_missing_checksums_are_counted_once() -> None:
    members = [Member(name=b"%d" % index, data=b"AAAA", crc=0) for index in range(100)]

    noted = directory(Archive(members=members).build()).anomalies
    assert [(anomaly.code, anomaly.message) for anomaly in noted] == [
        ("zip-no-checksum", "100 members carry no checksum")
    ]


def test_thousands_of_anomalies_are_summed_up() -> None:
    members = [Member(name=b"%d" % index, data=b"A", local_name=b"x") for index in range(1000)]

    noted = directory(Archive(members=members).build()).anomalies
    assert len(noted) == 51
    assert noted[-1].message == "950 more of this kind"


# ---- what cannot be read


def test_members_compressed_as_zstandard_and_xz_are_read() -> None:
    zstandard = pytest.importorskip("zstandard")
    members = [
        Member(name=b"a", data=b"AAAA" * 9, method=93, compressed=zstandard.compress(b"AAAA" * 9)),
        Member(name=b"b", data=b"BBBB" * 9, method=95, compressed=lzma.compress(b"BBBB" * 9)),
    ]

    assert contents(Archive(members=members).build()) == [b"AAAA" * 9, b"BBBB" * 9]


def test_lzma_member_without_header_is_refused() -> None:
    data = Archive(members=[Member(name=b"a", data=b"AAAA", method=14)]).build()

    with pytest.raises(FormatError, match="LZMA"):
        content(data, directory(data).entries[0])


def test_unsupported_method_is_refused_by_name() -> None:
    data = Archive(members=[Member(name=b"a", data=b"AAAA", method=98)]).build()

    with pytest.raises(Unsupported, match="ppmd"):
        content(data, directory(data).entries[0])


def test_data_outside_the_file_is_refused() -> None:
    data = Archive(members=[A], directory_order=[0]).build()
    broken = bytearray(data)
    at = broken.index(b"PK\x01\x02")
    broken[at + 20 : at + 28] = struct.pack("<LL", 10_000, 10_000)

    with pytest.raises(FormatError, match="outside"):
        content(bytes(broken), directory(bytes(broken)).entries[0])


def test_too_many_members_end_in_the_budget() -> None:
    data = Archive(members=[Member(name=b"%d" % index) for index in range(20)]).build()

    with pytest.raises(LimitExceeded):
        read_directory(BytesReader(data), Budget(limits=Limits(members=10)))


@pytest.mark.parametrize("data", [b"", b"P", b"PK\x05\x06", b"no archive at all", bytes(1000), b"PK\x01\x02" * 30])
def test_other_bytes_are_no_archive(data: bytes) -> None:
    assert not looks_like_zip(BytesReader(data))


def test_signature_in_the_tail_of_weights_makes_no_archive() -> None:
    assert not looks_like_zip(BytesReader(b"w" * 5000 + b"PK\x05\x06" + b"w" * 200))


def test_every_truncation_gives_a_directory_or_a_documented_error() -> None:
    data = torch_archive(b"\x80\x02N.", [("data/0", b"w" * 40)])

    for length in range(len(data)):
        try:
            read = directory(data[:length])
        except FormatError:
            continue
        assert all(entry.name for entry in read.everything)


def test_reading_by_every_byte_changed_never_fails_in_another_way() -> None:
    data = Archive(members=[A, Member(name=b"b", data=b"BBBB" * 9, method=DEFLATED)]).build()

    for at in range(len(data)):
        for value in (0, 0x7F, 0xFF):
            changed = data[:at] + bytes([value]) + data[at + 1 :]
            try:
                for entry in directory(changed).everything:
                    content(changed, entry)
            except (FormatError, Unsupported, LimitExceeded):
                pass
