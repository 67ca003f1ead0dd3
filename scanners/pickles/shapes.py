"""Argument shapes: for callables that are harmless only when they are given certain arguments.

judgement.toml names shapes; this module says which one a call has. A shape is a property of the arguments alone, so it
is a fact; whether it keeps the callable harmless is judged elsewhere.
"""

import sys
from typing import Final

from scanners.knowledge.tables import INTERNALS, Tables
from scanners.patterns import late
from scanners.pickles.resolve import Called, Resolver
from scanners.pickles.values import Attribute, Collection, Global, Made, Mapping, Span, TensorValue, Value

_TEXT_CODECS: Final = frozenset(
    {"latin1", "latin-1", "latin_1", "iso-8859-1", "utf-8", "utf8", "ascii", "raw_unicode_escape"}
)
_SMALL: Final = 1 << 28
"""a number up to this may be a length: it allocates no more than many models have"""
_PLAIN_BASES: Final = frozenset(
    f"builtins.{name}"
    for name in ("object", "dict", "list", "tuple", "str", "bytes", "int", "float", "set", "frozenset", "complex")
)


SHAPES: Final = frozenset(
    {"text-codec", "small-numbers", "no-callables", "one-argument", "plain-base", "named-result", "plain-names"}
    | {
        "names-only",
        "without-constructor",
        "from-buffer",
        "torch-file",
        "read-pickle",
        "range-text",
        "argument-template",
        "plain-formula",
        "own-topic-model",
        "parameters-not-text",
        "never",
        "paddle-tensor",
        "true-dtype",
    }
)
"""every shape that judgement.toml may name; `never` fits no call"""


class Shapes:
    """Names the shape of a call's arguments."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.tables: Tables = resolver.tables
        self.fields: dict[int, tuple[bool, int]] = {}
        """what `_fields` found, by the mapping's id; the run that is judged keeps the mappings"""

    def indifferent(self, function: str) -> bool:
        """Return whether nothing about a call of this function depends on its arguments."""
        if self.tables.effect(function) is not None:
            return False
        return not self.tables.judge(function).shapes

    def of(self, called: Called) -> str:
        """Return the shape of a call; empty where its function has none."""
        judgement = self.tables.judge(called.function)
        for shape in sorted(judgement.shapes):
            if self.fits(shape, called):
                return shape
        return ""

    def fits(self, shape: str, called: Called) -> bool:
        """Return whether a call has a shape."""
        arguments = tuple(self.resolver.value(argument) for argument in called.arguments)
        if shape == "text-codec":
            return len(arguments) == 1 or (
                len(arguments) == 2 and isinstance(arguments[1], str) and arguments[1].lower() in _TEXT_CODECS
            )
        if shape == "small-numbers":
            return all(_small(argument) for argument in arguments)
        if shape == "no-callables":
            return not any(_reaches_callable(argument) for argument in arguments)
        if shape == "one-argument":
            return len(arguments) == 1
        if shape == "plain-base":
            return len(arguments) == 3 and self.resolver.name_of(arguments[1]) in _PLAIN_BASES
        if shape == "named-result":
            return self._named_result(called)
        if shape == "plain-names":
            return all(isinstance(name, str) and not _TELLING.intersection(name.split(".")) for name in arguments)
        if shape == "without-constructor":
            return called.via in _BY_NEW or (called.via in {"INST", "OBJ"} and not arguments)
        if shape == "from-buffer":
            return called.via in _FROM_BUFFER
        if shape == "read-pickle":
            effect = self.tables.effect(called.function)
            return effect is not None and len(arguments) > effect.target and _constant(arguments[effect.target])
        if shape == "torch-file":
            head = self._head(arguments[0]) if len(arguments) == 1 else b""
            return head.startswith((b"PK\x03\x04", b"\x80\x02")) or head[257:262] == b"ustar"
        if shape == "paddle-tensor":
            return _paddle_tensor(arguments) and called.via == "REDUCE"
        if shape == "true-dtype":
            return all(self._true_dtype(called.origin, state) for state in called.origin.states)
        if shape == "range-text":
            return len(arguments) == 1 and isinstance(arguments[0], str) and _RANGE.match(arguments[0]) is not None
        if shape == "argument-template":
            return all(_scipy_template(text) for text in self._state_values(called.origin, "_parse_arg_template"))
        if shape == "plain-formula":
            keys = ("restore_design_info", "restore_model_spec")
            restored = any(self._state_values(called.origin, key) for key in keys)
            formulas = self._state_values(called.origin, "formula")
            return all(map(_plain_formula, formulas)) and (bool(formulas) or not restored)
        if shape == "own-topic-model":
            modules = self._state_values(called.origin, "topic_model_module_string")
            return self.fits("without-constructor", called) and all(map(_gensim_model, modules))
        if shape == "parameters-not-text":
            parameters = self._state_values(called.origin, "fh_params")
            plain = all(isinstance(value, (Mapping, Collection, list, tuple, type(None))) for value in parameters)
            return self.fits("without-constructor", called) and plain
        if shape == "names-only":
            return all(isinstance(argument, (str, int, type(None))) for argument in arguments)
        return False

    def _head(self, value: Value) -> bytes:
        if isinstance(value, Span):
            return self.resolver.reader.read_at(value.offset, min(value.length, 512))
        return value[:512] if isinstance(value, bytes) else b""

    def _state_values(self, made: Made, key: str) -> list[Value]:
        """Return what the states of an object hold under a key, and mark states that are no plain mapping."""
        values: list[Value] = []
        for state in made.states:
            parts = state if isinstance(state, tuple) else (state,)
            for part in parts:
                if isinstance(part, Mapping):
                    values += [item for name, item in part.entries if name == key or not isinstance(name, str)]
                elif part is not None:
                    values.append(part)
        return values

    def _true_dtype(self, dtype: Made, state: Value) -> bool:
        """Whether the state of a dtype of numpy says of its elements what they are.

        numpy believes the flags: objects without theirs are read from the bytes of the file as if those were addresses.
        The dtypes of fields are calls of their own, each of which is judged for itself.
        """
        if not isinstance(state, tuple) or len(state) not in {8, 9}:
            return False
        part, fields, length, flags = state[2], state[4], state[5], state[7]
        if not isinstance(length, int) or not isinstance(flags, int):
            return False
        objects, furthest = self._fields(fields) if isinstance(fields, Mapping) else (False, 0)
        if isinstance(part, tuple) and part:
            objects = objects or _is_objects(part[0])
        return furthest <= max(length, 0) and (bool(flags & 1) or not (objects or _is_objects(dtype)))

    def _fields(self, fields: Mapping) -> tuple[bool, int]:
        """Return whether a field of a dtype holds objects, and where the last begins; many dtypes may share them."""
        known = self.fields.get(id(fields))
        if known is None:
            objects, furthest = False, 0
            for _, field in fields.entries:
                if not isinstance(field, tuple) or len(field) < 2 or not isinstance(field[1], int) or field[1] < 0:
                    furthest = sys.maxsize
                    break
                objects = objects or _is_objects(field[0])
                furthest = max(furthest, field[1])
            known = self.fields[id(fields)] = objects, furthest
        return known

    def _named_result(self, called: Called) -> bool:
        """Whether the call computes a name, which is then judged for itself."""
        result = self.resolver.value(called.made)
        return isinstance(result, Global) or (isinstance(result, Attribute) and bool(self.resolver.name_of(result)))


_FROM_BUFFER: Final = frozenset(
    f"numpy.{module}._reconstruct" for module in ("core.multiarray", "_core.multiarray", "core._internal")
)
"""ways to an array that do not go by its class's __new__ either"""
_BY_NEW: Final = _FROM_BUFFER | {
    "NEWOBJ",
    "NEWOBJ_EX",
    "copyreg._reconstructor",
    "copyreg.__newobj__",
    "copyreg.__newobj_ex__",
}
"""ways to an object that go by __new__ alone"""
_TELLING: Final = INTERNALS | {
    "system",
    "popen",
    "Popen",
    "eval",
    "exec",
    "execv",
    "execve",
    "spawn",
    "fork",
    "modules",
}
"""attributes that nobody keeps the name of for later in a model"""
_RANGE: Final = late(r"(?:range\(-?[0-9]+(?:, -?[0-9]+){0,2}\)|Ellipsis|NotImplemented)\Z")
_TEMPLATE: Final = late(
    r"\s*def _parse_args\(self,[\w\s,=.*+-]*\):\s*return \([\w\s,]*\),[\w\s,.-]*"
    r"\s*def _parse_args_rvs\(self,[\w\s,=.*+-]*\):\s*return self\._argcheck_rvs\([\w\s,=]*\)"
    r"\s*def _parse_args_stats\(self,[\w\s,=.*'+-]*\):\s*return \([\w\s,]*\),[\w\s,.-]*\Z"
)
"""the source text that scipy.stats makes for each distribution: names, numbers and commas in three fixed functions"""
_FORMULA_TOKENS: Final = late(
    r"\s*(?:(?P<text>'[\w .:%/-]*'|\"[\w .:%/-]*\")|(?P<name>(?!_)\w+(?:\.\w+)*)(?P<call>\s*\()?|(?P<open>\()"
    r"|(?P<close>\))|(?P<sign>\*\*|[~+\-*:/^|,=%]))\s*"
)
_FORMULA_FUNCTIONS: Final = frozenset(
    "C I Q center standardize scale bs cr cc te poly hashed Treatment Sum Helmert Poly Diff log exp sqrt abs".split()
) | frozenset(
    f"np.{name}"
    for name in "log log1p log2 log10 exp expm1 sqrt abs power square sin cos tan sign minimum maximum where".split()
)
"""what a formula calls that patsy and formulaic bring, or that numpy computes"""


def _plain_formula(value: Value) -> bool:
    """Whether a formula holds but names, numbers, signs and calls of functions of numbers.

    Its terms are Python that is evaluated: an attribute, an index or another function could do anything.
    """
    if not isinstance(value, str) or len(value) > _LONG_FORMULA:
        return False
    place, before = 0, ""
    while place < len(value):
        token = _FORMULA_TOKENS.match(value, place)
        if token is None:
            return False
        kind, name = token.lastgroup or "", token["name"]
        if name is not None:
            called = token["call"] is not None
            if (called and name not in _FORMULA_FUNCTIONS) or (
                not called and "." in name and not _NUMBER.fullmatch(name)
            ):
                return False
            if name in _PYTHON_WORDS:
                return False
        elif kind == "open" and before in {"close", "text"}:
            return False  # a call of what a term gives
        place, before = token.end(), kind
    return True


_LONG_FORMULA: Final = 20_000
_NUMBER: Final = late(r"[0-9]+\.[0-9]*")
_PYTHON_WORDS: Final = frozenset({"lambda", "for", "await", "yield", "import", "eval", "exec", "if", "else"})


def _paddle_tensor(arguments: tuple[Value, ...]) -> bool:
    """Whether the arguments of eval are the name of the one value in its namespace, and that namespace."""
    if len(arguments) != 2 or arguments[0] != "data":
        return False
    names = arguments[1]
    return isinstance(names, Mapping) and len(names.entries) == 1 and names.entries[0][0] == "data"


def _is_objects(dtype: Value) -> bool:
    """Whether a dtype is one of objects: by its name, `O8`, or by the flags of its state."""
    if not isinstance(dtype, Made):
        return False
    if isinstance(dtype.function, Global) and dtype.function.name.endswith("ObjectDType"):
        return True
    name = dtype.arguments[0] if isinstance(dtype.arguments, tuple) and dtype.arguments else None
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    if isinstance(name, str) and name.lstrip("<>=|")[:1] == "O":
        return True
    return any(
        isinstance(state, tuple) and len(state) > 7 and isinstance(state[7], int) and bool(state[7] & 1)
        for state in dtype.states
    )


def _scipy_template(value: Value) -> bool:
    return isinstance(value, str) and _TEMPLATE.match(value) is not None


def _gensim_model(value: Value) -> bool:
    return isinstance(value, str) and (value == "gensim.models" or value.startswith("gensim.models."))


def _constant(value: Value) -> bool:
    """Whether a value is bytes that are known: in the file, or computed from it."""
    return isinstance(value, (bytes, bytearray)) or (isinstance(value, Span) and value.kind != "int")


def _small(value: Value) -> bool:
    if isinstance(value, int):
        return value <= _SMALL
    return not isinstance(value, (Made, Attribute, Global))


def _reaches_callable(value: Value) -> bool:
    """Whether something callable is among the first ten thousand values below ``value``."""
    pending = [value]
    seen: set[int] = set()
    while pending and len(seen) < 10_000:
        one = pending.pop()
        if isinstance(one, (Global, Attribute, Made)):
            return True
        if one is None or isinstance(one, (str, bytes, int, float, Span, TensorValue)) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            pending.extend(item for entry in one.entries for item in entry)
        elif isinstance(one, Collection):
            pending.extend(one.items)
        elif isinstance(one, (list, tuple)):
            pending.extend(one)
    return bool(pending)
