"""What a pickle does to tensors after it has made them: nothing of that is followed, so it is refused.

A pickle may call any function with a tensor it has made, or with the dictionary that holds it (`torch.Tensor.neg_`,
`dict.update`); it may set attributes that are the data (`tensor.data`), and assign items of lists and arrays. What a
loader would come to then are other tensors than those that lie in the file. `torch.save` writes nothing of the kind:
functions it calls make things, and attributes it sets belong to the user.

Sources: torch/_utils.py (`_set_obj_state`) and torch/_tensor.py (`Tensor.__setstate__`) of torch 2.13; torch/autograd/
variable.py of 0.3 for the three values that are no attributes.
"""

import sys
from collections.abc import Iterable, Iterator

from modelsign.errors import ConversionError
from scanners.pickles.machine import PickleRun
from scanners.pickles.values import (
    Attribute,
    Collection,
    Global,
    Made,
    Mapping,
    Persistent,
    TensorValue,
    Value,
)

_KNOWN_LIBRARIES = sys.stdlib_module_names | {"torch", "numpy", "__builtin__", "copy_reg"}
"""where a name in small letters is a function, unless it is one of the few below"""
_MAKERS = frozenset(
    {
        *(
            f"{module}.{name}"
            for module in ("builtins", "__builtin__")
            for name in (
                "bool bytearray bytes complex dict enumerate filter float frozenset getattr int iter list map object "
                "range reversed set slice str tuple zip"
            ).split()
        ),
        "_codecs.encode",
        "collections.defaultdict",
        "collections.deque",
        "functools.partial",
    }
)
_MAKING_MODULES = (
    "copyreg.",
    "copy_reg.",
    "itertools.",
    "numpy.random._pickle.",
    "torch.return_types.",
    "torch.fx.",
    "torch.jit._pickle.",
)
_MAKING_WORDS = (
    "rebuild",
    "reconstruct",
    "mareconstruct",
    "mrreconstruct",
    "frombuffer",
    "load_from_bytes",
    "scalar",
    "ndarray",
)
"""how the functions of torch and numpy begin that pickles call, behind underscores"""
_FROM_FIRST = frozenset({"builtins.getattr", "__builtin__.getattr", "functools.partial"})
"""what gives a callable out of its first argument"""
_COMPUTED_DEPTH = 16
_DATA = frozenset({"data", "real", "imag", "grad_fn", "__class__", "__dict__", "__setstate__"})
"""attributes of a tensor that are its numbers, or decide what they are"""
_OLD_STATE = 3
"""length of the state of a parameter of torch 0.3: whether it requires a gradient, is volatile, and its hooks"""


def refuse_changes(run: PickleRun, what: str) -> None:
    """Refuse a pickle that acts on tensors it has made.

    Args:
        run: the pickle's run.
        what: the pickle, for the message.

    Raises:
        ConversionError: naming what it does and where.
    """
    if run.replaced is not None:
        raise ConversionError(
            f"{what}: assigns items of a list (byte {run.replaced}), which no checkpoint does and is not followed; "
            "load it where it is trusted and save plain tensors"
        )
    without: set[int] = set()
    for call in run.calls:
        action = _action(call)
        if action and _reaches_tensors((call.function, call.arguments), without):
            raise ConversionError(
                f"{what}: {action} (byte {call.offset}) on tensors it has made, which may change them and is not "
                "followed; load the checkpoint where it is trusted and save plain tensors"
            )


def is_changed(made: Made) -> bool:
    """Return whether an array or a parameter gets items, or attributes that are its data, after it is made."""
    return bool(made.entries or made.items) or not all(map(_is_state, made.states))


def plain_attributes(state: Value) -> bool:
    """Return whether a tensor's state is attributes that leave its numbers alone."""
    parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    return all(part is None or _names(part).isdisjoint(_DATA | {None}) for part in parts)


def _is_state(state: Value) -> bool:
    return (isinstance(state, tuple) and len(state) == _OLD_STATE) or plain_attributes(state)


def _names(part: Value) -> set[str | None]:
    """Return the names a mapping sets; None stands for what is no name."""
    if isinstance(part, Made) and not (part.arguments == () and not part.states and not part.items):
        return {None}
    if not isinstance(part, Mapping | Made):
        return {None}
    return {key if isinstance(key, str) else None for key, _ in part.entries}


def _action(call: Made) -> str:
    """Return what a call does if that may change its arguments, else nothing."""
    function = call.function
    if isinstance(function, Attribute | Made):
        # What a name of another library gives is as unknown as the library itself, and stays inert.
        origin = _origin(function)
        if call.opcode in {"NEWOBJ", "NEWOBJ_EX"} or (isinstance(origin, Global) and not _is_known(origin)):
            return ""
        return "calls what it has computed"
    if not isinstance(function, Global) or not function.name:
        return ""
    if function.name[0].isupper() and "." not in function.name:
        return ""  # a class: nearly every call of a checkpoint is an empty OrderedDict
    name = function.dotted
    if not _is_known(function) or name in _MAKERS or name.startswith(_MAKING_MODULES):
        return ""
    last = name.rpartition(".")[2].lstrip("_")
    if last[:1].isupper() or (last.startswith(_MAKING_WORDS) and name.startswith(("torch.", "numpy."))):
        return ""
    return f"calls {name:.200}"


def _origin(value: Value) -> Value:
    """Return what a callable was computed from: the object of a method, a function, or what made it."""
    for _ in range(_COMPUTED_DEPTH):
        if isinstance(value, Attribute):
            value = value.value
        elif not isinstance(value, Made):
            break
        elif isinstance(value.function, Global) and value.function.dotted in _FROM_FIRST:
            value = value.arguments[0] if isinstance(value.arguments, tuple) and value.arguments else None
        else:
            value = value.function
    return value


def _is_known(name: Global) -> bool:
    return name.module.partition(".")[0] in _KNOWN_LIBRARIES


def _reaches_tensors(roots: Iterable[Value], without: set[int]) -> bool:
    """Return whether tensors, storages or arrays lie in or below values; ``without`` remembers where there are none."""
    seen: set[int] = set()
    pending = list(roots)
    while pending:
        value = pending.pop()
        if isinstance(value, TensorValue | Persistent):
            return True
        if not isinstance(value, tuple | list | Mapping | Made | Collection | Attribute):
            continue
        if id(value) in seen or id(value) in without:
            continue
        if isinstance(value, Made) and _is_array(value):
            return True
        seen.add(id(value))
        pending.extend(_inside(value))
    without |= seen
    return False


def _is_array(made: Made) -> bool:
    return isinstance(made.function, Global) and made.function.dotted.endswith(("._reconstruct", "._frombuffer"))


def _inside(value: "tuple[Value, ...] | list[Value] | Mapping | Made | Collection | Attribute") -> Iterator[Value]:
    match value:
        case tuple() | list():
            yield from value
        case Mapping():
            for key, item in value.entries:
                yield key
                yield item
        case Collection():
            yield from value.items
        case Attribute():
            yield value.value
        case Made():
            yield value.function
            yield value.arguments
            yield value.keywords
            yield from value.states
            yield from value.items
            for key, item in value.entries:
                yield key
                yield item
