"""A place in a text of numbers and counted strings that moves forward: what readers of ASCII serialisations share.

Numbers are words between white space; strings are counted bytes. As with `cursor.py`, nothing is read on trust: what
reaches beyond the end is a `FormatError` before a byte is allocated.
"""

from itertools import islice

from scanners.errors import FormatError, LimitExceeded
from scanners.patterns import late
from scanners.reader import Reader

_BLOCK = 1 << 16
_LONGEST_WORD = 400
MAXIMUM_TAKE = 64 << 20
_SPACE = b" \t\r\n\v\f"
_WORD = late(rb"\S+")


class Words:
    """Sequential reading of ``[offset, end of blob)``."""

    __slots__ = ("_block", "_reader", "_start", "end", "offset")

    def __init__(self, reader: Reader, offset: int = 0) -> None:
        self._reader = reader
        self.offset = offset
        self.end = reader.size
        self._start = 0
        self._block = b""

    @property
    def left(self) -> int:
        """Bytes up to the end."""
        return self.end - self.offset

    def _at_hand(self, length: int) -> bytes:
        """Return ``length`` bytes from here, fewer at the end, without moving."""
        begin = self.offset - self._start
        if begin < 0 or begin + length > len(self._block):
            self._start = self.offset
            self._block = self._reader.read_at(self.offset, max(length, _BLOCK))
            begin = 0
        return self._block[begin : begin + length]

    def peek(self) -> bytes:
        """Return what lies here, up to a block, without moving."""
        return self._at_hand(min(_BLOCK, self.left))

    def skip_space(self) -> None:
        """Move to the next byte that is no white space."""
        while self.left:
            block = self._at_hand(min(4096, self.left))
            rest = block.lstrip(_SPACE)
            self.offset += len(block) - len(rest)
            if rest or not block:
                return

    def word(self) -> bytes:
        """Return the next word."""
        self.skip_space()
        match = _WORD.match(self._at_hand(min(_LONGEST_WORD, self.left)))
        if match is None or len(match[0]) >= _LONGEST_WORD:
            raise FormatError("a number is expected", offset=self.offset)
        self.offset += len(match[0])
        return match[0]

    def integer(self) -> int:
        """Return the next word as a whole number."""
        place = self.offset
        word = self.word()
        try:
            return int(word)
        except ValueError as error:
            raise FormatError("a whole number is expected", offset=place) from error

    def skip_words(self, count: int) -> None:
        """Move on by ``count`` words."""
        if count > self.left:
            raise FormatError(f"{count} numbers expected in {self.left} bytes", offset=self.offset)
        while count:
            self.skip_space()
            block = self._at_hand(min(_BLOCK, self.left))
            last = None
            for last in islice(_WORD.finditer(block), count):  # noqa: B007 - the last one is looked at behind the loop
                count -= 1
            if last is None:
                raise FormatError(f"{count} more numbers expected", offset=self.offset)
            if last.end() == len(block) and self.left > len(block):
                # The word may go on in the next block.
                if last.start() == 0:
                    raise FormatError("a number without end", offset=self.offset)
                count += 1
                self.offset += last.start()
            else:
                self.offset += last.end()

    def take(self, length: int) -> bytes:
        """Return the next ``length`` bytes as they are."""
        if length < 0 or length > self.left:
            raise FormatError(f"{length} bytes expected, {self.left} left", offset=self.offset)
        if length > MAXIMUM_TAKE:
            raise LimitExceeded("text", f"a text of {length} bytes is longer than {MAXIMUM_TAKE}")
        data = self._at_hand(length)
        if len(data) < length:
            raise FormatError("the data ends early", offset=self.offset + len(data))
        self.offset += length
        return data[:length]
