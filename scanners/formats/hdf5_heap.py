"""Fractal heaps of an HDF5 file: links, attributes and shared messages, found by their identifiers.

Source: "HDF5 File Format Specification Version 3.0", III.G. An object lies in a block of the heap (managed), by itself
in the file (huge), or in its identifier (tiny); blocks and huge objects may be filtered.
"""

from scanners.cursor import Cursor
from scanners.errors import FormatError
from scanners.formats.hdf5_filters import Step, pipeline, unpack
from scanners.formats.hdf5_places import Places, bytes_for, expect
from scanners.formats.hdf5_tree import records
from scanners.reader import BytesReader

_MANAGED, _HUGE, _TINY = 0, 1, 2
_MASK_SIZE = 4
_EXTENDED = 18
"""from this length on an identifier gives a tiny object's length in two bytes"""


class FractalHeap:
    """The objects of one heap."""

    def __init__(self, file: Places, address: int) -> None:
        self._file = file
        cursor = file.cursor(address)
        head = cursor.offset
        expect(cursor, b"FRHP")
        cursor.skip(1)
        self._identifier_size, filters = cursor.u16(), cursor.u16()
        self._summed = bool(cursor.u8() & 2)
        managed = cursor.u32()
        file.length(cursor)
        self._huge_tree = file.address(cursor)
        cursor.skip(file.length_size + file.offset_size + 8 * file.length_size)
        self._width = cursor.u16()
        self._starting = file.length(cursor)
        direct = file.length(cursor)
        bits = cursor.u16()
        cursor.skip(2)
        self._root = file.address(cursor)
        self._rows = cursor.u16()
        if not self._width or not self._starting or direct < self._starting or bits > 64 or self._rows > 64:
            raise FormatError("a fractal heap of impossible dimensions", offset=cursor.offset)
        self._direct_rows = (direct // self._starting).bit_length() + 1
        self._offset_bytes = -(-bits // 8)
        self._length_bytes = bytes_for(min(managed, direct))
        self._steps: tuple[Step, ...] = ()
        self._root_size = self._root_mask = 0
        if filters:
            self._root_size, self._root_mask = file.length(cursor), cursor.u32()
            start = cursor.offset
            self._steps = pipeline(cursor)
            cursor.offset = start + filters
        file.check(head, cursor.offset - head)
        self._huge: dict[int, bytes] | None = None
        self._unpacked: dict[int, BytesReader] = {}
        self._compared: set[int] = set()

    def find(self, identifier: bytes) -> Cursor:
        """Return a cursor over one object."""
        kind = identifier[0] >> 4 & 3
        if kind == _TINY:
            extended = self._identifier_size >= _EXTENDED
            length = (identifier[0] & 15) + 1
            if extended:
                length = ((identifier[0] & 15) << 8 | identifier[1]) + 1
            return Cursor(BytesReader(identifier[1 + extended :][:length]))
        if kind == _HUGE:
            return self._huge_object(identifier[1:])
        if kind != _MANAGED:
            raise FormatError("an object of a fractal heap of an unknown kind")
        offset = int.from_bytes(identifier[1 : 1 + self._offset_bytes], "little")
        start = 1 + self._offset_bytes
        length = int.from_bytes(identifier[start : start + self._length_bytes], "little")
        cursor = self._managed(offset)
        if length > cursor.left:
            raise FormatError("an object lies outside its fractal heap", offset=cursor.offset)
        cursor.end = cursor.offset + length
        return cursor

    # Huge objects

    def _huge_object(self, rest: bytes) -> Cursor:
        """Find an object that lies by itself: its identifier says where, or is a key of the heap's tree."""
        row = self._huge_row_size()
        if self._identifier_size - 1 < row:
            key = rest[: min(8, self._identifier_size - 1)]
            found = self._huge_rows().get(int.from_bytes(key, "little"))
            if found is None:
                raise FormatError("a huge object is missing from its fractal heap")
            rest = found
        cursor = Cursor(BytesReader(rest))
        address, length = self._file.address(cursor), self._file.length(cursor)
        if address is None:
            raise FormatError("a huge object of a fractal heap lies nowhere")
        if not self._steps:
            stored = self._file.cursor(address, length)
            if stored.left < length:
                raise FormatError("a huge object of a fractal heap is cut off", offset=stored.offset)
            return stored
        mask, size = cursor.u32(), self._file.length(cursor)
        return Cursor(self._read(address, length, mask, size))

    def _huge_row_size(self) -> int:
        """Return the bytes that say where a huge object lies."""
        plain = self._file.offset_size + self._file.length_size
        return plain + (_MASK_SIZE + self._file.length_size if self._steps else 0)

    def _huge_rows(self) -> dict[int, bytes]:
        if self._huge is None:
            self._huge = {}
            if self._huge_tree is not None:
                tree = records(self._file, self._huge_tree)
                width = self._huge_row_size()
                if tree.size != width + self._file.length_size:
                    raise FormatError("a tree of another kind where huge objects were expected")
                for row in tree.rows:
                    self._huge[int.from_bytes(row[width:], "little")] = row[:width]
        return self._huge

    # Managed objects

    def _managed(self, offset: int) -> Cursor:
        """Return a cursor from an offset into the heap to the end of its direct block."""
        file = self._file
        address, rows, base, size = self._root, self._rows, 0, self._starting
        stored, mask = self._root_size, self._root_mask
        for _ in range(64):
            if address is None:
                break
            if rows == 0:
                return self._direct(address, offset - base, size, stored, mask)
            row, column, start, size = self._cell(offset - base)
            if row >= rows:
                break
            cursor = file.cursor(address)
            head = cursor.offset
            expect(cursor, b"FHIB")
            cursor.skip(1 + file.offset_size + self._offset_bytes)
            file.check(head, cursor.offset - head + self._entries(rows))
            leaf = row < self._direct_rows
            cursor.skip(self._entries(row) + column * (self._entry if leaf else file.offset_size))
            address = file.address(cursor)
            if leaf and self._steps:
                stored, mask = file.length(cursor), cursor.u32()
            base += start
            rows = 0 if leaf else max(1, (size // self._starting // self._width).bit_length())
        raise FormatError("an object lies outside its fractal heap")

    def _entries(self, rows: int) -> int:
        """Return the bytes of the first rows of an indirect block."""
        direct = min(rows, self._direct_rows)
        return self._width * (direct * self._entry + (rows - direct) * self._file.offset_size)

    @property
    def _entry(self) -> int:
        """Bytes that tell of a direct block."""
        return self._file.offset_size + (self._file.length_size + _MASK_SIZE if self._steps else 0)

    def _direct(self, address: int, inside: int, size: int, stored: int, mask: int) -> Cursor:
        cursor = Cursor(self._read(address, stored, mask, size)) if self._steps else self._file.cursor(address, size)
        start = cursor.offset
        expect(cursor, b"FHDB")
        if inside >= size:
            raise FormatError("an object lies outside its fractal heap", offset=start)
        if self._summed and address not in self._compared:
            self._compared.add(address)
            field = 5 + self._file.offset_size + self._offset_bytes
            data = cursor.reader.read_at(start, size)
            zeroed = data[:field] + bytes(4) + data[field + 4 :]
            self._file.compare(zeroed, data[field : field + 4], start)
        cursor.offset = start + inside
        return cursor

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

    # Bytes

    def _read(self, address: int, stored: int, mask: int, size: int) -> BytesReader:
        """Return a filtered block; what was unpacked is kept, within the file's budget."""
        known = self._unpacked.get(address)
        if known is None or known.size != size:
            self._file.spend_unpacked(stored + size)
            data = unpack(self._file.cursor(address, stored).take(stored), self._steps, mask, size)
            known = self._unpacked[address] = BytesReader(data)
        return known
