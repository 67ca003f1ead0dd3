"""Flax's `.msgpack`: nested maps of arrays, plain data throughout.

An array is the extension type 1, whose content is again MessagePack: shape, name of the element type, bytes. An array
of a gigabyte and more is a map of chunks. Source: flax/serialization.py (`_ndarray_to_bytes`, `_chunk`,
`_unchunk`, `MAX_CHUNK_SIZE`); the MessagePack specification.
"""

from math import prod
from typing import Final

from modelsign.conversion.inputs.assembly import StorageBytes, Stores, plan_tree, raw_store
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import MAX_RANK, Encoding, Plan, Store
from modelsign.errors import ConversionError
from scanners.limits import Budget
from scanners.pickles.tensors import ITEMSIZE
from scanners.pickles.values import Mapping, Span, TensorValue, Value
from scanners.reader import Reader

_CHUNKED = "__msgpack_chunked_array__"
_DEPTH = 100
_TEXT_LIMIT = 1 << 16
_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_SIZED: Final[dict[int, tuple[str, int]]] = {
    0xC4: ("bytes", 1),
    0xC5: ("bytes", 2),
    0xC6: ("bytes", 4),
    0xC7: ("ext", 1),
    0xC8: ("ext", 2),
    0xC9: ("ext", 4),
    0xD9: ("str", 1),
    0xDA: ("str", 2),
    0xDB: ("str", 4),
    0xDC: ("list", 2),
    0xDD: ("list", 4),
    0xDE: ("map", 2),
    0xDF: ("map", 4),
}
_FIXED_EXT: Final[dict[int, int]] = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_NUMBERS: Final[dict[int, tuple[int, bool]]] = {
    0xCC: (1, False),
    0xCD: (2, False),
    0xCE: (4, False),
    0xCF: (8, False),
    0xD0: (1, True),
    0xD1: (2, True),
    0xD2: (4, True),
    0xD3: (8, True),
}


def is_flax(head: bytes) -> bool:
    """Return whether a file may be a MessagePack map whose first key is text."""
    if len(head) < 3:
        return False
    first = head[0]
    at = 1 if 0x81 <= first <= 0x8F else {0xDE: 3, 0xDF: 5}.get(first, 0)
    return bool(at) and len(head) > at and (0xA0 <= head[at] <= 0xBF or head[at] in {0xD9, 0xDA, 0xDB})


def parse(reader: Reader, request: Request) -> Plan:
    """Read a MessagePack of arrays.

    Raises:
        ConversionError: it is refused.
        ScanError: it is malformed.
    """
    stores = Stores()
    parser = _Parser(reader, stores, request.budget)
    root = parser.value(0)
    if parser.position != reader.size:
        raise ConversionError(f"{reader.size - parser.position} bytes follow the data; the file is damaged")

    def no_pickle() -> int:
        raise ConversionError("a MessagePack holds no pickled arrays")

    return plan_tree(
        root,
        request=request,
        reader=reader,
        stores=stores,
        pickle_store=no_pickle,
        storage=lambda tensor: parser.places[tensor.storage_key],
        big_endian=False,
        format_name="flax-msgpack",
    )


class _Parser:
    """Reads MessagePack; arrays become tensor values whose bytes stay where they are."""

    def __init__(self, reader: Reader, stores: Stores, budget: Budget) -> None:
        self.reader = reader
        self.stores = stores
        self.budget = budget
        self.position = 0
        self.places: dict[str, StorageBytes] = {}

    def take(self, count: int) -> bytes:
        data = self.reader.read_at(self.position, count)
        if len(data) != count:
            raise ConversionError("the file is cut off")
        self.position += count
        return data

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def value(self, depth: int) -> Value:
        if depth > _DEPTH:
            raise ConversionError(f"maps are nested deeper than {_DEPTH}")
        self.budget.spend_facts()
        first = self.take(1)[0]
        if first <= 0x7F:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first <= 0x8F:
            return self.mapping(first & 0x0F, depth)
        if first <= 0x9F:
            return [self.value(depth + 1) for _ in range(first & 0x0F)]
        if first <= 0xBF:
            return self.text(first & 0x1F)
        if first in _NUMBERS:
            width, signed = _NUMBERS[first]
            return int.from_bytes(self.take(width), "big", signed=signed)
        if first in _FIXED_EXT:
            return self.extension(_FIXED_EXT[first])
        if first in _SIZED:
            kind, width = _SIZED[first]
            return self.sized(kind, self.number(width), depth)
        return self.constant(first)

    def constant(self, first: int) -> Value:
        match first:
            case 0xC0:
                return None
            case 0xC2:
                return False
            case 0xC3:
                return True
            case 0xCA | 0xCB:
                import struct

                real: float = struct.unpack(*((">f", self.take(4)) if first == 0xCA else (">d", self.take(8))))[0]
                return real
            case _:
                raise ConversionError(f"byte {first:#x} at {self.position - 1} begins no MessagePack value")

    def sized(self, kind: str, count: int, depth: int) -> Value:
        match kind:
            case "map":
                return self.mapping(count, depth)
            case "list":
                return [self.value(depth + 1) for _ in range(self.fitting(count))]
            case "str":
                return self.text(count)
            case "bytes":
                return self.span(count)
            case _:
                return self.extension(count)

    def fitting(self, count: int) -> int:
        if count > self.reader.size - self.position:
            raise ConversionError("a count is larger than the rest of the file")
        return count

    def mapping(self, count: int, depth: int) -> Value:
        mapping = Mapping()
        for _ in range(self.fitting(count)):
            key = self.value(depth + 1)
            mapping.entries.append((key, self.value(depth + 1)))
        if any(key == _CHUNKED for key, _ in mapping.entries):
            return self.chunked(mapping)
        return mapping

    def text(self, count: int) -> str:
        if count > _TEXT_LIMIT:
            raise ConversionError(f"a text is {count} bytes long")
        try:
            return self.take(count).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ConversionError("a text is not UTF-8") from error

    def span(self, count: int) -> Span:
        span = Span("bytes", self.position, self.fitting(count))
        self.position += count
        return span

    def extension(self, count: int) -> Value:
        kind = self.take(1)[0]
        end = self.position + self.fitting(count)
        if kind in {_COMPLEX, _SCALAR}:
            span = Span("bytes", self.position, count)
            self.position = end
            return span
        if kind != _ARRAY:
            raise ConversionError(f"extension type {kind} is none of Flax's")
        content = self.value(1)
        if self.position != end or not isinstance(content, list) or len(content) != 3:
            raise ConversionError("an array is not in the form Flax writes")
        return self.array(content)

    def array(self, content: "list[Value]") -> TensorValue:
        shape, dtype, data = content
        name = dtype if isinstance(dtype, str) else ""
        lengths = _shape(shape)
        if not isinstance(data, Span):
            raise ConversionError("an array is not in the form Flax writes")
        itemsize = ITEMSIZE.get(name)
        if itemsize is None:
            return _tensor(lengths, name, "", 0)  # refused by its type if it is taken
        if prod(lengths) * itemsize != data.length:
            raise ConversionError(f"an array has {data.length} bytes and its shape needs {prod(lengths) * itemsize}")
        key = str(len(self.places))
        store = self.stores.add(raw_store(f"array at byte {data.offset}", data.offset, data.length))
        self.places[key] = StorageBytes(store=store, offset=0, size=data.length)
        return _tensor(lengths, name, key, data.length)

    def chunked(self, mapping: Mapping) -> TensorValue:
        """Join an array that was split: its parts stay where they are, one store lists them."""
        fields = {key: value for key, value in mapping.entries if isinstance(key, str)}
        shape = _shape(_numbered(fields.get("shape")))
        parts = [part for part in _numbered(fields.get("chunks")) if isinstance(part, TensorValue)]
        if not parts or len(parts) != len(_numbered(fields.get("chunks"))) or len({part.dtype for part in parts}) > 1:
            raise ConversionError("a split array has parts that do not fit together")
        dtype = parts[0].dtype
        stores = [self.stores.all[self.places[part.storage_key].store] for part in parts if part.storage_key]
        size = sum(store.size for store in stores)
        if len(stores) != len(parts) or size != prod(shape) * ITEMSIZE[dtype]:
            raise ConversionError("a split array has parts of another size than its shape")
        key = str(len(self.places))
        segments = tuple(segment for store in stores for segment in store.segments)
        store = Store(name="a split array", encoding=Encoding.RAW, size=size, segments=segments)
        self.places[key] = StorageBytes(store=self.stores.add(store), offset=0, size=size)
        return _tensor(shape, dtype, key, size)


def _shape(value: Value) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_RANK:
        raise ConversionError("an array has no shape")
    lengths = tuple(length for length in value if isinstance(length, int) and 0 <= length < 1 << 63)
    if len(lengths) != len(value):
        raise ConversionError("an array has a size that is none")
    return lengths


def _numbered(value: Value) -> "list[Value]":
    """Return the values of a list, or of a map whose keys count from "0" (Flax writes lists so)."""
    if isinstance(value, Mapping):
        fields = {key: item for key, item in value.entries if isinstance(key, str)}
        if sorted(fields) == sorted(str(index) for index in range(len(value.entries))):
            return [fields[str(index)] for index in range(len(fields))]
    return value if isinstance(value, list) else []


def _tensor(shape: tuple[int, ...], dtype: str, key: str, size: int) -> TensorValue:
    stride = []
    step = 1
    for length in reversed(shape):
        stride.append(step)
        step *= max(1, length)
    return TensorValue(
        kind="flax",
        dtype=dtype,
        shape=shape,
        stride=tuple(reversed(stride)),
        storage_key=key,
        storage_dtype="uint8",
        storage_numel=size,
        storage_offset=0,
        offset=0,
    )
