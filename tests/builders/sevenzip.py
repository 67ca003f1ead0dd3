"""7z archives: one or several folders, plain or packed headers."""

import lzma
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

LZMA2 = b"\x21"
COPY = b"\x00"
DEFLATE = b"\x04\x01\x08"
AES = b"\x06\xf1\x07\x01"
PPMD = b"\x03\x04\x01"
_FILTER = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]


@dataclass(frozen=True, kw_only=True)
class Packed:
    """One folder: members that are packed as one stream."""

    members: Sequence[tuple[str, bytes]]
    method: bytes = LZMA2
    packed: bytes | None = None
    """the packed bytes, where they are not what the method makes of the members"""
    size: int | None = None
    """what the header says the folder unpacks to"""

    @property
    def content(self) -> bytes:
        """The members behind each other."""
        return b"".join(data for _, data in self.members)

    @property
    def stream(self) -> bytes:
        """The packed bytes."""
        if self.packed is not None:
            return self.packed
        if self.method == DEFLATE:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            return packer.compress(self.content) + packer.flush()
        if self.method == LZMA2:
            return lzma.compress(self.content, format=lzma.FORMAT_RAW, filters=_FILTER)
        return self.content

    @property
    def coder(self) -> bytes:
        """The folder's only coder, as the header describes it."""
        properties = b"\x10" if self.method == LZMA2 else b""
        flags = len(self.method) | (0x20 if properties else 0)
        return bytes([1, flags]) + self.method + (bytes([len(properties)]) + properties if properties else b"")


def number(value: int) -> bytes:
    """Write a number the long way: eight bytes behind a marker."""
    return bytes([value]) if value < 0x80 else b"\xff" + value.to_bytes(8, "little")


def streams(folders: Sequence[tuple[bytes, bytes, int]], position: int = 0) -> bytes:
    """Write a StreamsInfo without members: (coder, packed bytes, unpacked size) of each folder."""
    out = b"\x06" + number(position) + number(len(folders)) + b"\x09"
    out += b"".join(number(len(packed)) for _, packed, _ in folders) + b"\x00"
    out += b"\x07\x0b" + number(len(folders)) + b"\x00" + b"".join(coder for coder, _, _ in folders)
    return out + b"\x0c" + b"".join(number(size) for _, _, size in folders) + b"\x00"


def sevenzip(*folders: Packed, pack_header: bool = False, trailer: bytes = b"") -> bytes:
    """Write an archive."""
    described = [
        (folder.coder, folder.stream, len(folder.content) if folder.size is None else folder.size) for folder in folders
    ]
    header = b"\x01\x04" + streams(described)
    header += b"\x08\x0d" + b"".join(number(len(folder.members)) for folder in folders) + b"\x09"
    header += b"".join(number(len(data)) for folder in folders for _, data in list(folder.members)[:-1])
    header += b"\x00\x00"
    names = b"\x00" + b"".join(
        name.encode("utf-16-le") + b"\x00\x00" for folder in folders for name, _ in folder.members
    )
    count = sum(len(folder.members) for folder in folders)
    header += b"\x05" + number(count) + b"\x11" + number(len(names)) + names + b"\x00\x00"
    body = b"".join(packed for _, packed, _ in described)
    if pack_header:
        packed = lzma.compress(header, format=lzma.FORMAT_RAW, filters=_FILTER)
        outer = b"\x17" + streams([(Packed(members=()).coder, packed, len(header))], len(body)) + b"\x00"
        body += packed
        header = outer
    start = len(body).to_bytes(8, "little") + len(header).to_bytes(8, "little")
    start += zlib.crc32(header).to_bytes(4, "little")
    head = b"7z\xbc\xaf\x27\x1c\x00\x04" + zlib.crc32(start).to_bytes(4, "little") + start
    return head + body + header + trailer
