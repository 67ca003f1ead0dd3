"""The `zlib` module's decompressor behind the interface of `unpacking.Decoder`: raw deflate, zlib and gzip streams."""

import zlib

from scanners import native

RAW = -zlib.MAX_WBITS
ZLIB = zlib.MAX_WBITS
GZIP = 16 + zlib.MAX_WBITS

ERRORS: tuple[type[Exception], ...] = (zlib.error,)


class Inflate:
    """One deflate stream; ``window`` is `RAW`, `ZLIB` or `GZIP`."""

    __slots__ = ("_object", "_tail")

    def __init__(self, window: int) -> None:
        self._object = zlib.decompressobj(window)
        self._tail = b""

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return not self._tail

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        native.meet("zlib")
        result = self._object.decompress(self._tail + data, max_length)
        self._tail = self._object.unconsumed_tail
        return result

    def copy(self) -> "Inflate":
        """Return a decompressor in the same state."""
        twin = Inflate.__new__(Inflate)
        twin._object = self._object.copy()  # noqa: SLF001 - its own class
        twin._tail = self._tail  # noqa: SLF001 - likewise
        return twin


def raw() -> Inflate:
    """Return a decompressor for raw deflate, as zip members hold it."""
    return Inflate(RAW)
