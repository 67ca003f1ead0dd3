"""ExecuTorch programs (`.pte`): the operators and the delegates they ask their runtime for.

Source: executorch/schema/program.fbs, flatbuffers.dev "Internals". A delegate gets a blob that only it understands; a
custom operator has to be linked into the runtime.
"""

from scanners.facts import Identified, Operator
from scanners.formats.tflite import Tables
from scanners.reading import Blob, Reading

NAME = "executorch"

_PLANS, _NAME, _OPERATORS, _DELEGATES = 1, 0, 6, 7
MAXIMUM_STATED = 10_000


def matches(blob: Blob) -> bool:
    """Return whether the blob has the file identifier, `ET` and a version."""
    identifier = blob.reader.read_at(4, 4)
    return len(identifier) == 4 and identifier[:2] == b"ET" and identifier[2:].isdigit()


def read(blob: Blob, reading: Reading) -> None:
    """State operators and delegates."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    tables = Tables(blob.reader)
    seen: set[tuple[str, str]] = set()
    for plan in tables.tables(tables.number("I", 0), _PLANS):
        for kind, field in (("operator", _OPERATORS), ("delegate", _DELEGATES)):
            for table in tables.tables(plan, field):
                name = tables.text(table, _NAME)[:200]
                if (kind, name) not in seen and len(seen) < MAXIMUM_STATED:
                    seen.add((kind, name))
                    reading.state(Operator(location=reading.at(table), framework="executorch", name=name, domain=kind))
    if any(kind == "delegate" for kind, _ in seen):
        reading.unread("what a delegate gets is for its own runtime only")
    reading.parsed(0, blob.reader.size)
