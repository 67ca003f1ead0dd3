"""R's serialised objects (`.rds`, `.RData`): promises, language, closures; nothing is evaluated.

Source: R Internals, "Serialization Formats" (versions 2 and 3, XDR and little-endian; compressed files come through the
containers). A promise that is not yet forced evaluates its expression as soon as somebody looks at the object
(CVE-2024-27322, R < 4.4.0 did so while reading). Its expression is stated with the functions it names.
"""

import re
from dataclasses import field

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded, Unsupported
from scanners.facts import Identified, Operator
from scanners.reading import Blob, Reading
from scanners.records import dataclass

NAME = "r-serialization"

MAXIMUM_ITEMS = 5_000_000
_MAGIC = re.compile(rb"(?:RD[XAB][23]\n)?([XAB])\n")
_SYMBOL, _PAIRS, _CLOSURE, _ENVIRONMENT, _PROMISE, _LANGUAGE = 1, 2, 3, 4, 5, 6
_SPECIAL, _BUILTIN, _TEXT, _LOGICAL, _INTEGER, _REAL, _COMPLEX = 7, 8, 9, 10, 13, 14, 15
_STRINGS, _DOTS, _LIST, _EXPRESSION, _BYTECODE, _POINTER, _WEAK, _RAW, _S4 = 16, 17, 19, 20, 21, 22, 23, 24, 25
_ALTREP, _ATTRIBUTED_PAIRS, _ATTRIBUTED_LANGUAGE, _BYTECODE_REFERENCE, _BYTECODE_DEFINITION = 238, 239, 240, 243, 244
_PERSISTENT, _PACKAGE, _NAMESPACE, _REFERENCE = 247, 248, 249, 255
_PLAIN = {242, 241, 250, 251, 252, 253, 254}
_WIDTHS = {_LOGICAL: 4, _INTEGER: 4, _REAL: 8, _COMPLEX: 16, _RAW: 1}


@dataclass(slots=True)
class _Expression:
    """A promise or closure whose inside is being read, and the names seen in it so far."""

    kind: str
    offset: int
    forced: bool = False
    names: dict[str, None] = field(default_factory=dict)


def matches(blob: Blob) -> bool:
    """Return whether the blob begins as R writes objects, with a plausible version."""
    head = blob.reader.read_at(0, 16)
    match = _MAGIC.match(head)
    if match is None:
        return False
    rest = head[match.end() :]
    if match[1] == b"A":
        return rest[:2] in {b"2\n", b"3\n"}
    return len(rest) >= 4 and int.from_bytes(rest[:4], "big" if match[1] == b"X" else "little") in {2, 3}


def read(blob: Blob, reading: Reading) -> None:
    """State promises, and closures with the functions they name."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    match = _MAGIC.match(blob.reader.read_at(0, 16))
    if match is None:
        raise FormatError("no R serialisation")
    if match[1] == b"A":
        raise Unsupported("R's ASCII serialisation is not read")
    cursor = Cursor(blob.reader, match.end(), order=">" if match[1] == b"X" else "<")
    version = cursor.u32()
    cursor.skip(8)
    if version == 3:
        cursor.skip(cursor.u32())
    _Walk(cursor, reading).run()
    reading.parsed(0, cursor.offset)
    if cursor.left:
        reading.anomaly("r-trailing", f"{cursor.left} bytes follow the object", cursor.offset)


class _Walk:
    """Reads one item after the other from a list of what is still to come, so that depth costs memory only."""

    def __init__(self, cursor: Cursor, reading: Reading) -> None:
        self._cursor = cursor
        self._reading = reading
        self._work: list[tuple[str, object]] = [("item", None)]
        self._symbols: list[str | None] = []
        self._open: list[_Expression] = []
        self._items = 0

    def run(self) -> None:
        work = self._work
        while work:
            self._items += 1
            if self._items > MAXIMUM_ITEMS:
                raise LimitExceeded("members", f"more than {MAXIMUM_ITEMS} R objects")
            task, value = work.pop()
            if task == "item":
                self._item()
            elif task == "items" and isinstance(value, int):
                if value > 1:
                    work.append(("items", value - 1))
                work.append(("item", None))
            elif task == "open" and isinstance(value, _Expression):
                self._open.append(value)
            elif task == "close":
                self._state(self._open.pop())
            elif task == "bytecode":
                self._bytecode()
            elif task == "constants" and isinstance(value, int):
                self._constant(value)
            elif task == "language" and isinstance(value, int):
                self._bytecode_language(value)
            elif task == "language-next":
                self._bytecode_language(self._cursor.u32())

    def _state(self, expression: _Expression) -> None:
        if expression.forced or not expression.names:
            return
        self._reading.state(
            Operator(
                location=self._reading.at(expression.offset),
                framework="r",
                name=expression.kind,
                arguments=tuple(("names", name[:100]) for name in list(expression.names)[:60]),
            )
        )

    def _length(self, width: int) -> int:
        count = self._cursor.i32()
        if count == -1:
            count = (self._cursor.u32() << 32) + self._cursor.u32()
        if count < 0 or count * width > self._cursor.left:
            raise FormatError(f"a vector of {count} elements reaches outside the file", offset=self._cursor.offset)
        return count

    def _named(self, name: str | None) -> None:
        if name:
            for expression in self._open:
                if len(expression.names) < 500:
                    expression.names[name] = None

    def _text(self) -> str:
        length = self._cursor.i32()
        return "" if length < 0 else self._cursor.take(min(length, 1 << 26)).decode("utf-8", "replace")

    def _item(self) -> None:
        cursor, work = self._cursor, self._work
        offset = cursor.offset
        flags = cursor.u32()
        kind = flags & 0xFF
        attributes, tagged = bool(flags & 0x200), bool(flags & 0x400)
        if kind in _PLAIN:
            return
        if kind == _REFERENCE:
            place = flags >> 8 or cursor.u32()
            self._named(self._symbols[place - 1] if 0 < place <= len(self._symbols) else None)
        elif kind == _SYMBOL:
            cursor.skip(4)
            name = self._text()
            self._symbols.append(name)
            self._named(name)
        elif kind in {_PAIRS, _LANGUAGE, _CLOSURE, _PROMISE, _DOTS}:
            self._pairs(kind, offset, attributes=attributes, tagged=tagged)
        elif kind in {_PACKAGE, _NAMESPACE, _PERSISTENT}:
            cursor.skip(4)
            self._symbols.append(None)
            count = self._length(4)
            if count:
                work.append(("items", count))
        elif kind == _ENVIRONMENT:
            cursor.skip(4)
            self._symbols.append(None)
            work.append(("items", 4))
        elif kind in {_POINTER, _WEAK}:
            self._symbols.append(None)
            inside = (2 if kind == _POINTER else 0) + int(attributes)
            if inside:
                work.append(("items", inside))
        elif kind == _TEXT:
            self._text()
        elif kind in {_SPECIAL, _BUILTIN}:
            self._named(self._text())
        elif kind in _WIDTHS:
            count = self._length(_WIDTHS[kind])
            cursor.skip(count * _WIDTHS[kind])
            if attributes:
                work.append(("item", None))
        elif kind in {_STRINGS, _LIST, _EXPRESSION}:
            count = self._length(4)
            if attributes:
                work.append(("item", None))
            if count:
                work.append(("items", count))
        elif kind == _S4:
            if attributes:
                work.append(("item", None))
        elif kind == _ALTREP:
            work.append(("items", 3))
        elif kind == _BYTECODE:
            if attributes:
                work.append(("item", None))
            cursor.skip(4)
            work.append(("bytecode", None))
        else:
            raise FormatError(f"R has no object of type {kind}", offset=offset)

    def _pairs(self, kind: int, offset: int, *, attributes: bool, tagged: bool) -> None:
        """Order in the file: attributes, tag or environment, then value and rest (or expression)."""
        work = self._work
        if kind == _PROMISE:
            expression = _Expression("promise", offset, forced=not tagged)
            work.append(("close", None))
            work.append(("item", None))
            work.append(("open", expression))
            work.append(("item", None))
        elif kind == _CLOSURE:
            work.append(("close", None))
            work.append(("items", 2))
            work.append(("open", _Expression("closure", offset)))
        else:
            work.append(("items", 2))
        before = int(attributes) + int(tagged)
        if before:
            work.append(("items", before))

    def _bytecode(self) -> None:
        """Code, then constants, each with its type in front (R Internals, ReadBC1)."""
        self._work.append(("constants", -1))
        self._work.append(("item", None))

    def _constant(self, left: int) -> None:
        if left < 0:
            left = self._length(4)
        if not left:
            return
        self._work.append(("constants", left - 1))
        kind = self._cursor.u32()
        if kind == _BYTECODE:
            self._work.append(("bytecode", None))
        elif kind in {_LANGUAGE, _PAIRS, _BYTECODE_DEFINITION, _BYTECODE_REFERENCE, _ATTRIBUTED_LANGUAGE,
                      _ATTRIBUTED_PAIRS}:  # fmt: skip
            self._work.append(("language", kind))
        else:
            self._work.append(("item", None))

    def _bytecode_language(self, kind: int) -> None:
        cursor, work = self._cursor, self._work
        if kind == _BYTECODE_REFERENCE:
            cursor.skip(4)
            return
        if kind == _BYTECODE_DEFINITION:
            cursor.skip(4)
            kind = cursor.u32()
        if kind in {_LANGUAGE, _PAIRS, _ATTRIBUTED_LANGUAGE, _ATTRIBUTED_PAIRS}:
            work.append(("language-next", None))
            work.append(("language-next", None))
            work.append(("item", None))
            if kind in {_ATTRIBUTED_LANGUAGE, _ATTRIBUTED_PAIRS}:
                work.append(("item", None))
        else:
            work.append(("item", None))
