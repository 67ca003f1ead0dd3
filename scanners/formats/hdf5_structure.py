"""The structure of an HDF5 file: superblocks 0 to 3, old groups (symbol tables) and new ones, attributes, heaps.

Source: "HDF5 File Format Specification Version 3.0": new groups are link messages and fractal heaps; attributes are
compact or dense; text of variable length lies in the global heap; a message may lie in another object (a committed
type) or in a heap that all objects share. What it means that something is there is for others to say: the scan states
it, the conversion refuses it or copies it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded
from scanners.formats.hdf5_heap import FractalHeap
from scanners.formats.hdf5_places import Places, expect
from scanners.formats.hdf5_tree import records
from scanners.reader import BytesReader, Reader

MAXIMUM_OBJECTS = 500_000
MAXIMUM_DEPTH = 64
MAXIMUM_ELEMENTS = 1 << 16
_MAXIMUM_NAME = 1 << 16
_ATTRIBUTE = 0x0C
_SHARED = 2
"""flag of a message that lies elsewhere"""
# kind of tree -> (where a record's identifier begins, its length): links by name and by age, attributes by both.
_IDENTIFIERS = {5: (4, 7), 6: (8, 7), 8: (0, 8), 9: (0, 8)}


@dataclass(frozen=True, slots=True)
class Type:
    """A datatype, as far as text has to be told from numbers."""

    kind: int
    size: int
    variable_text: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A dataset's dimensions, and how far they may grow (the same where nothing is said)."""

    now: tuple[int, ...]
    most: tuple[int | None, ...]
    """None: without end"""


@dataclass(frozen=True, slots=True)
class Link:
    """A named way from a group to an object, to a path, or to another file."""

    name: str
    address: int | None
    file: str | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A part of an object's header; `Structure.content` opens it."""

    kind: int
    place: int
    length: int
    shared: bool = False
    """lies elsewhere"""


@dataclass(frozen=True, slots=True)
class Text:
    """A text: a range of the file, or of a block that was unpacked from it."""

    reader: Reader
    place: int
    length: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named value of an object."""

    name: str
    texts: Iterator[Text]
    """every text it holds"""


class Structure(Places):
    """Finds its way in one file; what is found is up to its caller."""

    def __init__(self, reader: Reader, start: int, *, strict: bool = False) -> None:
        super().__init__(reader, start, strict=strict)
        self._extension: int | None = None
        self._shared_heaps: list[tuple[int, FractalHeap]] | None = None
        self._collections: dict[int, dict[int, tuple[int, int]]] = {}

    # Objects

    def find_root(self) -> int:
        """Read the superblock; return the address of the root group."""
        cursor = Cursor(self.reader, self.base + 8)
        version = cursor.u8()
        if version in {0, 1}:
            cursor.skip(4)
            self._sizes(cursor)
            cursor.skip(1 + 4 + 4 + (4 if version else 0))
            cursor.skip(self.offset_size * 4)
            cursor.skip(self.length_size)  # where the root's name lies: the library writes it as a length (H5Gent.c)
            root = self.address(cursor)
        elif version in {2, 3}:
            self._sizes(cursor)
            cursor.skip(1)
            cursor.skip(self.offset_size)
            self._extension = self.address(cursor)
            cursor.skip(self.offset_size)
            root = self.address(cursor)
            self.check(self.base, cursor.offset - self.base)
        else:
            raise FormatError(f"superblock version {version} is unknown (0 to 3 are read)", offset=self.base + 8)
        if root is None:
            raise FormatError("there is no root group", offset=self.base)
        return root

    def _sizes(self, cursor: Cursor) -> None:
        self.offset_size, self.length_size = cursor.u8(), cursor.u8()
        if self.offset_size not in {2, 4, 8, 16} or self.length_size not in {2, 4, 8, 16}:
            raise FormatError(
                f"addresses of {self.offset_size} and lengths of {self.length_size} bytes", offset=cursor.offset
            )

    def messages(self, address: int) -> Iterator[Message]:
        """Yield an object header's messages, continuation blocks included."""
        head = self.cursor(address)
        if head.take(4) == b"OHDR":
            yield from self._messages2(head)
            return
        cursor = self.cursor(address)
        if cursor.u8() != 1:
            raise FormatError("no object header here", offset=self.base + address)
        cursor.skip(1 + 2 + 4)  # how many messages there are is not believed: the HDF5 library reads all that it meets
        size = cursor.u32()
        cursor.skip(4)
        blocks = [(cursor.offset, size)]
        known: set[int] = set()
        while blocks:
            start, length = blocks.pop(0)
            if start in known:
                continue
            known.add(start)
            cursor = Cursor(self.reader, start, start + length)
            while cursor.left >= 8:
                self.spend()
                kind, size = cursor.u16(), cursor.u16()
                flags = cursor.u8()
                cursor.skip(3)
                place = cursor.offset
                cursor.skip(size)
                if kind == 0x10:
                    blocks.append(self._continuation(place, size))
                elif kind:
                    yield Message(kind, place, size, shared=bool(flags & _SHARED))

    def _continuation(self, place: int, size: int) -> tuple[int, int]:
        cursor = Cursor(self.reader, place, place + size)
        address = self.address(cursor)
        if address is None:
            raise FormatError("a header continues nowhere", offset=place)
        return self.base + address, self.length(cursor)

    def _messages2(self, cursor: Cursor) -> Iterator[Message]:
        head = cursor.offset - 4
        if cursor.u8() != 2:
            raise FormatError("an object header of unknown version", offset=cursor.offset - 1)
        flags = cursor.u8()
        cursor.skip((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
        size = cursor.uint(1 << (flags & 3))
        self.check(head, cursor.offset + size - head)
        blocks = [(cursor.offset, size)]
        known: set[int] = set()
        while blocks:
            start, length = blocks.pop(0)
            if start in known:
                continue
            known.add(start)
            cursor = Cursor(self.reader, start, start + length)
            while cursor.left >= 4 + (2 if flags & 4 else 0):
                self.spend()
                kind, size = cursor.u8(), cursor.u16()
                shared = cursor.u8() & _SHARED
                cursor.skip(2 if flags & 4 else 0)
                place = cursor.offset
                cursor.skip(size)
                if kind == 0x10:
                    begin, length = self._continuation(place, size)
                    block = Cursor(self.reader, begin)
                    expect(block, b"OCHK")
                    self.check(begin, length - 4)
                    blocks.append((begin + 4, length - 8))
                elif kind:
                    yield Message(kind, place, size, shared=bool(shared))

    def content(self, message: Message) -> Cursor:
        """Return a cursor over what a message says, wherever that lies."""
        return self._content(message, 0)

    def _content(self, message: Message, depth: int) -> Cursor:
        cursor = Cursor(self.reader, message.place, message.place + message.length)
        return self._elsewhere(message.kind, cursor, depth) if message.shared else cursor

    def _elsewhere(self, kind: int, cursor: Cursor, depth: int = 0) -> Cursor:
        """Follow a shared message: into a heap, or to an object that has the message (specification, IV.A.1.a)."""
        version, how = cursor.u8(), cursor.u8()
        if version not in {1, 2, 3} or depth > 4:
            raise FormatError("a shared message that leads nowhere", offset=cursor.offset - 2)
        if version > 1 and how == 1:
            return self._shared_object(kind, cursor.take(8))
        if version == 1:
            cursor.skip(6 + self.length_size)
        address = self.address(cursor)
        if address is not None:
            for message in self.messages(address):
                if message.kind == kind:
                    return self._content(message, depth + 1)
        raise FormatError("a shared message is missing from the object that should have it", offset=cursor.offset)

    def _shared_object(self, kind: int, identifier: bytes) -> Cursor:
        if self._shared_heaps is None:
            self._shared_heaps = list(self._find_shared_heaps())
        for kinds, heap in self._shared_heaps:
            if kinds >> kind & 1:
                return heap.find(identifier)
        raise FormatError("there is no heap of shared messages", offset=self.base)

    def _find_shared_heaps(self) -> Iterator[tuple[int, FractalHeap]]:
        """Yield (kinds of messages, one bit each; the heap that has them)."""
        if self._extension is None:
            return
        for message in self.messages(self._extension):
            if message.kind != 0x0F:
                continue
            cursor = self.content(message)
            cursor.skip(1)
            address, count = self.address(cursor), cursor.u8()
            if address is None:
                return
            table = self.cursor(address)
            self.check(table.offset, 4 + count * (14 + 2 * self.offset_size))
            expect(table, b"SMTB")
            for _ in range(count):
                table.skip(2)
                kinds = table.u16()
                table.skip(4 + 2 + 2 + 2 + self.offset_size)
                heap = self.address(table)
                if heap is not None:
                    yield kinds, FractalHeap(self, heap)
            return

    # Groups

    def symbols(self, cursor: Cursor) -> Iterator[Link]:
        """Yield the links of an old group: a B-tree of symbol tables, names in a local heap."""
        tree, heap = self.address(cursor), self.address(cursor)
        if tree is None or heap is None:
            return
        names = self.local_heap(heap)
        pending = [(tree, 0)]
        known: set[int] = set()
        while pending:
            address, depth = pending.pop()
            if address in known or depth > MAXIMUM_DEPTH:
                raise FormatError("a group's tree leads back into itself", offset=self.base + address)
            known.add(address)
            node = self.cursor(address)
            signature = node.take(4)
            if signature == b"SNOD":
                yield from self._symbol_table(node, names)
                continue
            if signature != b"TREE":
                raise FormatError("a group's tree is broken", offset=self.base + address)
            node.skip(2)
            used = node.u16()
            node.skip(2 * self.offset_size)
            for _ in range(used):
                self.spend()
                node.skip(self.length_size)
                child = self.address(node)
                if child is not None:
                    pending.append((child, depth + 1))

    def local_heap(self, address: int) -> tuple[int, int]:
        """Return (address, size) of a heap of names."""
        cursor = self.cursor(address)
        expect(cursor, b"HEAP")
        cursor.skip(4)
        size = self.length(cursor)
        cursor.skip(self.length_size)
        data = self.address(cursor)
        if data is None:
            raise FormatError("a heap without data", offset=self.base + address)
        return data, size

    def heap_text(self, heap: tuple[int, int], offset: int) -> str:
        """Return a name from such a heap."""
        data, size = heap
        if offset >= size:
            raise FormatError("a name lies outside its heap", offset=self.base + data)
        raw = self.reader.read_at(self.base + data + offset, min(size - offset, 256))
        if b"\0" not in raw and size - offset > len(raw):
            raw = self.reader.read_at(self.base + data + offset, min(size - offset, _MAXIMUM_NAME))
            if b"\0" not in raw and size - offset > len(raw):
                raise LimitExceeded("text", f"a name of more than {_MAXIMUM_NAME} bytes")
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    def _symbol_table(self, node: Cursor, names: tuple[int, int]) -> Iterator[Link]:
        node.skip(2)
        for _ in range(node.u16()):
            self.spend()
            name = self.heap_text(names, self.length(node))
            address = self.address(node)
            kind = node.u32()
            node.skip(4)
            scratch = Cursor(BytesReader(node.take(16)))
            if kind == 2:
                yield Link(name, None, path=self.heap_text(names, scratch.u32()))
            else:
                yield Link(name, address)

    def link(self, cursor: Cursor) -> Link:
        """Read a link message."""
        if cursor.u8() != 1:
            raise FormatError("a link message of unknown version", offset=cursor.offset - 1)
        flags = cursor.u8()
        kind = cursor.u8() if flags & 8 else 0
        cursor.skip((8 if flags & 4 else 0) + (1 if flags & 0x10 else 0))
        name = cursor.take(min(cursor.uint(1 << (flags & 3)), 65536)).decode("utf-8", "replace")
        if kind == 0:
            return Link(name, self.address(cursor))
        content = cursor.take(cursor.u16())
        if kind == 64:
            parts = content[1:].split(b"\0")
            file = parts[0].decode("utf-8", "replace")
            return Link(name, None, file=file, path=parts[1].decode("utf-8", "replace") if len(parts) > 1 else "")
        return Link(name, None, path=content.decode("utf-8", "replace"))

    def dense_links(self, cursor: Cursor) -> Iterator[Link]:
        """Yield the links that a link info message leads to."""
        cursor.skip(1)
        cursor.skip(8 if cursor.u8() & 1 else 0)
        for found in self._dense(cursor):
            yield self.link(found)

    def dense_attributes(self, cursor: Cursor) -> Iterator[Cursor]:
        """Yield a cursor at every attribute that an attribute info message leads to."""
        cursor.skip(1)
        cursor.skip(2 if cursor.u8() & 1 else 0)
        yield from self._dense(cursor)

    def _dense(self, cursor: Cursor) -> Iterator[Cursor]:
        heap_address, tree_address = self.address(cursor), self.address(cursor)
        if heap_address is None or tree_address is None:
            return
        heap = FractalHeap(self, heap_address)
        tree = records(self, tree_address)
        start, length = _IDENTIFIERS.get(tree.kind, (0, 0))
        if not length or tree.size < start + length + (tree.kind > 6):
            raise FormatError(f"a tree of kind {tree.kind} where names were expected", offset=self.base + tree_address)
        for record in tree.rows:
            identifier = record[start : start + length]
            if tree.kind > 6 and record[start + length] & _SHARED:
                yield self._shared_object(_ATTRIBUTE, identifier)
            else:
                yield heap.find(identifier)

    # Attributes

    def attribute(self, cursor: Cursor) -> Attribute:
        """Read an attribute message."""
        version, flags = cursor.u8(), cursor.u8()
        if version not in {1, 2, 3}:
            raise FormatError(f"an attribute of unknown version {version}", offset=cursor.offset - 2)
        sizes = (cursor.u16(), cursor.u16(), cursor.u16())
        if version == 3:
            cursor.skip(1)
        padded = [-(-size // 8) * 8 if version == 1 else size for size in sizes]
        name = cursor.take(padded[0])[: sizes[0]].split(b"\0", 1)[0].decode("utf-8", "replace")
        kind_place = cursor.offset
        type_message = Cursor(cursor.reader, kind_place, kind_place + sizes[1])
        shape_message = Cursor(cursor.reader, kind_place + padded[1], kind_place + padded[1] + sizes[2])
        if version > 1 and flags & 1:
            type_message = self._elsewhere(0x03, type_message)
        if version > 1 and flags & 2:
            shape_message = self._elsewhere(0x01, shape_message)
        kind, shape = self.datatype(type_message), self.dataspace(shape_message)
        cursor.skip(padded[1] + padded[2])
        return Attribute(name, iter(()) if shape is None else self._texts(cursor, kind, shape))

    def _texts(self, cursor: Cursor, kind: Type, shape: tuple[int, ...]) -> Iterator[Text]:
        if kind.kind != 3 and not kind.variable_text:
            return
        count = math.prod(shape)
        if count > MAXIMUM_ELEMENTS:
            raise LimitExceeded("text", f"an attribute of {count} texts")
        for _ in range(count):
            if kind.kind == 3:
                place = cursor.offset
                cursor.skip(kind.size)
                yield Text(cursor.reader, place, kind.size)
            else:
                length = cursor.u32()
                heap, index = self.address(cursor), cursor.u32()
                if heap and length:
                    place, size = self.global_heap(heap, index)
                    yield Text(self.reader, place, min(size, length))

    def global_heap(self, address: int, index: int) -> tuple[int, int]:
        """Return (place, length) of an object in a global heap."""
        objects = self._collections.get(address)
        if objects is None:
            objects = self._collections[address] = dict(self._collection(address))
        if index not in objects:
            raise FormatError(f"object {index} is missing from its heap", offset=self.base + address)
        return objects[index]

    def _collection(self, address: int) -> Iterator[tuple[int, tuple[int, int]]]:
        cursor = self.cursor(address)
        expect(cursor, b"GCOL")
        cursor.skip(4)
        size = self.length(cursor)
        end = min(self.base + address + size, self.reader.size)
        known: set[int] = set()
        padding = -self.length_size % 8  # headers end at multiples of eight, whatever a length takes
        cursor.skip(min(padding, cursor.left))
        while cursor.offset + 8 + self.length_size + padding <= end:
            self.spend()
            start = cursor.offset
            number = cursor.u16()
            cursor.skip(6)
            length = self.length(cursor)
            cursor.skip(padding)
            if number in known:
                raise FormatError(f"a heap has two objects {number}", offset=start)
            known.add(number)
            if number:
                yield number, (cursor.offset, length)
                cursor.skip(min(-(-length // 8) * 8, cursor.left))
            elif length < 8 + self.length_size + padding:
                break  # what is free, its own header counted
            else:
                cursor.offset = min(start + length, cursor.end)

    # Datasets

    def datatype(self, cursor: Cursor) -> Type:
        """Read the first fields of a datatype message."""
        kind = cursor.u8() & 15
        bits = cursor.take(3)
        size = cursor.u32()
        return Type(kind, size, kind == 9 and bits[0] & 15 == 1)

    def dataspace(self, cursor: Cursor) -> tuple[int, ...] | None:
        """Read a shape; None where there is none at all."""
        shape = self.shape(cursor)
        return None if shape is None else shape.now

    def shape(self, cursor: Cursor) -> Shape | None:
        """Read a shape and how far it may grow; None where there is none at all."""
        version, rank = cursor.u8(), cursor.u8()
        flags = cursor.u8()
        if version == 1:
            cursor.skip(5)
        elif version == 2:
            if cursor.u8() == 2:
                return None
        else:
            raise FormatError(f"a dataspace of unknown version {version}", offset=cursor.offset)
        now = tuple(self.length(cursor) for _ in range(rank))
        if not flags & 1:
            return Shape(now, now)
        endless = (1 << 8 * self.length_size) - 1
        most = tuple(self.length(cursor) for _ in range(rank))
        if any(length > limit for length, limit in zip(now, most, strict=True)):
            raise FormatError("a dataspace larger than the most it may be", offset=cursor.offset)
        return Shape(now, tuple(None if length == endless else length for length in most))
