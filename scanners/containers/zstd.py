"""Zstandard frames (RFC 8878)."""

from typing import Protocol

from scanners.containers import stream
from scanners.containers.unpacking import Method
from scanners.errors import Unsupported
from scanners.reading import Blob, Reading

NAME = "zstd"

_MAGIC = b"\x28\xb5\x2f\xfd"
_WINDOW = 1 << 27
"""bytes of window a frame may ask for: what `zstd` itself accepts without --long"""
_PIECE = 512
"""input given at a time: a block of four bytes can unpack to 128 KiB, and the package sets no limit of its own"""


class _Object(Protocol):
    """What we use of the package's decompressor."""

    @property
    def eof(self) -> bool:
        """Whether the frame ended."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Input behind the frame."""
        ...

    def decompress(self, data: bytes, /) -> bytes:
        """Return everything the input unpacks to."""
        ...


class _Frame:
    """The `zstandard` package's decompressor with a limit on its output."""

    __slots__ = ("_at", "_input", "_object", "_output")

    def __init__(self, decoder: _Object) -> None:
        self._object = decoder
        self._input = b""
        self._at = 0
        self._output = b""

    @property
    def eof(self) -> bool:
        return self._object.eof and not self._output

    @property
    def needs_input(self) -> bool:
        return not self._output and self._at >= len(self._input)

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data + self._input[self._at :] if self._object.eof else b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data:
            self._input = self._input[self._at :] + data
            self._at = 0
        pieces = [self._output]
        have = len(self._output)
        while have < max_length and self._at < len(self._input) and not self._object.eof:
            made = self._object.decompress(self._input[self._at : self._at + _PIECE])
            self._at += _PIECE
            pieces.append(made)
            have += len(made)
        self._at = min(self._at, len(self._input))
        whole = b"".join(pieces)
        self._output = whole[max_length:]
        return whole[:max_length]


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with a frame, behind any number of those to skip."""
    head = blob.reader.read_at(0, 4)
    if head[1:] == b"\x2a\x4d\x18":
        head = blob.reader.read_at(stream.skippable_frames(blob.reader, 0, blob.reader.size), 4)
    return head == _MAGIC


def read(blob: Blob, reading: Reading) -> None:
    """Hand on the content."""
    stream.hand_on(blob, reading, NAME, method())


def method() -> Method:
    """Return the method; the package is imported only now.

    Raises:
        Unsupported: the `zstandard` package is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        raise Unsupported("a Zstandard frame, and the zstandard package is not installed") from error
    opener = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return Method(
        decoder=lambda: _Frame(opener.decompressobj()),
        errors=(zstandard.ZstdError, MemoryError),
        magic=_MAGIC,
        between=stream.skippable_frames,
    )
