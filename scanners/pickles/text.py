"""Values of the pickle machine as readable Python text: what a person sees as evidence.

Never complete and never parsed again: long strings, deep and self-containing values are cut short. Nothing is escaped
here beyond what `repr` does; the report writers do that.
"""

from typing import Final

from scanners.pickles.values import (
    Attribute,
    Collection,
    Global,
    Made,
    Mapping,
    OutOfBand,
    Persistent,
    Span,
    TensorValue,
    Value,
)
from scanners.reader import Reader

LIMIT: Final = 300
"""characters of a text, roughly"""
_DEPTH: Final = 6
_ITEMS: Final = 8
_STRING: Final = 120


def readable(value: Value, reader: Reader | None = None, *, limit: int = LIMIT) -> str:
    """Return a value as a person would write it.

    Args:
        value: the value.
        reader: the pickle's input, for the beginning of strings that were left in it.
        limit: about how many characters the text may have.
    """
    pieces: list[str] = []
    writer = _Writer(pieces, reader, limit)
    writer.write(value, 0)
    return "".join(pieces)


class _Writer:
    """Appends text until its limit is reached."""

    def __init__(self, pieces: list[str], reader: Reader | None, limit: int) -> None:
        self.pieces = pieces
        self.reader = reader
        self.left = limit

    def put(self, text: str) -> None:
        self.pieces.append(text)
        self.left -= len(text)

    def write(self, value: Value, depth: int) -> None:
        if self.left <= 0 or depth > _DEPTH:
            self.put("…")
        elif isinstance(value, (str, bytes)):
            self.put(_cut(value))
        elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 400:
            self.put(f"<integer of {value.bit_length()} bits>")
        elif value is None or isinstance(value, (bool, int, float)):
            self.put(repr(value))
        elif isinstance(value, Global):
            self.put(value.dotted)
        elif isinstance(value, Made):
            self.call(value, depth)
        elif isinstance(value, Attribute):
            self.attribute(value, depth)
        elif isinstance(value, tuple):
            self.sequence("(", value, ",)" if len(value) == 1 else ")", depth)
        elif isinstance(value, list):
            self.sequence("[", value, "]", depth)
        elif isinstance(value, Mapping):
            self.mapping(value, depth)
        elif isinstance(value, Collection):
            self.sequence("frozenset({" if value.frozen else "{", value.items, "})" if value.frozen else "}", depth)
        elif isinstance(value, Span):
            self.span(value)
        elif isinstance(value, Persistent):
            self.put("<persistent ")
            self.write(value.id, depth + 1)
            self.put(">")
        elif isinstance(value, TensorValue):
            self.put(f"<tensor {value.dtype} {value.shape}>")
        else:
            assert isinstance(value, OutOfBand)
            self.put("<buffer outside the file>")

    def call(self, made: Made, depth: int) -> None:
        self.write(made.function, depth + 1)
        self.put("(")
        arguments = made.arguments
        if isinstance(arguments, tuple):
            self.items(arguments, depth)
        else:
            self.put("*")
            self.write(arguments, depth + 1)
        if isinstance(made.keywords, Mapping):
            for key, item in made.keywords.entries[:_ITEMS]:
                self.put(", ")
                self.put(key if isinstance(key, str) else "**…")
                self.put("=")
                self.write(item, depth + 1)
        self.put(")")

    def attribute(self, value: Attribute, depth: int) -> None:
        if isinstance(value.name, str) and value.name.replace(".", "").isidentifier():
            self.write(value.value, depth + 1)
            self.put(f".{value.name}")
        else:
            self.put("getattr(")
            self.write(value.value, depth + 1)
            self.put(", ")
            self.write(value.name, depth + 1)
            self.put(")")

    def sequence(self, before: str, values: "tuple[Value, ...] | list[Value]", after: str, depth: int) -> None:
        self.put(before)
        self.items(values, depth)
        self.put(after)

    def items(self, values: "tuple[Value, ...] | list[Value]", depth: int) -> None:
        for index, item in enumerate(values[: _ITEMS + 1]):
            if index:
                self.put(", ")
            if index == _ITEMS or self.left <= 0:
                self.put("…")
                return
            self.write(item, depth + 1)

    def mapping(self, value: Mapping, depth: int) -> None:
        self.put("{")
        for index, (key, item) in enumerate(value.entries[: _ITEMS + 1]):
            if index:
                self.put(", ")
            if index == _ITEMS or self.left <= 0:
                self.put("…")
                break
            self.write(key, depth + 1)
            self.put(": ")
            self.write(item, depth + 1)
        self.put("}")

    def span(self, value: Span) -> None:
        if self.reader is None or value.kind == "int":
            self.put(f"<{value.length} bytes>")
            return
        content = self.reader.read_at(value.offset, min(value.length, _STRING + 1))
        if value.kind == "str":
            self.put(_cut(content.decode("utf-8", "replace")))
        else:
            self.put(_cut(content) if value.kind == "bytes" else f"bytearray({_cut(content)})")


def _cut(value: str | bytes) -> str:
    if len(value) <= _STRING:
        return repr(value)
    return f"{value[:_STRING]!r}…"
