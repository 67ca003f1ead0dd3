"""Torch7: Lua objects, among them functions as bytecode.

Source: torch7 `File.lua`, `lib/TH/THDiskFile.c` and `doc/serialization.md`; binary form with 32-bit lengths, and ASCII
form (numbers as words, characters as they are). A function is made while the file
is read; it runs when the model calls it. LuaJIT does not verify bytecode, so a forged one needs no call.
"""

import struct
from typing import Protocol

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Code, Identified, Tensor
from scanners.reading import Blob, Reading
from scanners.words import Words

NAME = "torch7"

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN, _FUNCTION, _OLD_FUNCTION, _RECURSIVE = 0, 1, 2, 3, 4, 5, 6, 7, 8
MAXIMUM_OBJECTS = 5_000_000
_ASCII_STARTS = (b"3\n", b"6\n", b"7\n", b"8\n")
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
    if not blob.name.lower().endswith((".t7", ".net")):
        return False
    inside = (_TABLE, _FUNCTION, _OLD_FUNCTION, _RECURSIVE)
    return head[:4] in {struct.pack("<i", kind) for kind in inside} or head.startswith(_ASCII_STARTS)


def read(blob: Blob, reading: Reading) -> None:
    """State tensors and functions."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    ascii_form = blob.reader.read_at(0, 4).startswith((b"4\n1\n", *_ASCII_STARTS))
    source: _Source = _Ascii(Words(blob.reader)) if ascii_form else _Binary(Cursor(blob.reader))
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
        inside = _object(source, reading, known)
        if inside:
            left.append(inside)
    if isinstance(source, _Ascii):
        source.end()
    left_over = source.left
    reading.parsed(0, source.offset)
    if left_over:
        reading.anomaly("torch7-trailing", f"{left_over} bytes follow the object", source.offset)


class _Source(Protocol):
    """What objects are made of, in one of the two forms."""

    @property
    def offset(self) -> int: ...

    @property
    def left(self) -> int: ...

    def integer(self) -> int:
        """Return a 32-bit number."""
        ...

    def longs(self, count: int) -> tuple[int, ...]:
        """Return 64-bit numbers."""
        ...

    def double(self) -> None:
        """Step over a number of Lua."""
        ...

    def characters(self, count: int) -> bytes:
        """Return characters as they are."""
        ...

    def storage(self, kind: str, count: int) -> int | None:
        """Step over the elements of a storage; return how many bytes they take, None where they do not fit."""
        ...


class _Binary:
    """Numbers of fixed widths."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    @property
    def offset(self) -> int:
        return self._cursor.offset

    @property
    def left(self) -> int:
        return self._cursor.left

    def integer(self) -> int:
        return self._cursor.i32()

    def longs(self, count: int) -> tuple[int, ...]:
        return self._cursor.unpack("q" * count)

    def double(self) -> None:
        self._cursor.skip(8)

    def characters(self, count: int) -> bytes:
        return self._cursor.take(count)

    def storage(self, kind: str, count: int) -> int | None:
        size = count * _WIDTHS[kind]
        if count < 0 or size > self.left:
            return None
        self._cursor.skip(size)
        return size


class _Ascii:
    """Numbers as words; characters, and the elements of byte storages, as they are."""

    def __init__(self, words: Words) -> None:
        self._words = words

    @property
    def offset(self) -> int:
        return self._words.offset

    @property
    def left(self) -> int:
        return self._words.left

    def end(self) -> None:
        """Step over the line's end behind the last value."""
        self._words.skip_space()

    def integer(self) -> int:
        return self._words.integer()

    def longs(self, count: int) -> tuple[int, ...]:
        return tuple(self._words.integer() for _ in range(count))

    def double(self) -> None:
        self._words.word()

    def characters(self, count: int) -> bytes:
        if not count:
            return b""
        self._line()
        return self._words.take(count)

    def _line(self) -> None:
        """Step over the one line's end that stands behind a number."""
        if self._words.left and self._words.take(1) != b"\n":
            self._words.offset -= 1

    def storage(self, kind: str, count: int) -> int | None:
        if not 0 <= count <= self._words.left:
            return None
        if kind in {"Byte", "Char"} and count:
            self._line()
            start = self._words.offset
            self._words.offset += min(count, self._words.left)
        else:
            start = self._words.offset
            self._words.skip_words(count)
        return self._words.offset - start


def _object(source: _Source, reading: Reading, known: set[int]) -> int:
    """Step over one object; return how many objects follow inside it."""
    place = source.offset
    kind = source.integer()
    if kind == _NIL:
        return 0
    if kind == _NUMBER:
        source.double()
    elif kind == _BOOLEAN:
        source.integer()
    elif kind == _STRING:
        source.characters(_size(source))
    elif kind == _FUNCTION:  # the oldest form: nobody can refer to it, so it has no index
        return _function(source, reading, place)
    elif kind in {_TABLE, _OBJECT, _OLD_FUNCTION, _RECURSIVE}:
        index = source.integer()
        if index in known:
            return 0
        known.add(index)
        if kind == _TABLE:
            return 2 * _size(source)
        if kind == _OBJECT:
            return _torch_object(source, reading, place)
        return _function(source, reading, place)
    else:
        raise FormatError(f"Torch7 has no object of type {kind}", offset=place)
    return 0


def _function(source: _Source, reading: Reading, place: int) -> int:
    """State a function; its upvalues, one object, follow."""
    length = _size(source)
    text = f"a Lua function of {length} bytes of bytecode"
    reading.state(Code(location=reading.at(place), language="lua-bytecode", action="exec", text=text, runs="call"))
    source.characters(length)
    return 1


def _size(source: _Source) -> int:
    place = source.offset
    size = source.integer()
    left = source.left
    if size < 0 or size > left:
        raise FormatError(f"a length of {size} where {left} bytes are left", offset=place)
    return size


def _torch_object(source: _Source, reading: Reading, place: int) -> int:
    text = source.characters(_size(source))
    name = source.characters(_size(source)) if text.startswith(b"V ") else text
    family = name.decode("utf-8", "replace")
    kind = family.removeprefix("torch.")
    if family.startswith("torch.") and kind.endswith("Storage"):
        (count,) = source.longs(1)
        element = kind.removesuffix("Storage").removesuffix("Tensor")
        size = source.storage(element, count) if element in _WIDTHS else None
        if size is None:
            raise FormatError(f"{count} elements of {family} where {source.left} bytes are left", offset=place)
        reading.inert(source.offset - size, size)
        return 0
    if family.startswith("torch.") and kind.endswith("Tensor"):
        rank = source.integer()
        if not 0 <= rank <= 64:
            raise FormatError(f"a tensor of {rank} dimensions", offset=place)
        shape = source.longs(rank)
        stride = source.longs(rank)
        (offset,) = source.longs(1)
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
