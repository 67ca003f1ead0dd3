"""Files that are one compressed stream: gzip, bzip2, xz, LZMA alone, zlib, Zstandard, LZ4."""

import bz2
import gzip
import lzma
import random
import zlib
from collections.abc import Callable

import pytest

from scanners.containers import lz4
from scanners.containers.stream import inner_name
from scanners.containers.unpacking import Unpacked
from scanners.engine import scan_blob
from scanners.findings import FileReport, Verdict
from scanners.limits import Budget
from scanners.reader import BytesReader
from tests.builders.tars import Entry, tar

lz4_frame = pytest.importorskip("lz4.frame")
zstandard = pytest.importorskip("zstandard")


def alone(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": alone,
    "zlib": zlib.compress,
    "zstd": zstandard.compress,
    "lz4": lz4_frame.compress,
}
HOSTILE = b"cos\nsystem\n(S'echo hello'\ntR."

each_packer = pytest.mark.parametrize("name", sorted(PACKERS))


def scan(data: bytes, path: str = "model.pkl.gz") -> FileReport:
    return scan_blob(BytesReader(data), path).report


@each_packer
def test_harmless_content_is_clean_and_fully_read(name: str) -> None:
    report = scan(PACKERS[name](b'{"a": 1}'), "config.json.gz")

    assert (report.verdict, report.formats) == (Verdict.CLEAN, (name,))
    assert (report.coverage.parsed, report.coverage.unread) == (report.size, 0)


@each_packer
def test_payload_inside_is_found(name: str) -> None:
    report = scan(PACKERS[name](HOSTILE))

    assert report.verdict is Verdict.MALICIOUS
    assert report.findings[0].location.members == ("model.pkl",)


@each_packer
def test_payload_in_a_tar_inside_is_found(name: str) -> None:
    report = scan(PACKERS[name](tar(Entry(name="x/model.pkl", data=HOSTILE))), "model.tar.gz")

    assert report.verdict is Verdict.MALICIOUS
    assert report.findings[0].location.members == ("model.tar", "x/model.pkl")


@each_packer
def test_payload_packed_several_times_is_found(name: str) -> None:
    data = HOSTILE
    for _ in range(4):
        data = PACKERS[name](data)

    assert scan(data).verdict is Verdict.MALICIOUS


@each_packer
def test_payload_whose_stream_breaks_off_later_is_found(name: str) -> None:
    data = PACKERS[name](HOSTILE + bytes(range(256)) * 2000)[:-4]
    report = scan(data)

    assert report.verdict is Verdict.MALICIOUS
    assert not report.coverage.complete


@each_packer
def test_bytes_behind_the_stream_are_noted(name: str) -> None:
    report = scan(PACKERS[name](b"{}") + b"more", "config.json.gz")

    assert [finding.rule.id for finding in report.findings] == ["MS206"]
    assert report.verdict is Verdict.CLEAN


@each_packer
@pytest.mark.parametrize("behind", [HOSTILE, bytes(16) + gzip.compress(HOSTILE), alone(HOSTILE)])
def test_payload_behind_the_stream_is_found(name: str, behind: bytes) -> None:
    report = scan(PACKERS[name](b"N.") + behind)

    assert report.verdict is Verdict.MALICIOUS


@each_packer
def test_zeros_behind_the_stream_are_padding(name: str) -> None:
    assert not scan(PACKERS[name](b"{}") + bytes(512), "config.json.gz").findings


@each_packer
def test_bomb_is_incomplete(name: str) -> None:
    report = scan(PACKERS[name](bytes(40 << 20)) * 3, "zeros.gz")

    assert report.verdict is Verdict.INCOMPLETE
    assert {finding.rule.id for finding in report.findings} >= {"MS902"}


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zstd", "lz4"])
def test_payload_in_a_second_stream_is_found(name: str) -> None:
    pack = PACKERS[name]

    assert scan(pack(b"N.") + pack(HOSTILE)).verdict is Verdict.MALICIOUS


def skippable(content: bytes) -> bytes:
    """A frame of RFC 8878, 3.1.2."""
    return b"\x5e\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_payload_between_frames_to_skip_is_found(name: str) -> None:
    pack = PACKERS[name]
    data = skippable(b"") + skippable(b"size") + pack(HOSTILE[:9]) + skippable(b"more") + pack(HOSTILE[9:])

    assert scan(data).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_frames_to_skip_are_no_finding(name: str) -> None:
    data = skippable(b"before") + PACKERS[name](b'{"a": 1}') + skippable(bytes(9))
    report = scan(data, "config.json.gz")

    assert (report.verdict, report.findings, report.coverage.unread) == (Verdict.CLEAN, (), 0)


@pytest.mark.parametrize("name", ["gzip", "xz"])
def test_payload_behind_padding_between_streams_is_found(name: str) -> None:
    pack = PACKERS[name]

    assert scan(pack(HOSTILE[:9]) + bytes(8) + pack(HOSTILE[9:])).verdict is Verdict.MALICIOUS


def gzip_with(flags: int, fields: bytes) -> bytes:
    return gzip.compress(HOSTILE)[:3] + bytes([flags]) + bytes(6) + fields + gzip.compress(HOSTILE)[10:]


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (0x02, b"??"),
        (0xE0, b""),
        (0x04, (60_000).to_bytes(2, "little") + bytes(60_000)),
        (0x1E, b"\x02\x00ab" + b"name\x00" + b"c" * 70_000 + b"\x00" + b"??"),
    ],
    ids=["wrong header checksum", "reserved flags", "long field", "all fields and a wrong checksum"],
)
def test_gzip_headers_that_python_reads_are_read(flags: int, fields: bytes) -> None:
    data = gzip_with(flags, fields)

    assert gzip.decompress(data) == HOSTILE
    assert scan(data).verdict is Verdict.MALICIOUS


def test_gzip_header_without_an_end_is_incomplete() -> None:
    assert scan(b"\x1f\x8b\x08\x0a" + b"n" * (2 << 20)).verdict is Verdict.INCOMPLETE


@each_packer
def test_every_truncation_gives_a_verdict(name: str) -> None:
    data = PACKERS[name](b'{"a": 1, "b": "' + bytes(range(65, 91)) * 3 + b'"}')

    for length in range(1, len(data)):
        assert scan(data[:length], "config.json.gz").verdict in {Verdict.INCOMPLETE, Verdict.SUSPICIOUS}


@each_packer
def test_every_byte_changed_gives_a_verdict(name: str) -> None:
    data = PACKERS[name](b'{"a": 1, "b": "' + bytes(range(65, 91)) * 3 + b'"}')

    for at in range(len(data)):
        assert scan(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]).verdict is not Verdict.ERROR


def test_dictionary_of_gigabytes_is_refused() -> None:
    data = bytearray(alone(b"abc" * 100))
    data[1:5] = (1 << 31).to_bytes(4, "little")

    assert scan(bytes(data), "x.lzma").verdict is Verdict.INCOMPLETE


def test_window_of_gigabytes_is_refused() -> None:
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\x01\x00\x00"

    assert scan(frame, "x.zst").verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    "data", [b"\x1f\x8b\x08 no gzip", b"BZh9 no bzip2", b"x\x9c no zlib at all", b"]\x00\x00 no lzma", b"\x78\x01"]
)
def test_two_bytes_make_no_stream(data: bytes) -> None:
    assert scan(data, "notes.txt").verdict is Verdict.UNSUPPORTED


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("m.tar.gz", "m.tar"),
        ("m.tgz", "m.tar"),
        ("m.pkl.XZ", "m.pkl"),
        ("m.joblib", "m.joblib"),
        (".gz", ".gz"),
        ("m", "m"),
    ],
)
def test_content_is_named_after_the_file(name: str, inner: str) -> None:
    assert inner_name(name) == inner


@pytest.mark.parametrize("block_size", [4, 5, 6, 7])
@pytest.mark.parametrize("linked", [False, True])
def test_frames_of_many_blocks_are_unpacked_to_their_end(block_size: int, linked: bool) -> None:
    content = random.Random(20261123).choices(range(9), k=3_000_000)
    data = lz4_frame.compress(bytes(content), block_size=block_size, block_linked=linked)
    unpacked = Unpacked(BytesReader(data), (0, len(data)), lz4.method(), Budget(input_bytes=len(data)))
    assert unpacked.finish() == len(content)
    assert unpacked.broken is None
