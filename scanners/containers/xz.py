"""xz files, and the older .lzma ones ("LZMA alone")."""

import lzma
from functools import partial

from scanners import native
from scanners.containers import stream
from scanners.containers.unpacking import Method
from scanners.errors import FormatError, LimitExceeded
from scanners.reader import after_zeros
from scanners.reading import Blob, Reading

NAME = "xz"

_MEMORY = 192 << 20
"""bytes a dictionary may take: more than level 9 needs; a header may ask for gigabytes"""
_DICTIONARY = 256 << 20
_ERRORS: tuple[type[Exception], ...] = (lzma.LZMAError, EOFError)

METHOD = Method(
    decoder=partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=_MEMORY),
    errors=_ERRORS,
    magic=b"\xfd7zXZ\x00",
    between=after_zeros,
)
ALONE = Method(decoder=partial(lzma.LZMADecompressor, lzma.FORMAT_ALONE, memlimit=_MEMORY), errors=_ERRORS)


def raw_lzma(properties: bytes) -> Method:
    """Return the method for LZMA data without a header, from its five bytes of properties (zip and 7z carry those).

    Raises:
        FormatError: the properties make no sense.
        LimitExceeded: the dictionary is larger than we are ready to hold.
    """
    if len(properties) != 5 or properties[0] >= 225:
        raise FormatError("LZMA properties that make no sense")
    rest, lc = divmod(properties[0], 9)
    pb, lp = divmod(rest, 5)
    size = max(4096, int.from_bytes(properties[1:5], "little"))
    if lc + lp > 4:
        raise FormatError("LZMA properties that make no sense")
    if size > _DICTIONARY:
        raise LimitExceeded("materialised", f"a dictionary of {size} bytes, more than {_DICTIONARY}")
    chain = [{"id": lzma.FILTER_LZMA1, "dict_size": size, "lc": lc, "lp": lp, "pb": pb}]
    return Method(decoder=partial(lzma.LZMADecompressor, lzma.FORMAT_RAW, filters=chain), errors=_ERRORS)


def matches(blob: Blob) -> bool:
    """Return whether the blob is either kind."""
    head = blob.reader.read_at(0, 64)
    return head[:6] == b"\xfd7zXZ\x00" or _is_alone(head)


def _is_alone(head: bytes) -> bool:
    """Return whether the bytes begin a .lzma file: no magic, but its fields must make sense, and it must unpack."""
    if len(head) < 18 or head[0] >= 225 or head[13]:
        return False
    dictionary = int.from_bytes(head[1:5], "little")
    size = int.from_bytes(head[5:13], "little")
    # What encoders write: a power of two, or one and a half; a size below 256 GiB, or "unknown" (xz, alone_decoder.c).
    if dictionary & (dictionary - 1) and (dictionary // 3) & (dictionary // 3 - 1):
        return False
    if dictionary < 4096 or (size >= 1 << 38 and size != (1 << 64) - 1):
        return False
    native.meet("lzma")
    try:
        ALONE.decoder().decompress(head, 64)
    except _ERRORS:
        return False
    return True


def read(blob: Blob, reading: Reading) -> None:
    """Hand on the content."""
    alone = blob.reader.read_at(0, 6) != b"\xfd7zXZ\x00"
    stream.hand_on(blob, reading, "lzma" if alone else NAME, ALONE if alone else METHOD)
