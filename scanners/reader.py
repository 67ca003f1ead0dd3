"""All that a format ever sees of the world: a size, and bytes at an offset.

The seam is final. A worker without rights gets a descriptor or asks its parent; a remote source reads ranges; a member
of an archive is a window or a small buffer. Formats notice nothing.
"""

import os
from typing import Protocol

from scanners.errors import FormatError


class Reader(Protocol):
    """Random access to bytes that do not change while they are read."""

    @property
    def size(self) -> int:
        """Length in bytes."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes of ``[offset, offset + length)``; fewer only where the data ends."""
        ...


class BytesReader:
    """Bytes in memory (a decompressed member, a nested pickle)."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


class FileReader:
    """A regular file behind an open descriptor, which stays its opener's to close.

    A file that shrinks while it is read gives a `FormatError`, not a short answer that looks like its end.
    """

    __slots__ = ("_descriptor", "_size")

    def __init__(self, descriptor: int, size: int | None = None) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size if size is None else size

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        wanted = max(0, min(length, self._size - offset))
        if not wanted:
            return b""
        data = os.pread(self._descriptor, wanted, offset)
        if len(data) == wanted:
            return data
        pieces = [data]
        missing = wanted - len(data)
        while missing:
            data = os.pread(self._descriptor, missing, offset + wanted - missing)
            if not data:
                raise FormatError("the file became shorter while it was read", offset=offset + wanted - missing)
            pieces.append(data)
            missing -= len(data)
        return b"".join(pieces)


class Window:
    """A part of another reader: a stored archive member, a pickle in the middle of a file."""

    __slots__ = ("_offset", "_parent", "_size")

    def __init__(self, parent: Reader, offset: int, size: int) -> None:
        self._parent = parent
        self._offset = offset
        self._size = max(0, min(size, parent.size - offset))

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        length = min(length, self._size - offset)
        return self._parent.read_at(self._offset + offset, length) if length > 0 else b""


def after_zeros(reader: Reader, start: int, end: int) -> int:
    """Return where a run of zero bytes ends: padding, which many readers step over."""
    while start < end:
        block = reader.read_at(start, min(_BLOCK, end - start))
        padding = len(block) - len(block.lstrip(b"\x00"))
        start += padding
        if padding < len(block) or not block:
            break
    return start


_BLOCK = 1 << 16
