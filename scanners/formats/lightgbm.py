"""LightGBM's text models: trees as lines of numbers, all data.

Source: LightGBM `src/boosting/gbdt_model_text.cpp` (`SaveModelToString`, `LoadModelFromString`). Every line must be one
that LightGBM writes: what is not leaves the file malformed. The loader takes numbers and names from it, opens nothing;
the parameters at the end, which name files of the training, are only kept and written again.
"""

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified
from scanners.formats.json_text import parse
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "lightgbm"

_HEAD = late(rb"tree\r?\nversion=v\d{1,3}\r?\n")
_BLOCK = 1 << 20
_LONGEST_LINE = 64 << 20
_PANDAS = b"pandas_categorical:"
_LINES = late(
    rb"(?:tree|average_output|end of (?:trees|parameters)|feature[_ ]importances:|parameters:|)"
    rb"|Tree=\d+"
    rb"|[a-z][a-z0-9_]{0,60}=[^\x00]*"
    rb"|\[[a-z][a-z0-9_]{0,60}: [^\x00]*\]"
)
_IMPORTANCE = late(rb"[^\x00]{1,4096}=-?[0-9.eE+-]+")
"""the name of a feature, which may hold any characters, and a number"""


def matches(blob: Blob) -> bool:
    """Return whether the blob begins as LightGBM's text models do."""
    return _HEAD.match(blob.reader.read_at(0, 32)) is not None


def read(blob: Blob, reading: Reading) -> None:
    """Check that every line is one that LightGBM writes."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    size = blob.reader.size
    place, rest = 0, b""
    section = b""
    while place < size or rest:
        block = blob.reader.read_at(place, _BLOCK)
        place += len(block)
        lines = (rest + block).split(b"\n")
        rest = lines.pop() if place < size else b""
        if len(rest) > _LONGEST_LINE:
            raise LimitExceeded("text", f"a line of more than {_LONGEST_LINE} bytes")
        offset = place - len(rest) - sum(len(line) + 1 for line in lines)
        for raw in lines:
            line = raw.removesuffix(b"\r")
            section = _checked(line, section, offset)
            offset += len(raw) + 1
        if not block:
            break
    reading.parsed(0, size)


def _checked(line: bytes, section: bytes, offset: int) -> bytes:
    """Check one line; return the section that the next one stands in."""
    if line.startswith(_PANDAS):
        parse(line.removeprefix(_PANDAS))  # read by json.loads
    elif section.startswith(b"feature") and _IMPORTANCE.fullmatch(line):
        return section
    elif not _LINES.fullmatch(line):
        raise FormatError("a line that LightGBM does not write", offset=max(0, offset))
    return line if line.endswith(b":") or line.startswith(b"end of ") else section
