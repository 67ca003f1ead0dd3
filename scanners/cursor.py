"""A place in a reader that moves forward: what readers of binary headers share.

It reads ahead in blocks, so that a header of many small fields costs few calls, and it never takes a length on trust:
what reaches beyond the end of the blob is a `FormatError` before a byte is allocated.
"""

import struct

from scanners.errors import FormatError, LimitExceeded
from scanners.reader import Reader

_BLOCK = 1 << 16
MAXIMUM_TAKE = 64 << 20
"""bytes handed out at once: no header field that is kept is longer"""


class Cursor:
    """Sequential reading of ``[offset, end)`` in one byte order."""

    __slots__ = ("_block", "_reader", "_start", "end", "offset", "order")

    def __init__(self, reader: Reader, offset: int = 0, end: int | None = None, *, order: str = "<") -> None:
        self._reader = reader
        self.offset = offset
        self.end = reader.size if end is None else min(end, reader.size)
        self.order = order
        self._start = 0
        self._block = b""

    @property
    def reader(self) -> Reader:
        """What is read."""
        return self._reader

    @property
    def left(self) -> int:
        """Bytes up to the end."""
        return self.end - self.offset

    def take(self, length: int) -> bytes:
        """Return the next ``length`` bytes."""
        if length < 0 or length > self.left:
            raise FormatError(f"{length} bytes expected, {max(0, self.left)} left", offset=self.offset)
        if length > MAXIMUM_TAKE:
            raise LimitExceeded("text", f"a field of {length} bytes is longer than {MAXIMUM_TAKE}")
        begin = self.offset - self._start
        if begin < 0 or begin + length > len(self._block):
            self._start = self.offset
            self._block = self._reader.read_at(self.offset, min(self.left, max(length, _BLOCK)))
            begin = 0
            if len(self._block) < length:
                raise FormatError("the data ends early", offset=self.offset + len(self._block))
        self.offset += length
        return self._block[begin : begin + length]

    def skip(self, length: int) -> None:
        """Move on by ``length`` bytes without reading them."""
        if length < 0 or length > self.left:
            raise FormatError(f"{length} bytes expected, {max(0, self.left)} left", offset=self.offset)
        self.offset += length

    def unpack(self, layout: str) -> tuple[int, ...]:
        """Return the integers of a `struct` ``layout`` (without its byte order sign)."""
        layout = self.order + layout
        values: tuple[int, ...] = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return values

    def u8(self) -> int:
        """Return an unsigned byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Return an unsigned 16-bit number."""
        return self.unpack("H")[0]

    def u32(self) -> int:
        """Return an unsigned 32-bit number."""
        return self.unpack("I")[0]

    def u64(self) -> int:
        """Return an unsigned 64-bit number."""
        return self.unpack("Q")[0]

    def i32(self) -> int:
        """Return a signed 32-bit number."""
        return self.unpack("i")[0]

    def uint(self, width: int) -> int:
        """Return an unsigned number of ``width`` bytes."""
        return int.from_bytes(self.take(width), "little" if self.order == "<" else "big")
