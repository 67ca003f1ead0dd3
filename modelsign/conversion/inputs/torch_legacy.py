"""torch.save before 1.6: five pickles one after the other, then the storages' bytes without an index.

magic, protocol version, system info, the object, the list of storage keys; then per key, in the order of the list, a
count of elements and the elements. Where a storage begins follows from all the ones before it, so a list that names a
storage twice, or one that nobody describes, is refused. The bytes are little-endian whatever machine wrote them; what
old releases wrote on big-endian machines cannot be told apart, so a file that says it comes from one is refused. Before
0.4 a storage could be a view into another one: the persistent id then says which part.

Source: torch/serialization.py (`_legacy_save`, `_legacy_load`), torch/csrc/serialization.cpp.
"""

from modelsign.conversion.inputs.assembly import StorageBytes, Stores, checked_run, plan_tree, raw_store
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import Plan
from modelsign.errors import ConversionError
from scanners.limits import Budget
from scanners.pickles.machine import PickleRun
from scanners.pickles.tensors import ITEMSIZE, Storage, storage_of
from scanners.pickles.values import Mapping, Persistent, TensorValue, Value
from scanners.reader import Reader

MAGIC = 0x1950A86A20F9469CFC6C
_MAGIC_PICKLE = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
_PROTOCOL = 1001
_COUNT = 8
_PICKLES = 5


def is_legacy(head: bytes) -> bool:
    """Return whether a file begins with the pickled magic number, in whatever protocol: since 4 a frame precedes it."""
    return _MAGIC_PICKLE in head[:23] or str(MAGIC).encode() in head[:40]


def parse(reader: Reader, request: Request) -> Plan:
    """Read a legacy checkpoint.

    Raises:
        ConversionError: it is refused.
        ScanError: it is malformed.
    """
    position = 0
    runs: list[PickleRun] = []
    for what in ("the magic number", "the version", "the system info", "the object", "the list of storages"):
        result = checked_run(reader, what, request.budget, start=position)
        runs.append(result)
        assert result.stop is not None
        position = result.stop
    magic, version, info, content, keys = runs
    if magic.root != MAGIC or version.root != _PROTOCOL:
        raise ConversionError(f"this is no checkpoint of torch.save: its version is {version.root!r:.40}")
    _check_info(info.root)
    described = _described(content)
    places, end = _places(reader, position, _keys(keys.root), described)
    notes = []
    if end < reader.size:
        notes.append(f"{reader.size - end} bytes follow the last storage; torch ignores them, and they were left out")
    stores = Stores()
    indexes = {key: stores.add(raw_store(f"storage {key!r}", offset, size)) for key, (offset, size) in places.items()}

    def storage(tensor: TensorValue) -> StorageBytes:
        first = described[tensor.storage_key]
        if tensor.storage_key not in places:
            raise ConversionError(f"storage {tensor.storage_key!r}: its bytes are not in the file")
        if (tensor.storage_dtype, tensor.storage_numel) != (first.dtype, first.numel):
            raise ConversionError(
                f"storage {tensor.storage_key!r}: described as {first.numel} elements of {first.dtype} and as "
                f"{tensor.storage_numel} of {tensor.storage_dtype}; loaders disagree about such files"
            )
        size = places[tensor.storage_key][1]
        index = indexes[tensor.storage_key]
        if tensor.view is None:
            return StorageBytes(store=index, offset=0, size=size)
        return _view(tensor, index, size)

    pickle_stores: list[int] = []

    def pickle_store() -> int:
        if not pickle_stores:
            pickle_stores.append(stores.add(raw_store("the object", 0, reader.size)))
        return pickle_stores[0]

    return plan_tree(
        content.root,
        request=request,
        reader=reader,
        stores=stores,
        pickle_store=pickle_store,
        storage=storage,
        big_endian=False,
        format_name="torch-legacy",
        notes=notes,
    )


def lone_storage(reader: Reader, what: str, budget: Budget) -> tuple[Persistent, int, int]:
    """Read a checkpoint that holds one storage; return its persistent id, and (offset, size) of its bytes.

    Raises:
        ConversionError: it is something else, or refused.
    """
    position = 0
    runs: list[PickleRun] = []
    for _ in range(_PICKLES):
        result = checked_run(reader, what, budget, start=position)
        runs.append(result)
        assert result.stop is not None
        position = result.stop
    magic, version, info, content, keys = runs
    storage = storage_of(content.root)
    if magic.root != MAGIC or version.root != _PROTOCOL or storage is None or storage.view is not None:
        raise ConversionError(f"{what}: holds no storage in torch's own form; save with torch.save")
    _check_info(info.root)
    assert isinstance(content.root, Persistent)
    places, end = _places(reader, position, _keys(keys.root), _described(content))
    if end != reader.size or storage.key not in places or len(places) != 1:
        raise ConversionError(f"{what}: holds more or less than one storage; save with torch.save")
    return content.root, *places[storage.key]


def _check_info(info: Value) -> None:
    entries = dict(info.entries) if isinstance(info, Mapping) else {}
    if entries.get("little_endian") is False:
        raise ConversionError(
            "this checkpoint was written on a big-endian machine in torch's old format, whose byte order is uncertain; "
            "load it there and save it again with a current torch"
        )


def _described(content: PickleRun) -> dict[str, Storage]:
    """Return every storage the object mentions, as it is first described."""
    described: dict[str, Storage] = {}
    for persistent in content.persistent:
        storage = storage_of(persistent)
        if storage is not None:
            described.setdefault(storage.key, storage)
    return described


def _keys(value: Value) -> list[str]:
    if not isinstance(value, list):
        raise ConversionError("the list of storages is no list")
    keys = []
    for key in value:
        text = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
        if not isinstance(text, str):
            raise ConversionError("the list of storages holds something that is no key")
        keys.append(text)
    if len(set(keys)) != len(keys):
        raise ConversionError("the list of storages names one of them twice; where the others lie is uncertain")
    return keys


def _places(
    reader: Reader, position: int, keys: list[str], described: dict[str, Storage]
) -> tuple[dict[str, tuple[int, int]], int]:
    """Return (offset, size) of every storage's bytes, and where the last one ends."""
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        storage = described.get(key)
        if storage is None:
            raise ConversionError(f"storage {key!r}: listed but never described; where the others lie is uncertain")
        count = int.from_bytes(reader.read_at(position, _COUNT), "little", signed=True)
        if position + _COUNT > reader.size:
            raise ConversionError(f"storage {key!r}: the file is cut off before it")
        if count != storage.numel:
            raise ConversionError(
                f"storage {key!r}: has {count} elements and should have {storage.numel}; the file is damaged"
            )
        size = count * ITEMSIZE[storage.dtype]
        position += _COUNT
        if position + size > reader.size:
            raise ConversionError(f"storage {key!r}: the file is cut off inside it")
        places[key] = (position, size)
        position += size
    return places, position


def _view(tensor: TensorValue, index: int, size: int) -> StorageBytes:
    """Return the part of a storage that an old tensor's storage is a view of."""
    assert tensor.view is not None
    _, start, count = tensor.view
    itemsize = ITEMSIZE[tensor.storage_dtype]
    if (start + count) * itemsize > size:
        raise ConversionError(f"storage {tensor.storage_key!r}: a view reaches outside it; the file is damaged")
    return StorageBytes(store=index, offset=start * itemsize, size=count * itemsize)
