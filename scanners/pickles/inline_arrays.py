"""Arrays that joblib writes between the opcodes of a pickle: where their bytes lie.

joblib's unpickler takes the array from the file as soon as BUILD has completed a `NumpyArrayWrapper`: an optional
padding (its length in one byte, then that many), then the elements; of an array of objects, a pickle of its own.

Sources: joblib/numpy_pickle.py of 1.5 (`NumpyArrayWrapper.read_array`, `NumpyUnpickler.load_build`), numpy's
arraydescr_setstate for the state of a dtype.
"""

import math
import re
from typing import Final

from scanners.pickles.values import Global, Made, Mapping, Value
from scanners.reader import Reader

_KIND: Final = re.compile(r"[<>=|]?([?abBcdDefFgGhHiIlLmMnNOpPqQSuUV])([0-9]*)\Z")
_CHARACTERS: Final = {
    "?": 1, "b": 1, "B": 1, "c": 1, "h": 2, "H": 2, "i": 4, "I": 4, "l": 8, "L": 8, "q": 8, "Q": 8, "e": 2, "f": 4,
    "d": 8, "g": 16, "F": 8, "D": 16, "G": 32, "p": 8, "P": 8, "n": 8, "N": 8, "M": 8, "m": 8,
}  # fmt: skip
_FLEXIBLE: Final = frozenset("aSUV")
"""kinds whose size the state of a dtype sets"""
_LARGEST: Final = 1 << 63


class Element:
    """What a dtype says about one element."""

    __slots__ = ("objects", "size")

    def __init__(self, size: int, *, objects: bool) -> None:
        self.size = size
        self.objects = objects
        """whether elements are Python objects, which are pickled"""


def is_wrapper(made: Made) -> bool:
    """Return whether an object is one of joblib's array wrappers."""
    function = made.function
    if isinstance(function, Global) and function.name == "_reconstructor" and isinstance(made.arguments, tuple):
        function = made.arguments[0] if made.arguments else None  # protocols 0 and 1
    return names_wrapper(function)


def names_wrapper(value: Value) -> bool:
    """Return whether a value is the class of these wrappers."""
    return isinstance(value, Global) and value.name.rsplit(".", 1)[-1] == "NumpyArrayWrapper"


def array_at(wrapper: Made, reader: Reader, offset: int) -> tuple[int, int, bool] | None:
    """Return where a wrapper's array begins, how many bytes it has, and whether it is a pickle (of unknown length).

    None where the wrapper does not say, or says it in a way that joblib never writes: attributes from the constructor,
    a second state (by then joblib has put the array in its place).
    """
    plain = names_wrapper(wrapper.function)
    if len(wrapper.states) != 1 or wrapper.keywords is not None or (plain and wrapper.arguments not in ((), None)):
        return None
    attributes: dict[str, Value] = {}
    for state in wrapper.states:
        if isinstance(state, Mapping):
            attributes.update((key, item) for key, item in state.entries if isinstance(key, str))
    element = element_of(attributes.get("dtype"))
    shape = attributes.get("shape")
    if element is None or not isinstance(shape, (tuple, list)):
        return None
    if element.objects:
        return offset, 0, True
    sizes = [size for size in shape if isinstance(size, int) and 0 <= size < _LARGEST]
    if len(sizes) != len(shape):
        return None
    if attributes.get("numpy_array_alignment_bytes") is not None:
        padding = reader.read_at(offset, 1)
        if not padding:
            return None
        offset += 1 + padding[0]
    return offset, math.prod(sizes) * element.size, False


def element_of(dtype: Value) -> Element | None:
    """Return the element of a pickled dtype: ``numpy.dtype('f8', False, True)`` with its state."""
    if not isinstance(dtype, Made) or not isinstance(dtype.arguments, tuple) or not dtype.arguments:
        return None
    name = dtype.arguments[0]
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    if not isinstance(name, str):
        return None
    match = _KIND.match(name)
    if match is None:
        return None
    kind, digits = match.group(1), match.group(2)
    size = int(digits) if digits and len(digits) < 12 else _CHARACTERS.get(kind, 0)
    if kind == "U" and digits:
        size *= 4
    if not dtype.states:
        return Element(size, objects=kind == "O")
    state = dtype.states[0]
    if len(dtype.states) > 1 or not isinstance(state, tuple) or len(state) not in {8, 9}:
        return None  # numpy reads shorter states, but has not written any since 2006
    length, flags = state[5], state[7]
    if not isinstance(length, int) or not isinstance(flags, int):
        return None
    if kind in _FLEXIBLE:
        if length < 0:
            return None
        size = length
    elif length != -1 or bool(flags & 1) != (kind == "O"):
        return None  # numpy keeps the size, but believes the flags: such a state only misleads
    return Element(size, objects=bool(flags & 1))
