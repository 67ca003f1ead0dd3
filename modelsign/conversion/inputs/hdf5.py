"""HDF5, as Keras writes weights: every dataset of numbers, named by its path with `.` for `/`.

The file's structure is read by our own reader; no library, no code of the file. What leads out of the file (external
links, external storage, virtual datasets: CVE-2026-1669) is refused, and so is what two readers may see differently:
shared bytes, groups under two names, blocks that were never written.

Source: "HDF5 File Format Specification Version 3.0", IV.A.2 (messages) and III.A.1 (the tree of blocks).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import prod

from modelsign.conversion.dtypes import DTYPES, WHAT_INSTEAD, DType
from modelsign.conversion.inputs.assembly import Stores, raw_store
from modelsign.conversion.inputs.hdf5_chunks import Block, Corner
from modelsign.conversion.inputs.hdf5_chunks import blocks as blocks_of
from modelsign.conversion.inputs.keras_config import code_notes
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import BLOCK_LIMIT, MAX_RANK, Encoding, Filter, Grid, Plan, PlannedTensor, Store
from modelsign.conversion.record import LeftOut
from modelsign.conversion.refusals import NoTensorsError
from modelsign.conversion.tree import WHOLE
from modelsign.errors import ConversionError
from scanners.cursor import Cursor
from scanners.formats.hdf5 import superblock
from scanners.formats.hdf5_filters import DEFLATE, FLETCHER32, LZF, SHUFFLE, pipeline
from scanners.formats.hdf5_structure import MAXIMUM_OBJECTS, Attribute, Link, Message, Shape, Structure
from scanners.limits import Budget
from scanners.reader import Reader, Window

KERAS_WRAPPER = "model_weights"
"""the group of a whole model in Keras' older format, beside `optimizer_weights`"""
_CONFIGURATIONS = ("model_config", "training_config")
_DATASPACE, _DATATYPE, _LINK, _EXTERNAL, _LAYOUT, _FILTERS, _SYMBOLS = 0x01, 0x03, 0x06, 0x07, 0x08, 0x0B, 0x11
_GROUP = frozenset({0x02, _LINK, 0x0A, _SYMBOLS})
"""messages that make an object a group: links, and how they are kept"""
_MAXIMUM_DEPTH = 256
_MAXIMUM_BLOCKS = 1 << 20
_LZF_LIMIT = 16 << 20
"""bytes of a block that lzf packed: it is unpacked in memory; h5py's own guess is a megabyte at most"""
_KNOWN_FILTERS = {
    DEFLATE: Filter.DEFLATE,
    SHUFFLE: Filter.SHUFFLE,
    FLETCHER32: Filter.FLETCHER32,
    LZF: Filter.LZF,
}
_KINDS = {2: "dates", 4: "bit fields", 5: "opaque bytes", 6: "records", 7: "references", 8: "an enumeration",
          9: "sequences of variable length", 10: "arrays in arrays", 11: "complex numbers"}  # fmt: skip
# (sign, exponent place, exponent bits, mantissa place, mantissa bits, bias) -> type
_FLOATS = {
    (15, 10, 5, 0, 10, 15): "F16",
    (15, 7, 8, 0, 7, 127): "BF16",
    (31, 23, 8, 0, 23, 127): "F32",
    (63, 52, 11, 0, 52, 1023): "F64",
}
_BOOL = {b"FALSE": 0, b"TRUE": 1}


@dataclass(slots=True, kw_only=True)
class _Object:
    """The messages of a group or a dataset."""

    address: int
    single: dict[int, Message] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)


_Path = tuple[str, ...]


class _File:
    """A file, walked once."""

    def __init__(self, reader: Reader, start: int, budget: Budget) -> None:
        self.reader = reader
        self.structure = Structure(reader, start, strict=True)
        self.budget = budget
        self.datasets: dict[_Path, _Object] = {}
        self.groups: set[_Path] = {()}
        self._soft: list[tuple[_Path, _Path, str]] = []
        self.root = self._object((), self.structure.find_root())
        self._walk()

    def cursor(self, message: Message) -> Cursor:
        """Return a cursor over what a message says."""
        return self.structure.content(message)

    def _walk(self) -> None:
        known = {self.root.address: self.root}
        pending: list[tuple[_Path, _Object]] = [((), self.root)]
        while pending:
            path, item = pending.pop()
            for link in item.links:
                inner = (*path, link.name)
                address = self._target(path, inner, link)
                if address is None:
                    continue
                if inner in self.datasets or inner in self.groups:
                    raise ConversionError(f"{_shown(inner)}: one group has two things of this name; save it again")
                found = known.get(address)
                if found is None:
                    found = known[address] = self._object(inner, address)
                    if len(known) > MAXIMUM_OBJECTS:
                        raise ConversionError(f"has more than {MAXIMUM_OBJECTS} groups and datasets")
                    if _LAYOUT not in found.single:
                        self.groups.add(inner)
                        pending.append((inner, found))
                elif _LAYOUT not in found.single:
                    raise ConversionError(
                        f"{_shown(inner)}: is a second name of a group, so some weights would have two; save it again"
                    )
                if _LAYOUT in found.single:
                    self.datasets[inner] = found
        for inner, target, text in self._soft:
            if target not in self.datasets:
                raise ConversionError(
                    f"{_shown(inner)}: is a soft link to {text!r:.100}, which is no dataset of this file; replace the "
                    "link by what it stands for"
                )
            self.datasets[inner] = self.datasets[target]

    def _target(self, path: _Path, inner: _Path, link: Link) -> int | None:
        """Return where a link leads; a soft one is kept for later."""
        if len(inner) > _MAXIMUM_DEPTH:
            raise ConversionError(f"groups are nested deeper than {_MAXIMUM_DEPTH}")
        if link.file is not None:
            raise ConversionError(
                f"{_shown(inner)}: is a link to another file, {link.file!r:.100}, which is not followed; save the "
                "weights into one file"
            )
        if link.address is None:
            if not link.path:
                raise ConversionError(
                    f"{_shown(inner)}: is a link of an unknown kind; replace it by what it stands for"
                )
            parts = tuple(part for part in link.path.split("/") if part not in {"", "."})
            self._soft.append((inner, parts if link.path.startswith("/") else (*path, *parts), link.path))
        return link.address

    def _object(self, path: _Path, address: int) -> _Object:
        item = _Object(address=address)
        structure = self.structure
        kinds = set()
        for message in structure.messages(address):
            kinds.add(message.kind)
            if message.shared and message.kind in {_LAYOUT, _LINK, _SYMBOLS, _EXTERNAL}:
                raise ConversionError(
                    f"{_shown(path)}: its description lies where no writer puts it; the file was made to mislead"
                )
            match message.kind:
                case 0x01 | 0x03 | 0x07 | 0x08 | 0x0B:
                    if message.kind in item.single:
                        raise ConversionError(f"{_shown(path)}: is described twice; the file was made to mislead")
                    item.single[message.kind] = message
                case 0x02:
                    item.links += structure.dense_links(self.cursor(message))
                case 0x06:
                    item.links.append(structure.link(self.cursor(message)))
                case 0x11:
                    item.links += structure.symbols(self.cursor(message))
                case 0x0C:
                    item.attributes.append(structure.attribute(self.cursor(message)))
                case 0x15:
                    item.attributes += map(structure.attribute, structure.dense_attributes(self.cursor(message)))
                case _:
                    pass
        if not kinds & _GROUP and _LAYOUT not in kinds and (_DATATYPE not in kinds or _DATASPACE in kinds):
            raise ConversionError(f"{_shown(path)}: is neither a group nor a dataset; the file is damaged")
        if item.links and _LAYOUT in item.single:
            raise ConversionError(f"{_shown(path)}: is a group and a dataset at once; the file was made to mislead")
        return item


def parse(reader: Reader, request: Request, *, member: Store | None = None, format_name: str = "hdf5") -> Plan:
    """Read a file of weights.

    Args:
        reader: the file.
        request: what to take.
        member: the store that holds the file, where it is a member of an archive.
        format_name: of the source.

    Raises:
        ConversionError: it is refused.
        ScanError: it is malformed.
    """
    start = superblock(reader)
    if start is None:
        raise ConversionError("there is no HDF5 file where one should be")
    file = _File(reader, start, request.budget)
    taken, wrapper, left_out = _taken(file, request.select)
    stores = Stores()
    base = None if member is None else stores.add(member)
    maker = _Maker(file, stores, base)
    tensors = []
    for name, path in sorted(taken.items()):
        made = maker.tensor(name, path, file.datasets[path])
        if isinstance(made, LeftOut):
            left_out.append(made)
        else:
            tensors.append(made)
    if not tensors:
        raise NoTensorsError("the file has no dataset of numbers to convert")
    maker.refuse_overlaps()
    notes: list[str] = []
    for attribute in file.root.attributes:
        if attribute.name in _CONFIGURATIONS:
            left_out.append(LeftOut(path=attribute.name, kind="Keras configuration"))
            for text in attribute.texts:
                content = Window(text.reader, text.place, text.length)
                notes += code_notes(content, attribute.name, request.budget)
    return Plan(
        format=format_name,
        stores=tuple(stores.all),
        tensors=tuple(tensors),
        wrapper=wrapper,
        left_out=tuple(left_out),
        notes=tuple(notes),
    )


def _shown(path: Iterable[str]) -> str:
    return repr("/" + "/".join(path))[:200]


def _taken(file: _File, select: str | None) -> tuple[dict[str, _Path], str | None, list[LeftOut]]:
    """Return (paths by name, the part that was taken, what was left out beside it)."""
    if select is None and (KERAS_WRAPPER,) in file.groups and any(path[0] == KERAS_WRAPPER for path in file.datasets):
        select = KERAS_WRAPPER
    if select in {None, WHOLE}:
        return _named((".".join(path), path) for path in file.datasets), None, []
    assert select is not None
    inside, beside = [], dict[str, int]()
    for path in file.datasets:
        name = ".".join(path)
        if name == select:
            inside.append((path[-1], path))
        elif name.startswith(f"{select}."):
            inside.append((name.removeprefix(f"{select}."), path))
        else:
            beside[path[0]] = beside.get(path[0], 0) + 1
    if not inside:
        known = ", ".join(sorted({path[0] for path in file.datasets})[:20])
        raise ConversionError(f"there is no {select!r} in this file; at the top it has {known or 'nothing'}")
    left_out = [LeftOut(path=name, kind="group", tensors=count) for name, count in sorted(beside.items())]
    return _named(inside), select, left_out


def _named(pairs: Iterable[tuple[str, _Path]]) -> dict[str, _Path]:
    named: dict[str, _Path] = {}
    for name, path in pairs:
        if name in named:
            raise ConversionError(
                f"two datasets would both be called {name!r:.100} ({_shown(named[name])} and {_shown(path)}); rename "
                "one, or pick a part with --select"
            )
        named[name] = path
    return named


class _Maker:
    """Turns datasets into tensors."""

    def __init__(self, file: _File, stores: Stores, base: int | None) -> None:
        self._file = file
        self._stores = stores
        self._base = base
        self._known: dict[int, PlannedTensor | LeftOut] = {}
        self._ranges: list[tuple[int, int, str]] = []

    def tensor(self, name: str, path: _Path, item: _Object) -> PlannedTensor | LeftOut:
        """Return what to copy for a dataset, or that it is none of numbers."""
        where = _shown(path)
        known = self._known.get(item.address)
        if isinstance(known, LeftOut):
            return LeftOut(path=name, kind=known.kind)
        if known is not None:
            return PlannedTensor(
                name=name, dtype=known.dtype, shape=known.shape, store=known.store, offset=0, swap=known.swap
            )
        made = self._made(name, where, item)
        self._known[item.address] = made
        return made

    def _made(self, name: str, where: str, item: _Object) -> PlannedTensor | LeftOut:
        if _EXTERNAL in item.single:
            raise ConversionError(
                f"{where}: keeps its data in another file, which is not followed; save the weights into one file"
            )
        if _DATATYPE not in item.single or _DATASPACE not in item.single:
            raise ConversionError(f"{where}: has no type or no shape; the file is damaged")
        space = self._file.structure.shape(self._file.cursor(item.single[_DATASPACE]))
        if space is None:
            return LeftOut(path=name, kind="dataset without a shape")
        shape = space.now
        if len(shape) > MAX_RANK:
            raise ConversionError(f"{where}: has {len(shape)} dimensions, more than {MAX_RANK}")
        kind = self._type(where, item)
        if kind is None:
            return LeftOut(path=name, kind="text")
        dtype, big_endian = kind
        store = self._store(where, item, space, dtype.itemsize)
        return PlannedTensor(
            name=name,
            dtype=dtype,
            shape=shape,
            store=self._stores.add(store),
            offset=0,
            swap=dtype.swap if big_endian else 1,
        )

    def refuse_overlaps(self) -> None:
        """Refuse bytes that belong to two datasets, or twice to one."""
        for (_, end, first), (start, _, second) in pairwise(sorted(self._ranges)):
            if start < end:
                raise ConversionError(
                    f"{first} and {second} share bytes of the file, which no writer does; the file is damaged or was "
                    "made to mislead"
                )

    # Types

    def _type(self, where: str, item: _Object) -> tuple[DType, bool] | None:
        """Return the element type and whether it is big-endian; None for text."""
        cursor = self._file.cursor(item.single[_DATATYPE])
        version, kind = divmod(cursor.u8(), 16)
        bits, size = cursor.take(3), cursor.u32()
        if kind == 3 or (kind == 9 and bits[0] & 15 == 1):
            return None
        if kind in {0, 1}:
            name = _integer(cursor, bits, size) if kind == 0 else _float(cursor, bits, size)
            if name is not None:
                return DTYPES[name], bool(bits[0] & 1)
            raise ConversionError(
                f"{where}: has {8 * size}-bit numbers of a form that safetensors does not have; convert it before it "
                "is saved"
            )
        if kind == 8 and size == 1 and _is_bool(cursor, version, bits):
            return DTYPES["BOOL"], False
        if kind == 5 and size == 2 and self._marked(item) == b"bfloat16":
            return DTYPES["BF16"], False  # as Keras writes it: bytes without a type, and an attribute
        raise ConversionError(f"{where}: holds {_KINDS.get(kind, 'an unknown type')}; {WHAT_INSTEAD['structured']}")

    def _marked(self, item: _Object) -> bytes:
        for attribute in item.attributes:
            if attribute.name == "dtype":
                for text in attribute.texts:
                    return text.reader.read_at(text.place, min(text.length, 64)).rstrip(b"\0")
        return b""

    # Bytes

    def _store(self, where: str, item: _Object, space: Shape, itemsize: int) -> Store:
        shape = space.now
        size = prod(shape) * itemsize
        if size >= 1 << 63 or any(length >= 1 << 63 for length in shape):
            raise ConversionError(f"{where}: its size overflows; the file is damaged or was made to mislead")
        structure, cursor = self._file.structure, self._file.cursor(item.single[_LAYOUT])
        version = cursor.u8()
        if version not in {1, 2, 3, 4, 5}:
            raise ConversionError(f"{where}: is laid out in a way (version {version}) that is not read; save it again")
        chunk: list[int] = []
        if version < 3:
            rank, kind = cursor.u8(), cursor.u8()
            cursor.skip(5)
            address = structure.address(cursor) if kind else None
            chunk = [cursor.u32() for _ in range(rank)]
            length = cursor.u32() if kind == 0 else size
        else:
            kind, address, length = cursor.u8(), None, size
            if kind == 0:
                length = cursor.u16()
            elif kind == 1:
                address, length = structure.address(cursor), structure.length(cursor)
        if kind == 2 and version < 4:
            if version == 3:
                rank, address = cursor.u8(), structure.address(cursor)
                chunk = [cursor.u32() for _ in range(rank)]
            grid = self._grid(where, item, shape, chunk, itemsize)
            blocks = {} if address is None or not size else self._tree(where, grid, address)
            return self._chunked(where, grid, blocks)
        if kind == 2:
            return self._chunked4(where, item, cursor, space, itemsize)
        if kind == 3:
            raise ConversionError(
                f"{where}: is a virtual dataset, put together from other ones; save its numbers as they are"
            )
        if kind > 3 or _FILTERS in item.single:
            raise ConversionError(f"{where}: is laid out in a way that is not read; save it again")
        if kind == 0:
            place = cursor.offset
            cursor.skip(length)
        elif address is None:
            place = 0
            length = size if not size else -1
        else:
            place = structure.base + address
        if length == -1:
            raise _unwritten(where)
        if length != size:
            raise ConversionError(f"{where}: has {length} bytes and its shape needs {size}; the file is damaged")
        return (
            raw_store(where, *self._range(where, place, length))
            if self._base is None
            else self._inside(where, Encoding.RAW, size, (self._range(where, place, length),), None)
        )

    def _inside(
        self, where: str, encoding: Encoding, size: int, segments: tuple[tuple[int, int], ...], grid: Grid | None
    ) -> Store:
        return Store(name=where, encoding=encoding, size=size, segments=segments, base=self._base, grid=grid)

    def _range(self, where: str, place: int, length: int) -> tuple[int, int]:
        if not length:
            return 0, 0
        if place + length > self._file.reader.size:
            raise ConversionError(
                f"{where}: its data ends at byte {place + length} and the file at {self._file.reader.size}; it is cut "
                "off or was made to mislead"
            )
        self._ranges.append((place, place + length, where))
        return place, length

    def _grid(self, where: str, item: _Object, shape: tuple[int, ...], chunk: list[int], itemsize: int) -> Grid:
        if len(chunk) != len(shape) + 1 or chunk[-1] != itemsize or not shape or min(chunk) < 1:
            raise ConversionError(f"{where}: its blocks do not fit its shape; the file is damaged")
        filters = self._filters(where, item, itemsize)
        grid = Grid(shape=shape, chunk=tuple(chunk[:-1]), itemsize=itemsize, filters=filters)
        if grid.block_size > BLOCK_LIMIT:
            raise ConversionError(
                f"{where}: has blocks of {grid.block_size} bytes, more than {BLOCK_LIMIT}; save it in smaller ones"
            )
        if Filter.LZF in filters and grid.block_size > _LZF_LIMIT:
            raise ConversionError(
                f"{where}: has blocks of {grid.block_size} bytes packed with lzf; save it with gzip, or in smaller ones"
            )
        if grid.blocks > _MAXIMUM_BLOCKS:
            raise ConversionError(f"{where}: has {grid.blocks} blocks, more than {_MAXIMUM_BLOCKS}")
        self._file.budget.spend_members(grid.blocks)
        return grid

    def _filters(self, where: str, item: _Object, itemsize: int) -> tuple[Filter, ...]:
        if _FILTERS not in item.single:
            return ()
        filters: list[Filter] = []
        for step in pipeline(self._file.cursor(item.single[_FILTERS])):
            known = _KNOWN_FILTERS.get(step.number)
            if known is None:
                raise ConversionError(
                    f"{where}: is packed with the filter {step.name}, which is not read; save it with gzip, or unpacked"
                )
            if known in filters or (known is Filter.SHUFFLE and step.values and step.values[0] != itemsize):
                raise ConversionError(f"{where}: its filters do not fit its type; the file is damaged")
            filters.append(known)
        return tuple(filters)

    def _tree(self, where: str, grid: Grid, root: int) -> dict[Corner, Block]:
        """Return every block by its corner: a version 1 tree."""
        structure = self._file.structure
        blocks: dict[Corner, Block] = {}
        pending = [root]
        seen: set[int] = set()
        while pending:
            address = pending.pop()
            if address in seen:
                raise ConversionError(f"{where}: the tree of its blocks leads back into itself")
            seen.add(address)
            node = structure.cursor(address)
            if node.take(4) != b"TREE" or node.u8() != 1:
                raise ConversionError(f"{where}: the tree of its blocks is broken")
            level, used = node.u8(), node.u16()
            node.skip(2 * structure.offset_size)
            for _ in range(used):
                structure.spend()
                length, mask = node.u32(), node.u32()
                corner = tuple(node.u64() for _ in range(len(grid.shape) + 1))
                child = structure.address(node)
                if child is None:
                    raise _unwritten(where)
                if level:
                    pending.append(child)
                elif corner[:-1] in blocks or len(blocks) >= grid.blocks:
                    raise ConversionError(f"{where}: has more blocks than its shape has room for")
                else:
                    blocks[corner[:-1]] = Block(structure.base + child, length, mask)
        return blocks

    def _chunked(self, where: str, grid: Grid, blocks: dict[Corner, Block]) -> Store:
        segments, masks = [], []
        size = prod(grid.shape) * grid.itemsize
        for corner in product(*(range(0, length, width) for length, width in zip(grid.shape, grid.chunk, strict=True))):
            if corner not in blocks:
                raise _unwritten(where)
            block = blocks[corner]
            if block.mask >> len(grid.filters):
                raise ConversionError(f"{where}: a block skips filters that there are not")
            segments.append(self._range(where, block.place, block.length))
            masks.append(block.mask)
        limits, packed = self._file.budget.limits, sum(length for _, length in segments)
        if size > limits.free_expansion + limits.ratio * packed:
            raise ConversionError(
                f"{where}: {packed} bytes that unpack to {size} look like an expansion bomb; save it unpacked if it is "
                "genuine"
            )
        if len(segments) != len(blocks):
            raise ConversionError(f"{where}: has blocks outside its shape; the file is damaged")
        grid = Grid(
            shape=grid.shape,
            chunk=grid.chunk,
            itemsize=grid.itemsize,
            filters=grid.filters,
            skipped=tuple(masks) if any(masks) else (),
        )
        if not size:
            return Store(name=where, encoding=Encoding.INLINE, size=0)
        return self._inside(where, Encoding.CHUNKED, size, tuple(segments), grid)

    def _chunked4(self, where: str, item: _Object, cursor: Cursor, space: Shape, itemsize: int) -> Store:
        """Read the newer descriptions of blocks."""
        flags, rank, width = cursor.u8(), cursor.u8(), cursor.u8()
        chunk = [cursor.uint(width) for _ in range(rank)]
        grid = self._grid(where, item, space.now, chunk, itemsize)
        if not grid.blocks:
            return self._chunked(where, grid, {})
        return self._chunked(where, grid, blocks_of(where, self._file.structure, cursor, flags, grid, space))


def _unwritten(where: str) -> ConversionError:
    return ConversionError(
        f"{where}: was made but not written as a whole, so some of its numbers are only a default; write it and save "
        "again"
    )


def _integer(cursor: Cursor, bits: bytes, size: int) -> str | None:
    offset, precision = cursor.u16(), cursor.u16()
    if offset or precision != 8 * size:
        return None
    name = f"{'I' if bits[0] & 8 else 'U'}{8 * size}"
    return name if name in DTYPES else None


def _float(cursor: Cursor, bits: bytes, size: int) -> str | None:
    offset, precision = cursor.u16(), cursor.u16()
    exponent, exponent_bits, mantissa, mantissa_bits = cursor.u8(), cursor.u8(), cursor.u8(), cursor.u8()
    bias = cursor.u32()
    # 0x40: the byte order of a VAX; 0x20 of the second half-byte: the mantissa's first bit is implied.
    if offset or precision != 8 * size or bits[0] & 0x40 or bits[0] >> 4 & 3 != 2:
        return None
    name = _FLOATS.get((bits[1], exponent, exponent_bits, mantissa, mantissa_bits, bias))
    return name if name is not None and DTYPES[name].itemsize == size else None


def _is_bool(cursor: Cursor, version: int, bits: bytes) -> bool:
    """Return whether an enumeration is h5py's way to write booleans: FALSE = 0, TRUE = 1."""
    if int.from_bytes(bits[:2], "little") != len(_BOOL):
        return False
    cursor.skip(4)
    if cursor.u32() != 1:
        return False
    cursor.skip(4)
    names = []
    for _ in _BOOL:
        name = b""
        while (character := cursor.take(1)) != b"\0":
            name += character
            if len(name) > len(b"FALSE"):
                return False
        if version < 3:
            cursor.skip(-(len(name) + 1) % 8)
        names.append(name)
    return dict(zip(names, cursor.take(len(_BOOL)), strict=True)) == _BOOL
