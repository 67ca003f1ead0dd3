"""The `zlib` module's decompressor behind the interface of `unpacking.Decoder`: raw deflate, zlib and gzip streams."""

import zlib
from collections.abc import Callable

from scanners import native

RAW = -zlib.MAX_WBITS
ZLIB = zlib.MAX_WBITS
GZIP = 16 + zlib.MAX_WBITS

ERRORS: tuple[type[Exception], ...] = (zlib.error,)


class Inflate:
    """One deflate stream; ``window`` is `RAW`, `ZLIB` or `GZIP`.

    ``prepare`` is given the first bytes and returns what zlib is to see of them, or None to be given more.
    """

    __slots__ = ("_object", "_prepare", "_tail")

    def __init__(self, window: int, prepare: Callable[[bytes], bytes | None] | None = None) -> None:
        self._object = zlib.decompressobj(window)
        self._tail = b""
        self._prepare = prepare

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return not self._tail or self._prepare is not None

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        native.meet("zlib")
        if self._prepare is not None:
            prepared = self._prepare(self._tail + data)
            if prepared is None:
                self._tail += data
                return b""
            self._prepare, self._tail, data = None, b"", prepared
        result = self._object.decompress(self._tail + data, max_length)
        self._tail = self._object.unconsumed_tail
        return result

    def copy(self) -> "Inflate":
        """Return a decompressor in the same state."""
        twin = Inflate.__new__(Inflate)
        twin._object = self._object.copy()  # noqa: SLF001 - its own class
        twin._tail = self._tail  # noqa: SLF001 - likewise
        twin._prepare = self._prepare  # noqa: SLF001 - likewise
        return twin


def raw() -> Inflate:
    """Return a decompressor for raw deflate, as zip members hold it."""
    return Inflate(RAW)
