"""From a pickle's tree and the storages it names to a plan: what all torch formats have in common."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from modelsign.conversion.danger import refuse_dangerous
from modelsign.conversion.dtypes import DTYPES, FROM_TORCH, WHAT_INSTEAD
from modelsign.conversion.gather import is_row_major
from modelsign.conversion.inputs.changes import is_changed, plain_attributes, refuse_changes
from modelsign.conversion.inputs.numpy_values import array_of, is_array
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import Encoding, Plan, PlannedTensor, Store
from modelsign.conversion.tree import Flattened, LeafKind, Meaning, Tree
from modelsign.errors import ConversionError
from scanners.limits import Budget
from scanners.pickles.machine import PickleRun, run
from scanners.pickles.tensors import ITEMSIZE, fold, refusal
from scanners.pickles.values import Global, Made, Span, TensorValue, Value
from scanners.pickles.values import Mapping as PickledMapping
from scanners.reader import Reader

_OTHER = Meaning(kind=LeafKind.OTHER)
_TENSOR = Meaning(kind=LeafKind.TENSOR)
_INSTEAD: dict[str, str] = {
    "quantised": "dequantise it (`tensor.dequantize()`), or save its integers (`tensor.int_repr()`) and scales",
    "sparse": "make it dense (`tensor.to_dense()`), or save its indices and values",
    "nested": "save its parts (`tensor.unbind()`)",
    "meta": "load the weights it stands for and save those",
    "subclass": "save the tensors inside it under names of their own",
    "class": "save `tensor.as_subclass(torch.Tensor)`",
    "numpy": "move it to the CPU before it is saved",
}
_WITH_STATE = frozenset(
    {
        "torch._utils._rebuild_parameter_with_state",
        "torch._tensor._rebuild_from_type_v2",
        "torch.tensor._rebuild_from_type_v2",
    }
)
"""rebuild functions whose last argument is what the tensor has for attributes"""
_STATE_AT = 3
_TENSOR_CLASSES = frozenset(
    {"torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer", "torch.autograd.variable.Variable"}
)
_TEXT_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageBytes:
    """Where a storage's elements lie."""

    store: int
    offset: int
    """of its first byte in the store"""
    size: int
    """bytes it may be read for"""


class Stores:
    """The stores of a plan while it is made."""

    def __init__(self) -> None:
        self.all: list[Store] = []

    def add(self, store: Store) -> int:
        """Add a store; return its index."""
        self.all.append(store)
        return len(self.all) - 1


def checked_run(reader: Reader, what: str, budget: Budget, *, start: int = 0, inline_arrays: bool = False) -> PickleRun:
    """Run a pickle and refuse it where a loader would stop, do something dangerous, or change tensors it has made.

    Raises:
        ConversionError: as said.
    """
    result = run(reader, start=start, budget=budget, inline_arrays=inline_arrays)
    refuse_dangerous(result, reader, what)
    check_run(result, what)
    refuse_changes(result, what)
    return result


def check_run(result: PickleRun, what: str) -> None:
    """Refuse a pickle that no loader would load, or whose reading ran out of budget.

    Raises:
        ConversionError: as said.
    """
    if result.limit is not None:
        raise ConversionError(f"{what}: too large to be read safely ({result.limit})")
    problem = result.error or result.c_error
    if problem is not None or result.stop is None:
        raise ConversionError(
            f"{what}: damaged or cut off; a loader would stop at byte "
            f"{result.error_offset if result.error is not None else result.c_error_offset} ({problem or 'no STOP'})"
        )


def text_reader(reader: Reader) -> Callable[[Span], str]:
    """Return a function that reads a long text left in ``reader``."""

    def read(span: Span) -> str:
        if span.length > _TEXT_LIMIT:
            raise ConversionError(
                f"a name is {span.length} bytes long, and {_TEXT_LIMIT} are the most; give it a shorter one"
            )
        return reader.read_at(span.offset, span.length).decode("utf-8", "surrogatepass")

    return read


def tensor_of(value: Value) -> TensorValue | None:
    """Return the tensor a value is, also where it carries attributes of its own that do not matter to its data."""
    if isinstance(value, TensorValue):
        return value
    if not isinstance(value, Made) or not isinstance(value.function, Global) or not isinstance(value.arguments, tuple):
        return None
    if is_changed_tensor(value):
        return None
    if value.function.dotted in _WITH_STATE and len(value.arguments) == _STATE_AT + 1:
        return fold(value.function, (*value.arguments[:_STATE_AT], None), value.offset)
    # `Parameter.__new__(data)`, and attributes set on it afterwards.
    if value.function.dotted in _TENSOR_CLASSES and value.arguments and isinstance(value.arguments[0], TensorValue):
        return value.arguments[0]
    return None


def meaning_of(value: Value) -> Meaning:
    """Say whether a value is a tensor, one that cannot be held, or something else."""
    if isinstance(value, TensorValue):
        if value.dtype not in FROM_TORCH:
            return Meaning(kind=LeafKind.REFUSED, reason=f"has the type {value.dtype}; {_instead(value.dtype)}")
        return _TENSOR
    if not isinstance(value, Made):
        return _OTHER
    if is_array(value):
        return _TENSOR
    refused = "a tensor that the pickle changes after making it" if is_changed_tensor(value) else refusal(value)
    if refused is None:
        return _OTHER
    advice = next((text for word, text in _INSTEAD.items() if word in refused), "save it as a plain tensor")
    return Meaning(kind=LeafKind.REFUSED, reason=f"is {refused}, which safetensors cannot hold; {advice}")


def is_changed_tensor(made: Made) -> bool:
    """Return whether a call makes a tensor that gets other numbers afterwards than those of its storage."""
    if not isinstance(made.function, Global) or made.function.dotted not in _WITH_STATE | _TENSOR_CLASSES:
        return False
    return is_changed(made) or not plain_attributes(_state(made))


def _has_attributes(made: Made) -> bool:
    return bool(made.states) or _state(made) is not None


def _state(made: Made) -> Value:
    """Return what a rebuild call sets as attributes of the tensor."""
    if not isinstance(made.function, Global) or made.function.dotted not in _WITH_STATE:
        return None
    given = made.arguments
    return given[_STATE_AT] if isinstance(given, tuple) and len(given) == _STATE_AT + 1 else None


def _instead(dtype: str) -> str:
    if dtype.startswith("q"):
        return f"safetensors has no quantised types: {_INSTEAD['quantised']}"
    return WHAT_INSTEAD.get(dtype, "safetensors has no such type; convert it with `tensor.to(…)` before it is saved")


def plan_tree(
    root: Value,
    *,
    request: Request,
    reader: Reader,
    stores: Stores,
    pickle_store: Callable[[], int],
    storage: Callable[[TensorValue], StorageBytes],
    big_endian: bool,
    format_name: str,
    notes: Iterable[str] = (),
    resolve: Callable[[Value], TensorValue | None] = tensor_of,
    inline: Mapping[int, tuple[int, int]] | None = None,
) -> Plan:
    """Flatten a tree and describe its tensors.

    Args:
        root: the object the checkpoint holds.
        request: what to take.
        reader: the pickle's input, for what was left in it.
        stores: where new stores go.
        pickle_store: gives the store that is the pickle's input, for arrays inside it.
        storage: tells where a tensor's storage lies.
        big_endian: whether typed storages are big-endian.
        format_name: of the source.
        notes: what is already known about the source.
        resolve: returns the tensor a value stands for.
        inline: (offset, length) of joblib's arrays by the id of what stands for them.
    """

    def meaning(value: Value) -> Meaning:
        tensor = resolve(value)
        return meaning_of(value if tensor is None else tensor)

    tree = Tree(root, meaning=meaning, text=text_reader(reader))
    flat = tree.flatten(select=request.select, with_values=request.with_values)
    tensors = []
    arrays: dict[int, PlannedTensor] = {}
    hooked = 0
    attributed = 0
    for name, value in flat.tensors:
        tensor = resolve(value)
        if tensor is not None:
            attributed += isinstance(value, Made) and _has_attributes(value)
            hooked += tensor.hooks is not None
            tensors.append(describe(name, tensor, storage(tensor), big_endian=big_endian))
        elif isinstance(value, Made):
            known = arrays.get(id(value))
            tensors.append(array_of(name, value, reader, stores.add, pickle_store, known, inline or {}))
            arrays[id(value)] = tensors[-1]
    return finished(flat, tensors, stores, format_name, [*notes, *_notes(hooked, attributed)])


def finished(
    flat: Flattened, tensors: list[PlannedTensor], stores: Stores, format_name: str, notes: Iterable[str]
) -> Plan:
    """Return the plan of flattened tensors."""
    known = list(notes)
    if flat.classes:
        shown = ", ".join(flat.classes[:10]) + (" …" if len(flat.classes) > 10 else "")
        known.append(f"kept inert, not imported: {shown}")
    return Plan(
        format=format_name,
        stores=tuple(stores.all),
        tensors=tuple(tensors),
        wrapper=flat.wrapper,
        left_out=flat.left_out,
        notes=tuple(known),
        values=flat.values,
    )


def _notes(hooked: int, attributed: int) -> list[str]:
    notes = [f"backward hooks of {hooked} tensors were left out"] if hooked else []
    return [*notes, *([f"attributes of {attributed} tensors were left out"] if attributed else [])]


def describe(name: str, tensor: TensorValue, place: StorageBytes, *, big_endian: bool) -> PlannedTensor:
    """Return what to copy for a tensor.

    Raises:
        ConversionError: it lies outside its storage, or its byte order or lazy bits cannot be resolved.
    """
    dtype = DTYPES[FROM_TORCH[tensor.dtype]]
    itemsize = dtype.itemsize
    shape, stride = tensor.shape, tensor.stride
    if len(shape) != len(stride):
        raise ConversionError(f"tensor {name!r}: has {len(shape)} sizes and {len(stride)} strides")
    empty = 0 in shape
    last = tensor.storage_offset + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))
    if not empty and (last + 1) * itemsize > place.size:
        raise ConversionError(
            f"tensor {name!r}: reaches to byte {(last + 1) * itemsize} of its storage {tensor.storage_key!r}, which "
            f"has {place.size}; the file is damaged or was made to mislead"
        )
    conj, neg = _lazy_bits(name, tensor)
    if dtype.bits < 8:
        if not shape:
            raise ConversionError(f"tensor {name!r}: a single {tensor.dtype} item has no dimension to double")
        doubled = (*shape[:-1], shape[-1] * 2)
    else:
        doubled = shape
    return PlannedTensor(
        name=name,
        dtype=dtype,
        shape=doubled,
        store=place.store,
        offset=0 if empty else place.offset + tensor.storage_offset * itemsize,
        stride=None if is_row_major(shape, stride) else stride,
        swap=_swap(name, tensor, dtype.swap) if big_endian else 1,
        conj=conj,
        neg=neg,
    )


def _swap(name: str, tensor: TensorValue, width: int) -> int:
    if tensor.kind == "_rebuild_tensor_v3" and width > 1:
        # torch swaps typed storages on load and cannot swap untyped ones: what it would load depends on the machine.
        raise ConversionError(
            f"tensor {name!r}: {tensor.dtype} in a big-endian file, which torch does not swap when it loads; convert "
            "the checkpoint on the kind of machine that wrote it"
        )
    return width


def _lazy_bits(name: str, tensor: TensorValue) -> tuple[bool, bool]:
    """Return (conj, neg): what torch would apply when somebody reads the numbers."""
    bits = {"conj": False, "neg": False}
    metadata = tensor.metadata
    entries = metadata.entries if isinstance(metadata, PickledMapping | Made) else ()
    if metadata is not None and not entries:
        raise ConversionError(f"tensor {name!r}: carries metadata that is not understood")
    for key, value in entries:
        # torch writes nothing but True, and sets the bit whatever it reads (torch/csrc/jit/serialization/pickler.h).
        if not isinstance(key, str) or key not in bits or value is not True:
            raise ConversionError(f"tensor {name!r}: carries metadata {key!r} that is not understood")
        bits[key] = True
    return bits["conj"], bits["neg"]


class Claims:
    """What the tensors say about each storage: they must agree, for loaders believe whom they meet first."""

    def __init__(self) -> None:
        self._claims: dict[str, tuple[str, int]] = {}

    def size(self, tensor: TensorValue) -> int:
        """Return the bytes the tensor's storage claims to have.

        Raises:
            ConversionError: another tensor claimed something else.
        """
        claim = (tensor.storage_dtype, tensor.storage_numel)
        known = self._claims.setdefault(tensor.storage_key, claim)
        if known != claim:
            raise ConversionError(
                f"storage {tensor.storage_key!r}: described as {known[1]} elements of {known[0]} and as {claim[1]} of "
                f"{claim[0]}; loaders disagree about such files"
            )
        return tensor.storage_numel * ITEMSIZE[tensor.storage_dtype]


def raw_store(name: str, offset: int, size: int, *, crc: int | None = None) -> Store:
    """Return a store that lies in the source as it is."""
    return Store(name=name, encoding=Encoding.RAW, size=size, segments=((offset, size),), crc=crc)
