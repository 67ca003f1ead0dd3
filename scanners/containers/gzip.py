"""gzip files (RFC 1952): one or more deflate streams with a header each."""

from scanners.containers import deflate, stream
from scanners.containers.deflate import Inflate
from scanners.containers.unpacking import Method
from scanners.reading import Blob, Reading

NAME = "gzip"


def _decoder() -> Inflate:
    return Inflate(deflate.GZIP)


METHOD = Method(decoder=_decoder, errors=deflate.ERRORS, magic=b"\x1f\x8b")


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with gzip's magic and its only method, and the decompressor agrees."""
    head = blob.reader.read_at(0, 512)
    if head[:3] != b"\x1f\x8b\x08":
        return False
    try:
        _decoder().decompress(head, 256)
    except deflate.ERRORS:
        return False
    return True


def read(blob: Blob, reading: Reading) -> None:
    """Hand on the content."""
    stream.hand_on(blob, reading, NAME, METHOD)
