"""Single tensors of ONNX (`input_0.pb`, `output_0.pb`): what models come with, so that they can be tried.

Source: onnx/onnx.proto, TensorProto {1 dims, 2 data_type, 6 string_data, 8 name, 9 raw_data, 12 doc_string}; the
folders `test_data_set_*` of the ONNX model zoo and of onnx's own tests.

Other messages can be written so that they look like this one: parsers pass over a field of another type than theirs.
So a file is taken only where there is no room for a graph in it: the dimensions are few, and every byte of data is
accounted for by them. Fields 5 and 7, which a ModelProto has its version and its graph in, are left to nobody, and so
are tensors that lie in other files.
"""

from math import prod
from typing import Final, NamedTuple

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified
from scanners.facts import Tensor as TensorFact
from scanners.formats.onnx import TENSOR_TYPES
from scanners.formats.protobuf import BYTES, VARINT, Field, Tally, fields, packed_numbers, text_of
from scanners.reader import Reader
from scanners.reading import Blob, Reading

NAME = "onnx-tensor"

_KINDS: Final = {1: (VARINT, BYTES), 2: (VARINT,), 6: (BYTES,), 8: (BYTES,), 9: (BYTES,), 12: (BYTES,)}
_STARTS: Final = frozenset({b"\x08", b"\x0a", b"\x10"})
_RANK: Final = 8
_FIELDS: Final = 4096
"""a tensor of text has one for each element"""
_NAME: Final = 256
"""bytes of a name; nothing of that length is a graph"""
_STRING: Final = 8
_BITS: Final = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4,
}  # fmt: skip


class _Tensor(NamedTuple):
    kind: int
    shape: tuple[int, ...]
    name: str
    data: Field | None


def matches(blob: Blob) -> bool:
    """Return whether the blob is a TensorProto and nothing else."""
    return blob.reader.read_at(0, 1) in _STARTS and _tensor(blob.reader) is not None


def _tensor(reader: Reader) -> _Tensor | None:
    shape: list[int] = []
    found: dict[int, Field] = {}
    strings = 0
    try:
        for count, field in enumerate(fields(reader, 0, reader.size, Tally())):
            if field.kind not in _KINDS.get(field.number, ()) or count >= _FIELDS:
                return None
            if field.number == 1:
                shape += [field.value] if field.kind == VARINT else _packed(reader, field)
            elif field.number == 6:
                strings += 1
            elif field.number in found:
                return None
            found[field.number] = field
    except (FormatError, LimitExceeded):
        return None
    if 2 not in found or len(shape) > _RANK:
        return None
    if any(found[number].length > _NAME for number in (8, 12) if number in found):
        return None
    kind, elements, data = found[2].value, prod(shape), found.get(9)
    if kind == _STRING:
        agrees = data is None and strings == elements
    else:
        agrees = kind in _BITS and not strings and (data.length if data else 0) == -(-elements * _BITS[kind] // 8)
    if not agrees:
        return None
    return _Tensor(kind, tuple(shape), text_of(reader, found[8], _NAME) if 8 in found else "", data)


def _packed(reader: Reader, field: Field) -> list[int]:
    """Return packed dimensions; more of them than any tensor has where they are too long to be some."""
    content = reader.read_at(field.offset, min(field.length, 10 * _RANK + 1))
    if len(content) > 10 * _RANK:
        return [0] * (_RANK + 1)
    return packed_numbers(content)


def read(blob: Blob, reading: Reading) -> None:
    """State the tensor."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    tensor = _tensor(blob.reader)
    if tensor is None:
        raise FormatError("not a tensor of ONNX")
    data = tensor.data
    if data is not None:
        reading.inert(data.offset, data.length)
    stored = data.length if data is not None else 0
    reading.state(
        TensorFact(
            location=reading.at(0, blob.reader.size),
            name=tensor.name,
            dtype=TENSOR_TYPES[tensor.kind],
            shape=tensor.shape,
            stride=None,
            storage="file",
            storage_offset=0,
            storage_bytes=stored if tensor.kind != _STRING else None,
        )
    )
    reading.parsed(0, blob.reader.size)
