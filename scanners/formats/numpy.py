"""numpy's `.npy`: a header that is a Python literal, then the elements; of an array of objects, a pickle.

The members of an `.npz` come here as children of the zip. The header is parsed as a literal with a length cap and never
evaluated. Which bytes follow is computed from dtype and shape; an array whose dtype holds objects is followed by a
pickle that `numpy.load(allow_pickle=True)` loads.

Source: numpy/lib/_format_impl.py of 2.4 (`_read_array_header`, `read_array`), numpy/lib/format.py of 1.26.
"""

import ast
import math
import re
from typing import Final

from scanners.errors import FormatError
from scanners.facts import Identified, Tensor
from scanners.patterns import late
from scanners.pickles.streams import more_streams, read_stream, report_failure, trailing
from scanners.reading import Blob, Reading

NAME = "npy"

_MAGIC: Final = b"\x93NUMPY"
_HEADER_LIMIT: Final = 1 << 20
"""numpy refuses headers beyond 10 000 bytes unless told otherwise; structured types can be long"""
_LITERAL_DEPTH: Final = 64
_TYPE: Final = late(r"([<>=|]?)([?biufcmMOSUVa])([0-9]*)(\[[^\]]*\])?\Z")
_SAFETENSORS: Final = {
    "f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8",
    "u8": "U64", "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL", "c8": "C64",
}  # fmt: skip


def matches(blob: Blob) -> bool:
    """Return whether the blob begins like an npy file."""
    return blob.reader.read_at(0, len(_MAGIC)) == _MAGIC


def read(blob: Blob, reading: Reading) -> None:
    """Read the header, and the pickle where the elements are objects."""
    reader = blob.reader
    reading.state(Identified(location=reading.at(), format=NAME))
    descr, shape, start = header(blob)
    reading.parsed(0, start)
    element = element_of(descr)
    if element is None:
        # numpy.dtype takes more than numpy writes, 'O,O' for one: a pickle there is read as one.
        reading.behind(start)
        raise FormatError(f"a dtype that numpy does not know: {str(descr)[:80]!r}", offset=10)
    size, objects = element
    if objects:
        _objects(blob, reading, start)
        return
    length = math.prod(shape) * size
    if start + length > reader.size:
        raise FormatError(f"the array needs {length} bytes, {reader.size - start} follow the header", offset=start)
    reading.inert(start, length)
    name = descr.lstrip("<>=|") if isinstance(descr, str) else "V"
    reading.state(
        Tensor(
            location=reading.at(start, length),
            name=blob.name.removesuffix(".npy"),
            dtype=_SAFETENSORS.get(name, name),
            shape=shape,
            stride=None,
            storage=blob.name,
            storage_offset=0,
            storage_bytes=length,
        )
    )
    trailing(reader, start + length, reading)


def _objects(blob: Blob, reading: Reading, start: int) -> None:
    extensions: dict[int, tuple[str, str]] = {}
    stream = read_stream(blob.reader, start, reading, extensions)
    if stream.stop is None:
        report_failure(stream, reading)
        return
    end = more_streams(blob.reader, stream.stop, reading, extensions)
    reading.parsed(start, end - start)
    trailing(blob.reader, end, reading)


def header(blob: Blob) -> tuple[object, tuple[int, ...], int]:
    """Return dtype, shape and where the data begins. Raises `FormatError`."""
    reader = blob.reader
    prefix = reader.read_at(0, 12)
    if len(prefix) < 10:
        raise FormatError("the header is cut short", offset=0)
    wide = prefix[6] >= 2
    length = int.from_bytes(prefix[8:12] if wide else prefix[8:10], "little")
    start = 12 if wide else 10
    if not 1 <= prefix[6] <= 3:
        raise FormatError(f"version {prefix[6]}.{prefix[7]} of the npy format is not known", offset=6)
    if length > _HEADER_LIMIT or start + length > reader.size:
        raise FormatError(f"a header of {length} bytes", offset=8)
    text = reader.read_at(start, length)
    fields = _literal(text.decode("utf-8" if prefix[6] == 3 else "latin-1"))
    if not isinstance(fields, dict) or not {"descr", "shape"} <= fields.keys():
        raise FormatError("the header has no descr and shape", offset=start)
    shape = fields["shape"]
    if not isinstance(shape, tuple):
        raise FormatError("the shape is not a tuple", offset=start)
    sizes = tuple(size for size in shape if isinstance(size, int) and 0 <= size < 1 << 63)
    if len(sizes) != len(shape):
        raise FormatError("the shape is not a tuple of sizes", offset=start)
    return fields["descr"], sizes, start + length


def _literal(text: str) -> object:
    """Parse a Python literal. Deep nesting is refused before the parser recurses into it."""
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    if deepest > _LITERAL_DEPTH:
        raise FormatError("the header is nested too deeply", offset=10)
    # Python 2 wrote long integers with an L.
    text = re.sub(r"(?<=\d)L(?=[,)\s])", "", text.strip())
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise FormatError("the header is not a Python literal", offset=10) from error
    return value


def element_of(descr: object, depth: int = 0) -> tuple[int, bool] | None:
    """Return the bytes of one element and whether it holds objects; None for what is no dtype."""
    if depth > 16:
        return None
    if isinstance(descr, str):
        match = _TYPE.match(descr)
        if match is None:
            return None
        kind, digits = match.group(2), match.group(3)
        if len(digits) > 12:
            return None
        size = int(digits or {"?": 1, "O": 8}.get(kind, 0))
        return (size * 4 if kind == "U" else size), kind == "O"
    if isinstance(descr, tuple) and len(descr) >= 2 and not isinstance(descr[1], str):
        inner = element_of(descr[0], depth + 1)
        repeat = descr[1] if isinstance(descr[1], tuple) else (descr[1],)
        counts = [count for count in repeat if isinstance(count, int) and 0 <= count < 1 << 63]
        if inner is None or len(counts) != len(repeat):
            return None
        return inner[0] * math.prod(counts), inner[1]
    if isinstance(descr, list):
        return _record(descr, depth)
    return None


def _record(descr: list[object], depth: int) -> tuple[int, bool] | None:
    total, objects = 0, False
    for entry in descr:
        if not isinstance(entry, tuple) or not 2 <= len(entry) <= 3:
            return None
        inner = element_of(entry[1] if len(entry) == 2 else (entry[1], entry[2]), depth + 1)
        if inner is None:
            return None
        total += inner[0]
        objects = objects or inner[1]
    return total, objects
