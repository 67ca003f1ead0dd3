"""Decompressed bytes on demand, within bounds: what a compressed member looks like to a format.

A format that needs only a header costs only a header. What was decompressed is kept, so that a second format can look
again; `Unpacked.release` gives the account back when the engine is done with the blob. A stream that grows beyond what
its compressed size allows (`Limits.ratio`) ends in `LimitExceeded`, whatever its own header promises.
"""

from collections.abc import Callable
from typing import Protocol

from scanners.errors import FormatError, LimitExceeded
from scanners.limits import Budget
from scanners.reader import Reader

CHUNK = 1 << 16


class Decoder(Protocol):
    """A decompressor that can be told to stop: the interface of `bz2.BZ2Decompressor` and `lzma.LZMADecompressor`."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed stream was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether more output needs more input."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Input behind the end of the stream."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return at most ``max_length`` bytes. Raises the error type named beside the decoder's factory."""
        ...


class Unpacked:
    """A compressed range of a reader, as the bytes it unpacks to.

    Args:
        reader: where the compressed bytes lie.
        span: their offset and length.
        decoder: makes a fresh decompressor.
        errors: what the decompressor raises for broken input.
        budget: the account that pays for what is held.
        size: what a directory says the result measures; None to find out by unpacking everything.
        several: whether compressed streams may follow each other (gzip, bzip2, xz).
    """

    __slots__ = (
        "_budget",
        "_data",
        "_decoder",
        "_errors",
        "_finished",
        "_held",
        "_input",
        "_make",
        "_position",
        "_several",
        "_size",
        "_span",
        "consumed",
    )

    def __init__(
        self,
        reader: Reader,
        span: tuple[int, int],
        decoder: Callable[[], Decoder],
        errors: type[Exception] | tuple[type[Exception], ...],
        budget: Budget,
        *,
        size: int | None = None,
        several: bool = False,
    ) -> None:
        self._input = reader
        self._span = span
        self._make = decoder
        self._decoder = decoder()
        self._errors = errors
        self._budget = budget
        self._several = several
        self._data = bytearray()
        self._position = 0
        self._finished = False
        self._held = 0
        self._size = size
        self.consumed = 0
        """compressed bytes that belong to the stream, once it was unpacked to its end"""

    @property
    def size(self) -> int:
        if self._size is None:
            self._unpack(None)
            self._size = len(self._data)
        return self._size

    @property
    def unpacked(self) -> int:
        """How many bytes were unpacked so far."""
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        size = self.size
        end = min(offset + length, size)
        if end <= offset:
            return b""
        if end > len(self._data):
            self._unpack(end)
            if end > len(self._data):
                raise FormatError(
                    f"the compressed data ends after {len(self._data)} of {size} promised bytes", offset=len(self._data)
                )
        return bytes(self._data[offset:end])

    def finish(self) -> int:
        """Unpack to the end, also beyond the promised size, and return the length."""
        self._unpack(None)
        return len(self._data)

    def release(self) -> None:
        """Drop what was unpacked and give it back to the budget. Reading again starts over."""
        self._budget.materialised -= self._held
        self._held = 0
        self._data = bytearray()
        self._decoder = self._make()
        self._position = 0
        self._finished = False

    def _unpack(self, end: int | None) -> None:
        """Unpack up to ``end`` bytes, or to the end of the stream."""
        start, length = self._span
        cap = min(self._budget.allowed_expansion(length) + self._held, self._budget.limits.member_bytes)
        while not self._finished and (end is None or len(self._data) < end):
            if len(self._data) > cap:
                raise LimitExceeded("ratio", f"{length} compressed bytes unpack to more than {cap}")
            chunk = b""
            if self._decoder.needs_input and not self._decoder.eof:
                chunk = self._input.read_at(start + self._position, min(CHUNK, length - self._position))
                self._position += len(chunk)
            # One byte more than allowed, so that a stream which fills its allowance exactly is seen to end.
            wanted = min(CHUNK * 4, cap - len(self._data) + 1)
            try:
                data = self._decoder.decompress(chunk, wanted)
            except self._errors as error:
                raise FormatError(f"broken compressed data: {error}", offset=self._position) from error
            self._budget.spend_unpacked(len(data))
            self._budget.spend_materialised(len(data))
            self._held += len(data)
            self._data += data
            if self._decoder.eof:
                self._next_stream()
            elif not data and not chunk and self._decoder.needs_input:
                self._finished = True
                self.consumed = self._position
                if end is None:
                    raise FormatError(f"the compressed data breaks off after {len(self._data)} bytes", offset=length)

    def _next_stream(self) -> None:
        """Go on behind the end of a stream: with the next one where the format allows it."""
        self._position -= len(self._decoder.unused_data)
        self.consumed = self._position
        if not self._several or self._position >= self._span[1]:
            self._finished = True
            return
        following = self._make()
        probe = self._input.read_at(self._span[0] + self._position, min(16, self._span[1] - self._position))
        try:
            following.decompress(probe, 0)
        except self._errors:
            self._finished = True  # what follows is no further stream: padding or a trailer
            return
        self._decoder = self._make()
