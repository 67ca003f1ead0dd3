"""Where the blocks of a chunked HDF5 dataset lie, as releases since 1.10 write it (`libver="latest"`).

Five indexes, chosen by how the dataset may grow: one block; all blocks in a row; a fixed array; an extensible array,
for one endless dimension; a version 2 B-tree, for several. Blocks are counted by the largest shape that the dataset may
get, not by the one it has.

Source: "HDF5 File Format Specification Version 3.0", IV.A.2.i (layouts 4 and 5, which differ in a width that the
indexes state themselves) and VII.A to VII.D.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from modelsign.conversion.plan import Grid
from modelsign.errors import ConversionError
from scanners.cursor import Cursor
from scanners.formats.hdf5_places import expect
from scanners.formats.hdf5_structure import Shape, Structure
from scanners.formats.hdf5_tree import records

SINGLE, IMPLICIT, FIXED, EXTENSIBLE, TREE = 1, 2, 3, 4, 5
_PLAIN_EDGES, _FILTERED_SINGLE = 1, 2
_CHECKSUM = 4


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it is stored."""

    place: int
    length: int
    mask: int
    """filters that were not applied, one bit each"""


Corner = tuple[int, ...]


def blocks(
    where: str, structure: Structure, cursor: Cursor, flags: int, grid: Grid, shape: Shape
) -> dict[Corner, Block]:
    """Return the blocks that were written, by their corner.

    Args:
        where: the dataset, for messages.
        structure: of the file.
        cursor: at the kind of the index, in the layout message.
        flags: of the layout message.
        grid: the array's.
        shape: the dataset's.

    Raises:
        ConversionError: the index is of an unknown kind, or misleads.
        ScanError: it is malformed.
    """
    index = _Index(where, structure, grid, shape)
    kind = cursor.u8()
    found: Iterator[tuple[Corner, Block]]
    if kind == SINGLE:
        found = index.single(cursor, filtered=bool(flags & _FILTERED_SINGLE))
    elif kind == IMPLICIT:
        found = index.implicit(cursor)
    elif kind == FIXED:
        found = index.fixed(cursor)
    elif kind == EXTENSIBLE:
        found = index.extensible(cursor)
    elif kind == TREE:
        found = index.tree(cursor)
    else:
        raise ConversionError(f"{where}: finds its blocks by an unknown index ({kind}), which is not read")
    result = dict[Corner, Block]()
    every = (1 << len(grid.filters)) - 1
    for corner, one in found:
        if corner in result or len(result) >= grid.blocks:
            raise ConversionError(f"{where}: has more blocks than its shape has room for")
        edge = any(low + width > end for low, width, end in zip(corner, grid.chunk, grid.shape, strict=True))
        plain = edge and flags & _PLAIN_EDGES
        result[corner] = Block(one.place, grid.block_size, every) if plain else one
    return result


class _Index:
    """One dataset's index."""

    def __init__(self, where: str, structure: Structure, grid: Grid, shape: Shape) -> None:
        self._where = where
        self._structure = structure
        self._grid = grid
        self._most = [
            None if most is None else -(-max(most, now) // width)
            for now, most, width in zip(shape.now, shape.most, grid.chunk, strict=True)
        ]

    # One block, or all in a row

    def single(self, cursor: Cursor, *, filtered: bool) -> Iterator[tuple[Corner, Block]]:
        length, mask = self._grid.block_size, 0
        if filtered:
            length, mask = self._structure.length(cursor), cursor.u32()
        address = self._structure.address(cursor)
        if address is not None:
            yield (0,) * len(self._grid.shape), Block(self._structure.base + address, length, mask)

    def implicit(self, cursor: Cursor) -> Iterator[tuple[Corner, Block]]:
        address = self._structure.address(cursor)
        if address is None:
            return
        length = self._grid.block_size
        for number, corner in self._numbered():
            yield corner, Block(self._structure.base + address + number * length, length, 0)

    # Arrays

    def fixed(self, cursor: Cursor) -> Iterator[tuple[Corner, Block]]:
        structure = self._structure
        cursor.skip(1)
        address = structure.address(cursor)
        if address is None:
            return
        header = structure.cursor(address)
        expect(header, b"FAHD")
        header.skip(1)
        element = self._element(header.u8(), header.u8())
        page_bits, count = header.u8(), structure.length(header)
        data = structure.address(header)
        structure.check(structure.base + address, header.offset - structure.base - address)
        if data is None:
            return
        block = structure.cursor(data)
        head = block.offset
        expect(block, b"FADB")
        block.skip(2 + structure.offset_size)
        page = 1 << page_bits
        if count <= page:
            structure.check(head, block.offset - head + count * element.size)
            yield from self._listed(lambda number: block.offset + number * element.size, element, count)
            return
        pages = -(-count // page)
        bitmap = block.take(-(-pages // 8))
        structure.check(head, block.offset - head)
        first = block.offset + _CHECKSUM

        def place(number: int) -> int | None:
            at, inside = divmod(number, page)
            if not bitmap[at // 8] >> (7 - at % 8) & 1:
                return None
            start = first + at * (page * element.size + _CHECKSUM)
            structure.check(start, min(page, count - at * page) * element.size)
            return start + inside * element.size

        yield from self._listed(place, element, count)

    def extensible(self, cursor: Cursor) -> Iterator[tuple[Corner, Block]]:
        cursor.skip(5)
        address = self._structure.address(cursor)
        if address is None:
            return
        array = _Extensible(self._where, self._structure, address)
        element = self._element(array.client, array.element_size)
        yield from self._listed(array.place, element, 1 << array.bits)

    def _listed(
        self, place: "Callable[[int], int | None]", element: "_Element", count: int
    ) -> Iterator[tuple[Corner, Block]]:
        for number, corner in self._numbered():
            self._structure.spend()
            if number >= count:
                raise ConversionError(f"{self._where}: its index is too short for its shape; the file is damaged")
            at = place(number)
            found = None if at is None else element.read(Cursor(self._structure.reader, at, at + element.size))
            if found is not None:
                yield corner, found

    def _numbered(self) -> Iterator[tuple[int, Corner]]:
        """Yield every block's number and corner: an endless dimension counts slowest, the others row by row."""
        grid, most = self._grid, self._most
        endless = [axis for axis, length in enumerate(most) if length is None]
        if len(endless) > 1:
            raise ConversionError(f"{self._where}: its index does not fit its shape; the file is damaged")
        order = endless + [axis for axis, length in enumerate(most) if length is not None]
        ranges = (range(-(-length // width)) for length, width in zip(grid.shape, grid.chunk, strict=True))
        for scaled in product(*ranges):
            number = 0
            for axis in order:
                number = number * (most[axis] or 1) + scaled[axis]
            yield number, tuple(step * width for step, width in zip(scaled, grid.chunk, strict=True))

    # A tree

    def tree(self, cursor: Cursor) -> Iterator[tuple[Corner, Block]]:
        structure, grid = self._structure, self._grid
        cursor.skip(4 + 1 + 1)
        address = structure.address(cursor)
        if address is None:
            return
        found = records(structure, address)
        rank = len(grid.shape)
        element = self._element(found.kind - 10, found.size - 8 * rank)
        for row in found.rows:
            scaled = [int.from_bytes(row[element.size + 8 * axis :][:8], "little") for axis in range(rank)]
            block = element.of(row[: element.size])
            if block is not None:
                yield tuple(step * width for step, width in zip(scaled, grid.chunk, strict=True)), block

    def _element(self, client: int, size: int) -> "_Element":
        filtered = bool(self._grid.filters)
        width = size - self._structure.offset_size - 4 if filtered else 0
        if client != filtered or (not 1 <= width <= 8 if filtered else size != self._structure.offset_size):
            raise ConversionError(f"{self._where}: its index does not fit its filters; the file is damaged")
        return _Element(self._structure, size, width, self._grid.block_size)


@dataclass(frozen=True, slots=True)
class _Element:
    """How an index tells of a block: an address, and where there are filters a length and a mask."""

    structure: Structure
    size: int
    width: int
    """bytes of the length; 0 where there are no filters"""
    block_size: int

    def read(self, cursor: Cursor) -> Block | None:
        return self.of(cursor.take(self.size))

    def of(self, data: bytes) -> Block | None:
        end = self.structure.offset_size
        if data[:end] == b"\xff" * end:
            return None
        place = self.structure.base + int.from_bytes(data[:end], "little")
        if not self.width:
            return Block(place, self.block_size, 0)
        length = int.from_bytes(data[end : end + self.width], "little")
        return Block(place, length, int.from_bytes(data[end + self.width :], "little"))


class _Extensible:
    """An extensible array: a few elements in its index block, then data blocks that double, found by super blocks."""

    def __init__(self, where: str, structure: Structure, address: int) -> None:
        self._where = where
        self._structure = structure
        header = structure.cursor(address)
        expect(header, b"EAHD")
        header.skip(1)
        self.client, self.element_size, self.bits = header.u8(), header.u8(), header.u8()
        self._first = header.u8()
        self._least = header.u8()
        pointers = header.u8()
        self._page = 1 << header.u8()
        header.skip(6 * structure.length_size)
        index = structure.address(header)
        structure.check(structure.base + address, header.offset - structure.base - address)
        if not _power(self._least) or not _power(pointers) or self.bits > 64:
            raise ConversionError(f"{where}: its index has impossible dimensions; the file is damaged")
        self._super_first = 2 * (pointers.bit_length() - 1)
        self._offset_bytes = -(-self.bits // 8)
        self._index: int | None = None
        if index is not None:
            block = structure.cursor(index)
            expect(block, b"EAIB")
            block.skip(2 + structure.offset_size)
            self._index = block.offset
        self._blocks = (self._index or 0) + self._first * self.element_size
        self._supers = self._blocks + 2 * (pointers - 1) * structure.offset_size
        if index is not None:
            levels = 1 + self.bits - (self._least.bit_length() - 1)
            end = self._supers + max(0, levels - self._super_first) * structure.offset_size
            structure.check(structure.base + index, end - structure.base - index)

    def place(self, number: int) -> int | None:
        """Return where an element lies; None where it was never written."""
        if self._index is None:
            return None
        if number < self._first:
            return self._index + number * self.element_size
        rest = number - self._first
        level = (rest // self._least + 1).bit_length() - 1
        inside = rest - ((1 << level) - 1) * self._least
        elements = (1 << (level + 1) // 2) * self._least
        block, inside = divmod(inside, elements)
        offset_size = self._structure.offset_size
        if level < self._super_first:
            before = sum(1 << one // 2 for one in range(level))
            address = self._address(self._blocks + (before + block) * offset_size)
            return None if address is None else self._inside(address, inside, elements, paged=False)
        found = self._address(self._supers + (level - self._super_first) * offset_size)
        if found is None:
            return None
        return self._below(found, level, block, inside, elements)

    def _below(self, address: int, level: int, block: int, inside: int, elements: int) -> int | None:
        """Return an element's place by way of a super block."""
        structure = self._structure
        cursor = structure.cursor(address)
        head = cursor.offset
        expect(cursor, b"EASB")
        cursor.skip(2 + structure.offset_size + self._offset_bytes)
        paged = elements > self._page
        pages = elements // self._page if paged else 0
        start = cursor.offset
        cursor.skip((1 << level // 2) * -(-pages // 8))
        structure.check(head, cursor.offset - head + (1 << level // 2) * structure.offset_size)
        if paged:
            bit = block * pages + inside // self._page
            if not structure.reader.read_at(start + bit // 8, 1)[0] >> (7 - bit % 8) & 1:
                return None
        data = self._address(cursor.offset + block * structure.offset_size)
        return None if data is None else self._inside(data, inside, elements, paged=paged)

    def _inside(self, address: int, inside: int, elements: int, *, paged: bool) -> int:
        cursor = self._structure.cursor(address)
        head = cursor.offset
        expect(cursor, b"EADB")
        cursor.skip(2 + self._structure.offset_size + self._offset_bytes)
        if not paged:
            if elements > self._page:
                raise ConversionError(f"{self._where}: its index has impossible dimensions; the file is damaged")
            self._structure.check(head, cursor.offset - head + elements * self.element_size)
            return cursor.offset + inside * self.element_size
        self._structure.check(head, cursor.offset - head)
        page, inside = divmod(inside, self._page)
        size = self._page * self.element_size
        start = cursor.offset + _CHECKSUM + page * (size + _CHECKSUM)
        self._structure.check(start, size)
        return start + inside * self.element_size

    def _address(self, place: int) -> int | None:
        return self._structure.address(Cursor(self._structure.reader, place))


def _power(number: int) -> bool:
    return number > 0 and not number & (number - 1)
