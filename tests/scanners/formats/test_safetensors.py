"""safetensors headers: what is read, what is noted, what is refused."""

import json

import pytest

from scanners.engine import scan_blob
from scanners.facts import Tensor
from scanners.findings import FileReport, Verdict
from scanners.reader import BytesReader
from tests.builders.safetensors import entry, from_header, safetensors


def scan(data: bytes) -> FileReport:
    return scan_blob(BytesReader(data), "m.safetensors").report


def messages(data: bytes) -> list[str]:
    return [finding.message for finding in scan(data).findings]


def layout(header: object, size: int) -> bytes:
    return from_header(json.dumps(header).encode(), bytes(size))


GOOD = safetensors({"a": ("F32", [2, 2], bytes(16)), "b": ("BF16", [3], bytes(6))}, {"format": "pt"})


def test_ordinary_file_is_clean_and_only_its_header_is_parsed() -> None:
    report = scan(GOOD)

    assert report.verdict is Verdict.CLEAN
    assert report.coverage.inert == 22
    assert report.coverage.parsed == report.size - 22


def test_tensors_become_facts() -> None:
    facts = scan_blob(BytesReader(GOOD), "m.safetensors").facts.facts

    tensors = [fact for fact in facts if isinstance(fact, Tensor)]
    assert [(tensor.name, tensor.dtype, tensor.shape, tensor.storage_bytes) for tensor in tensors] == [
        ("a", "F32", (2, 2), 16),
        ("b", "BF16", (3,), 6),
    ]


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"scalar": ("F32", [], bytes(4))},
        {"none": ("F32", [0, 5], b"")},
        {"": ("U8", [1], b"x")},
        {"f4": ("F4", [16], bytes(8))},
        {"c64": ("C64", [2], bytes(16))},
    ],
)
def test_unusual_but_legal_files_are_clean(tensors: dict[str, tuple[str, list[int], bytes]]) -> None:
    assert scan(safetensors(tensors)).verdict is Verdict.CLEAN


def test_header_padded_with_spaces_is_clean() -> None:
    header = json.dumps({"a": entry(0, 4)}).encode().ljust(128)

    assert scan(from_header(header, bytes(4))).verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ({"a": entry(0, 8), "b": entry(4, 12)}, 12, "'b' overlaps 'a'"),
        ({"a": entry(0, 4), "b": entry(8, 12)}, 12, "4 bytes before 'b' belong to no tensor"),
        ({"a": entry(4, 8)}, 8, "4 bytes before 'a' belong to no tensor"),
        ({"a": entry(0, 4)}, 10, "6 bytes behind the last tensor"),
        ({"a": entry(0, 4, shape=[5])}, 4, "'a' of shape [5] and dtype U8 does not fill its 4 bytes"),
        ({"a": entry(0, 4, shape=[2**40, 2**40])}, 4, "does not fill its 4 bytes"),
        ({"a": entry(0, 4, dtype="F99")}, 4, "'a' has the unknown dtype 'F99'"),
        ({"a": entry(4, 0, shape=[4])}, 4, "the range of 'a' ends before it begins"),
        ({"a": {"dtype": "U8", "shape": [-1], "data_offsets": [0, 4]}}, 4, "lacks a dtype, a shape or two offsets"),
        ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, True]}}, 4, "lacks a dtype, a shape or two offsets"),
        ({"a": 1}, 0, "the entry of 'a' is no object"),
        ({"__metadata__": {"k": 1}, "a": entry(0, 4)}, 4, "__metadata__ is no mapping of text to text"),
        ({"__metadata__": [], "a": entry(0, 4)}, 4, "__metadata__ is no mapping of text to text"),
    ],
)
def test_headers_that_loaders_refuse_are_suspicious(header: object, size: int, expected: str) -> None:
    report = scan(layout(header, size))

    assert report.verdict is Verdict.SUSPICIOUS
    assert any(expected in finding.message for finding in report.findings)


def test_duplicate_key_is_suspicious() -> None:
    one = json.dumps(entry(0, 4))
    data = from_header(f'{{"a": {one}, "a": {one}}}'.encode(), bytes(4))

    assert scan(data).verdict is Verdict.SUSPICIOUS
    assert "twice" in messages(data)[0]


def test_header_padded_with_nul_is_no_json_and_incomplete() -> None:
    header = json.dumps({"a": entry(0, 4)}).encode() + bytes(8)

    assert scan(from_header(header, bytes(4))).verdict is Verdict.INCOMPLETE


def test_missing_tensor_data_is_incomplete() -> None:
    report = scan(GOOD[:-3])

    assert report.verdict is Verdict.INCOMPLETE
    assert "the tensors need 22 bytes, the file has 19" in report.coverage.reasons[0]


def test_header_beyond_the_file_is_incomplete() -> None:
    assert scan(from_header(b'{"a": 1}', length=5000)).verdict is Verdict.INCOMPLETE


def test_a_header_longer_than_any_loader_takes_is_suspicious() -> None:
    assert scan(from_header(b'{"a": 1}', length=1 << 62)).verdict is Verdict.SUSPICIOUS
    assert scan(from_header(b'{"a": 1}', length=200_000_000)).verdict is Verdict.SUSPICIOUS


def test_a_pointer_instead_of_the_file_has_no_header() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    assert scan(pointer).verdict is Verdict.INCOMPLETE


def test_thousands_of_broken_entries_are_listed_in_part() -> None:
    header = {str(index): 1 for index in range(5000)}

    assert len(messages(layout(header, 0))) == 50


def test_truncation_at_every_byte_gives_a_verdict() -> None:
    verdicts = {scan(GOOD[:length]).verdict for length in range(1, len(GOOD))}

    assert verdicts <= {Verdict.INCOMPLETE, Verdict.UNSUPPORTED, Verdict.SUSPICIOUS}


def test_every_byte_of_the_header_changed_gives_a_verdict() -> None:
    for at in range(len(GOOD) - 22):
        for value in (0, 0x22, 0x7B, 0xFF):
            report = scan(GOOD[:at] + bytes([value]) + GOOD[at + 1 :])
            assert report.verdict is not Verdict.ERROR


class Huge:
    """Ten gigabytes of weights behind an ordinary header, of which nothing exists."""

    def __init__(self) -> None:
        end = 10 << 30
        self.header = from_header(json.dumps({"a": entry(0, end)}).encode())
        self.size = len(self.header) + end
        self.read = 0

    def read_at(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        self.read += length
        return (self.header[offset : offset + length] + bytes(length))[:length]


def test_ten_gigabytes_cost_their_header() -> None:
    reader = Huge()
    report = scan_blob(reader, "m.safetensors").report

    assert report.verdict is Verdict.CLEAN
    assert reader.read < 1 << 20
