"""Arrays of numpy as pickles carry them: what rebuilds them, their type, and where their bytes lie.

Three shapes occur: `_reconstruct` and a state with the bytes (protocols 0 to 4; before protocol 3 the bytes are Latin-1
text that `_codecs.encode` turns back), `_frombuffer` (protocol 5), each under numpy 1's and numpy 2's module names.
Source: numpy/_core/src/multiarray/methods.c (`array_reduce`, `array_setstate`), descriptor.c (`arraydescr_reduce`).
"""

from collections.abc import Callable, Mapping
from math import prod

from modelsign.conversion.dtypes import DTYPES, FROM_NAME, FROM_NUMPY, WHAT_INSTEAD, DType
from modelsign.conversion.gather import is_row_major
from modelsign.conversion.plan import Encoding, PlannedTensor, Store
from modelsign.errors import ConversionError
from scanners.limits import Budget
from scanners.pickles.inline_arrays import is_wrapper
from scanners.pickles.values import Global, Made, Span, Value
from scanners.pickles.values import Mapping as PickledMapping
from scanners.reader import Reader

_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_RECONSTRUCT = frozenset({f"{module}._reconstruct" for module in _MODULES})
_FROM_BUFFER = frozenset({f"{module}._frombuffer" for module in _MODULES})
_BYTES = frozenset(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray"))
_PLAIN = frozenset({"numpy.ndarray", "numpy.memmap", "numpy.matrix", "numpy.matrixlib.defmatrix.matrix"})
"""classes of arrays that pickle what every array does, and load the same numbers"""
_CODECS = frozenset({"latin1", "latin-1", "iso-8859-1", "iso8859-1", "l1"})
_MAX_RANK = 64
_NO_INLINE: Mapping[int, tuple[int, int]] = {}


def is_array(made: Made) -> bool:
    """Return whether a call makes a numpy array, or stands for one that joblib keeps between the opcodes."""
    if not isinstance(made.function, Global):
        return False
    return made.function.dotted in _RECONSTRUCT | _FROM_BUFFER or is_wrapper(made)


def array_of(
    name: str,
    made: Made,
    reader: Reader,
    add_store: Callable[[Store], int],
    pickle_store: Callable[[], int],
    known: PlannedTensor | None,
    inline: Mapping[int, tuple[int, int]] = _NO_INLINE,
) -> PlannedTensor:
    """Return what to copy for an array.

    Args:
        name: of the tensor.
        made: a call for which `is_array` holds.
        reader: the pickle's input.
        add_store: adds a store to the plan.
        pickle_store: gives the store that is the pickle's input.
        known: the same array under another name, whose data it shares.
        inline: (offset, length) of joblib's arrays by the id of what stands for them.

    Raises:
        ConversionError: it is not a plain array of numbers.
    """
    where = f"array {name!r}"
    if made.entries or made.items:
        raise ConversionError(f"{where}: the pickle assigns items of it, which is not followed; save it as it is then")
    shape, dtype_value, fortran, data = _wrapped(where, made, inline) if is_wrapper(made) else _parts(where, made)
    dtype, big_endian = dtype_of(where, dtype_value)
    size = prod(shape) * dtype.itemsize
    store = known.store if known is not None else add_store(_store(where, name, data, size, reader, pickle_store))
    stride = fortran_stride(shape) if fortran else None
    return PlannedTensor(
        name=name,
        dtype=dtype,
        shape=shape,
        store=store,
        offset=0,
        stride=None if stride is None or is_row_major(shape, stride) else stride,
        swap=dtype.swap if big_endian else 1,
    )


def fortran_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in items, of an array stored column by column."""
    steps = []
    step = 1
    for length in shape:
        steps.append(step)
        step *= length
    return tuple(steps)


def _parts(where: str, made: Made) -> tuple[tuple[int, ...], Value, bool, Value]:
    """Return (shape, dtype, column-major, data)."""
    assert isinstance(made.function, Global)
    arguments = made.arguments if isinstance(made.arguments, tuple) else ()
    if made.function.dotted in _FROM_BUFFER:
        if len(arguments) != 4 or made.states or arguments[3] not in {"C", "F"}:
            raise ConversionError(f"{where}: is not rebuilt in the way numpy writes arrays")
        return _shape(where, arguments[2]), arguments[1], arguments[3] == "F", arguments[0]
    kind = arguments[0] if arguments else None
    if not isinstance(kind, Global) or kind.dotted not in _PLAIN:
        named = kind.dotted if isinstance(kind, Global) else "an unknown class"
        raise ConversionError(f"{where}: is of the class {named}; save `numpy.asarray(array)`")
    state = made.states[-1] if len(made.states) == 1 else None
    if not isinstance(state, tuple) or len(state) not in {4, 5}:
        raise ConversionError(f"{where}: is not rebuilt in the way numpy writes arrays")
    shape, dtype, fortran, data = state[-4:]
    if not isinstance(fortran, bool | int):
        raise ConversionError(f"{where}: is not rebuilt in the way numpy writes arrays")
    return _shape(where, shape), dtype, bool(fortran), data


def _wrapped(
    where: str, made: Made, inline: Mapping[int, tuple[int, int]]
) -> tuple[tuple[int, ...], Value, bool, Value]:
    """Return the same of an array that lies behind its wrapper (joblib/numpy_pickle.py, `NumpyArrayWrapper`)."""
    place = inline.get(id(made))
    state = made.states[-1] if len(made.states) == 1 else None
    if place is None or not isinstance(state, PickledMapping):
        raise ConversionError(f"{where}: is kept by joblib in a way that is not read; save it with numpy.savez")
    fields = {key: value for key, value in state.entries if isinstance(key, str)}
    kind = fields.get("subclass")
    if not isinstance(kind, Global) or kind.dotted not in _PLAIN:
        named = kind.dotted if isinstance(kind, Global) else "an unknown class"
        raise ConversionError(f"{where}: is of the class {named}; save `numpy.asarray(array)`")
    if fields.get("order") not in {"C", "F"}:
        raise ConversionError(f"{where}: has no order of its elements")
    return _shape(where, fields.get("shape")), fields.get("dtype"), fields["order"] == "F", Span("bytes", *place)


def _shape(where: str, value: Value) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, tuple) or len(value) > _MAX_RANK:
        raise ConversionError(f"{where}: has no shape")
    lengths = []
    for length in value:
        if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length < 1 << 63:
            raise ConversionError(f"{where}: has a size that is none: {length!r:.40}")
        lengths.append(length)
    return tuple(lengths)


def dtype_of(where: str, value: Value) -> tuple[DType, bool]:
    """Return the element type of a pickled `numpy.dtype`, and whether it is big-endian.

    Raises:
        ConversionError: safetensors has no such type.
    """
    if not isinstance(value, Made) or not isinstance(value.function, Global) or value.function.dotted != "numpy.dtype":
        raise ConversionError(f"{where}: has no element type")
    arguments = value.arguments if isinstance(value.arguments, tuple) else ()
    code = arguments[0] if arguments else None
    state = value.states[-1] if value.states else None
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "|"
    if isinstance(order, bytes):
        order = order.decode("latin-1")
    if isinstance(code, Global) and code.module == "ml_dtypes":
        return named_dtype(where, code.name), order == ">"
    if isinstance(code, bytes):
        code = code.decode("latin-1")
    if isinstance(state, tuple) and len(state) > 4 and state[3] is not None:
        raise ConversionError(f"{where}: is an array of records; {WHAT_INSTEAD['structured']}")
    return typed(where, code if isinstance(code, str) else ""), order == ">"


def typed(where: str, code: str) -> DType:
    """Return the element type of a numpy type string without its byte order.

    Raises:
        ConversionError: safetensors has no such type.
    """
    name = FROM_NUMPY.get(code)
    if name is not None:
        return DTYPES[name]
    if code == "c16":
        raise ConversionError(f"{where}: has the type complex128; {WHAT_INSTEAD['complex128']}")
    reasons = {
        "O": "object",
        "S": "str",
        "U": "str",
        "a": "str",
        "V": "structured",
        "f": "longdouble",
        "c": "longdouble",
    }
    reason = WHAT_INSTEAD.get(reasons.get(code[:1], ""), "convert it with `array.astype(…)` before it is saved")
    raise ConversionError(f"{where}: has the type {code!r:.20}, which safetensors does not have; {reason}")


def named_dtype(where: str, name: str) -> DType:
    """Return the element type that `numpy.dtype.name` names, with the types of ml_dtypes.

    Raises:
        ConversionError: safetensors has no such type.
    """
    known = FROM_NAME.get(name)
    if known is None:
        advice = WHAT_INSTEAD.get(name, "convert it before it is saved")
        raise ConversionError(f"{where}: has the type {name!r:.40}, which safetensors does not have; {advice}")
    return DTYPES[known]


def _store(where: str, name: str, data: Value, size: int, reader: Reader, pickle_store: Callable[[], int]) -> Store:
    if isinstance(data, Made) and _is_latin1(data):
        assert isinstance(data.arguments, tuple)
        text = data.arguments[0]
        if isinstance(text, str):
            return _inline(where, name, _encoded(where, text), size)
        if isinstance(text, Span) and text.kind == "str":
            return Store(
                name=name,
                encoding=_text_encoding(text, reader),
                size=size,
                segments=((text.offset, text.length),),
                base=pickle_store(),
            )
    if isinstance(data, Made) and _is_bytes(data):
        assert isinstance(data.arguments, tuple)
        content = data.arguments[0] if data.arguments else b""
        return _store(where, name, content, size, reader, pickle_store)
    if isinstance(data, bytes):
        return _inline(where, name, data, size)
    if isinstance(data, Span) and data.kind in {"bytes", "bytearray"}:
        if data.length != size:
            raise _wrong_size(where, data.length, size)
        return Store(
            name=name, encoding=Encoding.RAW, size=size, segments=((data.offset, data.length),), base=pickle_store()
        )
    if isinstance(data, str):
        return _inline(where, name, _encoded(where, data), size)  # Python 2's bytes
    if isinstance(data, Span) and data.kind == "str" and _before(data, 5, reader)[:1] == b"T":
        return _store(where, name, Span("bytes", data.offset, data.length), size, reader, pickle_store)
    if isinstance(data, Span) and data.kind == "str" and _before(data, 2, reader) in {b"S'", b'S"'}:
        segments = ((data.offset, data.length),)
        return Store(name=name, encoding=Encoding.QUOTED, size=size, segments=segments, base=pickle_store())
    if isinstance(data, list):
        raise ConversionError(f"{where}: is an array of objects; {WHAT_INSTEAD['object']}")
    raise ConversionError(f"{where}: its data is not in the file as bytes")


def text_bytes(where: str, data: Made, reader: Reader, budget: Budget) -> tuple[bytes, Encoding, Span | None]:
    """Return bytes that a pickle keeps as Latin-1 text, how they are written, and where if they are long.

    Raises:
        ConversionError: they are none.
    """
    if not _is_latin1(data):
        raise ConversionError(f"{where}: its data is not in the file as bytes")
    assert isinstance(data.arguments, tuple)
    text = data.arguments[0]
    if isinstance(text, str):
        return _encoded(where, text), Encoding.INLINE, None
    if not isinstance(text, Span) or text.kind != "str":
        raise ConversionError(f"{where}: its data is not in the file as bytes")
    budget.spend_materialised(text.length)
    encoding = _text_encoding(text, reader)
    codec = "utf-8" if encoding is Encoding.LATIN1 else "raw-unicode-escape"
    try:
        return _encoded(where, reader.read_at(text.offset, text.length).decode(codec)), encoding, text
    except UnicodeDecodeError as error:
        raise ConversionError(f"{where}: its bytes are written as text that is not Latin-1") from error


def _text_encoding(text: Span, reader: Reader) -> Encoding:
    """Return how a long text is written: UTF-8 behind its length, or escaped on a line of its own (protocol 0)."""
    length = text.length.to_bytes(8, "little")
    counted = _before(text, 5, reader) == b"X" + length[:4]
    wide = _before(text, 9, reader) == b"\x8d" + length
    return Encoding.LATIN1 if counted or wide else Encoding.ESCAPED


def _before(span: Span, count: int, reader: Reader) -> bytes:
    return reader.read_at(span.offset - count, count) if span.offset >= count else b""


def _inline(where: str, name: str, data: bytes, size: int) -> Store:
    if len(data) != size:
        raise _wrong_size(where, len(data), size)
    return Store(name=name, encoding=Encoding.INLINE, size=size, data=data)


def _wrong_size(where: str, found: int, size: int) -> ConversionError:
    return ConversionError(f"{where}: has {found} bytes and its shape needs {size}; the file is damaged")


def _is_latin1(made: Made) -> bool:
    arguments = made.arguments
    return (
        isinstance(made.function, Global)
        and made.function.dotted == "_codecs.encode"
        and isinstance(arguments, tuple)
        and len(arguments) == 2
        and isinstance(arguments[1], str)
        and arguments[1].lower() in _CODECS
    )


def _is_bytes(made: Made) -> bool:
    return (
        isinstance(made.function, Global)
        and made.function.dotted in _BYTES
        and isinstance(made.arguments, tuple)
        and (not made.arguments or (len(made.arguments) == 1 and isinstance(made.arguments[0], bytes | Span)))
    )


def _encoded(where: str, text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ConversionError(f"{where}: its bytes are written as text that is not Latin-1") from error
