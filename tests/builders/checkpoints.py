"""Checkpoints written opcode by opcode: torch's formats without torch, and every way they can be wrong."""

import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.builders.zips import DEFLATED, STORED, Archive, Member

STORAGES = {
    "float64": ("DoubleStorage", 8),
    "float32": ("FloatStorage", 4),
    "float16": ("HalfStorage", 2),
    "bfloat16": ("BFloat16Storage", 2),
    "int64": ("LongStorage", 8),
    "int32": ("IntStorage", 4),
    "int16": ("ShortStorage", 2),
    "int8": ("CharStorage", 1),
    "uint8": ("ByteStorage", 1),
    "bool": ("BoolStorage", 1),
    "complex64": ("ComplexFloatStorage", 8),
    "complex128": ("ComplexDoubleStorage", 16),
    "qint8": ("QInt8Storage", 1),
    "untyped": ("UntypedStorage", 1),
}


@dataclass(frozen=True)
class Name:
    """A global."""

    module: str
    name: str


@dataclass(frozen=True, eq=False)
class Call:
    """A call, and what is done to its result."""

    function: Name
    arguments: Any = ()
    state: Any = None
    entries: Sequence[tuple[Any, Any]] = ()
    items: Sequence[Any] = ()
    new: bool = False


@dataclass(frozen=True, eq=False)
class Persistent:
    """A persistent id."""

    id: Any


@dataclass(frozen=True, eq=False)
class Raw:
    """Opcodes as they are; they leave one value on the stack."""

    opcodes: bytes


class Pickler:
    """Writes protocol 2 or 4; values that occur twice (by identity) are memoised."""

    def __init__(self, protocol: int = 2) -> None:
        self.protocol = protocol
        self.out = bytearray(b"\x80" + bytes([protocol]))
        self.memo: dict[int, int] = {}
        self.alive: list[Any] = []

    def dump(self, value: Any) -> bytes:
        """Return the pickle of ``value``."""
        self.save(value)
        return bytes(self.out + b".")

    def save(self, value: Any) -> None:
        if isinstance(value, dict | list | Call) and id(value) in self.memo:
            self.out += b"j" + struct.pack("<I", self.memo[id(value)])
            return
        match value:
            case None:
                self.out += b"N"
            case bool():
                self.out += b"\x88" if value else b"\x89"
            case int():
                self._int(value)
            case float():
                self.out += b"G" + struct.pack(">d", value)
            case str():
                data = value.encode("utf-8", "surrogatepass")
                self.out += b"X" + struct.pack("<I", len(data)) + data
            case bytes():
                self.out += b"B" + struct.pack("<I", len(value)) + value
            case Name():
                self._global(value)
            case tuple():
                self.out += b"("
                for item in value:
                    self.save(item)
                self.out += b"t"
            case list():
                self.out += b"]"
                self._memoise(value)
                self._items(value)
            case dict():
                self.out += b"}"
                self._memoise(value)
                self._entries(list(value.items()))
            case Persistent():
                self.save(value.id)
                self.out += b"Q"
            case Raw():
                self.out += value.opcodes
            case Call():
                self._call(value)
            case _:
                raise TypeError(type(value))

    def _call(self, value: Call) -> None:
        self.save(value.function)
        self.save(value.arguments)
        self.out += b"\x81" if value.new else b"R"
        self._memoise(value)
        if value.items:
            self._items(value.items)
        if value.entries:
            self._entries(value.entries)
        if value.state is not None:
            self.save(value.state)
            self.out += b"b"

    def _global(self, value: Name) -> None:
        if self.protocol >= 4:
            self.save(value.module)
            self.save(value.name)
            self.out += b"\x93"
        else:
            self.out += f"c{value.module}\n{value.name}\n".encode()

    def _int(self, value: int) -> None:
        if -(1 << 31) <= value < 1 << 31:
            self.out += b"J" + struct.pack("<i", value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.out += b"\x8a" + bytes([len(data)]) + data

    def _items(self, items: Sequence[Any]) -> None:
        self.out += b"("
        for item in items:
            self.save(item)
        self.out += b"e"

    def _entries(self, entries: Sequence[tuple[Any, Any]]) -> None:
        self.out += b"("
        for key, item in entries:
            self.save(key)
            self.save(item)
        self.out += b"u"

    def _memoise(self, value: Any) -> None:
        index = len(self.memo)
        self.memo[id(value)] = index
        self.alive.append(value)
        self.out += b"r" + struct.pack("<I", index)


def pickled(value: Any, protocol: int = 2) -> bytes:
    """Return the pickle of ``value``."""
    return Pickler(protocol).dump(value)


def ordered(entries: Mapping[str, Any]) -> Call:
    """Return a `collections.OrderedDict`."""
    return Call(Name("collections", "OrderedDict"), (), entries=list(entries.items()))


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a contiguous tensor."""
    stride = []
    step = 1
    for length in reversed(shape):
        stride.append(step)
        step *= max(1, length)
    return tuple(reversed(stride))


def storage(key: str, dtype: str, numel: int, *, view: Any = ...) -> Persistent:
    """Return the persistent id of a storage; with ``view`` in the legacy form."""
    parts = ("storage", Name("torch", STORAGES[dtype][0]), key, "cpu", numel)
    return Persistent(parts if view is ... else (*parts, view))


def tensor(
    key: str,
    shape: Sequence[int],
    *,
    dtype: str = "float32",
    offset: int = 0,
    stride: Sequence[int] | None = None,
    numel: int | None = None,
    metadata: Any = None,
    view: Any = ...,
) -> Call:
    """Return a `_rebuild_tensor_v2` call."""
    elements = 1
    for length in shape:
        elements *= length
    arguments: tuple[Any, ...] = (
        storage(key, dtype, elements if numel is None else numel, view=view),
        offset,
        tuple(shape),
        row_major(shape) if stride is None else tuple(stride),
        False,
        ordered({}),
    )
    if metadata is not None:
        arguments = (*arguments, metadata)
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), arguments)


def tensor_v3(
    key: str, shape: Sequence[int], *, dtype: str, itemsize: int, offset: int = 0, stride: Sequence[int] | None = None
) -> Call:
    """Return a `_rebuild_tensor_v3` call: an untyped storage and a dtype of its own."""
    elements = 1
    for length in shape:
        elements *= length
    return Call(
        Name("torch._utils", "_rebuild_tensor_v3"),
        (
            storage(key, "untyped", elements * itemsize),
            offset,
            tuple(shape),
            row_major(shape) if stride is None else tuple(stride),
            False,
            ordered({}),
            Name("torch", dtype),
        ),
    )


def torch_zip(
    value: Any,
    storages: Mapping[str, bytes],
    *,
    root: str = "archive",
    byteorder: bytes | None = b"little",
    deflated: bool = False,
    without_crc: bool = False,
    protocol: int = 2,
    extra: Sequence[Member] = (),
    data_pkl: bytes | None = None,
    align: int = 64,
) -> bytes:
    """Return what `torch.save` would write: padded local headers, sizes in the directory."""
    records = [("data.pkl", pickled(value, protocol) if data_pkl is None else data_pkl)]
    if byteorder is not None:
        records.append(("byteorder", byteorder))
    records += [(f"data/{key}", data) for key, data in storages.items()]
    records.append(("version", b"3\n"))
    members: list[Member] = []
    for name, data in records:
        members.append(
            Member(
                name=f"{root}/{name}".encode(),
                data=data,
                method=DEFLATED if deflated else STORED,
                flags=0x800,
                crc=0 if without_crc else None,
                local_extra=_padding(members, f"{root}/{name}", align),
            )
        )
    return Archive(members=(*members, *extra)).build()


def _padding(before: Sequence[Member], name: str, align: int) -> bytes:
    start = sum(30 + len(member.name) + len(member.local_extra) + len(member.body) for member in before)
    start += 30 + len(name.encode()) + 4
    fill = -start % align
    return b"FB" + struct.pack("<H", fill) + b"Z" * fill


def torch_legacy(
    value: Any,
    storages: Mapping[str, tuple[int, bytes]],
    *,
    little_endian: bool = True,
    keys: Sequence[str] | None = None,
    trailer: bytes = b"",
    sys_info: Any = None,
    key_list: Any = None,
) -> bytes:
    """Return what `torch.save` wrote before 1.6. ``storages`` maps a key to (elements, bytes)."""
    info = {
        "protocol_version": 1001,
        "little_endian": little_endian,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    order = sorted(storages) if keys is None else list(keys)
    out = bytearray()
    out += pickled(0x1950A86A20F9469CFC6C)
    out += pickled(1001)
    out += pickled(info if sys_info is None else sys_info)
    out += pickled(value)
    out += pickled(order if key_list is None else key_list)
    for key in order:
        count, data = storages[key]
        out += struct.pack("<q" if little_endian else ">q", count) + data
    return bytes(out + trailer)


def torch_tar(
    names: Mapping[str, str],
    storages: Sequence[tuple[str, str, int, bytes]],
    tensors: Sequence[tuple[str, str, str, Sequence[int], Sequence[int], int]],
    *,
    views: Sequence[tuple[str, str, int, int]] = (),
    without: Sequence[str] = (),
) -> bytes:
    """Return what torch 0.1.9 and earlier wrote.

    Args:
        names: name -> tensor key.
        storages: (key, dtype, elements, bytes).
        tensors: (key, storage key, dtype, sizes, strides, offset).
        views: (key, root key, offset, elements).
        without: members to leave out.
    """
    stored = bytearray(pickled(len(storages)))
    for key, dtype, count, data in storages:
        stored += pickled((key, "cpu", Name("torch", STORAGES[dtype][0])))
        stored += struct.pack("<q", count) + data
    stored += pickled([tuple(view) for view in views])
    described = bytearray(pickled(len(tensors)))
    for key, storage_key, dtype, sizes, strides, offset in tensors:
        described += pickled((key, storage_key, Name("torch", STORAGES[dtype][0].replace("Storage", "Tensor"))))
        described += struct.pack("<i4x", len(sizes))
        described += struct.pack(f"<{len(sizes)}q", *sizes) + struct.pack(f"<{len(strides)}q", *strides)
        described += struct.pack("<q", offset)
    members = {
        "sys_info": pickled({"protocol_version": 1000, "little_endian": True, "type_sizes": {}}),
        "pickle": pickled(ordered({name: Persistent(key) for name, key in names.items()})),
        "tensors": bytes(described),
        "storages": bytes(stored),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            if name not in without:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def floats(count: int, start: float = 0.0) -> bytes:
    """Return ``count`` consecutive float32 numbers."""
    return struct.pack(f"<{count}f", *(start + index for index in range(count)))


def numpy_array(data: bytes, shape: Sequence[int], dtype: str, *, order: str = "<", fortran: bool = False) -> Call:
    """Return an array as numpy pickles it in protocols 3 and 4."""
    return Call(
        Name("numpy.core.multiarray", "_reconstruct"),
        (Name("numpy", "ndarray"), (0,), b"b"),
        state=(1, tuple(shape), numpy_dtype(dtype, order), fortran, data),
    )


def numpy_dtype(dtype: str, order: str = "<") -> Call:
    """Return a dtype as numpy pickles it."""
    return Call(Name("numpy", "dtype"), (dtype, False, True), state=(3, order, None, None, None, -1, -1, 0))


def msgpack(value: Any) -> bytes:
    """Return MessagePack of maps, lists, text, numbers and ``bytes``; an `Extension` carries a type."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return b"\xd3" + struct.pack(">q", value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str():
            data = value.encode()
            return bytes([0xA0 | len(data)]) + data if len(data) < 32 else b"\xdb" + struct.pack(">I", len(data)) + data
        case bytes():
            return b"\xc6" + struct.pack(">I", len(value)) + value
        case dict():
            head = bytes([0x80 | len(value)]) if len(value) < 16 else b"\xdf" + struct.pack(">I", len(value))
            return head + b"".join(msgpack(key) + msgpack(item) for key, item in value.items())
        case list() | tuple():
            head = bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdd" + struct.pack(">I", len(value))
            return head + b"".join(map(msgpack, value))
        case Extension():
            return b"\xc9" + struct.pack(">I", len(value.data)) + bytes([value.kind]) + value.data
        case _:
            raise TypeError(type(value))


@dataclass(frozen=True)
class Extension:
    """A MessagePack value of an application's own type."""

    kind: int
    data: bytes


def flax_array(shape: Sequence[int], dtype: str, data: bytes) -> Extension:
    """Return an array as Flax packs it."""
    return Extension(1, msgpack([list(shape), dtype, data]))
