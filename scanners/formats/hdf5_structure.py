"""The structure of an HDF5 file: superblocks 0 to 3, old groups (symbol tables) and new ones, attributes, heaps.

Source: "HDF5 File Format Specification Version 3.0": new groups are link messages and fractal heaps; attributes are
compact or dense; text of variable length lies in the global heap. What it means that something is there is for others
to say: the scan states it, the conversion refuses it or copies it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded
from scanners.reader import BytesReader, Reader

MAXIMUM_OBJECTS = 500_000
MAXIMUM_RECORDS = 4_000_000
MAXIMUM_DEPTH = 64
MAXIMUM_ELEMENTS = 4096


@dataclass(frozen=True, slots=True)
class Type:
    """A datatype, as far as text has to be told from numbers."""

    kind: int
    size: int
    variable_text: bool


@dataclass(frozen=True, slots=True)
class Link:
    """A named way from a group to an object, to a path, or to another file."""

    name: str
    address: int | None
    file: str | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A part of an object's header."""

    kind: int
    place: int
    length: int
    shared: bool = False
    """lies elsewhere, which is not followed"""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named value of an object."""

    name: str
    texts: Iterator[tuple[int, int]]
    """(place, length) of every text it holds"""
    followed: bool = True
    """whether its type is known: a shared type is not followed"""


class Structure:
    """Finds its way in one file; what is found is up to its caller."""

    def __init__(self, reader: Reader, start: int) -> None:
        self.reader = reader
        self._start = start
        self.base = start
        self._offsets = self._lengths = 8
        self._records = 0

    # Places and numbers

    def cursor(self, address: int, length: int | None = None) -> Cursor:
        """Return a cursor at an address."""
        place = self.base + address
        if not 0 <= place < self.reader.size:
            raise FormatError(f"address {address} lies outside the file", offset=self._start)
        return Cursor(self.reader, place, None if length is None else place + length)

    def address(self, cursor: Cursor) -> int | None:
        """Read an address; None where it is undefined."""
        value = cursor.uint(self._offsets)
        return None if value == (1 << 8 * self._offsets) - 1 else value

    def length(self, cursor: Cursor) -> int:
        """Read a length."""
        return cursor.uint(self._lengths)

    def spend(self) -> None:
        """Account for one record more."""
        self._records += 1
        if self._records > MAXIMUM_RECORDS:
            raise LimitExceeded("members", f"more than {MAXIMUM_RECORDS} HDF5 records")

    @staticmethod
    def _expect(cursor: Cursor, signature: bytes) -> None:
        if cursor.take(4) != signature:
            raise FormatError(f"{signature.decode()} expected", offset=cursor.offset - 4)

    # Objects

    def find_root(self) -> int:
        """Read the superblock; return the address of the root group."""
        cursor = Cursor(self.reader, self._start + 8)
        version = cursor.u8()
        if version in {0, 1}:
            cursor.skip(4)
            self._sizes(cursor)
            cursor.skip(1 + 4 + 4 + (4 if version else 0))
            base = self.address(cursor)
            cursor.skip(self._offsets * 3)
            cursor.skip(self._offsets)
            root = self.address(cursor)
        elif version in {2, 3}:
            self._sizes(cursor)
            cursor.skip(1)
            base = self.address(cursor)
            cursor.skip(self._offsets * 2)
            root = self.address(cursor)
        else:
            raise FormatError(f"superblock version {version} is unknown (0 to 3 are read)", offset=self._start + 8)
        self.base = base or self._start
        if root is None:
            raise FormatError("there is no root group", offset=self._start)
        return root

    def _sizes(self, cursor: Cursor) -> None:
        self._offsets, self._lengths = cursor.u8(), cursor.u8()
        if self._offsets not in {2, 4, 8, 16} or self._lengths not in {2, 4, 8, 16}:
            raise FormatError(
                f"addresses of {self._offsets} and lengths of {self._lengths} bytes", offset=cursor.offset
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
        cursor.skip(1)
        count = cursor.u16()
        cursor.skip(4)
        size = cursor.u32()
        cursor.skip(4)
        blocks = [(cursor.offset, size)]
        known: set[int] = set()
        while blocks and count > 0:
            start, length = blocks.pop(0)
            if start in known:
                continue
            known.add(start)
            cursor = Cursor(self.reader, start, start + length)
            while cursor.left >= 8 and count > 0:
                self.spend()
                count -= 1
                kind, size = cursor.u16(), cursor.u16()
                flags = cursor.u8()
                cursor.skip(3)
                place = cursor.offset
                cursor.skip(size)
                if kind == 0x10:
                    blocks.append(self._continuation(place, size))
                else:
                    yield Message(kind, place, size, shared=bool(flags & 2))

    def _continuation(self, place: int, size: int) -> tuple[int, int]:
        cursor = Cursor(self.reader, place, place + size)
        address = self.address(cursor)
        if address is None:
            raise FormatError("a header continues nowhere", offset=place)
        return self.base + address, self.length(cursor)

    def _messages2(self, cursor: Cursor) -> Iterator[Message]:
        if cursor.u8() != 2:
            raise FormatError("an object header of unknown version", offset=cursor.offset - 1)
        flags = cursor.u8()
        cursor.skip((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
        size = cursor.uint(1 << (flags & 3))
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
                shared = cursor.u8() & 2
                cursor.skip(2 if flags & 4 else 0)
                place = cursor.offset
                cursor.skip(size)
                if kind == 0x10:
                    begin, length = self._continuation(place, size)
                    block = Cursor(self.reader, begin)
                    self._expect(block, b"OCHK")
                    blocks.append((begin + 4, length - 8))
                elif kind:
                    yield Message(kind, place, size, shared=bool(shared))

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
            node.skip(2 * self._offsets)
            for _ in range(used):
                self.spend()
                node.skip(self._lengths)
                child = self.address(node)
                if child is not None:
                    pending.append((child, depth + 1))

    def local_heap(self, address: int) -> tuple[int, int]:
        """Return (address, size) of a heap of names."""
        cursor = self.cursor(address)
        self._expect(cursor, b"HEAP")
        cursor.skip(4)
        size = self.length(cursor)
        cursor.skip(self._lengths)
        data = self.address(cursor)
        if data is None:
            raise FormatError("a heap without data", offset=self.base + address)
        return data, size

    def heap_text(self, heap: tuple[int, int], offset: int) -> str:
        """Return a name from such a heap."""
        data, size = heap
        if offset >= size:
            raise FormatError("a name lies outside its heap", offset=self.base + data)
        raw = self.reader.read_at(self.base + data + offset, min(size - offset, 4096))
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    def _symbol_table(self, node: Cursor, names: tuple[int, int]) -> Iterator[Link]:
        node.skip(2)
        for _ in range(node.u16()):
            self.spend()
            name = self.heap_text(names, node.uint(self._offsets))
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

    def dense(self, cursor: Cursor, flag: int, width: int) -> Iterator[Link]:
        """Yield the links of a dense group."""
        for found in self.dense_places(cursor, flag, width):
            yield self.link(found)

    def dense_places(self, cursor: Cursor, flag: int, width: int) -> Iterator[Cursor]:
        """Yield a cursor at every object of a dense group or of dense attributes."""
        cursor.skip(1)
        flags = cursor.u8()
        cursor.skip(width if flags & flag else 0)
        heap_address, tree_address = self.address(cursor), self.address(cursor)
        if heap_address is None or tree_address is None:
            return
        heap = _FractalHeap(self, heap_address)
        for identifier in self._tree2(tree_address):
            yield heap.find(identifier)

    def _tree2(self, address: int) -> Iterator[bytes]:
        """Yield the heap identifiers in a version 2 B-tree."""
        cursor = self.cursor(address)
        self._expect(cursor, b"BTHD")
        cursor.skip(1)
        kind = cursor.u8()
        node_size, record_size, depth = cursor.u32(), cursor.u16(), cursor.u16()
        cursor.skip(2)
        root = self.address(cursor)
        count = cursor.u16()
        start, length = {5: (4, 7), 6: (8, 7), 8: (0, 8), 9: (0, 8)}.get(kind, (0, 0))
        if not length or record_size < start + length or depth > 16:
            raise FormatError(f"a tree of kind {kind} where names were expected", offset=self.base + address)
        if root is None:
            return
        # Bytes that count the records of a child, and of everything below it (specification, III.A.2).
        most = [(node_size - 10) // record_size]
        total = [most[0]]
        pending = [(root, count, depth)]
        known: set[int] = set()
        for level in range(1, depth + 1):
            pointer = self._offsets + _bytes_for(most[0]) + (_bytes_for(total[-1]) if level > 1 else 0)
            most.append(max(0, (node_size - 10 - pointer) // (record_size + pointer)))
            total.append((most[-1] + 1) * total[-1] + most[-1])
        while pending:
            place, records, level = pending.pop()
            if place in known:
                raise FormatError("a tree leads back into itself", offset=self.base + place)
            known.add(place)
            node = self.cursor(place)
            self._expect(node, b"BTIN" if level else b"BTLF")
            node.skip(2)
            for _ in range(records):
                self.spend()
                record = node.take(record_size)
                yield record[start : start + length]
            if level:
                for _ in range(records + 1):
                    child = self.address(node)
                    inside = node.uint(_bytes_for(most[level - 1]))
                    node.skip(_bytes_for(total[level - 1]) if level > 1 else 0)
                    if child is not None:
                        pending.append((child, inside, level - 1))

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
        kind_place, shape_place = cursor.offset, cursor.offset + padded[1]
        if version > 1 and flags & 3:
            return Attribute(name, iter(()), followed=False)
        kind = self.datatype(Cursor(self.reader, kind_place, kind_place + sizes[1]))
        shape = self.dataspace(Cursor(self.reader, shape_place, shape_place + sizes[2]))
        cursor.skip(padded[1] + padded[2])
        return Attribute(name, iter(()) if shape is None else self._texts(cursor, kind, shape))

    def _texts(self, cursor: Cursor, kind: Type, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        count = min(math.prod(shape), MAXIMUM_ELEMENTS)
        for _ in range(count):
            if kind.kind == 3:
                place = cursor.offset
                cursor.skip(kind.size)
                yield place, kind.size
            elif kind.variable_text:
                length = cursor.u32()
                heap, index = self.address(cursor), cursor.u32()
                if heap and length:
                    place, size = self.global_heap(heap, index)
                    yield place, min(size, length)
            else:
                break

    def global_heap(self, address: int, index: int) -> tuple[int, int]:
        """Return (place, length) of an object in a global heap."""
        cursor = self.cursor(address)
        self._expect(cursor, b"GCOL")
        cursor.skip(4)
        size = self.length(cursor)
        end = self.base + address + size
        while cursor.offset + 8 + self._lengths <= min(end, self.reader.size):
            self.spend()
            number = cursor.u16()
            cursor.skip(6)
            length = self.length(cursor)
            if number == index:
                return cursor.offset, length
            if number == 0:
                break
            cursor.skip(-(-length // 8) * 8)
        raise FormatError(f"object {index} is missing from its heap", offset=self.base + address)

    # Datasets

    def datatype(self, cursor: Cursor) -> Type:
        """Read the first fields of a datatype message."""
        kind = cursor.u8() & 15
        bits = cursor.take(3)
        size = cursor.u32()
        return Type(kind, size, kind == 9 and bits[0] & 15 == 1)

    def dataspace(self, cursor: Cursor) -> tuple[int, ...] | None:
        """Read a shape; None where there is none at all."""
        version, rank = cursor.u8(), cursor.u8()
        cursor.skip(1)
        if version == 1:
            cursor.skip(5)
        elif version == 2:
            if cursor.u8() == 2:
                return None
        else:
            raise FormatError(f"a dataspace of unknown version {version}", offset=cursor.offset)
        return tuple(self.length(cursor) for _ in range(rank))

    @property
    def offset_size(self) -> int:
        """Bytes of an address."""
        return self._offsets

    @property
    def length_size(self) -> int:
        """Bytes of a length."""
        return self._lengths


class _FractalHeap:
    """Objects in a fractal heap, found by identifier. Filtered and huge objects are not followed."""

    def __init__(self, file: Structure, address: int) -> None:
        self._file = file
        cursor = file.cursor(address)
        if cursor.take(4) != b"FRHP":
            raise FormatError("a fractal heap is missing", offset=cursor.offset - 4)
        cursor.skip(1)
        cursor.skip(2)
        self._filters = cursor.u16()
        cursor.skip(1)
        managed = cursor.u32()
        file.length(cursor)
        file.address(cursor)
        file.length(cursor)
        file.address(cursor)
        for _ in range(8):
            file.length(cursor)
        self._width = cursor.u16()
        self._starting = file.length(cursor)
        direct = file.length(cursor)
        self._bits = cursor.u16()
        cursor.skip(2)
        self._root = file.address(cursor)
        self._rows = cursor.u16()
        if not self._width or not self._starting or not direct or self._bits > 64 or self._rows > 64:
            raise FormatError("a fractal heap of impossible dimensions", offset=cursor.offset)
        self._direct_rows = (direct // self._starting).bit_length() + 1
        self._offset_bytes = -(-self._bits // 8)
        self._length_bytes = _bytes_for(min(managed, direct))

    def find(self, identifier: bytes) -> Cursor:
        """Return a cursor over one object."""
        kind = identifier[0] >> 4 & 3
        if kind == 2:
            length = (identifier[0] & 15) + 1
            return Cursor(BytesReader(identifier[1 : 1 + length]))
        if kind or self._filters:
            raise LimitExceeded("structure", "huge or filtered objects of a fractal heap are not read")
        offset = int.from_bytes(identifier[1 : 1 + self._offset_bytes], "little")
        start = 1 + self._offset_bytes
        length = int.from_bytes(identifier[start : start + self._length_bytes], "little")
        block, inside = self._block(offset)
        cursor = self._file.cursor(block)
        cursor.skip(inside)
        cursor.end = min(cursor.end, cursor.offset + length)
        return cursor

    def _block(self, offset: int) -> tuple[int, int]:
        """Return (address of the direct block, offset inside it) for an offset into the heap."""
        address, rows, base = self._root, self._rows, 0
        for _ in range(64):
            if address is None:
                break
            if rows == 0:
                return address, offset - base
            row, column, start, size = self._cell(offset - base)
            if row >= rows:
                break
            cursor = self._file.cursor(address)
            cursor.skip(5 + self._file.offset_size + self._offset_bytes)
            cursor.skip((row * self._width + column) * self._file.offset_size)
            address = self._file.address(cursor)
            base += start
            rows = 0 if row < self._direct_rows else max(1, (size // self._starting // self._width).bit_length())
        raise FormatError("an object lies outside its fractal heap")

    def _cell(self, offset: int) -> tuple[int, int, int, int]:
        """Return (row, column, start, block size) of the doubling table's cell that holds an offset."""
        start, size = 0, self._starting
        for row in range(64):
            span = size * self._width
            if offset < start + span:
                column = (offset - start) // size
                return row, column, start + column * size, size
            start += span
            if row:
                size *= 2
        raise FormatError("an object lies outside its fractal heap")


def _bytes_for(value: int) -> int:
    return max(1, -(-value.bit_length() // 8))
