"""The one reading of torch's rebuild calls: a call becomes a `TensorValue` as soon as its arguments are complete.

Folded at once, because a checkpoint has as many of these calls as tensors and each carries a storage, two tuples and an
ordered dictionary that nobody needs afterwards. What is not folded stays a `Made`: `refusal` says why.

Sources: torch/_utils.py, torch/_tensor.py and torch/serialization.py of torch 2.13; torch/_utils.py of 0.4 and 1.6 for
the older argument lists; torch/storage.py (`_new_dtypes`) for what lives in untyped storages.
"""

from typing import Final

from scanners.patterns import late
from scanners.pickles.values import Global, Made, Mapping, Persistent, TensorValue, Value

STORAGE_DTYPES: Final[dict[str, str]] = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
    "UntypedStorage": "uint8",
    "_UntypedStorage": "uint8",
}
"""torch's storage classes and the dtype of their elements."""

ITEMSIZE: Final[dict[str, int]] = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "complex128": 16,
    "complex64": 8,
    "complex32": 4,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "float8_e8m0fnu": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1,
    "float4_e2m1fn_x2": 1,
    "qint8": 1,
    "quint8": 1,
    "qint32": 4,
    "quint4x2": 1,
    "quint2x4": 1,
    "bits8": 1,
    "bits16": 2,
    "bits1x8": 1,
    "bits2x4": 1,
    "bits4x2": 1,
}
"""Bytes per element of torch's dtypes."""

REFUSED: Final[dict[str, str]] = {
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_sparse_csr_tensor": "a sparse tensor",
    "_rebuild_meta_tensor_no_storage": "a meta tensor, which has no data",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_wrapper_subclass": "a tensor subclass that wraps others",
    "_rebuild_device_tensor_from_numpy": "a device tensor kept as a numpy array",
    "_rebuild_xla_tensor": "an XLA tensor",
    "_rebuild_mlc_tensor": "an ML Compute tensor",
}
"""Rebuild functions that no safetensors tensor corresponds to, and what they rebuild."""

_PLAIN: Final = 1
V2: Final = 2
"""`rebuild_kind` of what torch rebuilds nearly every tensor with"""
_V3: Final = 3
_PARAMETER: Final = 4
_FROM_TYPE: Final = 5
_DEVICE: Final = 6

_REBUILD: Final[dict[tuple[str, str], int]] = {
    ("torch._utils", "_rebuild_tensor"): _PLAIN,
    ("torch._utils", "_rebuild_tensor_v2"): V2,
    ("torch._utils", "_rebuild_tensor_v3"): _V3,
    ("torch._utils", "_rebuild_parameter"): _PARAMETER,
    ("torch._utils", "_rebuild_parameter_with_state"): _PARAMETER,
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _DEVICE,
    ("torch._tensor", "_rebuild_from_type_v2"): _FROM_TYPE,
    ("torch.tensor", "_rebuild_from_type_v2"): _FROM_TYPE,
}

_TENSOR_CLASSES: Final = frozenset(
    {
        ("torch", "Tensor"),
        ("torch.nn.parameter", "Parameter"),
        ("torch.nn.parameter", "Buffer"),
        ("torch.nn", "Parameter"),
        ("torch.nn", "Buffer"),
    }
)
"""Classes that change nothing about the data of a tensor rebuilt as one of them."""

_LARGEST: Final = 1 << 63
_PRINTED: Final = late(
    r"\('storage', <class 'torch\.(?:cuda\.|storage\.)?(?P<kind>[A-Za-z0-9]{1,40})'>, "
    r"'(?P<key>[A-Za-z0-9_]{1,40})', '[a-z0-9:]{1,40}', (?P<numel>[0-9]{1,19})(?:, None)?\)"
)


class Storage:
    """What a storage's persistent id says."""

    __slots__ = ("dtype", "key", "numel", "view")

    def __init__(self, key: str, dtype: str, numel: int, view: tuple[str, int, int] | None) -> None:
        self.key = key
        self.dtype = dtype
        self.numel = numel
        self.view = view


def rebuild_kind(module: str, name: str) -> int:
    """Return a non-zero number for the rebuild functions that `fold` knows."""
    return _REBUILD.get((module, name), 0)


def fold(function: Value, arguments: Value, offset: int) -> TensorValue | None:
    """Return the tensor that a call makes; None where it is none we can describe."""
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        return None
    kind = function.rebuilds or _REBUILD.get((function.module, function.name), 0)
    count = len(arguments)
    if kind == V2 and 6 <= count <= 7:
        return _from_storage(
            function.name,
            arguments,
            None,
            arguments[5],
            arguments[6] if count == 7 else None,
            arguments[4],
            offset,
        )
    if kind == _V3 and 7 <= count <= 8:
        return _from_storage(
            function.name,
            arguments,
            _dtype(arguments[6]),
            arguments[5],
            arguments[7] if count == 8 else None,
            arguments[4],
            offset,
        )
    if kind == _PLAIN and count == 4:
        return _from_storage(function.name, arguments, None, None, None, False, offset)
    if kind == _PARAMETER and 3 <= count <= 4:
        return _parameter(arguments)
    if kind == _DEVICE and count == 4:
        tensor = arguments[0]
        return tensor if isinstance(tensor, TensorValue) and _dtype(arguments[1]) == tensor.dtype else None
    if kind == _FROM_TYPE and count == 4:
        target = arguments[1]
        if isinstance(target, Global) and (target.module, target.name) in _TENSOR_CLASSES and _inert(arguments[3]):
            return _unwrapped(arguments[0], arguments[2], offset)
    return None


def _unwrapped(function: Value, arguments: Value, offset: int) -> TensorValue | None:
    # One level only: torch never nests _rebuild_from_type_v2, and recursion belongs to whoever wrote the file.
    if isinstance(function, Global) and _REBUILD.get((function.module, function.name), 0) == _FROM_TYPE:
        return None
    return fold(function, arguments, offset)


def storage_of(value: Value) -> Storage | None:
    """Return what a storage's persistent id says; None for any other persistent id.

    zip: ``("storage", class, key, location, numel)``; the legacy format adds ``None`` or
    ``(view key, offset, numel)``, and Python 2 wrote the strings as bytes. Pickle protocol 0 holds text only: torch
    writes the tuple as it prints it, and does not load what it wrote.
    """
    if not isinstance(value, Persistent):
        return None
    parts = value.id
    printed = _PRINTED.fullmatch(parts) if isinstance(parts, str) else None
    if printed is not None:
        dtype = STORAGE_DTYPES.get(printed["kind"])
        return None if dtype is None else Storage(printed["key"], dtype, int(printed["numel"]), None)
    if not isinstance(parts, tuple) or not 5 <= len(parts) <= 6 or _text(parts[0]) != "storage":
        return None
    dtype, key, numel = storage_dtype(parts[1]), _text(parts[2]), parts[4]
    if dtype is None or key is None or not _count(numel):
        return None
    assert isinstance(numel, int)
    view: tuple[str, int, int] | None = None
    if len(parts) == 6 and parts[5] is not None:
        view = _view(parts[5])
        if view is None:
            return None
    return Storage(key, dtype, numel, view)


def storage_dtype(value: object) -> str | None:
    """Return torch's name for the elements of a storage class; None where a value is none."""
    if not isinstance(value, Global) or value.module not in {"torch", "torch.cuda", "torch.storage"}:
        return None
    return STORAGE_DTYPES.get(value.name)


def refusal(made: Made) -> str | None:
    """Say what a call that was not folded would have rebuilt; None where it is no rebuild call at all."""
    function = made.function
    if not isinstance(function, Global) or function.module not in {"torch._utils", "torch._tensor", "torch.tensor"}:
        return None
    if function.name in REFUSED:
        return REFUSED[function.name]
    if (function.module, function.name) not in _REBUILD and not function.name.startswith("_rebuild"):
        return None
    if function.name == "_rebuild_from_type_v2" and isinstance(made.arguments, tuple) and len(made.arguments) == 4:
        target = made.arguments[1]
        inner = made.arguments[0]
        if isinstance(inner, Global) and inner.name in REFUSED:
            return REFUSED[inner.name]
        if isinstance(target, Global) and (target.module, target.name) not in _TENSOR_CLASSES:
            return f"a tensor of the class {target.dotted}"
        return "a tensor with attributes of its own"
    return f"a tensor with arguments that {function.name} does not take"


def _from_storage(
    kind: str,
    arguments: tuple[Value, ...],
    dtype: str | None,
    hooks: Value,
    metadata: Value,
    requires_grad: Value,
    offset: int,
) -> TensorValue | None:
    storage = storage_of(arguments[0])
    start = arguments[1]
    shape = _sizes(arguments[2])
    stride = _sizes(arguments[3])
    if storage is None or shape is None or stride is None or not _count(start):
        return None
    if dtype is None:
        if kind == "_rebuild_tensor_v3":
            return None
        dtype = storage.dtype
    assert isinstance(start, int)
    return TensorValue(
        kind=kind,
        dtype=dtype,
        shape=shape,
        stride=stride,
        storage_key=storage.key,
        storage_dtype=storage.dtype,
        storage_numel=storage.numel,
        storage_offset=start,
        offset=offset,
        requires_grad=requires_grad is True,
        view=storage.view,
        metadata=None if _empty(metadata) else metadata,
        hooks=None if _empty(hooks) else hooks,
    )


def _parameter(arguments: tuple[Value, ...]) -> TensorValue | None:
    tensor = arguments[0]
    if not isinstance(tensor, TensorValue) or (len(arguments) == 4 and not _inert(arguments[3])):
        return None
    if not _empty(arguments[2]):
        tensor.hooks = arguments[2]
    return tensor


def _sizes(value: Value) -> tuple[int, ...] | None:
    """Return sizes or strides; ``torch.Size`` is pickled as a call with a tuple."""
    if isinstance(value, Made):
        made = value.function
        if not (isinstance(made, Global) and made.module == "torch" and made.name == "Size"):
            return None
        value = value.arguments
        if isinstance(value, tuple) and len(value) == 1:
            value = value[0]
    if not isinstance(value, tuple):
        return None
    sizes: list[int] = []
    for size in value:
        if type(size) is not int or not 0 <= size < _LARGEST:
            return None
        sizes.append(size)
    return tuple(sizes)


def _count(value: Value) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _text(value: Value) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None


def _view(value: Value) -> tuple[str, int, int] | None:
    if not isinstance(value, tuple) or len(value) != 3:
        return None
    key, start, numel = _text(value[0]), value[1], value[2]
    if key is None or not _count(start) or not _count(numel):
        return None
    assert isinstance(start, int)
    assert isinstance(numel, int)
    return key, start, numel


def _dtype(value: Value) -> str | None:
    return value.name if isinstance(value, Global) and value.module == "torch" and value.name in ITEMSIZE else None


def _empty(value: Value) -> bool:
    """Whether a value is None or an empty mapping, plain or ordered."""
    if value is None:
        return True
    if isinstance(value, Mapping):
        return not value.entries
    return isinstance(value, Made) and not value.entries and not value.states and not value.items and _ordered(value)


def _ordered(made: Made) -> bool:
    return (
        isinstance(made.function, Global)
        and made.function.module == "collections"
        and made.function.name == "OrderedDict"
        and made.arguments == ()
        and made.keywords is None
    )


def _inert(state: Value) -> bool:
    """Whether a tensor's own attributes are none, or plain values that cannot matter to its data."""
    if _empty(state):
        return True
    if isinstance(state, tuple) and len(state) == 2:
        return _inert_mapping(state[0]) and _inert_mapping(state[1])
    return _inert_mapping(state)


def _inert_mapping(value: Value) -> bool:
    if _empty(value):
        return True
    if not isinstance(value, Mapping):
        return False
    return all(
        isinstance(key, str) and (item is None or isinstance(item, (bool, int, float, str)))
        for key, item in value.entries
    )
