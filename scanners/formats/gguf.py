"""GGUF: the header of llama.cpp's model files, its metadata, and the arithmetic of its tensors.

Source: ggml/docs/gguf.md, versions 1 to 3, both byte orders. No weight is read. Chat templates in the metadata are
handed on as templates. What a C reader would multiply and add is done here without overflow, and stated where 64 bits
would not hold it (CVE-2025-53630, CVE-2026-27940, CVE-2026-33298).
"""

from typing import NamedTuple

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Tensor
from scanners.formats import jinja
from scanners.reader import Window
from scanners.reading import Blob, Reading

NAME = "gguf"
MAGIC = b"GGUF"

_ABSURD = 1 << 44
MAXIMUM_ELEMENTS = 5_000_000
"""strings and nested arrays of all metadata arrays together; the largest vocabularies have a million"""
MAXIMUM_TENSORS = 1_000_000
MAXIMUM_KEYS = 1_000_000
MAXIMUM_DIMENSIONS = 4
MAXIMUM_TEMPLATES = 1000
"""of one file, in all keys together; models have one, or one for each of a few purposes"""
MAXIMUM_NAME = 64
"""`GGML_MAX_NAME`"""
_INT64 = 1 << 63
_STRING, _ARRAY = 8, 9
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UNSIGNED = {0, 2, 4, 10, 7}

# Type: (name, elements of a block, bytes of a block), as ggml.c's type traits have them.
_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 31: ("Q4_0_4_4", 32, 18), 32: ("Q4_0_4_8", 32, 18),
    33: ("Q4_0_8_8", 32, 18), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip


class _Shape(NamedTuple):
    """What the header says of one tensor."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    place: int


def matches(blob: Blob) -> bool:
    """Return whether the blob starts as GGUF does."""
    return blob.reader.read_at(0, 4) == MAGIC


def read(blob: Blob, reading: Reading) -> None:
    """State tensors, templates and anomalies of the header."""
    _Header(blob, reading).read()


class _Header:
    """One reading of one header."""

    def __init__(self, blob: Blob, reading: Reading) -> None:
        self._blob = blob
        self._reading = reading
        self._cursor = Cursor(blob.reader, 4)
        self._elements = 0
        self._read_templates = 0
        self._alignment = 32

    def read(self) -> None:
        cursor, reading = self._cursor, self._reading
        version = cursor.u32()
        if version & 0xFFFF == 0 and version:
            cursor.order = ">"
            version = int.from_bytes(version.to_bytes(4, "little"), "big")
        reading.state(Identified(location=reading.at(0), format=NAME, detail=f"version {version}"))
        if version not in {1, 2, 3}:
            raise FormatError(f"GGUF version {version} is unknown (1 to 3 are read)", offset=4)
        self._wide = version > 1
        tensors, keys = self._length(), self._length()
        if tensors > min(MAXIMUM_TENSORS, cursor.left) or keys > min(MAXIMUM_KEYS, cursor.left):
            message = f"{tensors} tensors and {keys} keys are announced in a file of {self._blob.reader.size} bytes"
            if max(tensors, keys) > MAXIMUM_TENSORS:  # else the download may just have stopped early
                reading.anomaly("gguf-count", message, 8)
            raise FormatError(message, offset=8)
        self._metadata(keys)
        shapes = [self._shape() for _ in range(tensors)]
        end = cursor.offset
        self._data(shapes, end)

    def _length(self) -> int:
        return self._cursor.u64() if self._wide else self._cursor.u32()

    def _string(self, limit: int) -> str:
        offset = self._cursor.offset
        length = self._length()
        if length > limit:
            message = f"a string of {length} bytes where at most {limit} make sense"
            self._reading.anomaly("gguf-string", message, offset)
            raise FormatError(message, offset=offset)
        return self._cursor.take(length).decode("utf-8", "replace")

    def _metadata(self, keys: int) -> None:
        cursor, reading = self._cursor, self._reading
        seen: set[str] = set()
        for _ in range(keys):
            offset = cursor.offset
            key = self._string(65535)
            if key in seen:
                reading.anomaly("gguf-duplicate-key", f"the key {key!r} occurs twice", offset)
            seen.add(key)
            kind = cursor.u32()
            if key == "general.alignment" and kind in _WIDTHS:
                self._align(cursor.uint(_WIDTHS[kind]), offset)
            elif "template" in key and kind == _STRING:
                self._template(key)
            elif "template" in key and kind == _ARRAY:
                self._templates(key)
            else:
                self._value(kind)

    def _align(self, alignment: int, offset: int) -> None:
        if alignment == 0 or alignment & (alignment - 1) or alignment > 1 << 30:
            message = f"an alignment of {alignment} is not a power of two"
            self._reading.anomaly("gguf-alignment-value", message, offset)
            raise FormatError(message, offset=offset)
        self._alignment = alignment

    def _template(self, key: str) -> None:
        self._read_templates += 1
        if self._read_templates > MAXIMUM_TEMPLATES:
            raise LimitExceeded("members", f"more than {MAXIMUM_TEMPLATES} templates in the metadata")
        length = self._plausible(self._length())
        offset = self._cursor.offset
        self._cursor.skip(length)
        self._reading.child(
            key,
            Window(self._blob.reader, offset, length),
            span=(offset, length),
            stored=True,
            roles=frozenset({jinja.ROLE}),
        )

    def _templates(self, key: str) -> None:
        """Read an array whose key speaks of templates: of texts, each is one."""
        cursor = self._cursor
        kind, place = cursor.u32(), cursor.offset
        count = self._plausible(self._length())
        if kind != _STRING:
            cursor.offset = place - 4
            self._value(_ARRAY)
            return
        for index in range(count):
            self._template(f"{key}[{index}]")

    def _value(self, kind: int) -> None:
        """Step over a value; arrays of arrays are walked with a stack of (type, count)."""
        cursor = self._cursor
        pending = [(kind, 1)]
        while pending:
            kind, count = pending.pop()
            if kind in _WIDTHS:
                cursor.skip(_WIDTHS[kind] * count)
                continue
            self._elements += count
            if self._elements > MAXIMUM_ELEMENTS:
                raise LimitExceeded("elements", f"more than {MAXIMUM_ELEMENTS} strings and arrays in the metadata")
            if kind == _STRING:
                for _ in range(count):
                    cursor.skip(self._plausible(self._length()))
            elif kind == _ARRAY:
                if count > 1:
                    pending.append((_ARRAY, count - 1))
                pending.append((cursor.u32(), self._plausible(self._length())))
                if len(pending) > 64:
                    raise LimitExceeded("depth", "metadata arrays are nested deeper than 64")
            else:
                raise FormatError(f"metadata type {kind} is unknown", offset=cursor.offset)

    def _plausible(self, count: int) -> int:
        """Return a count or length; one that no disk holds was made for readers that multiply before they look."""
        if count >= _ABSURD:
            offset = self._cursor.offset - 8
            self._reading.anomaly("gguf-count", f"{count} elements or bytes are announced in the metadata", offset)
            raise FormatError(f"a count of {count} in the metadata", offset=offset)
        return count

    def _shape(self) -> _Shape:
        cursor, reading = self._cursor, self._reading
        place = cursor.offset
        name = self._string(65535)
        if len(name) >= MAXIMUM_NAME * 4:
            reading.anomaly("gguf-string", f"a tensor's name has {len(name)} characters; 64 are room for it", place)
        rank = cursor.u32()
        if rank > MAXIMUM_DIMENSIONS:
            message = f"tensor {name[:64]!r} has {rank} dimensions; ggml knows {MAXIMUM_DIMENSIONS}"
            reading.anomaly("gguf-dimensions", message, place)
            raise FormatError(message, offset=place)
        layout = "Q" if self._wide else "I"
        shape = cursor.unpack(layout * rank)
        kind = cursor.u32()
        return _Shape(name, shape, kind, cursor.u64(), place)

    def _data(self, shapes: list[_Shape], end: int) -> None:
        reading = self._reading
        size = self._blob.reader.size
        start = -(-end // self._alignment) * self._alignment
        names: set[str] = set()
        ranges: list[tuple[int, int, str]] = []
        for shape in shapes:
            if shape.name in names:
                reading.anomaly("gguf-duplicate-tensor", f"two tensors are named {shape.name[:64]!r}", shape.place)
            names.add(shape.name)
            length = self._bytes(shape)
            type_name = _TYPES[shape.type][0] if shape.type in _TYPES else f"type-{shape.type}"
            reading.state(
                Tensor(
                    location=reading.at(shape.place),
                    name=shape.name[:1024],
                    dtype=type_name,
                    shape=shape.shape,
                    stride=None,
                    storage="data",
                    storage_offset=shape.offset,
                    storage_bytes=length,
                )
            )
            if length is None:
                continue
            if start + shape.offset + length >= _INT64:
                reading.anomaly(
                    "gguf-overflow",
                    f"offset and size of tensor {shape.name[:64]!r} do not fit 64 bits: {shape.shape}",
                    shape.place,
                )
            elif start + shape.offset + length > size:
                reading.anomaly(
                    "gguf-outside",
                    f"tensor {shape.name[:64]!r} ends at {start + shape.offset + length}, the file at {size}",
                    shape.place,
                )
            else:
                if shape.offset % self._alignment:
                    reading.anomaly("gguf-alignment", f"tensor {shape.name[:64]!r} is not aligned", shape.place)
                ranges.append((start + shape.offset, start + shape.offset + length, shape.name))
        self._account(ranges, end, start)

    def _bytes(self, shape: _Shape) -> int | None:
        """Return the length of a tensor's data, None where it is unknown or absurd (both are stated)."""
        reading = self._reading
        elements = 1
        for dimension in shape.shape:
            elements *= dimension
        if elements >= _INT64 or any(dimension >= _INT64 for dimension in shape.shape):
            reading.anomaly(
                "gguf-overflow",
                f"tensor {shape.name[:64]!r} has {elements} elements, more than 64 bits count: {shape.shape}",
                shape.place,
            )
            return None
        if shape.type not in _TYPES:
            reading.unread(f"tensor type {shape.type} is unknown, so its size is")
            return None
        _, block, width = _TYPES[shape.type]
        if shape.shape and shape.shape[0] % block:
            reading.anomaly(
                "gguf-block", f"the rows of tensor {shape.name[:64]!r} are not whole blocks of {block}", shape.place
            )
        return -(-elements // block) * width

    def _account(self, ranges: list[tuple[int, int, str]], end: int, start: int) -> None:
        """Say where the bytes behind the header belong: weights and padding are inert, the rest is told."""
        reading, size = self._reading, self._blob.reader.size
        inside = [child.span for child in reading.children if child.span is not None]
        place = 0
        for offset, length in inside:
            reading.parsed(place, offset - place)
            place = offset + length
        reading.parsed(place, end - place)
        place = min(start, size)
        reading.inert(end, place - end)
        last = ""
        for begin, stop, name in sorted(ranges):
            if begin < place and last:
                reading.anomaly("gguf-overlap", f"tensors {last[:64]!r} and {name[:64]!r} share bytes", begin)
            elif begin - place >= self._alignment:
                reading.anomaly("gguf-hole", f"{begin - place} bytes between tensors belong to none", place)
            reading.inert(min(place, begin), stop - min(place, begin))
            place, last = max(place, stop), name
        left = size - place
        # Writers pad with zeros: anything else is somebody's, however short.
        if left >= max(self._alignment, 4096) or (left > 0 and self._blob.reader.read_at(place, left).strip(b"\0")):
            reading.anomaly("gguf-trailing", f"{left} bytes follow the last tensor", place)
        elif left > 0:
            reading.inert(place, left)
