"""HDF5 files, block by block: version 2 headers with link and attribute messages, and the old form of a group."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scanners.formats.hdf5_checksum import lookup3

UNDEFINED = b"\xff" * 8


def address(value: int) -> bytes:
    return struct.pack("<Q", value)


def checked(block: bytes) -> bytes:
    """Metadata with its checksum behind it."""
    return block + struct.pack("<I", lookup3(block))


@dataclass(slots=True)
class File:
    """A file under construction; blocks are appended and known by their address."""

    data: bytearray = field(default_factory=lambda: bytearray(96))
    old: bool = False

    def add(self, block: bytes) -> int:
        self.data += bytes(-len(self.data) % 8)
        place = len(self.data)
        self.data += block
        return place

    def finish(self, root: int) -> bytes:
        end = address(len(self.data))
        if self.old:
            start = b"\x89HDF\r\n\x1a\n" + bytes(5) + b"\x08\x08\0" + struct.pack("<HHI", 4, 16, 0)
            start += address(0) + UNDEFINED + end + UNDEFINED + address(0) + address(root) + bytes(24)
        else:
            start = checked(b"\x89HDF\r\n\x1a\n" + b"\x02\x08\x08\0" + address(0) + UNDEFINED + end + address(root))
        self.data[: len(start)] = start
        return bytes(self.data)


def header(messages: Sequence[tuple[int, bytes]]) -> bytes:
    """A version 2 object header."""
    body = b"".join(struct.pack("<BHB", kind, len(content), 0) + content for kind, content in messages)
    return checked(b"OHDR\x02\x02" + struct.pack("<I", len(body)) + body)


def old_header(messages: Sequence[tuple[int, bytes]]) -> bytes:
    """A version 1 object header."""
    padded = [(kind, content + bytes(-len(content) % 8)) for kind, content in messages]
    body = b"".join(struct.pack("<HHB3x", kind, len(content), 0) + content for kind, content in padded)
    return struct.pack("<BxHII4x", 1, len(messages), 1, len(body)) + body


def dataspace(*dimensions: int) -> bytes:
    return struct.pack("<BBBB", 2, len(dimensions), 0, 1 if dimensions else 0) + b"".join(map(address, dimensions))


def fixed_text(size: int) -> bytes:
    return struct.pack("<B3xI", 0x13, size)


FLOAT = struct.pack("<BBBxIHHBBBBI", 0x11, 0x20, 31, 4, 0, 32, 23, 8, 0, 23, 127)
VARIABLE_TEXT = struct.pack("<BBBBI", 0x19, 1, 0, 0, 16) + struct.pack("<B3xI", 0x10, 1) + bytes(4)


def text_attribute(name: str, text: bytes) -> tuple[int, bytes]:
    """A fixed-length text attribute."""
    kind, shape = fixed_text(len(text)), dataspace()
    sizes = struct.pack("<HHH", len(name) + 1, len(kind), len(shape))
    return 0x0C, b"\x03\0" + sizes + b"\0" + name.encode() + b"\0" + kind + shape + text


def variable_attribute(file: File, name: str, text: bytes) -> tuple[int, bytes]:
    """A variable-length text attribute, its value in the global heap."""
    item = struct.pack("<HH4xQ", 1, 1, len(text)) + text + bytes(-len(text) % 8)
    heap = file.add(b"GCOL\x01\0\0\0" + struct.pack("<Q", 16 + len(item) + 16) + item + bytes(16))
    shape = dataspace()
    sizes = struct.pack("<HHH", len(name) + 1, len(VARIABLE_TEXT), len(shape))
    value = struct.pack("<IQI", len(text), heap, 1)
    return 0x0C, b"\x03\0" + sizes + b"\0" + name.encode() + b"\0" + VARIABLE_TEXT + shape + value


def hard_link(name: str, place: int) -> tuple[int, bytes]:
    return 0x06, b"\x01\x00" + bytes([len(name)]) + name.encode() + address(place)


def external_link(name: str, file: str, path: str = "/x") -> tuple[int, bytes]:
    content = b"\0" + file.encode() + b"\0" + path.encode() + b"\0"
    return 0x06, b"\x01\x08\x40" + bytes([len(name)]) + name.encode() + struct.pack("<H", len(content)) + content


def contiguous(place: int, size: int) -> tuple[int, bytes]:
    return 0x08, b"\x03\x01" + address(place) + address(size)


def chunked(file: File, blocks: Mapping[tuple[int, ...], bytes], chunk: tuple[int, ...]) -> tuple[int, bytes]:
    """A layout of blocks by their corners, found by a tree of one leaf."""
    entries = b""
    for corner, data in sorted(blocks.items()):
        key = struct.pack("<II", len(data), 0) + b"".join(map(address, (*corner, 0)))
        entries += key + address(file.add(data))
    tree = file.add(b"TREE\x01\0" + struct.pack("<H", len(blocks)) + UNDEFINED * 2 + entries + bytes(32))
    sizes = struct.pack(f"<{len(chunk) + 1}I", *chunk, 4)
    return 0x08, b"\x03\x02" + bytes([len(chunk) + 1]) + address(tree) + sizes


def filters(*numbers: int) -> tuple[int, bytes]:
    """A pipeline of filters without parameters."""
    return 0x0B, bytes([2, len(numbers)]) + b"".join(
        struct.pack("<H", number) + bytes(6 if number >= 256 else 4) for number in numbers
    )


def soft_link(name: str, path: str) -> tuple[int, bytes]:
    return 0x06, b"\x01\x08\x01" + bytes([len(name)]) + name.encode() + struct.pack("<H", len(path)) + path.encode()


def dataset(file: File, shape: tuple[int, ...], layout: tuple[int, bytes], *more: tuple[int, bytes]) -> int:
    return file.add(header([(0x01, dataspace(*shape)), (0x03, FLOAT), layout, *more]))


def external_storage(file: File, name: str) -> tuple[int, bytes]:
    names = b"\0" * 8 + name.encode() + b"\0"
    data = file.add(names)
    heap = file.add(b"HEAP" + bytes(4) + address(len(names)) + UNDEFINED + address(data))
    return 0x07, struct.pack("<B3xHH", 1, 1, 1) + address(heap) + address(8) + address(0) + address(16)


def virtual_layout(file: File, name: str) -> tuple[int, bytes]:
    content = b"\0" + address(1) + name.encode() + b"\0d\0"
    item = struct.pack("<HH4xQ", 1, 1, len(content)) + content + bytes(-len(content) % 8)
    heap = file.add(b"GCOL\x01\0\0\0" + struct.pack("<Q", 16 + len(item) + 16) + item + bytes(16))
    return 0x08, b"\x04\x03" + address(heap) + struct.pack("<I", 1)


def old_group(file: File, children: Mapping[str, int]) -> tuple[int, bytes]:
    """The symbol table message of a group: B-tree, symbol node and local heap."""
    names, entries = bytearray(8), b""
    for name, place in sorted(children.items()):
        entries += address(len(names)) + address(place) + bytes(24)
        names += name.encode() + b"\0"
    data = file.add(bytes(names))
    heap = file.add(b"HEAP" + bytes(4) + address(len(names)) + UNDEFINED + address(data))
    node = file.add(b"SNOD\x01\0" + struct.pack("<H", len(children)) + entries)
    tree = file.add(b"TREE\0\0" + struct.pack("<H", 1) + UNDEFINED * 2 + address(0) + address(node) + address(8))
    return 0x11, address(tree) + address(heap)


def weights(attributes: Mapping[str, bytes] | None = None, *more: tuple[int, bytes], old: bool = False) -> bytes:
    """A file of one dataset, with text attributes at its root."""
    file = File(old=old)
    data = file.add(bytes(64))
    inner = dataset(file, (4, 4), contiguous(data, 64))
    texts = [text_attribute(name, text) for name, text in (attributes or {}).items()]
    if old:
        return file.finish(file.add(old_header([old_group(file, {"w": inner}), *texts, *more])))
    return file.finish(file.add(header([hard_link("w", inner), *texts, *more])))
