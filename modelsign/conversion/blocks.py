"""An array in blocks (HDF5) becomes one run of bytes: each block is unpacked and put where it belongs.

Small blocks are unpacked in memory, and so are those that h5py's lzf packed, which are never large. Large ones go
through the scratch file, a piece at a time, so that memory does not depend on what a file says of its blocks.
"""

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import assert_never

from modelsign.conversion.plan import Filter, Grid, Store
from modelsign.errors import ConversionError
from scanners.errors import ScanError
from scanners.formats import hdf5_filters

_PIECE = 1 << 20
IN_MEMORY = 4 << 20
"""bytes of the largest block that is unpacked in memory"""

Read = Callable[[int, int], bytes]
"""returns exactly (offset, length) of something"""


@dataclass(frozen=True, slots=True)
class _Run:
    """Bytes that can be read at random."""

    read: Read
    length: int

    def pieces(self) -> Iterator[bytes]:
        for start in range(0, self.length, _PIECE):
            yield self.read(start, min(_PIECE, self.length - start))


def assemble(store: Store, grid: Grid, read: Read, scratch: int, at: int) -> None:
    """Put the blocks of an array where they belong.

    Args:
        store: whose segments are the blocks.
        grid: how they lie in the array.
        read: reads what the segments refer to.
        scratch: descriptor that the array is written to; what lies behind the array is overwritten.
        at: where the array begins in it.

    Raises:
        ConversionError: a block does not unpack to what it should.
    """
    corners = product(
        *(range(0, length, width) for length, width in zip(grid.shape, grid.chunk, strict=True))
    )  # row by row, as the segments are
    for index, (corner, (offset, length)) in enumerate(zip(corners, store.segments, strict=True)):
        if grid.block_size <= IN_MEMORY or Filter.LZF in grid.filters:
            data = read(offset, length)
            for position in _applied(grid, index):
                data = _unfiltered(store.name, grid, index, position, data)
            block = _in_memory(data)
        else:
            block = _behind(read, offset, length)
            free = at + store.size
            for position in _applied(grid, index):
                block = _unfiltered_by_pieces(store.name, grid, index, position, block, _Scratch(scratch, free))
                free += block.length
        _place(grid, corner, block, scratch, at)


def _applied(grid: Grid, block: int) -> Iterator[int]:
    """Yield the positions of a block's filters, the last one first."""
    return (position for position in reversed(range(len(grid.filters))) if not grid.skips(block, position))


def _in_memory(data: bytes) -> _Run:
    return _Run(lambda start, size: data[start : start + size], len(data))


def _behind(read: Read, offset: int, length: int) -> _Run:
    return _Run(lambda start, size: read(offset + start, size), length)


# -- small blocks -------------------------------------------------------------------------------------------------


def _unfiltered(name: str, grid: Grid, block: int, position: int, data: bytes) -> bytes:
    """Undo one filter of a block."""
    match grid.filters[position]:
        case Filter.DEFLATE:
            size = grid.size_after(block, position)
            inflater = zlib.decompressobj()
            try:
                data = inflater.decompress(data, size + 1)
            except zlib.error as error:
                raise _damaged(name, error) from error
            if not inflater.eof or len(data) != size:
                raise _size_differs(name, size)
            return data
        case Filter.SHUFFLE:
            return hdf5_filters.unshuffled(data, grid.itemsize)
        case Filter.LZF:
            size = grid.size_after(block, position)
            try:
                data = hdf5_filters.unpacked_lzf(data, size)
            except ScanError as error:
                raise ConversionError(f"{name}: {error}") from error
            if len(data) != size:
                raise _size_differs(name, size)
            return data
        case Filter.FLETCHER32:
            try:
                return hdf5_filters.checked(data)
            except ScanError as error:
                raise _sum_differs(name, error) from error
        case _:
            assert_never(grid.filters[position])


# -- large blocks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scratch:
    """Room in the scratch file."""

    descriptor: int
    offset: int

    def write(self, start: int, data: bytes | bytearray) -> None:
        _write(self.descriptor, self.offset + start, memoryview(data))

    def run(self, length: int) -> _Run:
        return _Run(lambda start, size: os.pread(self.descriptor, size, self.offset + start), length)


def _unfiltered_by_pieces(name: str, grid: Grid, block: int, position: int, run: _Run, room: _Scratch) -> _Run:
    match grid.filters[position]:
        case Filter.DEFLATE:
            return _inflated(name, run, room, grid.size_after(block, position))
        case Filter.SHUFFLE:
            return _unshuffled(run, room, grid.itemsize)
        case Filter.FLETCHER32:
            return _summed(name, run)
        case Filter.LZF:
            raise ConversionError(f"{name}: has large blocks packed with lzf")  # the plan has none
        case _:
            assert_never(grid.filters[position])


def _inflated(name: str, run: _Run, room: _Scratch, size: int) -> _Run:
    inflater = zlib.decompressobj()
    done = 0
    try:
        for piece in run.pieces():
            data = piece
            while data and not inflater.eof and done <= size:
                plain = inflater.decompress(data, _PIECE)
                room.write(done, plain)
                done += len(plain)
                data = inflater.unconsumed_tail
        while not inflater.eof and done <= size and (plain := inflater.decompress(b"", _PIECE)):
            room.write(done, plain)
            done += len(plain)
    except zlib.error as error:
        raise _damaged(name, error) from error
    if not inflater.eof or done != size:
        raise _size_differs(name, size)
    return room.run(size)


def _unshuffled(run: _Run, room: _Scratch, itemsize: int) -> _Run:
    items = run.length // itemsize
    step = max(1, _PIECE // itemsize)
    for start in range(0, items, step):
        count = min(step, items - start)
        plain = bytearray(count * itemsize)
        for byte in range(itemsize):
            plain[byte::itemsize] = run.read(byte * items + start, count)
        room.write(start * itemsize, plain)
    room.write(items * itemsize, run.read(items * itemsize, run.length - items * itemsize))
    return room.run(run.length)


def _summed(name: str, run: _Run) -> _Run:
    sums = hdf5_filters.Fletcher32()
    plain = _Run(run.read, run.length - 4)
    for piece in plain.pieces():
        sums.add(piece)
    try:
        sums.compare(run.read(plain.length, 4))
    except ScanError as error:
        raise _sum_differs(name, error) from error
    return plain


# -- the array ----------------------------------------------------------------------------------------------------


def _place(grid: Grid, corner: tuple[int, ...], block: _Run, scratch: int, at: int) -> None:
    """Write what of a block lies inside the array, in runs as long as both allow."""
    rank = len(grid.shape)
    inside = [min(width, length - low) for low, width, length in zip(corner, grid.chunk, grid.shape, strict=True)]
    # Dimensions that the block spans as a whole are one run in both.
    split = rank
    while split and grid.chunk[split - 1] == grid.shape[split - 1]:
        split -= 1
    split = max(0, split - 1)
    run = prod(inside[split:]) * grid.itemsize
    for place in product(*(range(length) for length in inside[:split])):
        there = here = 0
        for axis in range(rank):
            step = place[axis] if axis < split else 0
            there = there * grid.shape[axis] + corner[axis] + step
            here = here * grid.chunk[axis] + step
        for start in range(0, run, _PIECE):
            piece = block.read(here * grid.itemsize + start, min(_PIECE, run - start))
            _write(scratch, at + there * grid.itemsize + start, memoryview(piece))


def _write(descriptor: int, position: int, view: memoryview) -> None:
    while view:
        done = os.pwrite(descriptor, view, position)
        view, position = view[done:], position + done


def _damaged(name: str, error: zlib.error) -> ConversionError:
    return ConversionError(f"{name}: its compressed data is damaged ({error})")


def _size_differs(name: str, size: int) -> ConversionError:
    return ConversionError(f"{name}: a block does not unpack to the {size} bytes it should have")


def _sum_differs(name: str, error: ScanError) -> ConversionError:
    return ConversionError(f"{name}: {error}; the file is damaged or was changed")
