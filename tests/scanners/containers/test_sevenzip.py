"""7z archives: folders, chains of coders, packed headers, and what is not read."""

import pytest

from scanners.engine import scan_blob
from scanners.findings import FileReport, Verdict
from scanners.reader import BytesReader
from tests.builders.sevenzip import AES, COPY, DEFLATE, LZMA2, PPMD, Packed, sevenzip
from tests.peers import peer_python, run_peer

HOSTILE = b"cos\nsystem\n(S'echo hello'\ntR."
TEXT = ("notes.txt", b"some notes")


def scan(data: bytes) -> FileReport:
    return scan_blob(BytesReader(data), "model.7z").report


@pytest.mark.parametrize("method", [COPY, LZMA2, DEFLATE])
@pytest.mark.parametrize("pack_header", [False, True])
def test_member_is_found_and_everything_is_read(method: bytes, pack_header: bool) -> None:
    report = scan(sevenzip(Packed(members=[("x/model.pkl", HOSTILE)], method=method), pack_header=pack_header))

    assert (report.verdict, report.formats) == (Verdict.MALICIOUS, ("7z",))
    assert report.findings[0].location.members == ("x/model.pkl",)
    assert report.coverage.complete


def test_members_of_a_solid_folder_are_told_apart() -> None:
    report = scan(sevenzip(Packed(members=[TEXT, ("model.pkl", HOSTILE), ("more.txt", b"x")])))

    assert report.findings[0].location.members == ("model.pkl",)
    assert report.coverage.complete


def test_several_folders_are_read() -> None:
    folders = [Packed(members=[TEXT], method=COPY), Packed(members=[("model.pkl", HOSTILE)], method=DEFLATE)]

    assert scan(sevenzip(*folders)).verdict is Verdict.MALICIOUS


def test_harmless_archive_is_clean() -> None:
    report = scan(sevenzip(Packed(members=[("config.json", b'{"a": 1}'), TEXT])))

    assert (report.verdict, report.coverage.unread) == (Verdict.CLEAN, 0)


@pytest.mark.parametrize(("method", "word"), [(AES, "encrypted"), (PPMD, "method 030401")])
def test_what_is_not_read_is_incomplete_and_says_why(method: bytes, word: str) -> None:
    report = scan(sevenzip(Packed(members=[TEXT], method=method)))

    assert report.verdict is Verdict.INCOMPLETE
    assert word in report.findings[0].message


def test_name_that_leads_outside_is_malicious() -> None:
    report = scan(sevenzip(Packed(members=[("../../etc/x", b"x")])))

    assert [finding.rule.id for finding in report.findings] == ["MS204"]


def test_bomb_is_incomplete() -> None:
    packed = Packed(members=[("zeros", bytes(40 << 20))])

    assert scan(sevenzip(packed)).verdict is Verdict.INCOMPLETE


def test_folder_that_breaks_off_is_incomplete_and_its_beginning_is_read() -> None:
    whole = Packed(members=[("model.pkl", HOSTILE), ("rest", bytes(range(256)) * 900)])
    cut = Packed(members=whole.members, packed=whole.stream[:-40] + bytes(40))
    report = scan(sevenzip(cut))

    assert report.verdict is Verdict.MALICIOUS
    assert not report.coverage.complete


def test_bytes_behind_the_archive_are_noted() -> None:
    report = scan(sevenzip(Packed(members=[TEXT]), trailer=b"more"))

    assert [finding.rule.id for finding in report.findings] == ["MS206"]


def test_payload_behind_the_archive_is_found() -> None:
    report = scan(sevenzip(Packed(members=[TEXT]), trailer=b"cos\nsystem\n(S'echo x'\ntR."))

    assert report.verdict is Verdict.MALICIOUS


def test_empty_archive_is_clean() -> None:
    assert scan(b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24)).verdict is Verdict.CLEAN


def test_every_truncation_is_incomplete() -> None:
    data = sevenzip(Packed(members=[("config.json", b"{}"), TEXT]), pack_header=True)

    for length in range(6, len(data)):
        assert scan(data[:length]).verdict is Verdict.INCOMPLETE, length


@pytest.mark.parametrize("pack_header", [False, True])
def test_every_byte_changed_gives_a_verdict(pack_header: bool) -> None:
    data = sevenzip(Packed(members=[("config.json", b"{}"), TEXT]), Packed(members=[TEXT]), pack_header=pack_header)

    for at in range(len(data)):
        for value in (0x00, 0x0F, 0xFF):
            report = scan(data[:at] + bytes([value]) + data[at + 1 :])
            assert report.verdict is not Verdict.ERROR, (at, value, report.findings)


SCRIPT = """
import sys
import py7zr
from py7zr import FILTER_BZIP2, FILTER_COPY, FILTER_DEFLATE, FILTER_DELTA, FILTER_LZMA, FILTER_LZMA2, FILTER_X86
chains = [
    [{"id": FILTER_LZMA2, "preset": 6}], [{"id": FILTER_X86}, {"id": FILTER_LZMA2, "preset": 1}],
    [{"id": FILTER_LZMA}], [{"id": FILTER_X86}, {"id": FILTER_LZMA}],
    [{"id": FILTER_DELTA}, {"id": FILTER_LZMA2, "preset": 1}],
    [{"id": FILTER_BZIP2}], [{"id": FILTER_DEFLATE}], [{"id": FILTER_COPY}],
]
for index, chain in enumerate(chains):
    with py7zr.SevenZipFile(f"{sys.argv[1]}/{index}.7z", "w", filters=chain) as archive:
        archive.writestr(b"some notes", "notes.txt")
        archive.writestr(b"cos\\nsystem\\n(S'echo hello'\\ntR.", "x/model.pkl")
        archive.writestr(bytes(range(256)) * 500, "weights")
"""


@pytest.mark.interop
def test_what_py7zr_writes_is_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    peer_python("py7zr")
    folder = tmp_path_factory.mktemp("sevenzip")
    run_peer("py7zr", "-c", SCRIPT, folder)

    for index in range(8):
        report = scan((folder / f"{index}.7z").read_bytes())
        assert report.verdict is Verdict.MALICIOUS, index
        assert report.findings[0].location.members == ("x/model.pkl",)
        assert report.coverage.complete, index


def test_dictionary_of_gigabytes_is_refused() -> None:
    data = bytearray(sevenzip(Packed(members=[TEXT])))
    at = data.index(b"\x21\x21\x01\x10")
    data[at + 3] = 40

    report = scan(bytes(data))
    assert report.verdict is Verdict.INCOMPLETE
