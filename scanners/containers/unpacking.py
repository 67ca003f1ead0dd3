"""Decompressed bytes on demand, within bounds: what a compressed member looks like to a format.

Only a window of what was unpacked is held, so that an archive of gigabytes costs megabytes; the beginning stays (every
format looks there), and reading backwards starts over, from a checkpoint where the decompressor can be copied. A stream
that grows beyond what its compressed size allows (`Limits.ratio`) ends in `LimitExceeded`, whatever its own header
promises; work done twice counts twice (`Limits.unpacking`).
"""

from collections.abc import Callable
from typing import Protocol

from scanners import native
from scanners.containers.deflate import Inflate
from scanners.errors import FormatError, LimitExceeded, ScanError
from scanners.limits import MEBIBYTE, Budget
from scanners.reader import Reader
from scanners.records import dataclass

CHUNK = 1 << 16
HEAD = MEBIBYTE
"""bytes from the beginning that stay"""
WINDOW = 32 * MEBIBYTE
"""bytes that are held before the older half is dropped"""
FINE = 256
"""bytes unpacked at a time near broken data"""
CHECKPOINT = 32 * MEBIBYTE
"""unpacked bytes between two checkpoints"""


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
        """Return at most ``max_length`` bytes. Raises the errors of its `Method`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A compression method."""

    decoder: Callable[[], Decoder]
    """makes a fresh decompressor"""
    errors: tuple[type[Exception], ...]
    """what it raises for broken input"""
    magic: bytes = b""
    """what a further stream begins with, where several make one file (gzip, bzip2, xz); empty elsewhere"""
    between: Callable[[Reader, int, int], int] | None = None
    """where what may lie between two streams ends (padding, skippable frames), of an offset and the end of the input"""


@dataclass(slots=True)
class _State:
    """Where unpacking stands."""

    decoder: Decoder
    position: int = 0
    """compressed bytes handed to the decoder"""
    produced: int = 0
    """bytes unpacked"""
    finished: bool = False

    def copy(self) -> "_State | None":
        """Return a copy to come back to, None where the decompressor cannot be copied."""
        if not isinstance(self.decoder, Inflate):
            return None
        return _State(self.decoder.copy(), self.position, self.produced, self.finished)


class Unpacked:
    """A compressed range of a reader, as the bytes it unpacks to.

    Args:
        reader: where the compressed bytes lie.
        span: their offset and length.
        method: how they are compressed.
        budget: the account that pays for work and for what is held.
        size: what a directory says the result measures; None to find out by unpacking everything once.
    """

    __slots__ = (
        "_base",
        "_broken_from",
        "_budget",
        "_cap",
        "_checkpoints",
        "_data",
        "_head",
        "_held",
        "_input",
        "_method",
        "_promised",
        "_size",
        "_span",
        "_state",
        "broken",
        "consumed",
    )

    def __init__(
        self, reader: Reader, span: tuple[int, int], method: Method, budget: Budget, *, size: int | None = None
    ) -> None:
        self._input = reader
        self._span = span
        self._method = method
        self._budget = budget
        self._size = size
        self._promised = size
        self._cap = budget.limits.free_expansion + span[1] * budget.limits.ratio
        self._held = 0
        self._head = b""
        self._data = bytearray()
        self._base = 0
        self._broken_from: int | None = None
        """where the call began that met broken data"""
        self._state = _State(method.decoder())
        self._checkpoints: list[_State] = []
        self.consumed = 0
        """compressed bytes that belong to the stream, once it was unpacked to its end"""
        self.broken: ScanError | None = None
        """what ended unpacking before the end of the stream"""

    @property
    def size(self) -> int:
        if self._size is None:
            self.finish()
        return self._state.produced if self._size is None else self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes; fewer where the data breaks off, and then `broken` says why.

        A loader has acted on what came before the break, so that much is always handed out.
        """
        end = min(offset + length, self.size)
        if end <= offset:
            return b""
        if end <= len(self._head):
            return self._head[offset:end]
        if offset < self._base:
            self._go_back(offset)
        if end > self._state.produced:
            try:
                self._unpack(end, keep=offset)
            except ScanError as error:
                self._break_off(error)
            if self._state.produced < end and self.broken is None:
                message = f"the compressed data ends after {self._state.produced} of {self.size} promised bytes"
                self._break_off(FormatError(message, offset=self._state.produced))
        with memoryview(self._data) as view:
            return bytes(view[offset - self._base : end - self._base])

    def finish(self) -> int:
        """Unpack to the end, also beyond the promised size, and return the length."""
        try:
            self._unpack(None, keep=None)
        except ScanError as error:
            self._break_off(error)
        if self._size is None:
            self._size = self._state.produced
        return self._state.produced

    def release(self) -> None:
        """Drop what is held and give it back to the budget. Reading again starts over."""
        self._checkpoints = []
        self._head = b""
        self._size = self._promised
        self.broken = None
        self._broken_from = None
        self._restart(_State(self._method.decoder()))

    def _break_off(self, error: ScanError) -> None:
        self.broken = error
        self._size = self._state.produced

    def _restart(self, state: _State) -> None:
        self._budget.materialised -= self._held
        self._held = 0
        self._data = bytearray()
        self._base = state.produced
        self._state = state

    def _go_back(self, offset: int) -> None:
        """Start over at the last checkpoint before ``offset``."""
        best: _State | None = None
        for checkpoint in self._checkpoints:
            if checkpoint.produced <= offset:
                best = checkpoint.copy()
        self._restart(best or _State(self._method.decoder()))

    def _unpack(self, end: int | None, *, keep: int | None) -> None:
        """Unpack until ``end`` bytes were produced, or to the end of the stream; hold what lies behind ``keep``."""
        native.meet("decompressor")
        start, length = self._span
        state = self._state
        while not state.finished and (end is None or state.produced < end):
            if state.produced > self._cap:
                raise LimitExceeded("ratio", f"{length} compressed bytes unpack to more than {self._cap}")
            chunk = b""
            asked = state.decoder.needs_input and not state.decoder.eof
            if asked:
                chunk = self._input.read_at(start + state.position, min(CHUNK, length - state.position))
                state.position += len(chunk)
            limit = 4 * CHUNK
            if self._broken_from is not None:
                limit = FINE if state.produced >= self._broken_from else min(limit, self._broken_from - state.produced)
            try:
                data = state.decoder.decompress(chunk, limit)
            except self._method.errors as error:
                if self._broken_from is not None and state.produced >= self._broken_from:
                    raise FormatError(f"broken compressed data: {error}", offset=state.position) from error
                # The call that failed took along what it had unpacked before the error. A loader that asks for less
                # at a time gets to see that, so go back and take small steps.
                self._broken_from = state.produced
                self._go_back(state.produced if keep is None else min(keep, state.produced))
                state = self._state
                continue
            self._hold(data, keep)
            if state.decoder.eof:
                self._next_stream()
            elif asked and not data and not chunk and state.decoder.needs_input:
                # Not asked: LZ4's decompressor may take what it held back, give nothing for it, and then want more.
                state.finished = True
                self.consumed = state.position
                if end is None:
                    raise FormatError(f"the compressed data breaks off after {state.produced} bytes", offset=length)

    def _hold(self, data: bytes, keep: int | None) -> None:
        """Take over what was unpacked; drop the older half of the window where nobody needs it."""
        state = self._state
        self._budget.spend_unpacked(len(data))
        self._budget.spend_materialised(len(data))
        self._held += len(data)
        before = state.produced
        state.produced += len(data)
        self._data += data
        if before < HEAD and len(self._head) == before:
            self._head += data[: HEAD - before]
        if before // CHECKPOINT != state.produced // CHECKPOINT:
            furthest = self._checkpoints[-1].produced if self._checkpoints else 0
            checkpoint = state.copy() if state.produced > furthest else None
            if checkpoint is not None:
                self._checkpoints.append(checkpoint)
        if len(self._data) > WINDOW:
            unneeded = len(self._data) - WINDOW // 2
            if keep is not None:
                unneeded = min(unneeded, keep - self._base)
            if unneeded > 0:
                del self._data[:unneeded]
                self._base += unneeded
                self._held -= unneeded
                self._budget.materialised -= unneeded

    def _next_stream(self) -> None:
        """Go on behind the end of a stream: with the next one where the format allows it."""
        state = self._state
        state.position -= len(state.decoder.unused_data)
        self.consumed = state.position
        magic = self._method.magic
        start, length = self._span
        position = state.position
        if self._method.between is not None:
            position = self._method.between(self._input, start + position, start + length) - start
        following = self._input.read_at(start + position, min(len(magic), length - position))
        if magic and following == magic:
            state.position = position
            state.decoder = self._method.decoder()
        else:
            state.finished = True  # what follows is no further stream: padding, or something else
