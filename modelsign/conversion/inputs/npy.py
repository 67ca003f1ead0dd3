"""numpy's own file format: a header with type, order and shape, then the numbers.

Source: numpy/lib/format.py, "Format Version 1.0" to "3.0". The header is a Python literal, read by `ast` and bounded.
"""

import ast
import re
from dataclasses import dataclass
from math import prod

from modelsign.conversion.dtypes import WHAT_INSTEAD, DType
from modelsign.conversion.gather import is_row_major
from modelsign.conversion.inputs.assembly import raw_store
from modelsign.conversion.inputs.numpy_values import fortran_stride, typed
from modelsign.conversion.plan import MAX_RANK, Plan, PlannedTensor
from modelsign.conversion.refusals import NoPickleError
from modelsign.conversion.tree import LONE_NAME
from modelsign.errors import ConversionError
from scanners.reader import Reader

MAGIC = b"\x93NUMPY"
_HEADER_LIMIT = 1 << 16
_OBJECT = re.compile(r"['\"][<>|=]?O")
_PYTHON_2_LONG = re.compile(r"(?<=[0-9])L\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the header of an array says."""

    dtype: DType
    big_endian: bool
    fortran: bool
    shape: tuple[int, ...]
    length: int
    """bytes before the numbers"""

    @property
    def size(self) -> int:
        """Bytes of the numbers."""
        return prod(self.shape) * self.dtype.itemsize


def parse(reader: Reader) -> Plan:
    """Read an array file.

    Raises:
        ConversionError: it is refused.
    """
    header = read_header(reader, LONE_NAME)
    return Plan(
        format="npy",
        stores=(raw_store("the array", 0, reader.size),),
        tensors=(planned(header, LONE_NAME, store=0),),
    )


def planned(header: Header, name: str, *, store: int) -> PlannedTensor:
    """Return what to copy for an array whose file is the store."""
    stride = fortran_stride(header.shape) if header.fortran else None
    return PlannedTensor(
        name=name,
        dtype=header.dtype,
        shape=header.shape,
        store=store,
        offset=header.length,
        stride=None if stride is None or is_row_major(header.shape, stride) else stride,
        swap=header.dtype.swap if header.big_endian else 1,
    )


def read_header(reader: Reader, name: str) -> Header:
    """Read a header and check that the numbers it promises are all that follows.

    Raises:
        ConversionError: it is malformed, or safetensors has no such type.
    """
    where = f"array {name!r}"
    head = reader.read_at(0, 12)
    if not head.startswith(MAGIC) or len(head) < 12 or head[6] not in {1, 2, 3}:
        raise ConversionError(f"{where}: is not in numpy's file format")
    start = 10 if head[6] == 1 else 12
    length = int.from_bytes(head[8:start], "little")
    if length > _HEADER_LIMIT or start + length > reader.size:
        raise ConversionError(f"{where}: its header is longer than it may be, or cut off")
    text = reader.read_at(start, length).decode("utf-8" if head[6] == 3 else "latin-1", "replace")
    descr, fortran, shape = _fields(where, text)
    dtype, big_endian = _type(where, descr)
    header = Header(dtype=dtype, big_endian=big_endian, fortran=fortran, shape=shape, length=start + length)
    if header.length + header.size != reader.size:
        raise ConversionError(
            f"{where}: has {reader.size - header.length} bytes of numbers and its shape needs {header.size}; the file "
            "is cut off, or holds more than one array"
        )
    return header


def _fields(where: str, text: str) -> tuple[object, bool, tuple[int, ...]]:
    try:
        fields = ast.literal_eval(_PYTHON_2_LONG.sub("", text).strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ConversionError(f"{where}: its header is no Python literal") from error
    if not isinstance(fields, dict) or fields.keys() != {"descr", "fortran_order", "shape"}:
        raise ConversionError(f"{where}: its header has other fields than it should")
    shape, fortran = fields["shape"], fields["fortran_order"]
    if (
        not isinstance(shape, tuple)
        or len(shape) > MAX_RANK
        or not all(
            isinstance(length, int) and not isinstance(length, bool) and 0 <= length < 1 << 63 for length in shape
        )
        or not isinstance(fortran, bool)
    ):
        raise ConversionError(f"{where}: its header has no valid shape")
    return fields["descr"], fortran, shape


def _type(where: str, descr: object) -> tuple[DType, bool]:
    """Return the element type and whether it is big-endian. Only arrays with objects in them are pickles."""
    if not isinstance(descr, str):
        kind = ConversionError if _OBJECT.search(repr(descr)) else NoPickleError
        raise kind(f"{where}: is an array of records; {WHAT_INSTEAD['structured']}")
    order, code = (descr[:1], descr[1:]) if descr[:1] in {"<", ">", "|", "="} else ("", descr)
    try:
        return typed(where, code), order == ">"
    except ConversionError as error:
        raise (ConversionError if _OBJECT.search(repr(descr)) else NoPickleError)(str(error)) from error
