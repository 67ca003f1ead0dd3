"""zlib streams (RFC 1950): what joblib and Python programs write when they compress a pickle without a container."""

from scanners.containers import deflate, stream
from scanners.containers.deflate import Inflate
from scanners.containers.unpacking import Method
from scanners.reading import Blob, Reading

NAME = "zlib"


def _decoder() -> Inflate:
    return Inflate(deflate.ZLIB)


METHOD = Method(decoder=_decoder, errors=deflate.ERRORS)


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with a zlib header, and the decompressor agrees: two bytes alone prove little."""
    head = blob.reader.read_at(0, 512)
    if len(head) < 8 or head[0] & 0x8F != 8 or head[1] & 0x20 or (head[0] << 8 | head[1]) % 31:
        return False
    try:
        decoder = _decoder()
        return bool(decoder.decompress(head, 256)) or decoder.eof
    except deflate.ERRORS:
        return False


def read(blob: Blob, reading: Reading) -> None:
    """Hand on the content."""
    stream.hand_on(blob, reading, NAME, METHOD)
