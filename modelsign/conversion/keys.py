"""Keys of dictionaries as parts of names: text, numbers, None, and bytes that are text, as Python prints them.

Two kinds hide behind calls. Bytes before pickle protocol 3, which torch still writes, are Latin-1 text that
`_codecs.encode` turns back; numpy's scalars are their type and their bytes
(numpy/_core/src/multiarray/scalartypes.c.src, `gentype_reduce`).
"""

import struct

from scanners.pickles.values import Global, Made, Value

_LATIN1 = frozenset({"latin1", "latin-1"})
_SCALAR = frozenset({"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"})
_CODES = {"b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}
"""numpy's type strings as `struct` writes them"""
_LONGEST_SCALAR = 1 << 12


def name_of(key: Value) -> str | None:
    """Return what a key is called in a name; None where it is no name."""
    if isinstance(key, str):
        return key
    if isinstance(key, bool | int | float) or key is None:
        return str(key)
    if isinstance(key, Made):
        return _scalar(key) if _is_call(key, _SCALAR) else _decoded(_bytes_of(key))
    return _decoded(key if isinstance(key, bytes) else None)


def _decoded(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_call(made: Made, names: frozenset[str]) -> bool:
    return (
        isinstance(made.function, Global)
        and made.function.dotted in names
        and isinstance(made.arguments, tuple)
        and len(made.arguments) == 2
        and not (made.states or made.items or made.entries)
    )


def _bytes_of(value: Value) -> bytes | None:
    """Return bytes, also those that a pickle keeps as Latin-1 text."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, Made) or not _is_call(value, frozenset({"_codecs.encode"})):
        return None
    assert isinstance(value.arguments, tuple)
    text, codec = value.arguments
    if not isinstance(text, str) or not isinstance(codec, str) or codec not in _LATIN1:
        return None
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return None


def _scalar(made: Made) -> str | None:
    """Return an integer, truth value or text of numpy. Floats are left: how they are printed depends on their width."""
    assert isinstance(made.arguments, tuple)
    kind, content = made.arguments
    data = _bytes_of(content)
    if data is None or len(data) > _LONGEST_SCALAR or not isinstance(kind, Made) or not _is_dtype(kind):
        return None
    assert isinstance(kind.arguments, tuple)
    code = kind.arguments[0]
    state = kind.states[0] if len(kind.states) == 1 else None
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"
    if not isinstance(code, str) or not isinstance(order, str):
        return None
    if code in _CODES:
        layout = (">" if order == ">" else "<") + _CODES[code]
        return str(struct.unpack(layout, data)[0]) if struct.calcsize(layout) == len(data) else None
    if code.startswith("U") and len(data) % 4 == 0:
        try:
            return data.decode("utf-32-be" if order == ">" else "utf-32-le").rstrip("\0")
        except UnicodeDecodeError:
            return None
    return None


def _is_dtype(made: Made) -> bool:
    return (
        isinstance(made.function, Global)
        and made.function.dotted == "numpy.dtype"
        and isinstance(made.arguments, tuple)
        and bool(made.arguments)
    )
