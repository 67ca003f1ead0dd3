"""Zip archives, record by record: ordinary ones and every ambiguity that loaders read differently."""

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

STORED = 0
DEFLATED = 8
FULL = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member. What is None follows from the data; what is given is written, true or not."""

    name: bytes
    data: bytes = b""
    method: int = STORED
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    compressed: bytes | None = None
    """the bytes written, where they are not what the method makes of the data"""
    local_name: bytes | None = None
    local_method: int | None = None
    local_flags: int | None = None
    local_crc: int | None = None
    local_size: int | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    attributes: int = 0
    header_offset: int | None = None
    """where the directory says the local header lies"""
    in_directory: bool = True
    in_local_headers: bool = True
    after: bytes = b""
    """bytes behind the data"""

    @property
    def body(self) -> bytes:
        """The bytes between this header and the next."""
        if self.compressed is not None:
            return self.compressed
        return _deflate(self.data) if self.method == DEFLATED else self.data


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A whole archive; `build` writes it."""

    members: Sequence[Member] = field(default_factory=tuple)
    comment: bytes = b""
    prefix: bytes = b""
    trailer: bytes = b""
    adjust_prefix: bool = False
    """whether the offsets count the prefix, as a well-made self-extracting archive's do"""
    directory_order: Sequence[int] | None = None
    promised: int | None = None
    """number of entries the end record claims"""
    zip64: bool = False
    base: int = 0
    """where the archive will lie in a larger file, for offsets that are absolute there"""

    def build(self) -> bytes:
        """Write the archive."""
        out = bytearray()
        base = self.base + (len(self.prefix) if self.adjust_prefix else 0)
        offsets: list[int] = []
        for member in self.members:
            offsets.append(base + len(out))
            if member.in_local_headers:
                out += _local(member)
                out += member.body + member.after
        directory_at = base + len(out)
        listed = [index for index, member in enumerate(self.members) if member.in_directory]
        if self.directory_order is not None:
            listed = list(self.directory_order)
        directory = b"".join(_central(self.members[index], offsets[index]) for index in listed)
        out += directory
        count = len(listed) if self.promised is None else self.promised
        out += _end(count, len(directory), directory_at, self.comment, base + len(out), zip64=self.zip64)
        return self.prefix + bytes(out) + self.trailer


def archive(*members: tuple[str, bytes], method: int = STORED) -> bytes:
    """Write an ordinary archive of named members."""
    made = [Member(name=name.encode(), data=data, method=method) for name, data in members]
    return Archive(members=made).build()


def torch_archive(pickle: bytes, records: Iterable[tuple[str, bytes]] = (), root: str = "archive") -> bytes:
    """Write an archive as torch does: sizes only in the directory, descriptors, aligned data, records under a root."""
    listed = [("data.pkl", pickle), ("byteorder", b"little"), *records, ("version", b"3\n")]
    members: list[Member] = []
    position = 0
    for name, data in listed:
        full = f"{root}/{name}".encode()
        start = position + 30 + len(full)
        padding = (64 - (start + 4) % 64) % 64
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        descriptor = b"PK\x07\x08" + struct.pack("<3L", zlib.crc32(data), len(data), len(data)) if data else b""
        member = Member(
            name=full,
            data=data,
            flags=0x0808,
            local_crc=0,
            local_size=0,
            local_extra=extra,
            after=descriptor,
        )
        members.append(member)
        position += 30 + len(full) + len(extra) + len(data) + len(descriptor)
    return Archive(members=members).build()


def zip64_archive(
    records: Iterable[tuple[str, bytes]], *, fields: str = "size compressed offset", lie: int = 0, local: bool = True
) -> bytes:
    """Write a small archive as if every record were huge: what ``fields`` names lies in zip64 extra fields only.

    Args:
        records: names and contents, which are stored.
        fields: the fields of the directory that are full.
        lie: is added to the sizes of the directory's extra fields.
        local: whether the local headers have such a field too; torch writes none there.
    """
    out = bytearray()
    directory = bytearray()
    full = fields.split()
    count = 0
    for name, data in records:
        raw, crc, at, size = name.encode(), zlib.crc32(data), len(out), len(data)
        # Another field stands before the one that counts, as torch's padding does.
        extra = b"FB\x03\0ZZZ" + (struct.pack("<HHQQ", 1, 16, size, size) if local else b"")
        out += struct.pack("<4s5H", b"PK\x03\x04", 45, 0x800, STORED, 0, 33)
        out += (
            struct.pack("<3L2H", crc, *([FULL] * 2 if local else [size] * 2), len(raw), len(extra)) + raw + extra + data
        )
        values = {"size": size + lie, "compressed": size + lie, "offset": at}
        wide = b"".join(struct.pack("<Q", values[key]) for key in values if key in full)
        extra = b"XX\x02\0yy" + struct.pack("<HH", 1, len(wide)) + wide
        short = {key: FULL if key in full else value for key, value in values.items()}
        directory += struct.pack("<4s6H", b"PK\x01\x02", 45, 45, 0x800, STORED, 0, 33)
        directory += struct.pack("<3L5H2L", crc, short["compressed"], short["size"], len(raw), len(extra), 0, 0, 0, 0,
                                 short["offset"])  # fmt: skip
        directory += raw + extra
        count += 1
    start = len(out)
    out += directory
    return bytes(out) + _end(count, len(directory), start, b"", len(out), zip64=True)


def with_member(members: Sequence[Member], index: int, **changes: object) -> list[Member]:
    """Return the members with one of them changed."""
    result = list(members)
    result[index] = replace(result[index], **changes)  # type: ignore[arg-type]  # fields by name
    return result


def _sizes(member: Member) -> tuple[int, int, int]:
    crc = zlib.crc32(member.data) if member.crc is None else member.crc
    size = len(member.data) if member.size is None else member.size
    return crc, len(member.body), size


def _local(member: Member) -> bytes:
    crc, compressed, size = _sizes(member)
    if member.local_crc is not None:
        crc = member.local_crc
    if member.local_size is not None:
        compressed = size = member.local_size
    name = member.name if member.local_name is None else member.local_name
    method = member.method if member.local_method is None else member.local_method
    flags = member.flags if member.local_flags is None else member.local_flags
    head = struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", 20, flags, method, 0, 33, crc, compressed, size, len(name), len(member.local_extra)
    )
    return head + name + member.local_extra


def _central(member: Member, offset: int) -> bytes:
    crc, compressed, size = _sizes(member)
    at = offset if member.header_offset is None else member.header_offset
    head = struct.pack(
        "<4s6H3L5H2L",
        b"PK\x01\x02",
        20,
        20,
        member.flags,
        member.method,
        0,
        33,
        crc,
        compressed,
        size,
        len(member.name),
        len(member.extra),
        0,
        0,
        0,
        member.attributes,
        at,
    )
    return head + member.name + member.extra


def _end(count: int, size: int, offset: int, comment: bytes, at: int, *, zip64: bool) -> bytes:
    wide = b""
    if zip64:
        wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
        wide += struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
        count, size, offset = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    return wide + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, offset, len(comment)) + comment
