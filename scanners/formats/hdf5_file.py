"""The inside of an HDF5 file: superblocks 0 to 3, old groups (symbol tables) and new ones, attributes, heaps.

Source: "HDF5 File Format Specification Version 3.0": new groups are link messages and fractal heaps; attributes are
compact or dense; text of variable length lies in the global heap.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded, ScanError
from scanners.facts import Reference, Tensor
from scanners.formats.hdf5 import KERAS_CONFIG
from scanners.reader import BytesReader, Window
from scanners.reading import Blob, Reading

MAXIMUM_OBJECTS = 500_000
MAXIMUM_RECORDS = 4_000_000
MAXIMUM_DEPTH = 64
MAXIMUM_ATTRIBUTE = 64 << 20
MAXIMUM_ELEMENTS = 4096
_BOMB = 1 << 31
_RATIO = 200
_CLASSES = {0: "int", 1: "float", 2: "time", 3: "string", 4: "bits", 5: "opaque", 6: "compound", 7: "reference",
            8: "enum", 9: "variable", 10: "array", 11: "complex"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Type:
    """A datatype, as far as text has to be told from numbers."""

    kind: int
    size: int
    variable_text: bool


@dataclass(frozen=True, slots=True)
class _Link:
    """A named way from a group to an object, to a path, or to another file."""

    name: str
    address: int | None
    file: str | None = None
    path: str = ""


class File:
    """One pass over one file."""

    def __init__(self, blob: Blob, reading: Reading, start: int) -> None:
        self._blob = blob
        self._reading = reading
        self._start = start
        self._base = start
        self._offsets = self._lengths = 8
        self._records = 0
        self._seen: set[int] = set()
        self._queue: list[tuple[str, int]] = []

    # Places and numbers

    def _cursor(self, address: int, length: int | None = None) -> Cursor:
        place = self._base + address
        if not 0 <= place < self._blob.reader.size:
            raise FormatError(f"address {address} lies outside the file", offset=self._start)
        return Cursor(self._blob.reader, place, None if length is None else place + length)

    def _address(self, cursor: Cursor) -> int | None:
        value = cursor.uint(self._offsets)
        return None if value == (1 << 8 * self._offsets) - 1 else value

    def _length(self, cursor: Cursor) -> int:
        return cursor.uint(self._lengths)

    def _spend(self) -> None:
        self._records += 1
        if self._records > MAXIMUM_RECORDS:
            raise LimitExceeded("members", f"more than {MAXIMUM_RECORDS} HDF5 records")

    @staticmethod
    def _expect(cursor: Cursor, signature: bytes) -> None:
        if cursor.take(4) != signature:
            raise FormatError(f"{signature.decode()} expected", offset=cursor.offset - 4)

    # The walk

    def read(self) -> None:
        root = self._root()
        self._queue = [("/", root)]
        failed: ScanError | None = None
        while self._queue:
            path, address = self._queue.pop()
            if address in self._seen:
                continue
            self._seen.add(address)
            if len(self._seen) > MAXIMUM_OBJECTS:
                raise LimitExceeded("members", f"more than {MAXIMUM_OBJECTS} HDF5 objects")
            try:
                self._object(path, address)
            except FormatError as error:
                failed = failed or error  # one broken object does not hide the others
        if failed is not None:
            raise failed

    def _root(self) -> int:
        cursor = Cursor(self._blob.reader, self._start + 8)
        version = cursor.u8()
        if version in {0, 1}:
            cursor.skip(4)
            self._sizes(cursor)
            cursor.skip(1 + 4 + 4 + (4 if version else 0))
            base = self._address(cursor)
            cursor.skip(self._offsets * 3)
            cursor.skip(self._offsets)
            root = self._address(cursor)
        elif version in {2, 3}:
            self._sizes(cursor)
            cursor.skip(1)
            base = self._address(cursor)
            cursor.skip(self._offsets * 2)
            root = self._address(cursor)
        else:
            raise FormatError(f"superblock version {version} is unknown (0 to 3 are read)", offset=self._start + 8)
        self._base = base or self._start
        if root is None:
            raise FormatError("there is no root group", offset=self._start)
        return root

    def _sizes(self, cursor: Cursor) -> None:
        self._offsets, self._lengths = cursor.u8(), cursor.u8()
        if self._offsets not in {2, 4, 8, 16} or self._lengths not in {2, 4, 8, 16}:
            raise FormatError(
                f"addresses of {self._offsets} and lengths of {self._lengths} bytes", offset=cursor.offset
            )

    def _object(self, path: str, address: int) -> None:
        shape: tuple[int, ...] | None = None
        kind: _Type | None = None
        layout: tuple[str, int | None, int] | None = None
        for message, place, length in self._messages(address):
            cursor = Cursor(self._blob.reader, place, place + length)
            match message:
                case 0x01:
                    shape = self._dataspace(cursor)
                case 0x02:
                    self._follow(path, self._dense(cursor, 1, 8))
                case 0x03:
                    kind = self._datatype(cursor)
                case 0x06:
                    self._follow(path, [self._link(cursor)])
                case 0x07:
                    self._external_files(path, cursor)
                case 0x08:
                    layout = self._layout(path, cursor)
                case 0x0C:
                    self._attribute(path, cursor)
                case 0x11:
                    self._follow(path, self._symbols(cursor))
                case 0x15:
                    for found in self._dense_places(cursor, 1, 2):
                        self._attribute(path, found)
                case _:
                    pass
        if shape is not None and kind is not None and layout is not None:
            self._dataset(path, address, shape, kind, layout)

    def _messages(self, address: int) -> Iterator[tuple[int, int, int]]:
        """Yield (type, place, length) of an object header's messages, continuation blocks included."""
        head = self._cursor(address)
        if head.take(4) == b"OHDR":
            yield from self._messages2(head)
            return
        cursor = self._cursor(address)
        if cursor.u8() != 1:
            raise FormatError("no object header here", offset=self._base + address)
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
            cursor = Cursor(self._blob.reader, start, start + length)
            while cursor.left >= 8 and count > 0:
                self._spend()
                count -= 1
                kind, size = cursor.u16(), cursor.u16()
                flags = cursor.u8()
                cursor.skip(3)
                place = cursor.offset
                cursor.skip(size)
                if kind == 0x10:
                    blocks.append(self._continuation(place, size))
                elif flags & 2:
                    self._shared(kind)
                else:
                    yield kind, place, size

    def _continuation(self, place: int, size: int) -> tuple[int, int]:
        cursor = Cursor(self._blob.reader, place, place + size)
        address = self._address(cursor)
        if address is None:
            raise FormatError("a header continues nowhere", offset=place)
        return self._base + address, self._length(cursor)

    def _messages2(self, cursor: Cursor) -> Iterator[tuple[int, int, int]]:
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
            cursor = Cursor(self._blob.reader, start, start + length)
            while cursor.left >= 4 + (2 if flags & 4 else 0):
                self._spend()
                kind, size = cursor.u8(), cursor.u16()
                shared = cursor.u8() & 2
                cursor.skip(2 if flags & 4 else 0)
                place = cursor.offset
                cursor.skip(size)
                if kind == 0x10:
                    begin, length = self._continuation(place, size)
                    block = Cursor(self._blob.reader, begin)
                    self._expect(block, b"OCHK")
                    blocks.append((begin + 4, length - 8))
                elif shared:
                    self._shared(kind)
                elif kind:
                    yield kind, place, size

    def _shared(self, kind: int) -> None:
        """A message that lies elsewhere: types may, attributes and links never do in ordinary files."""
        if kind in {0x02, 0x06, 0x07, 0x0C, 0x11, 0x15}:
            self._reading.unread("an attribute or link is a shared message, which is not followed")

    # Groups

    def _follow(self, path: str, links: "Iterator[_Link] | list[_Link]") -> None:
        for link in links:
            self._spend()
            inner = f"{path.rstrip('/')}/{link.name}"
            if link.file is not None:
                self._reading.state(
                    Reference(
                        location=self._reading.at(),
                        kind="hdf5-external-link",
                        target=link.file[:1024],
                        context=inner[:400],
                    )
                )
            elif link.address is not None:
                if inner.count("/") > MAXIMUM_DEPTH * 4:
                    raise LimitExceeded("depth", "groups are nested too deeply")
                self._queue.append((inner, link.address))

    def _symbols(self, cursor: Cursor) -> Iterator[_Link]:
        """Yield the links of an old group: a B-tree of symbol tables, names in a local heap."""
        tree, heap = self._address(cursor), self._address(cursor)
        if tree is None or heap is None:
            return
        names = self._local_heap(heap)
        pending = [(tree, 0)]
        known: set[int] = set()
        while pending:
            address, depth = pending.pop()
            if address in known or depth > MAXIMUM_DEPTH:
                raise FormatError("a group's tree leads back into itself", offset=self._base + address)
            known.add(address)
            node = self._cursor(address)
            signature = node.take(4)
            if signature == b"SNOD":
                yield from self._symbol_table(node, names)
                continue
            if signature != b"TREE":
                raise FormatError("a group's tree is broken", offset=self._base + address)
            node.skip(2)
            used = node.u16()
            node.skip(2 * self._offsets)
            for _ in range(used):
                self._spend()
                node.skip(self._lengths)
                child = self._address(node)
                if child is not None:
                    pending.append((child, depth + 1))

    def _local_heap(self, address: int) -> tuple[int, int]:
        cursor = self._cursor(address)
        self._expect(cursor, b"HEAP")
        cursor.skip(4)
        size = self._length(cursor)
        cursor.skip(self._lengths)
        data = self._address(cursor)
        if data is None:
            raise FormatError("a heap without data", offset=self._base + address)
        return data, size

    def _heap_text(self, heap: tuple[int, int], offset: int) -> str:
        data, size = heap
        if offset >= size:
            raise FormatError("a name lies outside its heap", offset=self._base + data)
        raw = self._blob.reader.read_at(self._base + data + offset, min(size - offset, 4096))
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    def _symbol_table(self, node: Cursor, names: tuple[int, int]) -> Iterator[_Link]:
        node.skip(2)
        for _ in range(node.u16()):
            self._spend()
            name = self._heap_text(names, node.uint(self._offsets))
            address = self._address(node)
            kind = node.u32()
            node.skip(4)
            scratch = Cursor(BytesReader(node.take(16)))
            if kind == 2:
                yield _Link(name, None, path=self._heap_text(names, scratch.u32()))
            else:
                yield _Link(name, address)

    def _link(self, cursor: Cursor) -> _Link:
        if cursor.u8() != 1:
            raise FormatError("a link message of unknown version", offset=cursor.offset - 1)
        flags = cursor.u8()
        kind = cursor.u8() if flags & 8 else 0
        cursor.skip((8 if flags & 4 else 0) + (1 if flags & 0x10 else 0))
        name = cursor.take(min(cursor.uint(1 << (flags & 3)), 65536)).decode("utf-8", "replace")
        if kind == 0:
            return _Link(name, self._address(cursor))
        content = cursor.take(cursor.u16())
        if kind == 64:
            parts = content[1:].split(b"\0")
            file = parts[0].decode("utf-8", "replace")
            return _Link(name, None, file=file, path=parts[1].decode("utf-8", "replace") if len(parts) > 1 else "")
        return _Link(name, None, path=content.decode("utf-8", "replace"))

    def _dense(self, cursor: Cursor, flag: int, width: int) -> Iterator[_Link]:
        for found in self._dense_places(cursor, flag, width):
            yield self._link(found)

    def _dense_places(self, cursor: Cursor, flag: int, width: int) -> Iterator[Cursor]:
        """Yield a cursor at every object of a dense group or of dense attributes."""
        cursor.skip(1)
        flags = cursor.u8()
        cursor.skip(width if flags & flag else 0)
        heap_address, tree_address = self._address(cursor), self._address(cursor)
        if heap_address is None or tree_address is None:
            return
        heap = _FractalHeap(self, heap_address)
        for identifier in self._tree2(tree_address):
            yield heap.find(identifier)

    def _tree2(self, address: int) -> Iterator[bytes]:
        """Yield the heap identifiers in a version 2 B-tree."""
        cursor = self._cursor(address)
        self._expect(cursor, b"BTHD")
        cursor.skip(1)
        kind = cursor.u8()
        node_size, record_size, depth = cursor.u32(), cursor.u16(), cursor.u16()
        cursor.skip(2)
        root = self._address(cursor)
        count = cursor.u16()
        start, length = {5: (4, 7), 6: (8, 7), 8: (0, 8), 9: (0, 8)}.get(kind, (0, 0))
        if not length or record_size < start + length or depth > 16:
            raise FormatError(f"a tree of kind {kind} where names were expected", offset=self._base + address)
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
                raise FormatError("a tree leads back into itself", offset=self._base + place)
            known.add(place)
            node = self._cursor(place)
            self._expect(node, b"BTIN" if level else b"BTLF")
            node.skip(2)
            for _ in range(records):
                self._spend()
                record = node.take(record_size)
                yield record[start : start + length]
            if level:
                for _ in range(records + 1):
                    child = self._address(node)
                    inside = node.uint(_bytes_for(most[level - 1]))
                    node.skip(_bytes_for(total[level - 1]) if level > 1 else 0)
                    if child is not None:
                        pending.append((child, inside, level - 1))

    # Attributes

    def _attribute(self, path: str, cursor: Cursor) -> None:
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
            self._reading.unread(f"the attribute {name[:100]!r} has a shared type, which is not followed")
            return
        kind = self._datatype(Cursor(self._blob.reader, kind_place, kind_place + sizes[1]))
        shape = self._dataspace(Cursor(self._blob.reader, shape_place, shape_place + sizes[2]))
        cursor.skip(padded[1] + padded[2])
        if shape is None:
            return
        count = min(math.prod(shape), MAXIMUM_ELEMENTS)
        for _ in range(count):
            if kind.kind == 3:
                place = cursor.offset
                cursor.skip(kind.size)
                self._text(path, name, place, kind.size)
            elif kind.variable_text:
                length = cursor.u32()
                heap, index = self._address(cursor), cursor.u32()
                if heap and length:
                    place, size = self._global_heap(heap, index)
                    self._text(path, name, place, min(size, length))
            else:
                break

    def _text(self, path: str, name: str, place: int, length: int) -> None:
        """Hand on a text attribute that a loader would parse."""
        if length > MAXIMUM_ATTRIBUTE:
            raise LimitExceeded("text", f"an attribute of {length} bytes")
        reader = self._blob.reader
        head = reader.read_at(place, min(length, 16)).lstrip()
        roles: frozenset[str] = frozenset()
        if head.startswith(b"{"):
            roles = frozenset({KERAS_CONFIG})
        elif not _looks_pickled(head, reader.read_at(place + max(0, length - 64), min(length, 64))):
            return
        self._reading.child(
            f"{name}.json" if roles else f"{name}.pickle",
            Window(reader, place, length),
            span=(place, length),
            stored=True,
            roles=roles,
            label=f"{path.rstrip('/')}@{name}",
        )

    def _global_heap(self, address: int, index: int) -> tuple[int, int]:
        cursor = self._cursor(address)
        self._expect(cursor, b"GCOL")
        cursor.skip(4)
        size = self._length(cursor)
        end = self._base + address + size
        while cursor.offset + 8 + self._lengths <= min(end, self._blob.reader.size):
            self._spend()
            number = cursor.u16()
            cursor.skip(6)
            length = self._length(cursor)
            if number == index:
                return cursor.offset, length
            if number == 0:
                break
            cursor.skip(-(-length // 8) * 8)
        raise FormatError(f"object {index} is missing from its heap", offset=self._base + address)

    # Datasets

    def _datatype(self, cursor: Cursor) -> _Type:
        kind = cursor.u8() & 15
        bits = cursor.take(3)
        size = cursor.u32()
        return _Type(kind, size, kind == 9 and bits[0] & 15 == 1)

    def _dataspace(self, cursor: Cursor) -> tuple[int, ...] | None:
        version, rank = cursor.u8(), cursor.u8()
        cursor.skip(1)
        if version == 1:
            cursor.skip(5)
        elif version == 2:
            if cursor.u8() == 2:
                return None
        else:
            raise FormatError(f"a dataspace of unknown version {version}", offset=cursor.offset)
        return tuple(self._length(cursor) for _ in range(rank))

    def _layout(self, path: str, cursor: Cursor) -> tuple[str, int | None, int]:
        version = cursor.u8()
        if version in {1, 2}:
            cursor.skip(1)
            kind = cursor.u8()
            cursor.skip(5)
            address = self._address(cursor) if kind else None
            return ("compact", "contiguous", "chunked")[min(kind, 2)], address, 0
        kind = cursor.u8()
        if kind == 0:
            return "compact", None, cursor.u16()
        if kind == 1:
            return "contiguous", self._address(cursor), self._length(cursor)
        if kind == 3:
            self._virtual(path, cursor)
            return "virtual", None, 0
        if version == 3:
            cursor.skip(1)
            return "chunked", self._address(cursor), 0
        return "chunked", 0, 0

    def _virtual(self, path: str, cursor: Cursor) -> None:
        heap, index = self._address(cursor), cursor.u32()
        file = ""
        if heap is not None:
            place, length = self._global_heap(heap, index)
            data = self._blob.reader.read_at(place + 1 + self._lengths, min(length, 4096))
            file = data.split(b"\0", 1)[0].decode("utf-8", "replace")
        self._reading.state(
            Reference(location=self._reading.at(), kind="hdf5-virtual-dataset", target=file[:1024], context=path[:400])
        )

    def _external_files(self, path: str, cursor: Cursor) -> None:
        cursor.skip(4 + 2)
        used = cursor.u16()
        heap_address = self._address(cursor)
        if heap_address is None:
            return
        heap = self._local_heap(heap_address)
        for _ in range(used):
            self._spend()
            name = self._heap_text(heap, self._length(cursor))
            cursor.skip(2 * self._lengths)
            self._reading.state(
                Reference(
                    location=self._reading.at(), kind="hdf5-external-storage", target=name[:1024], context=path[:400]
                )
            )

    def _dataset(
        self, path: str, address: int, shape: tuple[int, ...], kind: _Type, layout: tuple[str, int | None, int]
    ) -> None:
        place = self._base + address
        size = math.prod(shape) * kind.size
        file_size = self._blob.reader.size
        storage, data, stored = layout
        self._reading.state(
            Tensor(
                location=self._reading.at(place),
                name=path[:1024],
                dtype=f"{_CLASSES.get(kind.kind, 'unknown')}{8 * kind.size}",
                shape=shape[:64],
                stride=None,
                storage=storage,
                storage_offset=0,
                storage_bytes=stored or None,
            )
        )
        if size >= _BOMB and size > _RATIO * file_size:
            message = f"{path[:200]} of shape {shape[:8]} promises {size} bytes in a file of {file_size}"
            self._reading.anomaly("hdf5-shape-bomb", message, place)
        elif storage == "contiguous" and data is not None and self._base + data + stored > file_size:
            message = f"the data of {path[:200]} ends at {self._base + data + stored}, the file at {file_size}"
            self._reading.anomaly("hdf5-outside", message, place)
        if storage == "contiguous" and data is not None:
            self._reading.inert(self._base + data, min(stored, file_size))

    # What the fractal heap needs

    def heap_cursor(self, address: int) -> Cursor:
        """Return a cursor at an address."""
        return self._cursor(address)

    def heap_address(self, cursor: Cursor) -> int | None:
        """Read an address."""
        return self._address(cursor)

    def heap_length(self, cursor: Cursor) -> int:
        """Read a length."""
        return self._length(cursor)

    @property
    def offset_size(self) -> int:
        """Bytes of an address."""
        return self._offsets


class _FractalHeap:
    """Objects in a fractal heap, found by identifier. Filtered and huge objects are not followed."""

    def __init__(self, file: File, address: int) -> None:
        self._file = file
        cursor = file.heap_cursor(address)
        if cursor.take(4) != b"FRHP":
            raise FormatError("a fractal heap is missing", offset=cursor.offset - 4)
        cursor.skip(1)
        cursor.skip(2)
        self._filters = cursor.u16()
        cursor.skip(1)
        managed = cursor.u32()
        file.heap_length(cursor)
        file.heap_address(cursor)
        file.heap_length(cursor)
        file.heap_address(cursor)
        for _ in range(8):
            file.heap_length(cursor)
        self._width = cursor.u16()
        self._starting = file.heap_length(cursor)
        direct = file.heap_length(cursor)
        self._bits = cursor.u16()
        cursor.skip(2)
        self._root = file.heap_address(cursor)
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
        cursor = self._file.heap_cursor(block)
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
            cursor = self._file.heap_cursor(address)
            cursor.skip(5 + self._file.offset_size + self._offset_bytes)
            cursor.skip((row * self._width + column) * self._file.offset_size)
            address = self._file.heap_address(cursor)
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


def _looks_pickled(head: bytes, tail: bytes) -> bool:
    """Return whether an attribute is a pickle, as PyTables leaves them."""
    if len(head) >= 2 and head[0] == 0x80 and head[1] <= 5:
        return True
    return tail.rstrip(b"\0").endswith(b".") and b"\n" in head and head[:1] in b"(c]}ldSVIi"
