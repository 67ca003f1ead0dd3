"""Flax checkpoints in msgpack: the tree of arrays, walked without building it.

Source: msgpack specification; flax/serialization.py (extension 1: ndarray, 2: complex, 3: numpy scalar; large arrays in
chunks under `__msgpack_chunked_array__`). Loading makes arrays and plain values only, so the danger is in sizes that
lie and in what other readers make of unknown extensions.
"""

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Tensor
from scanners.reader import BytesReader
from scanners.reading import Blob, Reading

NAME = "flax-msgpack"

MAXIMUM_VALUES = 5_000_000
MAXIMUM_DEPTH = 512
_SCALARS = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2,
            0xD2: 4, 0xD3: 8}  # fmt: skip
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_KNOWN = {1, 2, 3}


def matches(blob: Blob) -> bool:
    """Return whether the blob is named like msgpack (spaCy: `lookups.bin`) and begins with a map or an array."""
    if not blob.name.lower().endswith((".msgpack", ".mpk", ".flax", "lookups.bin")):
        return False
    first = blob.reader.read_at(0, 1)
    return bool(first) and (0x80 <= first[0] <= 0x9F or first[0] in {0xDC, 0xDD, 0xDE, 0xDF})


def read(blob: Blob, reading: Reading) -> None:
    """State arrays, and extensions nobody knows."""
    cursor = Cursor(blob.reader, order=">")
    reading.state(Identified(location=reading.at(0), format=NAME))
    values = 0
    # Counts of values still to come at each level; keys are values of a map too.
    pending = [1]
    told: set[int] = set()
    names: list[str] = [""]
    while pending:
        if not pending[-1]:
            pending.pop()
            names.pop()
            continue
        pending[-1] -= 1
        values += 1
        if values > MAXIMUM_VALUES:
            raise LimitExceeded("members", f"more than {MAXIMUM_VALUES} msgpack values")
        inside = _value(cursor, reading, names, told)
        if inside:
            if len(pending) > MAXIMUM_DEPTH:
                raise LimitExceeded("depth", f"msgpack values nested deeper than {MAXIMUM_DEPTH}")
            pending.append(inside)
            names.append("")
    if cursor.left:
        reading.anomaly("msgpack-trailing", f"{cursor.left} bytes follow the value", cursor.offset)
    reading.parsed(0, cursor.offset)


def _value(cursor: Cursor, reading: Reading, names: list[str], told: set[int]) -> int:
    """Step over one value; return how many values follow inside it."""
    place = cursor.offset
    byte = cursor.u8()
    if byte <= 0x7F or byte >= 0xE0 or byte in _SCALARS:
        cursor.skip(_SCALARS.get(byte, 0))
    elif byte <= 0x9F or 0xDC <= byte <= 0xDF:
        count = byte & 15 if byte <= 0x9F else cursor.uint(2 if byte in {0xDC, 0xDE} else 4)
        count *= 2 if byte <= 0x8F or byte in {0xDE, 0xDF} else 1
        if count > cursor.left:
            raise FormatError(f"{count} values are announced, {cursor.left} bytes left", offset=place)
        return count
    elif byte <= 0xBF:
        names[-1] = cursor.take(byte & 31).decode("utf-8", "replace")
    elif byte in _SIZED:
        length = cursor.uint(_SIZED[byte])
        if byte >= 0xD9 and length <= 1024:
            names[-1] = cursor.take(length).decode("utf-8", "replace")
        else:
            cursor.skip(length)
    elif byte in _EXTENSIONS or byte in _FIXED_EXTENSIONS:
        length = cursor.uint(_EXTENSIONS[byte]) if byte in _EXTENSIONS else _FIXED_EXTENSIONS[byte]
        kind = cursor.u8()
        start = cursor.offset
        cursor.skip(length)
        if kind == 1:
            _array(reading, start, length, place, "/".join(name for name in names if name))
        elif kind not in _KNOWN and kind not in told:  # once each: a file has room for millions
            told.add(kind)
            reading.anomaly("msgpack-extension", f"the extension {kind} is none of Flax's", place)
    else:
        raise FormatError(f"msgpack has no type {byte:#x}", offset=place)
    return 0


def _array(reading: Reading, start: int, length: int, place: int, name: str) -> None:
    head = Cursor(BytesReader(reading.blob.reader.read_at(start, min(length, 512))), order=">")
    shape, dtype = _array_head(head)
    reading.state(
        Tensor(
            location=reading.at(place),
            name=name[:1024],
            dtype=dtype,
            shape=shape,
            stride=None,
            storage="file",
            storage_offset=0,
            storage_bytes=length,
        )
    )
    reading.inert(start + head.offset, length - head.offset)


def _array_head(head: Cursor) -> tuple[tuple[int, ...], str]:
    """Read (shape, dtype name) of an array; the bytes follow."""
    if head.u8() != 0x93:
        raise FormatError("an array is not (shape, dtype, bytes)")
    first = head.u8()
    if first == 0xDC:
        count = head.u16()
    elif 0x90 <= first <= 0x9F:
        count = first & 15
    else:
        raise FormatError("an array's shape is no array")
    shape = []
    for _ in range(min(count, 64)):
        byte = head.u8()
        if byte <= 0x7F:
            shape.append(byte)
        elif byte in {0xCC, 0xCD, 0xCE, 0xCF}:
            shape.append(head.uint(_SCALARS[byte]))
        else:
            raise FormatError("a dimension is no number")
    byte = head.u8()
    length = byte & 31 if 0xA0 <= byte <= 0xBF else head.u8()
    return tuple(shape), head.take(min(length, 64)).decode("utf-8", "replace")
