"""CatBoost's own model format (`.cbm`, and inside pickles of CatBoost models): trees and tables, all data.

Source: catboost/catboost, `libs/model/model.cpp` (`CBM1`, length of the core, core, model parts) and
`libs/model/flatbuffers/model.fbs` (TModelCore: format version, trees, information, part names). The loader allocates
tables by the numbers in it; it imports, opens and calls nothing that it names. The frame is checked, and the root table
of the core; what the trees say is not interpreted.
"""

import struct

from scanners.errors import FormatError
from scanners.facts import Identified
from scanners.reading import Blob, Reading

NAME = "catboost"

_MAGIC = b"CBM1"
_HEAD = 8


def matches(blob: Blob) -> bool:
    """Return whether the blob begins as a CatBoost model."""
    return blob.reader.read_at(0, 4) == _MAGIC


def read(blob: Blob, reading: Reading) -> None:
    """Check the frame and the version that the core names."""
    size = blob.reader.size
    if size < _HEAD + 8:
        raise FormatError("a CatBoost model without a core", offset=0)
    (core,) = struct.unpack("<I", blob.reader.read_at(4, 4))
    if core > size - _HEAD:
        raise FormatError(f"a CatBoost core of {core} bytes in a file of {size}", offset=4)
    version = _version(blob, core)
    if not version.startswith("FlabuffersModel"):  # the misspelling is CatBoost's own
        raise FormatError(f"a CatBoost core of the unknown version {version!r}", offset=_HEAD)
    reading.state(Identified(location=reading.at(), format=NAME, detail=version))
    reading.parsed(0, size)


def _version(blob: Blob, core: int) -> str:
    """Return the first field of the root table: FlatBuffers offsets, each checked against the core."""

    def number(offset: int, layout: str) -> int:
        width = struct.calcsize(layout)
        if not 0 <= offset <= core - width:
            raise FormatError("an offset outside of the CatBoost core", offset=_HEAD)
        value: int = struct.unpack(layout, blob.reader.read_at(_HEAD + offset, width))[0]
        return value

    table = number(0, "<I")
    virtual = table - number(table, "<i")
    if number(virtual, "<H") < 6:
        raise FormatError("a CatBoost core without a version", offset=_HEAD)
    field = number(virtual + 4, "<H")
    text = table + field
    text += number(text, "<I")
    length = number(text, "<I")
    if not field or length > 64:
        raise FormatError("a CatBoost core without a version", offset=_HEAD)
    number(text + 4 + length, "<B")  # the closing zero lies inside of the core
    return blob.reader.read_at(_HEAD + text + 4, length).decode("ascii", "replace")
