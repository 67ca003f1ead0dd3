"""Tensors of torch in a plain pickle: each storage is a whole file of torch's legacy format, kept as bytes.

`pickle.dump` of a tensor calls `torch.storage._load_from_bytes` with what `torch.save` wrote for its storage; a loader
unpickles that as well, so it is read by the same rules as a file of its own, and what is dangerous in it is refused.

Source: torch/storage.py of torch 2.13 (`TypedStorage.__reduce__`, `UntypedStorage.__reduce__`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from modelsign.conversion.inputs import torch_legacy
from modelsign.conversion.inputs.assembly import StorageBytes, Stores, is_changed_tensor, tensor_of
from modelsign.conversion.inputs.changes import is_changed
from modelsign.conversion.inputs.numpy_values import text_bytes
from modelsign.conversion.plan import Encoding, Store
from modelsign.errors import ConversionError
from scanners.limits import Budget
from scanners.pickles.tensors import fold, rebuild_kind
from scanners.pickles.values import Global, Made, Persistent, Span, TensorValue, Value
from scanners.reader import BytesReader, Reader, Window

_LOADER = "torch.storage._load_from_bytes"
_PARAMETERS = frozenset({"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """A storage that was found inside bytes."""

    made: Made
    """the call, kept so that nothing else gets its id"""
    persistent: Persistent
    key: str


class NestedStorages:
    """The storages that a pickle carries inside bytes."""

    def __init__(self, reader: Reader, stores: Stores, pickle_store: Callable[[], int], budget: Budget) -> None:
        self._reader = reader
        self._stores = stores
        self._pickle_store = pickle_store
        self._budget = budget
        self._loaded: dict[int, _Loaded] = {}
        self._tensors: dict[int, tuple[Made, TensorValue | None]] = {}
        self.places: dict[str, StorageBytes] = {}
        """where the storages lie, by the keys that `resolve` gives them"""

    def resolve(self, value: Value) -> TensorValue | None:
        """Return the tensor that a value stands for.

        Raises:
            ConversionError: its storage is refused or damaged.
        """
        tensor = tensor_of(value)
        if tensor is not None or not isinstance(value, Made) or not isinstance(value.function, Global):
            return tensor
        if not isinstance(value.arguments, tuple) or not value.arguments or is_changed_tensor(value):
            return None
        known = self._tensors.get(id(value))
        if known is None:
            inner = value
            if value.function.dotted in _PARAMETERS and isinstance(value.arguments[0], Made):
                inner = value.arguments[0]
            known = self._tensors[id(value)] = (value, self._folded(inner))
        return known[1]

    def check(self, calls: Iterable[Made]) -> None:
        """Read every nested file there is: a loader unpickles them all, whether a tensor comes of it or not.

        Raises:
            ConversionError: one is refused.
        """
        for made in calls:
            if _is_load(made):
                self._storage(made)

    def _storage(self, made: Made) -> _Loaded:
        loaded = self._loaded.get(id(made))
        if loaded is None:
            loaded = self._loaded[id(made)] = self._load(made)
        return loaded

    def _folded(self, made: Made) -> TensorValue | None:
        function, arguments = made.function, made.arguments
        if is_changed(made):
            return None
        if not isinstance(function, Global) or not isinstance(arguments, tuple) or not arguments:
            return None
        source = arguments[0]
        if not rebuild_kind(function.module, function.name) or not isinstance(source, Made) or not _is_load(source):
            return None
        loaded = self._storage(source)
        tensor = fold(function, (loaded.persistent, *arguments[1:]), made.offset)
        if tensor is not None:
            tensor.storage_key = loaded.key
        return tensor

    def _load(self, made: Made) -> _Loaded:
        where = f"the storage at byte {made.offset}"
        assert isinstance(made.arguments, tuple)
        content, store = self._content(where, made.arguments[0])
        persistent, offset, size = torch_legacy.lone_storage(content, where, self._budget)
        self.places[where] = StorageBytes(store=self._stores.add(store), offset=offset, size=size)
        return _Loaded(made=made, persistent=persistent, key=where)

    def _content(self, where: str, data: Value) -> tuple[Reader, Store]:
        """Return the bytes of a nested file, and the store they are in."""
        if isinstance(data, bytes):
            return BytesReader(data), Store(name=where, encoding=Encoding.INLINE, size=len(data), data=data)
        if isinstance(data, Span) and data.kind in {"bytes", "bytearray"}:
            store = Store(
                name=where,
                encoding=Encoding.RAW,
                size=data.length,
                segments=((data.offset, data.length),),
                base=self._pickle_store(),
            )
            return Window(self._reader, data.offset, data.length), store
        if isinstance(data, Made):
            plain, encoding, text = text_bytes(where, data, self._reader, self._budget)
            if text is None:
                return BytesReader(plain), Store(name=where, encoding=Encoding.INLINE, size=len(plain), data=plain)
            store = Store(
                name=where,
                encoding=encoding,
                size=len(plain),
                segments=((text.offset, text.length),),
                base=self._pickle_store(),
            )
            return BytesReader(plain), store
        raise ConversionError(f"{where}: is not in the pickle as bytes; save with torch.save")


def _is_load(made: Made) -> bool:
    return (
        isinstance(made.function, Global)
        and made.function.dotted == _LOADER
        and isinstance(made.arguments, tuple)
        and len(made.arguments) == 1
        and not made.states
    )
