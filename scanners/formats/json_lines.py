"""JSON Lines: data sets, logs and signed claims beside a model. One JSON text a line, read within the same bounds.

Source: jsonlines.org. No loader of models imports or fetches anything because of such a file, so its content is data;
it is read to know that it is what it is called.
"""

import json

from scanners import detect
from scanners.errors import FormatError
from scanners.facts import Identified
from scanners.reading import Blob, Reading

NAME = "json-lines"

_CHUNK = 1 << 20
_LINE = 16 << 20
_SUFFIXES = frozenset({"jsonl", "ndjson"})


def matches(blob: Blob) -> bool:
    """Return whether the blob is called JSON Lines."""
    return detect.suffix_of(blob.name) in _SUFFIXES


def read(blob: Blob, reading: Reading) -> None:
    """Read line by line, holding one line at a time; state nothing but what it is."""
    size = blob.reader.size
    reading.state(Identified(location=reading.at(), format=NAME))
    rest = b""
    offset = 0
    while offset < size:
        chunk = blob.reader.read_at(offset, _CHUNK)
        offset += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            _check(line, offset)
        if len(rest) > _LINE:
            raise FormatError(f"a line of more than {_LINE} bytes", offset=offset)
    _check(rest, size)
    reading.parsed(0, size)


def _check(line: bytes, offset: int) -> None:
    if not line.strip():
        return
    try:
        json.loads(line, parse_int=str)  # a long number costs time to convert, and nobody computes with it
    except (ValueError, RecursionError) as error:
        raise FormatError(f"a line that is no JSON: {error}", offset=offset) from error
