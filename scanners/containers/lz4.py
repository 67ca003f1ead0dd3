"""LZ4 frames (joblib's `lz4` compressor writes them)."""

from functools import partial

from scanners.containers import stream
from scanners.containers.unpacking import Decoder, Method
from scanners.errors import Unsupported
from scanners.reading import Blob, Reading

NAME = "lz4"

_MAGIC = b"\x04\x22\x4d\x18"


class _Frame:
    """The `lz4` package's decompressor, whose `unused_data` may be None."""

    __slots__ = ("_object",)

    def __init__(self, decoder: "Decoder") -> None:
        self._object = decoder

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return self._object.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data or b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._object.decompress(data, max_length)


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with a frame's magic, behind any number of frames to skip."""
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
        Unsupported: the `lz4` package is not installed.
    """
    try:
        import lz4.frame
    except ImportError as error:
        raise Unsupported("an LZ4 frame, and the lz4 package is not installed") from error
    make: partial[Decoder] = partial(lz4.frame.LZ4FrameDecompressor)
    return Method(
        decoder=lambda: _Frame(make()),
        errors=(RuntimeError, ValueError, EOFError),
        magic=_MAGIC,
        between=stream.skippable_frames,
    )
