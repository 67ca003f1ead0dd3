"""Where the decoded bytes of each store lie: in the source itself, or in a scratch file when they had to be unpacked.

After this step the copier knows nothing of deflate, text encodings or pieces: a store is a range of a descriptor.
"""

import codecs
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import assert_never

from modelsign.conversion.plan import Encoding, Filter, Grid, Plan, Store
from modelsign.errors import ConversionError
from scanners.errors import ScanError

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A store's bytes, ready to be read at random."""

    name: str
    descriptor: int
    offset: int
    size: int
    crc: int | None
    """still to be compared; None where it was compared while unpacking, or nobody stated one"""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the store."""
        return read_exactly(self.descriptor, self.offset + offset, length, self.name)


def read_exactly(descriptor: int, offset: int, length: int, name: str) -> bytes:
    """Return exactly ``length`` bytes; a file that became shorter is refused."""
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            raise ConversionError(f"{name}: the file became shorter while it was read")
        data += more
    return data


def settle(plan: Plan, source: int, scratch: int) -> tuple[Origin, ...]:
    """Unpack what has to be unpacked into ``scratch``; return where every store lies.

    Args:
        plan: checked.
        source: descriptor of the source.
        scratch: descriptor of an empty file.

    Raises:
        ConversionError: a store does not unpack to what the plan says, or its CRC differs.
    """
    used = {tensor.store for tensor in plan.tensors if tensor.size}
    needed = set(used)
    for index in reversed(range(len(plan.stores))):
        base = plan.stores[index].base
        if index in needed and base is not None:
            needed.add(base)
    origins: list[Origin] = []
    written = 0
    for index, store in enumerate(plan.stores):
        plain = _plain_range(store, source, origins)
        if plain is not None:
            origins.append(plain)
        elif index not in needed:
            origins.append(Origin(name=store.name, descriptor=scratch, offset=0, size=0, crc=None))
        elif store.grid is not None:
            _assemble(store, store.grid, source, origins, scratch, written)
            origins.append(Origin(name=store.name, descriptor=scratch, offset=written, size=store.size, crc=None))
            written += store.size
        else:
            size = _unpack(store, _pieces(store, source, origins), scratch, written)
            origins.append(Origin(name=store.name, descriptor=scratch, offset=written, size=size, crc=None))
            written += size
    return tuple(origins)


def _plain_range(store: Store, source: int, origins: list[Origin]) -> Origin | None:
    """Return the origin of a store that lies in one range as it is."""
    if store.encoding is not Encoding.RAW or len(store.segments) > 1:
        return None
    offset, length = store.segments[0] if store.segments else (0, 0)
    base = None if store.base is None else origins[store.base]
    return Origin(
        name=store.name,
        descriptor=source if base is None else base.descriptor,
        offset=offset if base is None else base.offset + offset,
        size=length,
        crc=store.crc,
    )


def _pieces(store: Store, source: int, origins: list[Origin]) -> Iterator[bytes]:
    base = None if store.base is None else origins[store.base]
    descriptor, shift = (source, 0) if base is None else (base.descriptor, base.offset)
    for offset, length in store.segments:
        position = offset
        while position < offset + length:
            wanted = min(_CHUNK, offset + length - position)
            yield read_exactly(descriptor, shift + position, wanted, store.name)
            position += wanted


def _unpack(store: Store, pieces: Iterator[bytes], scratch: int, at: int) -> int:

    crc = 0
    size = 0
    for piece in _decoded(store, pieces):
        if size + len(piece) > store.size:
            raise ConversionError(f"{store.name}: unpacks to more than the {store.size} bytes it should have")
        view = memoryview(piece)
        while view:
            view = view[os.pwrite(scratch, view, at + size + len(piece) - len(view)) :]
        crc = zlib.crc32(piece, crc)
        size += len(piece)
    if size != store.size:
        raise ConversionError(f"{store.name}: unpacks to {size} bytes and should have {store.size}")
    if store.crc is not None and crc != store.crc:
        raise crc_differs(store.name, store.crc, crc)
    return size


def _assemble(store: Store, grid: Grid, source: int, origins: list[Origin], scratch: int, at: int) -> None:
    """Put the blocks of an array where they belong; one block is in memory at a time."""
    base = None if store.base is None else origins[store.base]
    descriptor, shift = (source, 0) if base is None else (base.descriptor, base.offset)
    corners = product(
        *(range(0, length, width) for length, width in zip(grid.shape, grid.chunk, strict=True))
    )  # row by row, as the segments are
    for index, (corner, (offset, length)) in enumerate(zip(corners, store.segments, strict=True)):
        data = read_exactly(descriptor, shift + offset, length, store.name)
        for position in reversed(range(len(grid.filters))):
            if not grid.skips(index, position):
                data = _unfiltered(store.name, grid, index, position, data)
        _place(grid, corner, memoryview(data), scratch, at)


def _unfiltered(name: str, grid: Grid, block: int, position: int, data: bytes) -> bytes:
    """Undo one filter of a block."""
    from scanners.formats import hdf5_filters  # few sources have blocks

    match grid.filters[position]:
        case Filter.DEFLATE:
            size = grid.size_after(block, position)
            inflater = zlib.decompressobj()
            try:
                data = inflater.decompress(data, size + 1)
            except zlib.error as error:
                raise ConversionError(f"{name}: its compressed data is damaged ({error})") from error
            if not inflater.eof or len(data) != size:
                raise ConversionError(f"{name}: a block does not unpack to the {size} bytes it should have")
            return data
        case Filter.SHUFFLE:
            return hdf5_filters.unshuffled(data, grid.itemsize)
        case Filter.FLETCHER32:
            try:
                return hdf5_filters.checked(data)
            except ScanError as error:
                raise ConversionError(f"{name}: {error}; the file is damaged or was changed") from error
        case _:
            assert_never(grid.filters[position])


def _place(grid: Grid, corner: tuple[int, ...], block: memoryview, scratch: int, at: int) -> None:
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
        view = block[here * grid.itemsize : here * grid.itemsize + run]
        position = at + there * grid.itemsize
        while view:
            done = os.pwrite(scratch, view, position)
            view, position = view[done:], position + done


def crc_differs(name: str, stated: int, found: int) -> ConversionError:
    """Return the refusal of a record whose checksum is wrong."""
    return ConversionError(
        f"{name}: its bytes do not match their checksum (CRC-32 {found:08x}, stated {stated:08x}): the file is damaged "
        "or was changed; fetch it again"
    )


def _decoded(store: Store, pieces: Iterator[bytes]) -> Iterator[bytes]:
    match store.encoding:
        case Encoding.INLINE:
            yield store.data
        case Encoding.RAW:
            yield from pieces
        case Encoding.DEFLATE:
            yield from _inflated(store.name, pieces)
        case Encoding.LATIN1:
            yield from _latin1(store.name, pieces, "utf-8", "surrogatepass")
        case Encoding.ESCAPED:
            yield from _latin1(store.name, pieces, "raw-unicode-escape", "strict")
        case Encoding.GZIP | Encoding.ZLIB | Encoding.BZIP2 | Encoding.XZ | Encoding.LZMA | Encoding.LZ4:
            yield from _streamed(store, pieces)
        case Encoding.CHUNKED:
            raise ConversionError(f"{store.name}: its blocks are not described")
        case _:
            assert_never(store.encoding)


def _inflated(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in pieces:
            data = piece
            while data and not inflater.eof:
                yield inflater.decompress(data, _CHUNK)
                data = inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error as error:
        raise ConversionError(f"{name}: its compressed data is damaged ({error})") from error
    if not inflater.eof:
        raise ConversionError(f"{name}: its compressed data is cut off")


def _streamed(store: Store, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack a compressed file: one stream after the other, a piece at a time."""
    from modelsign.conversion.inputs.compressed import method_of  # few sources are compressed, and it imports all kinds

    try:
        method = method_of(store.encoding)
    except ScanError as error:
        raise ConversionError(f"{store.name}: {error}") from error
    decoder = method.decoder()
    try:
        for piece in pieces:
            data = piece
            while data or not (decoder.eof or decoder.needs_input):
                if decoder.eof:
                    decoder = method.decoder()  # a further stream of the same file
                yield decoder.decompress(data, _CHUNK)
                data = decoder.unused_data if decoder.eof else b""
    except method.errors as error:
        raise ConversionError(f"{store.name}: its compressed data is damaged ({error})") from error
    if not decoder.eof:
        raise ConversionError(f"{store.name}: its compressed data is cut off")


def _latin1(name: str, pieces: Iterator[bytes], encoding: str, errors: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    try:
        for piece in pieces:
            yield decoder.decode(piece).encode("latin-1")
        yield decoder.decode(b"", final=True).encode("latin-1")
    except UnicodeError as error:
        raise ConversionError(f"{name}: its bytes are written as text that is not Latin-1 ({error.reason})") from error  # type: ignore[attr-defined]  # both subclasses have it
