"""Torch7: Lua objects, among them functions as bytecode.

Source: torch7 `File.lua` and `doc/serialization.md`, binary form with 32-bit lengths. A function is made while the file
is read; it runs when the model calls it. LuaJIT does not verify bytecode, so a forged one needs no call.
"""

import struct

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded, Unsupported
from scanners.facts import Code, Identified, Tensor
from scanners.reading import Blob, Reading

NAME = "torch7"

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN, _FUNCTION, _OLD_FUNCTION, _RECURSIVE = 0, 1, 2, 3, 4, 5, 6, 7, 8
MAXIMUM_OBJECTS = 5_000_000
_WIDTHS = {
    "Double": 8, "Float": 4, "Half": 2, "Byte": 1, "Char": 1, "Short": 2, "Int": 4, "Long": 8, "CudaLong": 8,
    "CudaDouble": 8, "Cuda": 4, "CudaInt": 4, "CudaByte": 1, "CudaHalf": 2, "CudaShort": 2, "CudaChar": 1,
}  # fmt: skip


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with a torch object, or is named so and begins with a table."""
    head = blob.reader.read_at(0, 24)
    if head.startswith(b"4\n1\n3\nV 1\n"):
        return True
    if len(head) >= 16 and head[:8] == struct.pack("<ii", 4, 1) and head[12:14] == b"V ":
        return True
    named = blob.name.lower().endswith((".t7", ".net"))
    return named and head[:4] in {struct.pack("<i", kind) for kind in (_TABLE, _FUNCTION, _OLD_FUNCTION, _RECURSIVE)}


def read(blob: Blob, reading: Reading) -> None:
    """State tensors and functions."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    if blob.reader.read_at(0, 2) == b"4\n":
        raise Unsupported("Torch7's ASCII form is not read")
    cursor = Cursor(blob.reader)
    known: set[int] = set()
    left = [1]
    count = 0
    while left:
        if not left[-1]:
            left.pop()
            continue
        left[-1] -= 1
        count += 1
        if count > MAXIMUM_OBJECTS:
            raise LimitExceeded("members", f"more than {MAXIMUM_OBJECTS} Lua objects")
        inside = _object(cursor, reading, known)
        if inside:
            left.append(inside)
    reading.parsed(0, cursor.offset)
    if cursor.left:
        reading.anomaly("torch7-trailing", f"{cursor.left} bytes follow the object", cursor.offset)


def _object(cursor: Cursor, reading: Reading, known: set[int]) -> int:
    """Step over one object; return how many objects follow inside it."""
    place = cursor.offset
    kind = cursor.i32()
    if kind == _NIL:
        return 0
    if kind == _NUMBER:
        cursor.skip(8)
    elif kind == _BOOLEAN:
        cursor.skip(4)
    elif kind == _STRING:
        cursor.skip(_size(cursor))
    elif kind in {_TABLE, _OBJECT, _FUNCTION, _OLD_FUNCTION, _RECURSIVE}:
        index = cursor.i32()
        if index in known:
            return 0
        known.add(index)
        if kind == _TABLE:
            return 2 * _size(cursor)
        if kind == _OBJECT:
            return _torch_object(cursor, reading, place)
        length = _size(cursor)
        cursor.skip(length)
        text = f"a Lua function of {length} bytes of bytecode"
        reading.state(Code(location=reading.at(place), language="lua-bytecode", action="exec", text=text, runs="call"))
        return 1
    else:
        raise FormatError(f"Torch7 has no object of type {kind}", offset=place)
    return 0


def _size(cursor: Cursor) -> int:
    size = cursor.i32()
    if size < 0 or size > cursor.left:
        raise FormatError(f"a length of {size} where {cursor.left} bytes are left", offset=cursor.offset - 4)
    return size


def _torch_object(cursor: Cursor, reading: Reading, place: int) -> int:
    text = cursor.take(_size(cursor))
    name = cursor.take(_size(cursor)) if text.startswith(b"V ") else text
    family = name.decode("utf-8", "replace")
    kind = family.removeprefix("torch.")
    if family.startswith("torch.") and kind.endswith("Storage"):
        count = cursor.u64()
        width = _WIDTHS.get(kind.removesuffix("Storage").removesuffix("Tensor"), 0)
        if not width or count * width > cursor.left:
            raise FormatError(f"{count} elements of {family} where {cursor.left} bytes are left", offset=place)
        reading.inert(cursor.offset, count * width)
        cursor.skip(count * width)
        return 0
    if family.startswith("torch.") and kind.endswith("Tensor"):
        rank = cursor.i32()
        if not 0 <= rank <= 64:
            raise FormatError(f"a tensor of {rank} dimensions", offset=place)
        shape = cursor.unpack("q" * rank)
        stride = cursor.unpack("q" * rank)
        offset = cursor.unpack("q")[0]
        reading.state(
            Tensor(
                location=reading.at(place),
                name="",
                dtype=kind.removesuffix("Tensor"),
                shape=shape,
                stride=stride,
                storage="file",
                storage_offset=max(0, offset - 1),
                storage_bytes=None,
            )
        )
        return 1
    return 1  # any other class is a table of its fields
