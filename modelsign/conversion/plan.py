"""The plan of a conversion: which bytes of the source become which tensor.

The parser of the (untrusted) source makes it, the writer follows it. It is made of numbers and names only and goes
through JSON, so that the two can live in different processes: a worker without rights parses, the copying process
never does. The writer believes nothing: `Plan.check` proves every range again before a byte is copied.

`Store` is a run of source bytes that tensors are cut from (a record of the archive, a storage, an array's data);
`PlannedTensor` is a view of one store. All arithmetic is on Python's integers, so nothing overflows.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from io import BytesIO
from itertools import chain
from math import prod
from typing import TypeAlias, assert_never

from modelsign.conversion.dtypes import DTYPES, DType
from modelsign.conversion.record import LeftOut
from modelsign.errors import ConversionError
from scanners.limits import Limits

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_RANK = 64
_FREE_OUTPUT = 1 << 30
_OUTPUT_RATIO = 16
_NAME_LIMIT = 1 << 16
BLOCK_LIMIT = (1 << 32) - 1
"""bytes of one block of a chunked store: what HDF5 allowed before release 2"""


class Encoding(Enum):
    """How the bytes of a store lie in the source."""

    RAW = "raw"
    """as they are, in one or more pieces"""
    DEFLATE = "deflate"
    """one piece of raw deflate (a compressed zip member)"""
    LATIN1 = "latin1"
    """UTF-8 text of the characters U+0000 to U+00FF (bytes in a pickle of protocol 1 or 2)"""
    ESCAPED = "escaped"
    """the same text in Python's raw-unicode-escape encoding (bytes in a pickle of protocol 0)"""
    QUOTED = "quoted"
    """bytes as Python 2 writes them between quotes (its default protocol, 0)"""
    INLINE = "inline"
    """in the plan itself (short bytes)"""
    CHUNKED = "chunked"
    """in blocks of an array, one segment each, filtered or not (HDF5)"""
    GZIP = "gzip"
    """a compressed file, as this one and the following"""
    ZLIB = "zlib"
    BZIP2 = "bzip2"
    XZ = "xz"
    LZMA = "lzma"
    LZ4 = "lz4"


STREAMS = frozenset({Encoding.GZIP, Encoding.ZLIB, Encoding.BZIP2, Encoding.XZ, Encoding.LZMA, Encoding.LZ4})
"""encodings of whole files"""


class Filter(Enum):
    """What was done to each block of a chunked store before it was written."""

    SHUFFLE = "shuffle"
    """first bytes of all items, then second bytes …"""
    DEFLATE = "deflate"
    """a zlib stream"""
    LZF = "lzf"
    """h5py's own compression"""
    FLETCHER32 = "fletcher32"
    """a checksum of four bytes behind the block"""


COMPRESSING = frozenset({Filter.DEFLATE, Filter.LZF})
"""filters after which a block is as long as it happens to be"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How the blocks of a chunked store make an array: row by row, those at the far edges padded to full size."""

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    itemsize: int
    filters: tuple[Filter, ...] = ()
    """in the order of writing"""
    skipped: tuple[int, ...] = ()
    """for each block a mask of the filters that were not applied to it; empty where all were"""

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return prod(-(-length // width) for length, width in zip(self.shape, self.chunk, strict=True))

    @property
    def block_size(self) -> int:
        """Bytes of one block without filters."""
        return prod(self.chunk) * self.itemsize

    def skips(self, block: int, position: int) -> bool:
        """Return whether a block was written without the filter at a position."""
        return bool(self.skipped and self.skipped[block] >> position & 1)

    def size_after(self, block: int, count: int) -> int:
        """Return the bytes of a block to which the first ``count`` filters were applied, none of which compresses."""
        sums = (self.filters[one] is Filter.FLETCHER32 and not self.skips(block, one) for one in range(count))
        return self.block_size + 4 * sum(sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A run of bytes that tensors are cut from."""

    name: str
    """for messages: `archive/data/0`"""
    encoding: Encoding
    size: int
    """decoded bytes"""
    segments: tuple[tuple[int, int], ...] = ()
    """(offset, length) in the source, or in the store `base`"""
    base: int | None = None
    """an earlier store whose decoded bytes the segments refer to"""
    crc: int | None = None
    """CRC-32 of the decoded bytes, where the source states one"""
    data: bytes = b""
    """the bytes of an inline store"""
    grid: Grid | None = None
    """how the segments of a chunked store lie in its array"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTensor:
    """A view of a store, as a tensor."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    """as safetensors counts it (for the packed four-bit type the last dimension is doubled)"""
    store: int
    offset: int
    """bytes into the store"""
    stride: tuple[int, ...] | None = None
    """in items of `dtype.itemsize` bytes, over `item_shape`; None for row-major"""
    swap: int = 1
    """reverse the bytes of every part of this width"""
    conj: bool = False
    """negate imaginary parts: the source only notes that it is conjugated"""
    neg: bool = False
    """negate: the source only notes that it is negated"""

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape in stored items: a byte of the packed type holds two elements."""
        if self.dtype.bits >= 8:
            return self.shape
        return (*self.shape[:-1], self.shape[-1] // 2)

    @property
    def size(self) -> int:
        """Bytes in the output."""
        items = self.dtype.itemsize
        for length in self.item_shape:
            items *= length
        return items

    @property
    def region(self) -> tuple[object, ...]:
        """What makes two names one tensor: the same bytes read in the same way."""
        return (
            self.store,
            self.offset,
            self.shape,
            self.stride,
            self.dtype.name,
            self.swap,
            self.conj,
            self.neg,
        )

    @property
    def verbatim(self) -> bool:
        """Whether the output holds the source's bytes as they are."""
        return self.stride is None and self.swap == 1 and not self.conj and not self.neg

    @property
    def extent(self) -> int:
        """Bytes of the store from the first to the last one that the view touches."""
        if not self.size:
            return 0
        if self.stride is None:
            return self.size
        last = sum((length - 1) * step for length, step in zip(self.item_shape, self.stride, strict=True))
        return (last + 1) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything the writer needs to know about a source."""

    format: str
    stores: tuple[Store, ...]
    tensors: tuple[PlannedTensor, ...]
    wrapper: str | None = None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    values: Mapping[str, Json] = field(default_factory=dict)
    """the plain data that was left out, by dotted path; empty unless asked for"""

    def check(self, source_size: int) -> None:
        """Prove that every range lies where it may and that the output is not out of proportion.

        Raises:
            ConversionError: naming the store or the tensor.
        """
        for index, store in enumerate(self.stores):
            _check_store(store, index, self.stores, source_size)
        names = set()
        total = 0
        for tensor in self.tensors:
            _check_name(tensor.name)
            if tensor.name in names:
                raise ConversionError(
                    f"two tensors would both be called {tensor.name!r}; rename one, or pick a part with --select"
                )
            names.add(tensor.name)
            _check_view(tensor, self.stores)
            total += tensor.size
        available = sum(store.size for store in self.stores)
        if total > max(_FREE_OUTPUT, _OUTPUT_RATIO * available):
            raise ConversionError(
                f"the tensors would take {total} bytes but are cut from {available}: expanded or overlapping views of "
                "little data; save them with `.clone()` if they are really meant to be that large"
            )

    def to_json(self) -> bytes:
        """Return the plan as lines of JSON: what there is one of, then a row for each store and for each tensor.

        There may be very many rows, so neither side ever holds them all as JSON values.
        """
        encode = json.JSONEncoder(separators=(",", ":")).encode
        head = {
            "format": self.format,
            "wrapper": self.wrapper,
            "left_out": [[item.path, item.kind, item.tensors, item.values] for item in self.left_out],
            "notes": self.notes,
            "values": dict(self.values),
            "stores": len(self.stores),
            "tensors": len(self.tensors),
        }
        lines = bytearray(encode(head).encode("ascii"))
        for row in chain(map(_store_row, self.stores), map(_tensor_row, self.tensors)):
            lines += b"\n"
            lines += encode(row).encode("ascii")
        return bytes(lines)

    @staticmethod
    def from_json(data: bytes) -> "Plan":
        """Read a plan back; `check` is still to be called.

        Raises:
            ConversionError: the lines are not a plan.
        """
        try:
            return _plan_of(BytesIO(data))
        except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
            raise ConversionError(f"the parser's answer is not a conversion plan: {error}") from error


def _store_row(store: Store) -> tuple[object, ...]:
    data = base64.b64encode(store.data).decode("ascii")
    grid = None if store.grid is None else _grid_row(store.grid)
    return (store.name, store.encoding.value, store.size, store.segments, store.base, store.crc, data, grid)


def _grid_row(grid: Grid) -> tuple[object, ...]:
    return (grid.shape, grid.chunk, grid.itemsize, [one.value for one in grid.filters], grid.skipped)


def _tensor_row(tensor: PlannedTensor) -> tuple[object, ...]:
    return (
        tensor.name,
        tensor.dtype.name,
        tensor.shape,
        tensor.store,
        tensor.offset,
        tensor.stride,
        tensor.swap,
        tensor.conj,
        tensor.neg,
    )


def _check_store(store: Store, index: int, stores: tuple[Store, ...], source_size: int) -> None:
    if store.base is not None and not 0 <= store.base < index:
        raise ConversionError(f"{store.name}: lies in a store that does not precede it")
    available = source_size if store.base is None else stores[store.base].size
    for offset, length in store.segments:
        if offset < 0 or length < 0 or offset + length > available:
            raise ConversionError(f"{store.name}: its bytes lie outside the file, which may be truncated")
    if not _fits(store, sum(length for _, length in store.segments)):
        raise ConversionError(f"{store.name}: its size does not agree with the bytes it has")


def _fits(store: Store, encoded: int) -> bool:
    match store.encoding:
        case Encoding.RAW:
            return encoded == store.size
        case Encoding.INLINE:
            return not store.segments and len(store.data) == store.size
        case Encoding.LATIN1:
            return store.size <= encoded <= 2 * store.size
        case Encoding.ESCAPED:
            return store.size <= encoded <= 6 * store.size
        case Encoding.QUOTED:
            return store.size <= encoded <= 4 * store.size
        case Encoding.DEFLATE:
            # 1032:1 is the most that deflate can do; the parser's own budget is tighter.
            return len(store.segments) == 1 and 0 <= store.size <= 1032 * encoded + 1032
        case Encoding.GZIP | Encoding.ZLIB | Encoding.BZIP2 | Encoding.XZ | Encoding.LZMA | Encoding.LZ4:
            # The bound that a scan's unpacking holds to.
            limits = Limits()
            return len(store.segments) == 1 and 0 <= store.size <= limits.free_expansion + limits.ratio * encoded
        case Encoding.CHUNKED:
            return store.grid is not None and _fills(store, store.grid)
        case _:
            assert_never(store.encoding)


def _fills(store: Store, grid: Grid) -> bool:
    """Return whether the blocks of a store are as many and as long as its grid says."""
    if len(grid.shape) != len(grid.chunk) or min(grid.shape, default=0) < 0 or min(grid.chunk, default=1) < 1:
        return False
    block = grid.block_size
    return (
        0 < block <= BLOCK_LIMIT
        and grid.itemsize > 0
        and len(grid.filters) <= len(Filter)
        and store.size == prod(grid.shape) * grid.itemsize
        and len(store.segments) == grid.blocks
        and len(grid.skipped) in {0, len(store.segments)}
        and all(
            length <= 2 * block + 4096
            if any(one in COMPRESSING and not grid.skips(index, place) for place, one in enumerate(grid.filters))
            else length == grid.size_after(index, len(grid.filters))
            for index, (_, length) in enumerate(store.segments)
        )
    )


def _check_name(name: str) -> None:
    if name == "__metadata__":
        raise ConversionError(
            "a tensor is called '__metadata__', which safetensors reserves: no reader would open the file; rename it"
        )
    if len(name) > _NAME_LIMIT:
        raise ConversionError(f"the name of a tensor is longer than {_NAME_LIMIT} characters: {name[:60]!r}…")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConversionError(
            f"the name {name!r} holds half of a surrogate pair, which JSON text cannot carry; rename the tensor"
        ) from error


def _check_view(tensor: PlannedTensor, stores: tuple[Store, ...]) -> None:
    where = f"tensor {tensor.name!r}"
    if not 0 <= tensor.store < len(stores):
        raise ConversionError(f"{where}: has no data")
    if len(tensor.shape) > MAX_RANK:
        raise ConversionError(f"{where}: has {len(tensor.shape)} dimensions, more than {MAX_RANK}")
    if any(length < 0 for length in tensor.shape):
        raise ConversionError(f"{where}: has a negative size")
    if tensor.dtype.bits < 8 and (not tensor.shape or tensor.shape[-1] % 2):
        raise ConversionError(f"{where}: {tensor.dtype.name} needs an even last dimension")
    if tensor.stride is not None and (
        len(tensor.stride) != len(tensor.shape) or any(step < 0 for step in tensor.stride)
    ):
        raise ConversionError(f"{where}: its strides do not fit its shape")
    if tensor.swap not in {1, tensor.dtype.swap}:
        raise ConversionError(f"{where}: its byte order is impossible")
    if tensor.conj and tensor.dtype.kind != "c":
        raise ConversionError(f"{where}: is marked as conjugated but is not complex")
    if tensor.neg and tensor.dtype.kind not in "fic":
        raise ConversionError(f"{where}: is marked as negated but {tensor.dtype.name} has no sign")
    if any(length >= 1 << 63 for length in tensor.shape) or tensor.size >= 1 << 63:
        raise ConversionError(f"{where}: its size overflows")
    store = stores[tensor.store]
    if tensor.offset < 0 or tensor.offset + tensor.extent > store.size:
        raise ConversionError(
            f"{where}: reaches outside its storage {store.name} (bytes {tensor.offset} to "
            f"{tensor.offset + tensor.extent} of {store.size}); the file is damaged or was made to mislead"
        )


def _plan_of(lines: BytesIO) -> Plan:
    head = json.loads(lines.readline())
    if not isinstance(head, dict):
        raise TypeError("an object was expected")
    decode = json.JSONDecoder().decode
    stores = tuple(
        _store_of(_row(decode(lines.readline().decode("ascii")), 8)) for _ in range(_integer(head["stores"]))
    )
    tensors = tuple(
        _tensor_of(_row(decode(lines.readline().decode("ascii")), 9)) for _ in range(_integer(head["tensors"]))
    )
    if lines.read(1):
        raise ValueError("there are more rows than it counts")
    return Plan(
        format=_text(head["format"]),
        stores=stores,
        tensors=tensors,
        wrapper=None if head["wrapper"] is None else _text(head["wrapper"]),
        left_out=tuple(
            LeftOut(path=_text(path), kind=_text(kind), tensors=_integer(tensors), values=_integer(values))
            for path, kind, tensors, values in _rows(head["left_out"], 4)
        ),
        notes=tuple(_text(note) for note in _list(head["notes"])),
        values=_values(head["values"]),
    )


def _store_of(row: list[object]) -> Store:
    name, encoding, size, segments, base, crc, data, grid = row
    return Store(
        name=_text(name),
        encoding=Encoding(encoding),
        size=_integer(size),
        segments=tuple((_integer(offset), _integer(length)) for offset, length in _rows(segments, 2)),
        base=None if base is None else _integer(base),
        crc=None if crc is None else _integer(crc),
        data=base64.b64decode(_text(data), validate=True),
        grid=None if grid is None else _grid_of(_list(grid)),
    )


def _grid_of(row: list[object]) -> Grid:
    shape, chunk, itemsize, filters, skipped = row
    return Grid(
        shape=tuple(_integer(length) for length in _list(shape)),
        chunk=tuple(_integer(length) for length in _list(chunk)),
        itemsize=_integer(itemsize),
        filters=tuple(Filter(one) for one in _list(filters)),
        skipped=tuple(_integer(mask) for mask in _list(skipped)),
    )


def _tensor_of(row: list[object]) -> PlannedTensor:
    name, dtype, shape, store, offset, stride, swap, conj, neg = row
    return PlannedTensor(
        name=_text(name),
        dtype=DTYPES[_text(dtype)],
        shape=tuple(_integer(length) for length in _list(shape)),
        store=_integer(store),
        offset=_integer(offset),
        stride=None if stride is None else tuple(_integer(step) for step in _list(stride)),
        swap=_integer(swap),
        conj=conj is True,
        neg=neg is True,
    )


def _rows(value: object, length: int) -> list[list[object]]:
    return [_row(item, length) for item in _list(value)]


def _row(value: object, length: int) -> list[object]:
    row = _list(value)
    if len(row) != length:
        raise ValueError("a row has the wrong length")
    return row


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a string was expected")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("an integer was expected")
    return value


def _values(value: object) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return value
