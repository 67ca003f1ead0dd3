"""torch.save up to 0.1.9: a tar of four members, where tensors and storages are tables of their own.

`storages` and `tensors` are streams of small pickles with binary fields between them, `pickle` is the object, in which
a tensor is a persistent id: the key of the table. Nothing but plain files under exactly these names is accepted.

Source: torch/serialization.py (`_legacy_load`, `legacy_load`) of torch 2.13.
"""

import struct

from modelsign.conversion.inputs.assembly import StorageBytes, Stores, checked_run, plan_tree, raw_store, tensor_of
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import MAX_RANK, Plan
from modelsign.errors import ConversionError
from scanners.limits import Budget
from scanners.pickles.tensors import ITEMSIZE, STORAGE_DTYPES
from scanners.pickles.values import Global, Persistent, TensorValue, Value
from scanners.reader import Reader, Window

_BLOCK = 512
_NEEDED = ("pickle", "storages", "tensors")
_KNOWN = frozenset({"sys_info", *_NEEDED})
_ITEMS_LIMIT = 1_000_000


def is_tar(head: bytes) -> bool:
    """Return whether a tar header stands at the beginning: torch looks for one before anything but a zip."""
    if len(head) < _BLOCK:
        return False
    stated = head[148:156].rstrip(b" \0").strip()
    if not stated or stated.strip(b"01234567"):
        return False
    return int(stated, 8) == sum(head[:148]) + 8 * 0x20 + sum(head[156:_BLOCK])


def parse(reader: Reader, request: Request) -> Plan:
    """Read an old tar checkpoint.

    Raises:
        ConversionError: it is refused.
        ScanError: it is malformed.
    """
    members = _members(reader)
    missing = [name for name in _NEEDED if name not in members]
    if missing:
        raise ConversionError(
            f"this tar has no member {missing[0]!r}, so it is no checkpoint of torch; unpack it, convert what is in it"
        )
    stores = Stores()
    storages = _storages(reader, members["storages"], stores, request.budget)
    tensors = _tensors(reader, members["tensors"], storages, request.budget)
    offset, size = members["pickle"]
    pickled = Window(reader, offset, size)
    content = checked_run(pickled, "pickle", request.budget)
    pickle_stores: list[int] = []

    def resolve(value: Value) -> TensorValue | None:
        if not isinstance(value, Persistent):
            return tensor_of(value)
        key = _key(value.id)
        if key is None or key not in tensors:
            raise ConversionError(f"the object refers to a tensor {value.id!r:.40} that the file does not have")
        return tensors[key]

    def pickle_store() -> int:
        if not pickle_stores:
            pickle_stores.append(stores.add(raw_store("pickle", offset, size)))
        return pickle_stores[0]

    return plan_tree(
        content.root,
        request=request,
        reader=pickled,
        stores=stores,
        pickle_store=pickle_store,
        storage=lambda tensor: storages[tensor.storage_key][1],
        big_endian=False,
        format_name="torch-tar",
        resolve=resolve,
    )


def _members(reader: Reader) -> dict[str, tuple[int, int]]:
    """Return (offset, size) of every member; plain files only, each name once."""
    members: dict[str, tuple[int, int]] = {}
    position = 0
    while position + _BLOCK <= reader.size:
        head = reader.read_at(position, _BLOCK)
        if not head.strip(b"\0"):
            break
        if not is_tar(head):
            raise ConversionError(f"the tar is damaged at byte {position}")
        name = head[:100].split(b"\0", 1)[0].decode("utf-8", "replace").removeprefix("./")
        digits = head[124:136].strip(b" \0")
        if digits.strip(b"01234567") or not digits:
            raise ConversionError(f"the tar has a member {name!r:.40} whose size is no octal number")
        size = int(digits, 8)
        if head[156:157] == b"5":
            position += _BLOCK
            continue
        if head[156:157] not in {b"0", b"\0"} or name not in _KNOWN or name in members:
            raise ConversionError(
                f"the tar has a member {name!r:.40} that no checkpoint of torch has; unpack it, convert what is in it"
            )
        if position + _BLOCK + size > reader.size:
            raise ConversionError(f"the member {name!r} is cut off")
        members[name] = (position + _BLOCK, size)
        position += _BLOCK + -(-size // _BLOCK) * _BLOCK
    return members


class _Cursor:
    """A position in a member that holds pickles and binary fields by turns."""

    def __init__(self, reader: Reader, place: tuple[int, int], what: str, budget: Budget) -> None:
        self.base = place[0]
        self.window = Window(reader, *place)
        self.what = what
        self.budget = budget
        self.position = 0

    def pickle(self) -> Value:
        result = checked_run(self.window, self.what, self.budget, start=self.position)
        assert result.stop is not None
        self.position = result.stop
        return result.root

    def count(self) -> int:
        value = self.pickle()
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _ITEMS_LIMIT:
            raise ConversionError(f"{self.what}: a count is {value!r:.40}")
        return value

    def fields(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        data = self.window.read_at(self.position, size)
        if len(data) != size:
            raise ConversionError(f"{self.what}: cut off")
        self.position += size
        return struct.unpack(layout, data)

    def skip(self, size: int) -> int:
        """Step over bytes; return their offset in the file."""
        start = self.position
        if size < 0 or start + size > self.window.size:
            raise ConversionError(f"{self.what}: cut off")
        self.position += size
        return self.base + start


def _storages(
    reader: Reader, place: tuple[int, int], stores: Stores, budget: Budget
) -> dict[str, tuple[str, StorageBytes]]:
    cursor = _Cursor(reader, place, "storages", budget)
    found: dict[str, tuple[str, StorageBytes]] = {}
    for _ in range(cursor.count()):
        item = cursor.pickle()
        key = _key(item[0]) if isinstance(item, tuple) and len(item) == 3 else None
        kind = item[2] if isinstance(item, tuple) and len(item) == 3 else None
        dtype = STORAGE_DTYPES.get(kind.name) if isinstance(kind, Global) else None
        if key is None or dtype is None or key in found:
            raise ConversionError("storages: an entry that is none, or two of one key")
        (count,) = cursor.fields("<q")
        size = count * ITEMSIZE[dtype]
        offset = cursor.skip(size)
        store = stores.add(raw_store(f"storage {key!r}", offset, size))
        found[key] = (dtype, StorageBytes(store=store, offset=0, size=size))
    for view in _views(cursor.pickle()):
        key, root, start, count = view
        if root not in found or key in found:
            raise ConversionError("storages: a view of a storage that is not there")
        dtype, whole = found[root]
        itemsize = ITEMSIZE[dtype]
        if (start + count) * itemsize > whole.size:
            raise ConversionError(f"storage {root!r}: a view reaches outside it; the file is damaged")
        found[key] = (
            dtype,
            StorageBytes(store=whole.store, offset=whole.offset + start * itemsize, size=count * itemsize),
        )
    return found


def _views(value: Value) -> list[tuple[str, str, int, int]]:
    views = []
    for item in value if isinstance(value, list) else [None]:
        parts = item if isinstance(item, tuple) and len(item) == 4 else (None,) * 4
        key, root, start, count = _key(parts[0]), _key(parts[1]), parts[2], parts[3]
        if key is None or root is None or not isinstance(start, int) or not isinstance(count, int):
            raise ConversionError("storages: the list of views is none")
        if start < 0 or count < 0:
            raise ConversionError("storages: a view with negative numbers")
        views.append((key, root, start, count))
    return views


def _tensors(
    reader: Reader, place: tuple[int, int], storages: dict[str, tuple[str, StorageBytes]], budget: Budget
) -> dict[str, TensorValue]:
    cursor = _Cursor(reader, place, "tensors", budget)
    tensors: dict[str, TensorValue] = {}
    for _ in range(cursor.count()):
        item = cursor.pickle()
        parts = item if isinstance(item, tuple) and len(item) == 3 else (None, None, None)
        key, storage_key, kind = _key(parts[0]), _key(parts[1]), parts[2]
        if key is None or key in tensors or not isinstance(kind, Global):
            raise ConversionError("tensors: an entry that is none, or two of one key")
        (rank,) = cursor.fields("<i4x")
        if not 0 <= rank <= MAX_RANK:
            raise ConversionError(f"tensors: {key!r} has {rank} dimensions")
        shape = cursor.fields(f"<{rank}q")
        stride = cursor.fields(f"<{rank}q")
        (start,) = cursor.fields("<q")
        if storage_key is None or storage_key not in storages or min((*shape, *stride, start)) < 0:
            raise ConversionError(f"tensors: {key!r} has no storage or negative sizes")
        dtype, where = storages[storage_key]
        if STORAGE_DTYPES.get(kind.name.removesuffix("Tensor") + "Storage") != dtype:
            raise ConversionError(f"tensors: {key!r} is a {kind.dotted} over a storage of {dtype}")
        tensors[key] = TensorValue(
            kind="torch-tar",
            dtype=dtype,
            shape=shape,
            stride=stride,
            storage_key=storage_key,
            storage_dtype=dtype,
            storage_numel=where.size // ITEMSIZE[dtype],
            storage_offset=start,
            offset=0,
        )
    return tensors


def _key(value: Value) -> str | None:
    """Return a key: torch wrote addresses, as numbers or as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
