"""R's serialised objects (`.rds`, `.RData`): promises, language, closures; nothing is evaluated.

Source: R Internals, "Serialization Formats" and src/main/serialize.c (versions 2 and 3; XDR, native little-endian and
ASCII; compressed files come through the containers). A promise without a bound value evaluates its expression as soon
as somebody looks at the object (CVE-2024-27322, R < 4.4.0 did so while reading). Its expression is stated with the
functions it names; so are functions, other expressions, and classes of alternative representations (ALTREP).
"""

import re
from dataclasses import field
from typing import Protocol

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded, Unsupported
from scanners.facts import Identified, Operator
from scanners.patterns import late
from scanners.reading import Blob, Reading
from scanners.records import dataclass
from scanners.words import MAXIMUM_TAKE, Words

NAME = "r-serialization"

MAXIMUM_ITEMS = 5_000_000
_MAGIC = late(rb"(?:RD[XAB][23]\n)?([XAB])\n")
_OLD = late(rb"RD[XAB]1\n")
_NESTED = 32
"""expressions inside expressions, from the outermost and from the innermost, that are told the names in them"""
_MISSING = -(1 << 31)
_SYMBOL, _PAIRS, _CLOSURE, _ENVIRONMENT, _PROMISE, _LANGUAGE = 1, 2, 3, 4, 5, 6
_SPECIAL, _BUILTIN, _TEXT, _LOGICAL, _INTEGER, _REAL, _COMPLEX = 7, 8, 9, 10, 13, 14, 15
_STRINGS, _DOTS, _LIST, _EXPRESSION, _BYTECODE, _POINTER, _WEAK, _RAW, _S4 = 16, 17, 19, 20, 21, 22, 23, 24, 25
_ALTREP, _ATTRIBUTED_PAIRS, _ATTRIBUTED_LANGUAGE, _BYTECODE_REFERENCE, _BYTECODE_DEFINITION = 238, 239, 240, 243, 244
_PERSISTENT, _PACKAGE, _NAMESPACE, _REFERENCE = 247, 248, 249, 255
_UNBOUND = 252
_NAMED_BY_TEXT = frozenset(
    "system system2 shell shell.exec dyn.load download.file sys.source install.packages socketConnection".split()
)
"""functions whose name is worth stating where it is a text; `source` and `pipe` are words too"""
LOOK_UPS = frozenset(
    "do.call match.fun get get0 mget getFunction getExportedValue getFromNamespace getAnywhere Reduce Map Filter lapply"
    " sapply vapply mapply rapply apply [[ parse str2lang str2expression".split()
)
"""functions that find another one by its name, or make an expression of a text"""
WORTH_STATING = LOOK_UPS | frozenset(
    "system system2 shell shell.exec pipe eval evalq source sys.source download.file url socketConnection"
    " dyn.load library.dynam .C .Call .External unlink file.remove writeLines cat sink Sys.setenv install.packages"
    " loadNamespace readRDS load unserialize py_run_string py_run_file source_python sourceCpp cppFunction evalCpp"
    " processx callr exec_wait exec_background .jcall paste paste0 sprintf rev strsplit substr substring sub gsub"
    " chartr tolower rawToChar intToUtf8 utf8ToInt charToRaw as.hexmode".split()
)
"""names that are stated however many others stand before them"""
_MOST_NAMES = 60
_MOST_PIECES = 2000
_LONGEST_PIECE = 200
_PLAIN = {242, 241, 250, 251, _UNBOUND, 253, 254}
_WIDTHS = {_LOGICAL: 4, _INTEGER: 4, _REAL: 8, _COMPLEX: 16, _RAW: 1}


@dataclass(slots=True)
class _Expression:
    """A promise or closure whose inside is being read, and the names seen in it so far."""

    kind: str
    offset: int
    forced: bool = False
    names: dict[str, None] = field(default_factory=dict)
    texts: dict[str, None] = field(default_factory=dict)
    """names of functions that act, as texts: `do.call("system", …)`"""
    pieces: list[str] = field(default_factory=list)
    """short texts, in order: `get(paste0("sys", "tem"))`"""


def matches(blob: Blob) -> bool:
    """Return whether the blob begins as R writes objects, with a plausible version."""
    head = blob.reader.read_at(0, 16)
    match = _MAGIC.match(head)
    if match is None:
        return _OLD.match(head) is not None
    rest = head[match.end() :]
    if match[1] == b"A":
        return rest.split(None, 1)[:1] in ([b"2"], [b"3"])
    return len(rest) >= 4 and int.from_bytes(rest[:4], "big" if match[1] == b"X" else "little") in {2, 3}


def read(blob: Blob, reading: Reading) -> None:
    """State promises, and closures with the functions they name."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    match = _MAGIC.match(blob.reader.read_at(0, 16))
    if match is None:
        raise Unsupported("R's serialisation of before version 1.4 (RDX1) is not read")
    source: _Source
    if match[1] == b"A":
        source = _Ascii(Words(blob.reader, match.end()))
    else:
        source = _Binary(Cursor(blob.reader, match.end(), order=">" if match[1] == b"X" else "<"))
    version = source.number()
    source.number()
    source.number()
    if version == 3:
        source.text(source.number())
    _Walk(source, reading).run()
    left = source.left
    reading.parsed(0, source.offset)
    if left:
        reading.anomaly("r-trailing", f"{left} bytes follow the object", source.offset)


class _Source(Protocol):
    """The three things a serialisation is made of, in one of its forms."""

    @property
    def offset(self) -> int: ...

    @property
    def left(self) -> int: ...

    def number(self) -> int:
        """Return the next 32-bit number."""
        ...

    def text(self, length: int) -> str:
        """Return the next ``length`` characters."""
        ...

    def values(self, kind: int, count: int) -> None:
        """Step over the values of a vector."""
        ...

    def room(self, kind: int, count: int) -> bool:
        """Return whether ``count`` values of a kind fit into what is left."""
        ...


class _Binary:
    """Numbers of four bytes, in one byte order."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    @property
    def offset(self) -> int:
        return self._cursor.offset

    @property
    def left(self) -> int:
        return self._cursor.left

    def number(self) -> int:
        return self._cursor.i32()

    def text(self, length: int) -> str:
        if length > MAXIMUM_TAKE:
            raise LimitExceeded("text", f"a text of {length} characters is longer than {MAXIMUM_TAKE}")
        return self._cursor.take(length).decode("utf-8", "replace")

    def values(self, kind: int, count: int) -> None:
        self._cursor.skip(count * _WIDTHS[kind])

    def room(self, kind: int, count: int) -> bool:
        return count * _WIDTHS.get(kind, 4) <= self._cursor.left


class _Ascii:
    """Numbers as words, one a line; characters with C's escapes."""

    def __init__(self, words: Words) -> None:
        self._words = words

    @property
    def offset(self) -> int:
        return self._words.offset

    @property
    def left(self) -> int:
        self._words.skip_space()  # the line that the last value ends
        return self._words.left

    def number(self) -> int:
        words = self._words
        place = words.offset
        word = words.word()
        if word == b"NA":
            return _MISSING
        try:
            value = int(word)
        except ValueError as error:
            raise FormatError("a whole number is expected", offset=place) from error
        if not -(1 << 31) <= value < 1 << 32:
            raise FormatError(f"{word[:20]!r} is no 32-bit number", offset=place)
        return value

    def text(self, length: int) -> str:
        words = self._words
        words.skip_space()
        if length > MAXIMUM_TAKE:
            raise LimitExceeded("text", f"a text of {length} characters is longer than {MAXIMUM_TAKE}")
        plain = bytearray()
        while len(plain) < length:
            block = words.peek()
            used = 0
            for match in _PIECE.finditer(block):
                run, digits, sign = match.groups()
                if run is None and match.end() + 3 > len(block) and len(block) < words.left:
                    break  # an escape that may go on in the next block
                if run is not None:
                    run = run[: length - len(plain)]
                    plain += run
                    used = match.start() + len(run)
                else:
                    plain += bytes([int(digits, 8) & 0xFF]) if digits else _ESCAPES.get(sign, sign)
                    used = match.end()
                if len(plain) >= length:
                    break
            if not used:
                raise FormatError(f"a text of {length} characters ends early", offset=words.offset)
            words.offset += used
        return plain.decode("utf-8", "replace")

    def values(self, kind: int, count: int) -> None:
        self._words.skip_words(2 * count if kind == _COMPLEX else count)

    def room(self, kind: int, count: int) -> bool:
        del kind  # each value takes a digit and a line's end
        return count <= self._words.left


_ESCAPES = {b"n": b"\n", b"t": b"\t", b"v": b"\v", b"b": b"\b", b"r": b"\r", b"f": b"\f", b"a": b"\a"}
_PIECE = late(rb"([^\\]+)|\\(?:([0-7]{1,3})|(.))", re.DOTALL)


class _Walk:
    """Reads one item after the other from a list of what is still to come, so that depth costs memory only."""

    def __init__(self, source: _Source, reading: Reading) -> None:
        self._source = source
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
            elif task == "value" and isinstance(value, _Expression):
                value.forced = self._item() != _UNBOUND
            elif task == "bytecode":
                self._bytecode()
            elif task == "constants" and isinstance(value, int):
                self._constant(value)
            elif task == "language" and isinstance(value, int):
                self._bytecode_language(value)
            elif task == "language-next":
                self._bytecode_language(self._flags())

    def _state(self, expression: _Expression) -> None:
        if expression.forced or not expression.names:
            return
        first = list(expression.names)[:_MOST_NAMES]
        names = [*first, *(name for name in expression.names if name in WORTH_STATING and name not in first)]
        pieces = [] if LOOK_UPS.isdisjoint(names) else expression.pieces
        self._reading.state(
            Operator(
                location=self._reading.at(expression.offset),
                framework="r",
                name=expression.kind,
                arguments=(
                    *(("names", name[:100]) for name in names),
                    *(("texts", name) for name in expression.texts),
                    *(("pieces", text) for text in pieces),
                ),
            )
        )

    def _flags(self) -> int:
        return self._source.number() & 0xFFFFFFFF

    def _length(self, kind: int = _STRINGS) -> int:
        source = self._source
        count = source.number()
        if count == -1:
            count = (self._flags() << 32) + self._flags()
        if count < 0 or not source.room(kind, count):
            raise FormatError(f"a vector of {count} elements reaches outside the file", offset=source.offset)
        return count

    def _named(self, name: str | None) -> None:
        if name:
            for expression in (
                self._open if len(self._open) <= _NESTED else self._open[:_NESTED] + self._open[-_NESTED:]
            ):
                if len(expression.names) < 500 or name in WORTH_STATING:
                    expression.names[name] = None

    def _text(self) -> str:
        length = self._source.number()
        if length > self._source.left:
            raise FormatError(f"a text of {length} characters reaches outside the file", offset=self._source.offset)
        return "" if length <= 0 else self._source.text(length)

    def _item(self) -> int:
        """Read one item up to what is inside it; return its kind."""
        source, work = self._source, self._work
        offset = source.offset
        flags = self._flags()
        kind = flags & 0xFF
        attributes, tagged = bool(flags & 0x200), bool(flags & 0x400)
        if kind in _PLAIN:
            return kind
        if kind == _REFERENCE:
            place = flags >> 8 or self._flags()
            self._named(self._symbols[place - 1] if 0 < place <= len(self._symbols) else None)
        elif kind == _SYMBOL:
            source.number()
            name = self._text()
            self._symbols.append(name)
            self._named(name)
        elif kind in {_PAIRS, _LANGUAGE, _CLOSURE, _PROMISE, _DOTS}:
            self._pairs(kind, offset, attributes=attributes, tagged=tagged)
        elif kind in {_PACKAGE, _NAMESPACE, _PERSISTENT}:
            source.number()
            self._symbols.append(None)
            count = self._length()
            if count:
                work.append(("items", count))
        elif kind == _ENVIRONMENT:
            source.number()
            self._symbols.append(None)
            work.append(("items", 4))
        elif kind in {_POINTER, _WEAK}:
            self._symbols.append(None)
            inside = (2 if kind == _POINTER else 0) + int(attributes)
            if inside:
                work.append(("items", inside))
        elif kind == _TEXT:
            text = self._text()
            if text and len(text) <= _LONGEST_PIECE:
                for expression in self._open[-_NESTED:]:
                    if len(expression.pieces) < _MOST_PIECES:
                        expression.pieces.append(text)
            if text in _NAMED_BY_TEXT:
                for expression in self._open[-_NESTED:]:
                    expression.texts[text] = None
        elif kind in {_SPECIAL, _BUILTIN}:
            self._named(self._text())
        elif kind in _WIDTHS:
            source.values(kind, self._length(kind))
            if attributes:
                work.append(("item", None))
        elif kind in {_STRINGS, _LIST, _EXPRESSION}:
            count = self._length()
            if attributes:
                work.append(("item", None))
            if count:
                work.append(("items", count))
        elif kind == _S4:
            if attributes:
                work.append(("item", None))
        elif kind == _ALTREP:
            # The class (a list of symbols: its name, its package), the state, the attributes.
            work.append(("items", 2))
            work.append(("close", None))
            work.append(("item", None))
            work.append(("open", _Expression("altrep", offset)))
        elif kind == _BYTECODE:
            if attributes:
                work.append(("item", None))
            source.number()
            work.append(("bytecode", None))
        else:
            raise FormatError(f"R has no object of type {kind}", offset=offset)
        return kind

    def _pairs(self, kind: int, offset: int, *, attributes: bool, tagged: bool) -> None:
        """Order in the file: attributes, tag or environment, then value and rest (or expression)."""
        work = self._work
        if kind == _PROMISE:
            # Whether its value is bound decides, not its environment: R takes the base environment for none.
            expression = _Expression("promise", offset)
            work.append(("close", None))
            work.append(("item", None))
            work.append(("open", expression))
            work.append(("value", expression))
        elif kind == _CLOSURE:
            work.append(("close", None))
            work.append(("items", 2))
            work.append(("open", _Expression("closure", offset)))
        elif kind == _LANGUAGE and not self._open:
            work.append(("close", None))
            work.append(("items", 2))
            work.append(("open", _Expression("language", offset)))
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
            left = self._length()
        if not left:
            return
        self._work.append(("constants", left - 1))
        kind = self._flags()
        if kind == _BYTECODE:
            self._work.append(("bytecode", None))
        elif kind in {_LANGUAGE, _PAIRS, _BYTECODE_DEFINITION, _BYTECODE_REFERENCE, _ATTRIBUTED_LANGUAGE,
                      _ATTRIBUTED_PAIRS}:  # fmt: skip
            self._work.append(("language", kind))
        else:
            self._work.append(("item", None))

    def _bytecode_language(self, kind: int) -> None:
        work = self._work
        if kind == _BYTECODE_REFERENCE:
            self._source.number()
            return
        if kind == _BYTECODE_DEFINITION:
            self._source.number()
            kind = self._flags()
        if kind in {_LANGUAGE, _PAIRS, _ATTRIBUTED_LANGUAGE, _ATTRIBUTED_PAIRS}:
            work.append(("language-next", None))
            work.append(("language-next", None))
            work.append(("item", None))
            if kind in {_ATTRIBUTED_LANGUAGE, _ATTRIBUTED_PAIRS}:
                work.append(("item", None))
        else:
            work.append(("item", None))
