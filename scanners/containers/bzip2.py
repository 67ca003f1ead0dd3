"""bzip2 files: one or more streams of blocks."""

import bz2

from scanners.containers import stream
from scanners.containers.unpacking import Method
from scanners.reading import Blob, Reading

NAME = "bzip2"

METHOD = Method(decoder=bz2.BZ2Decompressor, errors=(OSError, ValueError, EOFError), magic=b"BZh")

_FIRST = {b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"}
"""magic of a block, and of the end of an empty stream"""


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with a stream header and a block."""
    head = blob.reader.read_at(0, 10)
    return head[:3] == b"BZh" and head[3:4] in b"123456789" and head[4:10] in _FIRST


def read(blob: Blob, reading: Reading) -> None:
    """Hand on the content."""
    stream.hand_on(blob, reading, NAME, METHOD)
