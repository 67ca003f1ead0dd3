"""tar archives, block by block: ordinary ones, and what readers disagree on."""

from dataclasses import dataclass

BLOCK = 512
END = bytes(2 * BLOCK)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One member, or one extended header."""

    name: str = "a"
    data: bytes = b""
    kind: bytes = b"0"
    link: str = ""
    size: int | None = None
    """what the header says, where that is not the length of the data"""
    magic: bytes = b"ustar\x0000"
    prefix: str = ""
    checksum: int | None = None
    number: bytes | None = None
    """the size field as it is"""

    def build(self) -> bytes:
        """Write the header and the padded data."""
        size = len(self.data) if self.size is None else self.size
        header = bytearray(BLOCK)
        header[0:100] = self.name.encode().ljust(100, b"\x00")[:100]
        header[100:108] = b"0000644\x00"
        header[108:116] = header[116:124] = b"0000000\x00"
        header[124:136] = self.number if self.number is not None else b"%011o\x00" % size
        header[136:148] = b"00000000000\x00"
        header[148:156] = b" " * 8
        header[156:157] = self.kind
        header[157:257] = self.link.encode().ljust(100, b"\x00")[:100]
        header[257:265] = self.magic
        header[345:500] = self.prefix.encode().ljust(155, b"\x00")[:155]
        total = sum(header) if self.checksum is None else self.checksum
        header[148:156] = b"%06o\x00 " % total
        return bytes(header) + self.data + bytes(-len(self.data) % BLOCK)


def tar(*entries: Entry, end: bytes = END) -> bytes:
    """Write an archive."""
    return b"".join(entry.build() for entry in entries) + end


def pax(records: dict[str, str], kind: bytes = b"x") -> Entry:
    """Return an extended header for the entry that follows (or, with kind ``g``, for all)."""
    data = b""
    for key, value in records.items():
        body = f" {key}={value}\n".encode()
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        data += str(length).encode() + body
    return Entry(name="pax", data=data, kind=kind)


def long_name(name: str, kind: bytes = b"L") -> Entry:
    """Return GNU's header for a long name (or, with kind ``K``, a long link)."""
    return Entry(name="././@LongLink", data=name.encode() + b"\x00", kind=kind)
