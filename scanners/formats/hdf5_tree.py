"""Version 2 B-trees of an HDF5 file: the records of all kinds, in no particular order.

Source: "HDF5 File Format Specification Version 3.0", III.A.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from scanners.errors import FormatError
from scanners.formats.hdf5_places import Places, bytes_for, expect

_MAXIMUM_DEPTH = 16
_PREFIX = 10
"""bytes of a node that are no records: signature, version, kind, checksum"""


@dataclass(frozen=True, slots=True)
class Records:
    """A tree's records, each ``size`` bytes long."""

    kind: int
    size: int
    rows: Iterator[bytes]


def records(file: Places, address: int) -> Records:
    """Open the tree at an address."""
    cursor = file.cursor(address)
    expect(cursor, b"BTHD")
    cursor.skip(1)
    kind = cursor.u8()
    node_size, size, depth = cursor.u32(), cursor.u16(), cursor.u16()
    cursor.skip(2)
    root = file.address(cursor)
    count = cursor.u16()
    file.length(cursor)
    file.check(file.base + address, cursor.offset - file.base - address)
    if not size or node_size <= _PREFIX or depth > _MAXIMUM_DEPTH:
        raise FormatError("a tree of impossible dimensions", offset=file.base + address)
    return Records(kind, size, iter(()) if root is None else _rows(file, root, count, depth, node_size, size))


def _rows(file: Places, root: int, count: int, depth: int, node_size: int, size: int) -> Iterator[bytes]:
    # A pointer to a child holds its own count of records, as wide as a leaf needs it, and from the second level on the
    # count of all below it.
    total = (node_size - _PREFIX) // size
    own = bytes_for(total)
    below = [0]
    """by level: bytes that count everything below a child of that level"""
    for _ in range(depth):
        pointer = file.offset_size + own + below[-1]
        inside = max(0, (node_size - _PREFIX - pointer) // (size + pointer))
        total = (inside + 1) * total + inside
        below.append(bytes_for(total))
    pending = [(root, count, depth)]
    known: set[int] = set()
    while pending:
        place, rows, level = pending.pop()
        if place in known:
            raise FormatError("a tree leads back into itself", offset=file.base + place)
        known.add(place)
        node = file.cursor(place)
        pointers = (rows + 1) * (file.offset_size + own + below[level - 1]) if level else 0
        file.check(node.offset, 6 + rows * size + pointers)
        expect(node, b"BTIN" if level else b"BTLF")
        node.skip(2)
        for _ in range(rows):
            file.spend()
            yield node.take(size)
        if level:
            for _ in range(rows + 1):
                child = file.address(node)
                rows_below = node.uint(own)
                node.skip(below[level - 1])
                if child is not None:
                    pending.append((child, rows_below, level - 1))
