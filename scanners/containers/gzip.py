"""gzip files (RFC 1952): one or more deflate streams with a header each.

zlib refuses a header whose checksum is wrong or whose reserved flags are set; Python's `gzip` looks at neither and goes
on. So does this reader.
"""

import zlib

from scanners.containers import deflate, stream
from scanners.containers.deflate import Inflate
from scanners.containers.unpacking import Method
from scanners.reader import after_zeros
from scanners.reading import Blob, Reading

NAME = "gzip"


_PLAIN = b"\x1f\x8b\x08" + bytes(7)
"""a header that says nothing"""
_EXTRA, _NAME, _COMMENT, _CHECKSUM = 4, 8, 16, 2
_REFUSED = 0xE0 | _CHECKSUM
"""flags for which zlib may refuse a header"""
_HEADER = 1 << 20
_SHORTEST = 18
"""bytes of a header, of an empty stream, and of what follows it"""


def _plain(data: bytes) -> bytes | None:
    """Exchange a header that zlib might refuse for one that says nothing; None where more bytes are needed to tell."""
    if len(data) > 3 and not data[3] & _REFUSED:
        return data
    end = _end_of_header(data)
    if end is None and len(data) > _HEADER:
        raise zlib.error("a header without an end")
    return None if end is None else _PLAIN + data[end:]


def _end_of_header(data: bytes) -> int | None:
    """Return where the header ends, as Python's `gzip` reads it; None where more bytes are needed to tell."""
    if len(data) < 12:
        return None
    flags, end = data[3], 10
    if flags & _EXTRA:
        end += 2 + int.from_bytes(data[10:12], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            zero = data.find(b"\0", end)
            if zero < 0:
                return None
            end = zero + 1
    if flags & _CHECKSUM:
        end += 2
    return end if end <= len(data) else None


def _decoder() -> Inflate:
    return Inflate(deflate.GZIP, _plain)


METHOD = Method(decoder=_decoder, errors=deflate.ERRORS, magic=b"\x1f\x8b", between=after_zeros)


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with gzip's magic and its only method, and the decompressor agrees."""
    head = blob.reader.read_at(0, 512)
    if head[:3] != b"\x1f\x8b\x08":
        return False
    try:
        _decoder().decompress(head, 256)
    except deflate.ERRORS:
        return False
    return len(head) >= _SHORTEST


def read(blob: Blob, reading: Reading) -> None:
    """Hand on the content."""
    stream.hand_on(blob, reading, NAME, METHOD)
