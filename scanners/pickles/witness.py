"""What one run of the machine gives evidence of, as facts: imports, calls, kept callables, tensors, nested data.

Facts are grouped, because a checkpoint makes one call many thousand times: of calls with the same name, shape and way
the first few are stated. The shape is computed for each, so a call that differs from its thousand neighbours is seen.
"""

import base64
import binascii
import lzma
import zlib
from typing import Final

from scanners.facts import EXHAUSTING, Call, Stored, Tensor
from scanners.findings import Location
from scanners.knowledge.tables import Tables, tables
from scanners.limits import Budget
from scanners.patterns import late
from scanners.pickles.endless import exhausting_calls
from scanners.pickles.machine import INLINE, PickleRun, looks_nested, run
from scanners.pickles.opcodes import ENCODED_BYTES
from scanners.pickles.resolve import Called, Resolver, begins_compressed, full_name, inflated, written_name
from scanners.pickles.shapes import Shapes
from scanners.pickles.tensors import ITEMSIZE
from scanners.pickles.text import readable
from scanners.pickles.values import (
    Attribute,
    Collection,
    Global,
    Made,
    Mapping,
    Persistent,
    Span,
    TensorValue,
    Value,
)
from scanners.reader import BytesReader, Reader, Window
from scanners.reading import Reading

NESTED: Final = "nested-in-pickle"
"""role of a blob that is a bytes or string constant of a pickle"""

LOADED: Final = "loaded-in-pickle"
"""role of such a constant when a call in the pickle loads it"""

_SAME: Final = 4
"""calls of one name, shape and way that are stated"""
_NESTED: Final = 1000
"""constants of one pickle that are handed on for a reading of their own"""
_ENCODED: Final = 16 << 20
_WALKED: Final = 20_000_000

_COMPRESSED: Final = (b"\x1f\x8b", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"BZh", b"\xfd7zXZ")
_COMPRESSED_HEAD: Final = 1 << 20
_BASE64: Final = late(rb"[A-Za-z0-9+/_\-\s]+={0,2}\s*\Z")
_HEX: Final = late(rb"[0-9A-Fa-f\s]+\Z")

SAFETENSORS_DTYPES: Final[dict[str, str]] = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL", "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ", "float4_e2m1fn_x2": "F4",
}  # fmt: skip


def bear_witness(
    stream: PickleRun, reader: Reader, reading: Reading, *, storages: dict[str, int] | None = None
) -> None:
    """State what a run shows.

    Args:
        stream: the run.
        reader: the input of the run.
        reading: where the facts go.
        storages: bytes of each torch storage by key, where the container knows them.
    """
    witness = _Witness(stream, reader, reading)
    witness.calls()
    witness.imports()
    witness.walk(storages or {})
    witness.nested()


def bear_witness_of_calls(stream: PickleRun, reader: Reader, reading: Reading) -> None:
    """State what a run calls and imports, and nothing about the values it leaves behind."""
    witness = _Witness(stream, reader, reading)
    witness.calls()
    witness.imports()


class _Witness:
    def __init__(self, stream: PickleRun, reader: Reader, reading: Reading) -> None:
        self.run = stream
        self.reader = reader
        self.reading = reading
        self.members = reading.blob.members
        self.tables: Tables = tables()
        self.resolver = Resolver(reader, self.tables)
        self.shapes = Shapes(self.resolver)
        self.counts: dict[tuple[str, str, str, bool], int] = {}
        self.plain: dict[int, int] = {}
        self.simple: dict[int, bool] = {}
        self.stored: set[tuple[str, str]] = set()
        self.loaded: set[bytes] = set()
        self.computed: dict[bytes, int] = {}
        """what a call loads that is no constant, and where it is made"""
        self.loaded_spans: set[int] = set()
        """constants that a call loads: by content where short, by offset where long"""

    # Calls and imports.

    def calls(self) -> None:
        for made in self.run.calls:
            function = made.function
            # The common case first: a function known by name, of which neither effect nor arguments matter.
            if isinstance(function, Global):
                key = id(function)
                simple = self.simple.get(key)
                if simple is None:
                    simple = self.simple[key] = self.shapes.indifferent(full_name(function))
                if simple:
                    seen = self.plain.get(key, 0)
                    self.plain[key] = seen + 1
                    if seen >= _SAME:
                        continue
            for called in self.resolver.calls(made):
                self.call(called)
        for made, name in exhausting_calls(self.run, self.resolver):
            self.exhausting(made, name)

    def exhausting(self, made: Made, name: str) -> None:
        key = (name, EXHAUSTING, made.opcode, True)
        seen = self.counts.get(key, 0)
        self.counts[key] = seen + 1
        if seen < _SAME:
            self.reading.state(
                Call(
                    location=self.reading.at(made.offset),
                    function=name,
                    text=readable(made, self.reader),
                    via=made.opcode,
                    shape=EXHAUSTING,
                )
            )

    def call(self, called: Called) -> None:
        shape = self.shapes.of(called)
        key = (called.function, shape, called.via, called.known)
        seen = self.counts.get(key, 0)
        self.counts[key] = seen + 1
        effect = self.tables.effect(called.function)
        if effect is not None and effect.kind == "loads":
            for argument in called.arguments:
                if isinstance(argument, Span):
                    self.loaded_spans.add(argument.offset)
                elif isinstance(argument, bytes):
                    self.loaded.add(argument)
                elif isinstance(argument, Made):
                    self.compute(argument)
        if seen >= _SAME:
            return
        self.reading.state(
            Call(
                location=self.reading.at(called.made.offset),
                function=called.function,
                text=readable(called.made, self.reader),
                via=called.via,
                arguments=tuple(readable(argument, self.reader, limit=160) for argument in called.arguments[:16]),
                shape=shape,
                literal=called.known,
            )
        )

    def compute(self, argument: Made) -> None:
        """Remember the bytes that a call loads and another call makes: `_codecs.encode` of a text, say."""
        content = self.resolver.content(argument)
        if content is not None and len(self.computed) < _NESTED:
            self.computed.setdefault(content, argument.offset)

    def imports(self) -> None:
        stated: set[str] = set()
        for name in self.run.imports:
            self.import_(name, stated)
        for name in self.resolver.names.values():
            self.import_(name, stated)

    def import_(self, name: Global, stated: set[str]) -> None:
        # What the file writes and what that comes to: a harmless name reached through a module imports the module.
        for dotted in (written_name(name), full_name(name)):
            if dotted not in stated:
                stated.add(dotted)
                parts = dotted.split(".")
                depth = min(name.name.count(".") + 1 if name.name else 0, len(parts) - 1)
                border = len(parts) - depth
                self.reading.imports(".".join(parts[:border]), ".".join(parts[border:]), name.offset)

    # The tree: tensors with their names, callables that are kept.

    def walk(self, storages: dict[str, int]) -> None:
        """Walk the graph of values once, with a list instead of recursion: it may be deep, shared and cyclic."""
        seen: set[int] = set()
        named: set[int] = set()
        pending: list[tuple[Value, str, str]] = [(self.run.root, "", "the object itself")]
        steps = 0
        while pending:
            value, path, place = pending.pop()
            steps += 1
            if steps > _WALKED:
                self.reading.unread("the pickle's object graph is too large to walk")
                return
            if isinstance(value, TensorValue):
                if id(value) not in named:
                    named.add(id(value))
                    self.tensor(value, path, storages)
                if value.hooks is not None:
                    pending.append((value.hooks, path, "a backward hook of a tensor"))
                continue
            if isinstance(value, (Global, Attribute)):
                self.keep(value, place)
                continue
            if not isinstance(value, (Made, Mapping, Collection, Persistent, list, tuple)) or id(value) in seen:
                continue
            seen.add(id(value))
            self.descend(value, path, place, pending)
        for tensor in self.run.tensors:
            if id(tensor) not in named:
                self.tensor(tensor, "", storages)
        # What the root does not reach was made all the same, and may be kept by what a call did with it.
        for made in self.run.calls:
            if id(made) not in seen and not _bare(made):
                seen.add(id(made))
                pending = []
                self.descend(made, "", "", pending)
                while pending:
                    value, path, place = pending.pop()
                    if isinstance(value, (Global, Attribute)):
                        self.keep(value, place)
                    elif isinstance(value, (Mapping, Collection, list, tuple)) and id(value) not in seen:
                        seen.add(id(value))
                        self.descend(value, path, place, pending)

    def descend(
        self,
        value: "Made | Mapping | Collection | Persistent | list[Value] | tuple[Value, ...]",
        path: str,
        place: str,
        pending: list[tuple[Value, str, str]],
    ) -> None:
        if isinstance(value, Mapping):
            self.entries(value.entries, path, place, pending)
        elif isinstance(value, Made):
            self.made(value, path, place, pending)
        elif isinstance(value, Persistent):
            pending.append((value.id, path, "a persistent id"))
        else:
            items = value.items if isinstance(value, Collection) else value
            for index, item in enumerate(items):
                if item is not None and not isinstance(item, (int, float, str, bytes)):
                    pending.append((item, f"{path}.{index}" if path else str(index), place or "an item of a sequence"))

    def entries(
        self, entries: "list[tuple[Value, Value]]", path: str, place: str, pending: list[tuple[Value, str, str]]
    ) -> None:
        below = f"{path}." if path else ""
        for key, item in entries:
            # A state dict: a thousand tensors by name, of which no place is ever told.
            if isinstance(item, TensorValue) and isinstance(key, str):
                pending.append((item, below + key, ""))
                continue
            if key is not None and not isinstance(key, (str, int, float, bytes)):
                pending.append((key, path, "a key of a mapping"))
            if item is not None and not isinstance(item, (int, float, str, bytes)):
                name = str(key) if isinstance(key, (str, int)) else "?"
                pending.append((item, below + name, place or f"the item {name!r} of a mapping"))

    def made(self, made: Made, path: str, place: str, pending: list[tuple[Value, str, str]]) -> None:
        owner = self.resolver.name_of(made.function) or "a computed callable"
        effect = self.tables.effect(owner)
        if effect is not None and place:
            result = self.resolver.value(made)
            if isinstance(result, (Global, Attribute)):
                self.keep(result, place)
        kept = place if effect is not None and effect.kind == "partial" else f"an argument of {owner}"
        if isinstance(made.function, (Made, Persistent)):
            pending.append((made.function, path, place))
        arguments = made.arguments if isinstance(made.arguments, tuple) else (made.arguments,)
        pending.extend(
            (argument, path, kept)
            for argument in arguments
            if argument is not None and not isinstance(argument, (int, float, str, bytes))
        )
        if made.keywords is not None:
            pending.append((made.keywords, path, kept))
        for state in made.states:
            self.state(state, owner, path, pending)
        if made.items:
            pending.append((list(made.items), path, f"an item of {owner}"))
        if made.entries:
            self.entries(list(made.entries), path, f"an item of {owner}", pending)

    def state(self, state: Value, owner: str, path: str, pending: list[tuple[Value, str, str]]) -> None:
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        for part in parts:
            if isinstance(part, Mapping):
                for key, item in part.entries:
                    if item is not None and not isinstance(item, (int, float, str, bytes)):
                        name = key if isinstance(key, str) else "?"
                        inside = path if name in {"_parameters", "_buffers", "_modules"} else f"{path}.{name}"
                        pending.append((item, inside.removeprefix("."), f"the attribute {name!r} of {owner}"))
            else:
                pending.append((part, path, f"the state of {owner}"))

    def keep(self, value: "Global | Attribute", place: str) -> None:
        resolved = self.resolver.value(value)
        name = self.resolver.name_of(resolved)
        if not name:
            name = ""
        if (name, place) in self.stored:
            return
        self.stored.add((name, place))
        self.reading.state(
            Stored(
                location=self.reading.at(value.offset),
                function=name,
                text=readable(resolved, self.reader),
                where=place,
            )
        )

    def tensor(self, tensor: TensorValue, path: str, storages: dict[str, int]) -> None:
        # Offset and strides count elements of the tensor's dtype, the storage's length elements of its own.
        known = storages.get(tensor.storage_key)
        if known is None and not storages:
            width = ITEMSIZE.get(tensor.storage_dtype)
            known = None if width is None else tensor.storage_numel * width
        self.reading.state(
            Tensor(
                location=Location(members=self.members, offset=tensor.offset),
                name=path,
                dtype=SAFETENSORS_DTYPES.get(tensor.dtype, tensor.dtype),
                shape=tensor.shape,
                stride=tensor.stride,
                storage=tensor.storage_key,
                storage_offset=tensor.storage_offset,
                storage_bytes=known,
            )
        )

    # Constants that are files of their own.

    def nested(self) -> None:
        for content, offset in self.computed.items():
            self.reading.budget.spend_materialised(len(content))
            self.reading.child(
                f"computed@{offset}", BytesReader(content), span=(offset, 0), stored=False, roles=frozenset({LOADED})
            )
        handed = 0
        for span in self.run.blobs:
            child = self.constant(span)
            if child is None:
                continue
            handed += 1
            if handed > _NESTED:
                self.reading.unread(f"more than {_NESTED} constants of a pickle look like files of their own")
                return
            name, reader, stored = child
            self.reading.child(
                f"{name}@{span.offset}",
                reader,
                span=(span.offset, span.length),
                stored=stored,
                roles=frozenset({LOADED if self.is_loaded(span) else NESTED}),
            )

    def is_loaded(self, span: Span) -> bool:
        """Whether a constant is handed to a call that is known to load it."""
        if span.offset in self.loaded_spans:
            return True
        return span.length <= INLINE and self.reader.read_at(span.offset, span.length) in self.loaded

    def holds_together(self, span: Span, head: bytes) -> bool:
        """Whether a constant that begins like a pickle or like compressed data goes on like that.

        Weights begin with any two bytes. What a loader could not decompress either hides nothing from it.
        """
        if head[0] == 0x80:
            window = Window(self.reader, span.offset, min(span.length, INLINE))
            first = run(window, budget=Budget())
            return first.opcodes >= 3 or first.stop is not None
        if head.startswith(_COMPRESSED):
            return begins_compressed(self.reader.read_at(span.offset, min(span.length, _COMPRESSED_HEAD)))
        return True

    def constant(self, span: Span) -> tuple[str, Reader, bool] | None:
        if self.is_loaded(span):
            return "bytes", Window(self.reader, span.offset, span.length), True
        head = self.reader.read_at(span.offset, min(span.length, INLINE))
        if span.length <= _ENCODED and (span.kind == "str" or ENCODED_BYTES.match(head) is not None):
            decoded = _decoded(self.reader.read_at(span.offset, span.length))
            if decoded is not None and _hides(decoded):
                self.reading.budget.spend_materialised(len(decoded))
                return "decoded", BytesReader(decoded), False
        if span.kind != "str":
            whole = head if span.length <= INLINE else head + b"."  # the end of a long constant says little
            if not looks_nested(whole) or not self.holds_together(span, head):
                return None
            return "bytes", Window(self.reader, span.offset, span.length), True
        if span.length > _ENCODED:
            return None
        if looks_nested(head):
            return "text", Window(self.reader, span.offset, span.length), True
        return None


def _bare(made: Made) -> bool:
    """Whether a call of a name has no arguments and nothing was done to its result: a hook list of a tensor."""
    return (
        made.arguments == ()
        and not (made.states or made.items or made.entries or made.keywords)
        and isinstance(made.function, Global)
    )


def _hides(data: bytes) -> bool:
    """Whether decoded text begins like a pickle, or decompresses to what does; pictures are compressed as well."""
    try:
        content = inflated(data) if data.startswith(_COMPRESSED) else data
    except (ValueError, zlib.error, OSError, lzma.LZMAError, EOFError):
        return False
    return content is not None and looks_nested(content)


def _decoded(text: bytes) -> bytes | None:
    """Undo base64 or hexadecimal digits, if the whole text is that."""
    stripped = b"".join(text.split())
    if len(stripped) < 12:
        return None
    try:
        if len(stripped) % 2 == 0 and _HEX.match(stripped) is not None:
            return binascii.unhexlify(stripped)
        if _BASE64.match(stripped) is not None:
            return base64.b64decode(stripped.replace(b"-", b"+").replace(b"_", b"/") + b"==", validate=False)
    except (binascii.Error, ValueError):
        return None
    return None
