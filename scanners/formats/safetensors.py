"""safetensors: a JSON header that says where each tensor lies, then nothing but bytes.

The format cannot run code. What can be wrong is the header: ranges that overlap, leave holes, or end before the file
does give other readers other tensors, or room for a second file. Reading costs the header, whatever the file's size.

Source: safetensors/src/tensor.rs (`SafeTensors::read_metadata`, `Metadata::validate`).
"""

from typing import TypeGuard

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Tensor
from scanners.formats.json_text import Json, parse
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "safetensors"

HEADER_LIMIT = 100_000_000
"""bytes; the reference implementation refuses more"""

_BITS: dict[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip

_LISTED = 50
_HEADER_START = late(rb'\{\s*(?:\}|")')


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with a plausible length and a JSON object."""
    head = blob.reader.read_at(0, 64)
    if len(head) < 10:
        return False
    length = int.from_bytes(head[:8], "little")
    plausible = 2 <= length <= max(HEADER_LIMIT, blob.reader.size) or blob.name.lower().endswith(".safetensors")
    return plausible and _HEADER_START.match(head, 8) is not None


def read(blob: Blob, reading: Reading) -> None:
    """State the tensors and whatever the reference implementation would refuse."""
    size = blob.reader.size
    length = int.from_bytes(blob.reader.read_at(0, 8), "little")
    reading.state(Identified(location=reading.at(), format=NAME))
    if length > HEADER_LIMIT:
        reading.anomaly("safetensors-header", f"a header of {length} bytes; loaders refuse more than {HEADER_LIMIT}", 0)
    if 8 + length > size:
        raise FormatError(f"the header claims {length} bytes, the file has {size - 8} left", offset=0)
    if length > reading.budget.limits.text:
        raise LimitExceeded("text", f"a header of {length} bytes, more than {reading.budget.limits.text}")
    text = blob.reader.read_at(8, length)
    padded = len(text.rstrip(b" "))
    document = parse(text)
    header = document.value
    if not isinstance(header, dict):
        raise FormatError("the header is no JSON object", offset=8)
    reading.parsed(0, 8 + length)
    if text[:1] != b"{" or text[padded - 1 : padded] != b"}":
        reading.anomaly("safetensors-header", "the header is padded with something other than spaces", 8 + padded)
    for key in document.duplicates[:_LISTED]:
        reading.anomaly("safetensors-header", f"the header names {key!r} twice; loaders pick different ones", 8)
    metadata = header.pop("__metadata__", None)
    if metadata is not None and not (
        isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    ):
        reading.anomaly("safetensors-header", "__metadata__ is no mapping of text to text", 8)
    _Layout(reading, 8 + length, size).read(header)


class _Layout:
    """The ranges of the tensors against the bytes of the file."""

    def __init__(self, reading: Reading, start: int, size: int) -> None:
        self.reading = reading
        self.start = start
        self.available = size - start
        self.listed = 0

    def note(self, message: str, offset: int) -> None:
        """State an anomaly of the layout; only the first few, a broken header has one per tensor."""
        self.listed += 1
        if self.listed <= _LISTED:
            self.reading.anomaly("safetensors-layout", message, offset)

    def read(self, header: dict[str, Json]) -> None:
        ranges: list[tuple[int, int, str]] = []
        for name, entry in header.items():
            found = self.tensor(name, entry)
            if found is not None:
                ranges.append((*found, name))
        ranges.sort()
        reached = 0
        previous = ""
        for begin, end, name in ranges:
            if begin < reached:
                self.note(f"{name!r} overlaps {previous!r}", self.start + begin)
            elif begin > reached:
                self.note(f"{begin - reached} bytes before {name!r} belong to no tensor", self.start + reached)
            if end > reached:
                reached, previous = end, name
        if reached < self.available:
            self.reading.anomaly(
                "safetensors-trailing-bytes",
                f"{self.available - reached} bytes behind the last tensor",
                self.start + reached,
                self.available - reached,
            )
        # Holes and trailing bytes are no weights, but no loader of this format interprets them either.
        self.reading.inert(self.start, self.available)
        if reached > self.available:
            raise FormatError(
                f"the tensors need {reached} bytes, the file has {self.available}", offset=self.start + self.available
            )

    def tensor(self, name: str, entry: Json) -> tuple[int, int] | None:
        """State one tensor; return its range, None where the entry makes no sense."""
        if not isinstance(entry, dict):
            self.note(f"the entry of {name!r} is no object", 8)
            return None
        dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
        if not isinstance(dtype, str) or not _whole(shape) or not _whole(offsets) or len(offsets) != 2:
            self.note(f"the entry of {name!r} lacks a dtype, a shape or two offsets", 8)
            return None
        begin, end = offsets
        if end < begin:
            self.note(f"the range of {name!r} ends before it begins", 8)
            return None
        bits = _BITS.get(dtype)
        count = 1
        for dimension in shape:
            count *= dimension
            if count.bit_length() > 64 or not count:
                break
        if bits is None:
            self.note(f"{name!r} has the unknown dtype {dtype!r}", 8)
        elif count * bits != (end - begin) * 8:
            self.note(f"{name!r} of shape {shape} and dtype {dtype} does not fill its {end - begin} bytes", 8)
        self.reading.state(
            Tensor(
                location=self.reading.at(self.start + begin, end - begin),
                name=name,
                dtype=dtype,
                shape=tuple(shape),
                stride=None,
                storage=f"{begin}:{end}",
                storage_offset=0,
                storage_bytes=end - begin,
            )
        )
        return begin, end


def _whole(value: Json) -> TypeGuard[list[int]]:
    """Return whether a value is a list of numbers that can count something."""
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)
