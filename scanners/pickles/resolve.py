"""What a call of a pickle comes to: names and literals computed through the callables of semantics.toml.

``getattr(import_module('os'), 'system')`` is a name, ``partial(f, 1)(2)`` is a call of ``f``, ``map(f, xs)`` calls
``f``. Evaluation is bounded in depth, steps and bytes; what it cannot compute stays what it was, and whoever judges
sees that it was computed.
"""

import binascii
import bz2
import codecs
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from scanners import native
from scanners.decoders import DECODERS
from scanners.knowledge.tables import Effect, Tables, python3_name, tables
from scanners.pickles.values import (
    Attribute,
    Global,
    Made,
    Mapping,
    Persistent,
    Span,
    TensorValue,
    Value,
)
from scanners.reader import Reader

_STEPS: Final = 500_000
_DEPTH: Final = 40
_LITERAL: Final = 1 << 20
"""bytes of a string that is computed"""
_APPLIED: Final = 64
"""elements of an iterable whose calls are listed one by one"""

_DECODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    **DECODERS,
    "binascii.a2b_hex": binascii.unhexlify,
    "builtins.bytes.fromhex": lambda data: bytes.fromhex(data.decode("ascii")),
    "builtins.bytearray.fromhex": lambda data: bytes.fromhex(data.decode("ascii")),
}
_TEXT_CODECS: Final = frozenset(
    {"latin1", "latin-1", "latin_1", "iso-8859-1", "utf-8", "utf8", "utf_8", "ascii", "utf-16", "utf-32"}
)
_TRANSFORMS: Final = frozenset(
    {
        "base64",
        "base64_codec",
        "hex",
        "hex_codec",
        "zlib",
        "zlib_codec",
        "zip",
        "bz2",
        "bz2_codec",
        "rot13",
        "rot_13",
        "uu",
    }
)
_BUILTIN_TYPES: Final[dict[type, str]] = {
    str: "str",
    bytes: "bytes",
    int: "int",
    float: "float",
    bool: "bool",
    list: "list",
    tuple: "tuple",
    Mapping: "dict",
}
_PLAIN_TYPES: Final = frozenset(
    {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range", "set"}
    | {"slice", "str", "tuple"}
)
_CODE_TYPES: Final = {"__code__": "CodeType", "gi_code": "CodeType", "cr_code": "CodeType", "f_code": "CodeType"}


class Called:
    """One call that a loader would make, after all indirections."""

    __slots__ = ("arguments", "function", "known", "made", "origin", "via")

    def __init__(
        self, function: str, arguments: tuple[Value, ...], made: Made, via: str, *, known: bool, origin: Made
    ) -> None:
        self.function = function
        """full name; empty where it could not be computed"""
        self.arguments = arguments
        self.made = made
        """with the function and arguments as far as they were computed"""
        self.origin = origin
        """the object of the pickle that the call makes: what is done to the result is done to it"""
        self.via = via
        self.known = known


class Resolver:
    """Evaluates the values of one pickle."""

    def __init__(self, reader: Reader, knowledge: Tables | None = None) -> None:
        self.reader = reader
        self.tables = knowledge or tables()
        self.names: dict[str, Global] = {}
        """names reached through attributes, item access and imports at run time"""
        self._known: dict[int, Value] = {}
        self._kept: list[Value] = []  # so that no id is used twice
        self._steps = 0

    # Values.

    def value(self, value: Value, depth: int = 0) -> Value:
        """Return what a value is once calls with known effects are computed; the value itself where none is."""
        if not isinstance(value, (Made, Attribute)):
            return value
        key = id(value)
        if key in self._known:
            return self._known[key]
        self._steps += 1
        if depth > _DEPTH or self._steps > _STEPS:
            return value
        self._known[key] = value  # a value that contains itself is itself
        self._kept.append(value)
        result = self._made(value, depth) if isinstance(value, Made) else self._attribute(value, depth)
        self._known[key] = result
        self._kept.append(result)
        return result

    def text(self, value: Value, depth: int = 0) -> str | None:
        """Return a value as a string, if it is one."""
        value = self.value(value, depth + 1)
        if isinstance(value, Span) and value.kind == "str" and value.length <= _LITERAL:
            return self.reader.read_at(value.offset, value.length).decode("utf-8", "replace")
        return value if isinstance(value, str) else None

    def content(self, value: Value, depth: int = 0) -> bytes | None:
        """Return a value as bytes, if it is bytes (or a string, which most decoders take as well)."""
        value = self.value(value, depth + 1)
        if isinstance(value, Span) and value.kind != "int" and value.length <= _LITERAL:
            return self.reader.read_at(value.offset, value.length)
        if isinstance(value, str):
            return value.encode("utf-8", "surrogatepass")
        return value if isinstance(value, bytes) else None

    def attribute(self, owner: Value, name: str, at: int) -> Value:
        """Return ``owner.name``."""
        for part in name.split("."):
            owner = self._one_attribute(owner, part, at)
        return owner

    def _one_attribute(self, owner: Value, name: str, at: int) -> Value:
        if isinstance(owner, Global):
            if name in {"__call__", "__wrapped__"}:
                return owner
            dotted = f"{owner.name}.{name}" if owner.name else name
            return self._named(owner.module, dotted, at, owner.protocol)
        kind = _BUILTIN_TYPES.get(type(owner))
        if kind is not None and name in {"__class__", "__new__"}:
            return self._named("builtins", kind, at, 4)
        return Attribute(owner, name, at)

    def _named(self, module: str, name: str, at: int, protocol: int) -> Global:
        module, name = anchored(module, name)
        key = f"{module}:{name}"
        known = self.names.get(key)
        if known is None:
            known = self.names[key] = Global(module, name, at, protocol)
        return known

    def _attribute(self, value: Attribute, depth: int) -> Value:
        owner = self.value(value.value, depth + 1)
        name = self.text(value.name, depth + 1)
        if name is None:
            return value
        return self.attribute(owner, name, value.offset)

    def _made(self, made: Made, depth: int) -> Value:
        function = self.value(made.function, depth + 1)
        arguments = made.arguments if isinstance(made.arguments, tuple) else ()
        if isinstance(function, Global):
            effect = self.tables.effect(full_name(function))
            if effect is not None:
                return self._effect(effect, full_name(function), made, arguments, depth)
        elif isinstance(function, Made):
            return self._indirect(function, made, arguments, depth)
        elif isinstance(function, Attribute):
            return self._method(function, made, arguments, depth)
        return made

    def _indirect(self, function: Made, made: Made, arguments: tuple[Value, ...], depth: int) -> Value:
        """Call what attrgetter, methodcaller, itemgetter or partial made."""
        effect = self._effect_of(function)
        parts = function.arguments if isinstance(function.arguments, tuple) else ()
        if effect == "attrgetter" and len(parts) == 1 and len(arguments) == 1:
            name = self.text(parts[0], depth)
            if name is not None:
                return self.attribute(self.value(arguments[0], depth + 1), name, made.offset)
        elif effect == "itemgetter" and len(parts) == 1 and len(arguments) == 1:
            return self._item(self.value(arguments[0], depth + 1), self.value(parts[0], depth + 1), made)
        elif effect in {"methodcaller", "partial"}:
            target = self._target(function, arguments, depth)
            if target is not None:
                return self.value(Made(target[0], target[1], None, made.opcode, made.offset), depth + 1)
        return made

    def _target(
        self, function: Made, arguments: tuple[Value, ...], depth: int
    ) -> tuple[Value, tuple[Value, ...]] | None:
        """Return what calling a partial or methodcaller calls, and with what."""
        parts = function.arguments if isinstance(function.arguments, tuple) else ()
        if self._effect_of(function) == "partial":
            inner, given = _partial(function, parts)
            return (self.value(inner, depth + 1), (*given, *arguments)) if inner is not None else None
        if len(parts) >= 1 and len(arguments) == 1:
            name = self.text(parts[0], depth)
            if name is not None:
                owner = self.value(arguments[0], depth + 1)
                return self.attribute(owner, name, function.offset), parts[1:]
        return None

    def _effect_of(self, made: Made) -> str:
        function = self.value(made.function)
        effect = self.tables.effect(full_name(function)) if isinstance(function, Global) else None
        return "" if effect is None else effect.kind

    def _effect(self, effect: Effect, name: str, made: Made, arguments: tuple[Value, ...], depth: int) -> Value:
        kind = effect.kind
        first = self.value(arguments[0], depth + 1) if arguments else None
        if kind == "getattr" and len(arguments) >= 2:
            attribute = self.text(arguments[1], depth)
            return made if attribute is None else self._one_attribute(first, attribute, made.offset)
        if kind == "import" and arguments:
            module = self.text(arguments[0], depth)
            if module is None:
                return made
            if name.endswith("__import__") and not (len(arguments) > 3 and self.value(arguments[3], depth + 1)):
                module = module.split(".", 1)[0]
            return self._named(module, "", made.offset, 4)
        if kind == "import-attribute" and len(arguments) == 2:
            owner, attribute = self.text(arguments[0], depth), self.text(arguments[1], depth)
            return made if owner is None or attribute is None else self._named(owner, attribute, made.offset, 4)
        if kind == "type-by-name" and len(arguments) == 1:
            return self._type_by_name(name, self.text(arguments[0], depth), made)
        if kind == "resolve-name" and arguments:
            return self._resolved(self.text(arguments[0], depth), made)
        if kind == "type":
            return self._type(first, made) if len(arguments) == 1 else made
        if kind == "getitem" and len(arguments) >= 2:
            return self._item(first, self.value(arguments[1], depth + 1), made)
        if kind == "identity" and len(arguments) == 1:
            return first
        computed = self._literal(kind, name, arguments, depth)
        return made if computed is None else computed

    def _resolved(self, path: str | None, made: Made) -> Value:
        """Follow ``module:attribute`` or a dotted path of which nobody says where the module ends."""
        if path is None:
            return made
        if ":" in path:
            module, _, name = path.partition(":")
            return self._named(module, name, made.offset, 4)
        module, _, name = path.rpartition(".")
        return self._named(module, name, made.offset, 4) if module else self._named(path, "", made.offset, 4)

    def _type_by_name(self, function: str, name: str | None, made: Made) -> Value:
        """Return the type a name stands for; one that makes code keeps the name of its maker."""
        if name is None:
            return made
        if name in _PLAIN_TYPES:
            return self._named("builtins", name, made.offset, 4)
        module, _, last = function.rpartition(".")
        return self._named(module, f"{last}.{name}", made.offset, 4)

    def _type(self, value: Value, made: Made) -> Value:
        """Return the class of a value: ``type(f.__code__)`` is a well-known way to say CodeType."""
        if isinstance(value, Global):
            last = value.name.rsplit(".", 1)[-1]
            if last in _CODE_TYPES:
                return self._named("types", _CODE_TYPES[last], made.offset, 4)
            if not value.name:
                return self._named("types", "ModuleType", made.offset, 4)
            return Attribute(value, "__class__", made.offset)
        if isinstance(value, Made) and isinstance(value.function, Global):
            return value.function
        kind = _BUILTIN_TYPES.get(type(value))
        return made if kind is None else self._named("builtins", kind, made.offset, 4)

    def _item(self, owner: Value, key: Value, made: Made) -> Value:
        if isinstance(owner, Global) and isinstance(key, str):
            if (owner.module, owner.name) == ("sys", "modules"):
                return self._named(key, "", made.offset, 4)
            for suffix in ("__dict__", "__globals__", "__builtins__"):
                if owner.name == suffix or owner.name.endswith(f".{suffix}"):
                    return self._named(owner.module, owner.name[: -len(suffix)] + key, made.offset, 4)
        if isinstance(owner, Mapping):
            for known, item in reversed(owner.entries):
                if type(known) is type(key) and known == key:
                    return self.value(item)
        if isinstance(owner, (list, tuple)) and isinstance(key, int) and -len(owner) <= key < len(owner):
            return self.value(owner[key])
        return made

    def _method(self, function: Attribute, made: Made, arguments: tuple[Value, ...], depth: int) -> Value:
        """Call a method of a literal: ``'a'.join(…)``, ``b'…'.decode()``."""
        owner = self.value(function.value, depth + 1)
        kind = _BUILTIN_TYPES.get(type(owner))
        if kind is None or not isinstance(function.name, str):
            return made
        name = f"builtins.{kind}.{function.name}"
        effect = self.tables.effect(name)
        if function.name == "decode" and isinstance(owner, bytes):
            return owner.decode("utf-8", "replace")
        if effect is None:
            return made
        return self._effect(effect, name, made, (owner, *arguments), depth)

    # Literals.

    def _literal(self, kind: str, name: str, arguments: tuple[Value, ...], depth: int) -> Value:
        """Compute a string or bytes; None where that is not possible."""
        if kind == "join" and len(arguments) == 2:
            return self._join(arguments, depth)
        if kind == "concatenate" and len(arguments) == 2:
            left, right = self.value(arguments[0], depth + 1), self.value(arguments[1], depth + 1)
            if isinstance(left, str) and isinstance(right, str) and len(left) + len(right) <= _LITERAL:
                return left + right
            if isinstance(left, bytes) and isinstance(right, bytes) and len(left) + len(right) <= _LITERAL:
                return left + right
        elif kind == "character" and len(arguments) == 1:
            number = self.value(arguments[0], depth + 1)
            if isinstance(number, int) and 0 <= number <= sys.maxunicode:
                return chr(number)
        elif kind == "text" and arguments:
            return self._text(arguments, depth)
        elif kind == "bytes" and len(arguments) in {1, 2}:
            return self._to_bytes(arguments, depth)
        elif kind == "encode" and arguments:
            text = self.text(arguments[0], depth)
            codec = self._codec(arguments, depth)
            if text is not None and codec is not None and len(text) <= _LITERAL:
                return text.encode(codec, "replace")
        elif kind == "decode" and arguments:
            return self._decode(name, arguments, depth)
        return None

    def _join(self, arguments: tuple[Value, ...], depth: int) -> Value:
        glue = self.value(arguments[0], depth + 1)
        parts = self.value(arguments[1], depth + 1)
        if not isinstance(parts, (list, tuple)) or len(parts) > 10_000:
            return None
        resolved = [self.value(part, depth + 1) for part in parts]
        texts = [part for part in resolved if isinstance(part, str)]
        if isinstance(glue, str) and len(texts) == len(resolved):
            return glue.join(texts) if sum(map(len, texts)) + len(glue) * len(texts) <= _LITERAL else None
        return None

    def _text(self, arguments: tuple[Value, ...], depth: int) -> Value:
        value = self.value(arguments[0], depth + 1)
        if isinstance(value, (str, bool, int, float)) and len(arguments) == 1:
            return str(value) if not isinstance(value, int) or value.bit_length() < 4000 else None
        codec = self._codec(arguments, depth)
        if len(arguments) > 1 and isinstance(value, bytes) and codec is not None:
            return value.decode(codec, "replace")
        return None

    def _codec(self, arguments: tuple[Value, ...], depth: int) -> str | None:
        """Return the text encoding that a second argument names, utf-8 where there is none; None for others."""
        codec = self.text(arguments[1], depth) if len(arguments) > 1 else "utf-8"
        return codec if codec is not None and codec.lower() in _TEXT_CODECS else None

    def _to_bytes(self, arguments: tuple[Value, ...], depth: int) -> Value:
        value = self.value(arguments[0], depth + 1)
        if isinstance(value, str):
            codec = self._codec(arguments, depth)
            return None if codec is None else value.encode(codec, "replace")
        if isinstance(value, bytes):
            return value
        if isinstance(value, (list, tuple)) and len(value) <= _LITERAL:
            numbers = [number for number in value if isinstance(number, int) and 0 <= number < 256]
            return bytes(numbers) if len(numbers) == len(value) else None
        return None

    def _decode(self, name: str, arguments: tuple[Value, ...], depth: int) -> Value:
        data = self.content(arguments[0], depth)
        if data is None:
            return None
        try:
            if name in _DECODERS:
                return _DECODERS[name](data)
            if name in {"_codecs.decode", "codecs.decode"}:
                codec = self.text(arguments[1], depth) if len(arguments) > 1 else "utf-8"
                if codec is None:
                    return None
                if codec.lower() in _TEXT_CODECS:
                    return data.decode(codec, "replace")
                return _transformed(data, codec.lower())
            return inflated(data)
        except (ValueError, binascii.Error, zlib.error, OSError, lzma.LZMAError, EOFError):
            return None

    # Calls.

    def calls(self, made: Made) -> Iterator[Called]:
        """Yield the calls that one call of the pickle comes to, indirections included."""
        arguments = made.arguments if isinstance(made.arguments, tuple) else (made.arguments,)
        yield from self._calls(self.value(made.function), arguments, made, made.opcode, 0)

    def _calls(
        self, function: Value, arguments: tuple[Value, ...], made: Made, via: str, depth: int
    ) -> Iterator[Called]:
        if depth > 8:
            yield Called("", arguments, made, via, known=False, origin=made)
            return
        name = self.name_of(function)
        shown = made if depth == 0 and function is made.function else Made(function, arguments, None, via, made.offset)
        if isinstance(function, Made):
            effect = self._effect_of(function)
            if effect in {"partial", "methodcaller"}:
                target = self._target(function, arguments, 0)
                if target is None:
                    yield Called("", arguments, shown, via, known=False, origin=made)
                else:
                    yield from self._calls(target[0], target[1], made, self.name_of(function.function), depth + 1)
                return
            if effect in {"attrgetter", "itemgetter"}:
                result = self._indirect(function, made, arguments, 0)
                if result is made:
                    yield Called("", arguments, shown, via, known=False, origin=made)
                return
        yield Called(name, arguments, shown, via, known=bool(name), origin=made)
        effect_of_name = self.tables.effect(name) if name else None
        if effect_of_name is not None and effect_of_name.kind == "apply":
            yield from self._applied(name, arguments, made, depth)

    def _applied(self, name: str, arguments: tuple[Value, ...], made: Made, depth: int) -> Iterator[Called]:
        """Yield the calls of the functions among the arguments of ``map``, ``reduce``, ``copyreg.__newobj__``."""
        for index, argument in enumerate(arguments[:8]):
            function = self.value(argument)
            if not isinstance(function, (Global, Attribute, Made)) or (
                isinstance(function, Made) and self._effect_of(function) not in {"partial", "methodcaller"}
            ):
                continue
            rest = arguments[index + 1 :]
            sequence = self.value(rest[0]) if len(rest) == 1 else None
            if name in {"builtins.map", "builtins.filter", "itertools.starmap"} and isinstance(sequence, (list, tuple)):
                for item in sequence[:_APPLIED]:
                    given = item if name == "itertools.starmap" and isinstance(item, tuple) else (item,)
                    yield from self._calls(function, given, made, name, depth + 1)
            else:
                yield from self._calls(function, rest, made, name, depth + 1)

    def name_of(self, function: Value) -> str:
        """Return the full name of a callable; of a method, the class and the method. Empty where unknown."""
        function = self.value(function)
        if isinstance(function, Global):
            return full_name(function)
        if isinstance(function, Attribute) and isinstance(function.name, str):
            owner = self.value(function.value)
            if isinstance(owner, Made):
                inside = self.name_of(owner.function)
                return f"{inside}.{function.name}" if inside else ""
            if isinstance(owner, Attribute):
                inside = self.name_of(owner)
                return f"{inside}.{function.name}" if inside else ""
            if isinstance(owner, TensorValue):
                return f"torch.Tensor.{function.name}"
            if isinstance(owner, Global):
                return full_name(self._one_attribute(owner, function.name, function.offset))
            kind = _BUILTIN_TYPES.get(type(owner))
            if kind is not None:
                return f"builtins.{kind}.{function.name}"
        if isinstance(function, Made):
            inside = self.name_of(function.function)
            # Calling what a class made runs its __call__; calling what a function returned runs who knows what.
            return f"{inside}.__call__" if inside and inside.rsplit(".", 1)[-1].lstrip("_")[:1].isupper() else ""
        if isinstance(function, Persistent):
            return self._persistent_class(function)
        return ""

    def _persistent_class(self, persistent: Persistent) -> str:
        """Return the class in legacy torch's ``("module", class, file, source)``."""
        parts = persistent.id
        if isinstance(parts, tuple) and len(parts) == 4 and parts[0] in {"module", b"module"}:
            return self.name_of(parts[1])
        return ""


def full_name(value: Value) -> str:
    """Return the name a loader of today looks up for a `Global`."""
    assert isinstance(value, Global)
    module, name = value.module.strip(), value.name.strip()
    if value.protocol < 3:
        module, name = python3_name(module, name)
    module, name = anchored(module, name)
    return f"{module}.{name}" if name else module


def written_name(value: Global) -> str:
    """Return a name as the file writes it, in today's modules: whatever it walks through, its module is imported.

    White space around it (a carriage return in a text pickle) names nothing that exists, and hides nothing either.
    """
    module, name = value.module.strip(), value.name.strip()
    if value.protocol < 3:
        module, name = python3_name(module, name)
    return f"{module}.{name}" if name else module


def anchored(module: str, name: str) -> tuple[str, str]:
    """Resolve a path that walks through a module into another one: ``pathlib`` and ``os.system`` is ``os.system``."""
    name = name.removesuffix(".__call__")
    if "." in name:
        parts = name.split(".")
        for index in range(len(parts) - 2, -1, -1):
            if parts[index] in sys.stdlib_module_names or parts[index] == "__builtins__":
                inner = "builtins" if parts[index] == "__builtins__" else parts[index]
                return inner, ".".join(parts[index + 1 :])
    return module, name


def inflated(data: bytes) -> bytes | None:
    """Decompress zlib, gzip, bz2 or xz, a megabyte at most."""
    native.meet("decompressor")
    if data[:3] == b"BZh":
        return bz2.BZ2Decompressor().decompress(data, _LITERAL)
    if data[:6] == b"\xfd7zXZ\x00" or data[:3] == b"\x5d\x00\x00":
        return lzma.LZMADecompressor().decompress(data, _LITERAL)
    return zlib.decompressobj(wbits=47).decompress(data, _LITERAL)


def begins_compressed(data: bytes) -> bool:
    """Return whether zlib, gzip, bz2 or xz data decompresses, for its first megabyte at least."""
    try:
        return bool(inflated(data))
    except (ValueError, zlib.error, OSError, lzma.LZMAError, EOFError):
        return False


def _transformed(data: bytes, codec: str) -> bytes | None:
    if codec not in _TRANSFORMS:
        return None
    if codec.startswith(("base64", "uu")):
        return binascii.a2b_base64(data) if codec.startswith("base64") else None
    if codec.startswith("hex"):
        return binascii.unhexlify(data)
    if codec.startswith("rot"):
        return codecs.encode(data.decode("ascii"), "rot13").encode("ascii")
    return inflated(data)


def _partial(made: Made, parts: tuple[Value, ...]) -> tuple[Value, tuple[Value, ...]]:
    """Return the function and first arguments of a partial: from its state where it has one, as pickle writes it."""
    for state in reversed(made.states):
        if isinstance(state, tuple) and len(state) == 4:
            given = state[1]
            return state[0], given if isinstance(given, tuple) else ()
    return (parts[0], parts[1:]) if parts else (None, ())
