"""The records of a zip archive and the values made from them.

Source: PKWARE APPNOTE.TXT 6.3.10 (4.3 records, 4.4 fields, 4.5 extra fields).
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

STORED = 0
DEFLATED = 8
ENCRYPTED = 0x2041
"""flag bits that say "encrypted": traditional (0), strong (6), masked headers (13)"""
DESCRIPTOR = 0x8
UTF8 = 0x800

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s4x2H4x3L3H4x2L")
"""without versions, time, disk and internal attributes"""
LOCAL_FIELDS = struct.Struct("<4s24sH")
"""the magic number, what the directory's header has in the same order, and the length of the extra field"""
END = struct.Struct("<4s4H2LH")
LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCAL_MAGIC = b"PK\x03\x04"
CENTRAL_MAGIC = b"PK\x01\x02"
END_MAGIC = b"PK\x05\x06"
LOCATOR_MAGIC = b"PK\x06\x07"
END64_MAGIC = b"PK\x06\x06"
DESCRIPTOR_MAGIC = b"PK\x07\x08"

FULL32 = 0xFFFFFFFF
METHODS = {
    0: "stored",
    1: "shrunk",
    6: "imploded",
    8: "deflated",
    9: "deflate64",
    12: "bzip2",
    14: "lzma",
    93: "zstandard",
    95: "xz",
    98: "ppmd",
    99: "AES",
}


class ZipAnomaly(NamedTuple):
    """Something that bends the rules, or that loaders read differently."""

    code: str
    message: str
    offset: int


class ZipEntry(NamedTuple):
    """One member as one loader sees it.

    A named tuple, not a dataclass: an archive may have a million, and a frozen dataclass takes three times as long.
    """

    name: str
    raw_name: bytes
    method: int
    flags: int
    crc: int
    compressed_size: int
    size: int
    header_offset: int
    """of the local header"""
    data_offset: int
    """behind the *local* header; -1 where there is none"""
    local_name: bytes
    local_flags: int
    local_method: int
    attributes: int
    """external attributes of the directory; the upper half is a Unix mode"""
    loader: str = "directory"
    """who would deliver it: `directory` (every loader's), `zipfile`, `torch`, `other-directory`, `streaming`"""

    @property
    def key(self) -> tuple[int, bytes]:
        """What tells it from its siblings: two entries may name the same header."""
        return self.header_offset, self.raw_name

    @property
    def is_directory(self) -> bool:
        """Whether it only names a directory."""
        return self.raw_name.endswith(b"/") and self.size == 0 == self.compressed_size

    @property
    def is_symlink(self) -> bool:
        """Whether unpacking makes a symbolic link."""
        return (self.attributes >> 28) == 0xA

    @property
    def encrypted(self) -> bool:
        """Whether either header says so."""
        return bool((self.flags | self.local_flags) & ENCRYPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipDirectory:
    """Everything any loader would find in an archive."""

    entries: tuple[ZipEntry, ...]
    """in the order of the central directory that torch reads; of another reading where torch reads none"""
    others: tuple[ZipEntry, ...]
    """members that only other loaders see"""
    anomalies: tuple[ZipAnomaly, ...]
    comment: bytes
    spans: tuple[tuple[int, int], ...]
    """(offset, length) of headers, directories and end records"""
    gaps: tuple[tuple[int, int], ...]
    """(offset, length) of bytes that belong to no member and no header"""

    @property
    def everything(self) -> tuple[ZipEntry, ...]:
        """What any loader sees."""
        return self.entries + self.others


def name_of(raw: bytes, flags: int) -> str:
    """Decode a member name: UTF-8, as torch writes it, or what the specification falls back to, code page 437."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape") if flags & UTF8 else raw.decode("cp437")


def wide(extra: bytes, size: int, compressed: int, offset: int) -> tuple[int, int, int]:
    """Replace the 32-bit fields that are full by those of the zip64 extra field (APPNOTE 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            body = extra[at + 4 : at + 4 + length]
            values = [int.from_bytes(body[i : i + 8], "little") for i in range(0, len(body) - 7, 8)]
            if size == FULL32 and values:
                size = values.pop(0)
            if compressed == FULL32 and values:
                compressed = values.pop(0)
            if offset == FULL32 and values:
                offset = values.pop(0)
            break
        at += 4 + length
    return size, compressed, offset
