"""What a constant expression of Python source comes to: names are hidden by putting them together from pieces.

Texts, bytes, small numbers and lists of them, through operators, slices, the methods of `str` and `bytes`, `chr`,
`map`, comprehensions and the decoders of the standard library. Nothing is called that the source names; each operation
is done here, within bounds.
"""

import ast
import base64
import binascii
import codecs
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TypeAlias

from scanners.decoders import DECODERS
from scanners.errors import LimitExceeded
from scanners.records import dataclass

Value: TypeAlias = "str | bytes | int | list[Value] | None"

_DEPTH = 40
MAXIMUM_STEPS = 1_500_000
_LONGEST = 4096
"""characters, bytes or items of a value; longer ones are data, not names"""
_METHODS = frozenset(
    "lower upper strip lstrip rstrip swapcase title capitalize removeprefix removesuffix casefold".split()
)
_CODECS = frozenset({"rot13", "rot_13", "hex", "hex_codec", "base64", "base64_codec"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Folds expressions of one module."""

    constants: Mapping[str, Value]
    """what the module's names are known to be"""
    dotted: Callable[[ast.AST], str | None]
    """the dotted name an expression stands for"""
    local: Mapping[str, Value] = field(default_factory=dict)
    """names bound by the comprehension around the expression"""

    steps: list[int] = field(default_factory=lambda: [MAXIMUM_STEPS])
    """expressions that may still be looked at; one account for the module"""

    def text(self, node: ast.AST) -> str | bytes | None:
        """Return a text or bytes constant, None where the expression is neither or not known."""
        value = self.fold(node)
        return value if isinstance(value, (str, bytes)) else None

    def fold(self, node: ast.AST, depth: int = 0) -> Value:
        """Return the value of an expression, None where it is not known.

        Raises:
            LimitExceeded: the module has too many of them.
        """
        if depth > _DEPTH:
            return None
        self.steps[0] -= 1
        if self.steps[0] < 0:
            raise LimitExceeded("nodes", f"more than {MAXIMUM_STEPS} constant expressions in Python source")
        try:
            return _capped(self._value(node, depth + 1))
        except (ValueError, TypeError, LookupError, ArithmeticError):
            return None  # an operation the values do not allow: Python would raise there as well

    def _value(self, node: ast.AST, depth: int) -> Value:
        match node:
            case ast.Constant():
                kept = isinstance(node.value, (str, bytes, int)) and not isinstance(node.value, bool)
                return node.value if kept and isinstance(node.value, (str, bytes, int)) else None
            case ast.Name():
                return self.local[node.id] if node.id in self.local else self.constants.get(node.id)
            case ast.NamedExpr() | ast.FormattedValue():
                return self.fold(node.value, depth)
            case ast.IfExp():
                return self.fold(node.body, depth)
            case ast.List() | ast.Tuple():
                return _all([self.fold(item, depth) for item in node.elts[:_LONGEST]])
            case ast.JoinedStr():
                parts = [self.fold(part, depth) for part in node.values]
                return None if None in parts else "".join(str(part) for part in parts)
            case ast.BinOp():
                return _operated(node.op, self.fold(node.left, depth), self.fold(node.right, depth))
            case ast.UnaryOp(op=ast.USub()):
                value = self.fold(node.operand, depth)
                return -value if isinstance(value, int) else None
            case ast.Subscript():
                return self._part(node, depth)
            case ast.ListComp() | ast.GeneratorExp():
                return self._comprehension(node, depth)
            case ast.Call():
                return self._called(node, depth)
            case _:
                return None

    def _part(self, node: ast.Subscript, depth: int) -> Value:
        value = self.fold(node.value, depth)
        if not isinstance(value, (str, bytes, list)):
            return None
        if not isinstance(node.slice, ast.Slice):
            place = self.fold(node.slice, depth)
            return value[place] if isinstance(place, int) else None
        bounds = [
            None if bound is None else self.fold(bound, depth)
            for bound in (node.slice.lower, node.slice.upper, node.slice.step)
        ]
        given = [bound is not None for bound in (node.slice.lower, node.slice.upper, node.slice.step)]
        if any(wanted and not isinstance(bound, int) for wanted, bound in zip(given, bounds, strict=True)):
            return None
        low, high, step = (bound if isinstance(bound, int) else None for bound in bounds)
        return value[low:high:step]

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, depth: int) -> Value:
        if len(node.generators) != 1 or node.generators[0].ifs:
            return None
        target = node.generators[0].target
        items = _items(self.fold(node.generators[0].iter, depth))
        if items is None or not isinstance(target, ast.Name):
            return None
        made: list[Value] = []
        for item in items:
            inner = Folder(
                constants=self.constants, dotted=self.dotted, local={**self.local, target.id: item}, steps=self.steps
            )
            made.append(inner.fold(node.elt, depth))
            if made[-1] is None:
                return None
        return made

    def _called(self, call: ast.Call, depth: int) -> Value:
        arguments = [self.fold(argument, depth) for argument in call.args]
        name = self.dotted(call.func) or ""
        if name == "map" and len(call.args) == 2 and self.dotted(call.args[0]) == "chr":
            items = _items(arguments[1])
            return None if items is None else [chr(item) for item in items if isinstance(item, int)]
        if isinstance(call.func, ast.Attribute):
            owner = self.fold(call.func.value, depth)
            if owner is not None:
                return _method(owner, call.func.attr, arguments)
        return None if None in arguments else _function(name, arguments)


def _capped(value: Value) -> Value:
    if isinstance(value, int):
        return value if abs(value) < 1 << 64 else None
    return value if value is None or len(value) <= _LONGEST else None


def _all(items: "list[Value]") -> Value:
    return None if None in items else items


def _items(value: Value) -> "list[Value] | None":
    match value:
        case list():
            return value
        case str() | bytes():
            return list(value)
        case _:
            return None


def _operated(operator: ast.operator, left: Value, right: Value) -> Value:
    match operator, left, right:
        case ast.Add(), str(), str():
            return left + right
        case ast.Add(), bytes(), bytes():
            return left + right
        case ast.Add(), list(), list():
            return left + right
        case ast.Mult(), str() | bytes(), int() if len(left) * right <= _LONGEST:
            return left * right
        case ast.Mod(), str(), str() | int():
            return left % right if len(left) <= 256 and not _wide(left) else None
        case ast.Mod(), str(), list() if len(left) <= 256 and not _wide(left):
            return left % tuple(right)
        case ast.Add(), int(), int():
            return left + right
        case ast.Sub(), int(), int():
            return left - right
        case ast.Mult(), int(), int():
            return left * right
        case ast.BitXor(), int(), int():
            return left ^ right
        case ast.Mod(), int(), int():
            return left % right
        case ast.FloorDiv(), int(), int():
            return left // right
        case _:
            return None


def _wide(text: str) -> bool:
    """Return whether a format asks for more characters than its digits let one expect (`%999999999d`)."""
    digits = [part for part in "".join(one if one.isdigit() else " " for one in text).split() if len(part) > 2]
    return bool(digits) or "*" in text


def _method(owner: Value, name: str, arguments: "list[Value]") -> Value:
    if None in arguments:
        return None
    match owner, name, arguments:
        case str() | bytes(), method, _ if method in _METHODS:
            return _text_method(owner, method, arguments)
        case str(), "join", [list() | str() as items]:
            texts = [item for item in items if isinstance(item, str)]
            return owner.join(texts) if len(texts) == len(items) else None
        case bytes(), "join", [list() as items]:
            chunks = [item for item in items if isinstance(item, bytes)]
            return owner.join(chunks) if len(chunks) == len(items) else None
        case str(), "replace", [str() as old, str() as new] if old:
            return owner.replace(old, new)
        case bytes(), "replace", [bytes() as old, bytes() as new] if old:
            return owner.replace(old, new)
        case str(), "split", [str() as separator]:
            return [*owner.split(separator)]
        case str(), "split", []:
            return [*owner.split()]
        case str(), "format", _:
            # Positional fields only: a field that walks attributes would run code of the values.
            pieces = owner.split("{}")
            if len(pieces) != len(arguments) + 1 or "{" in "".join(pieces):
                return None
            shown = [*map(str, arguments), ""]
            return "".join(piece + text for piece, text in zip(pieces, shown, strict=True))
        case bytes(), "decode", _:
            return owner.decode("utf-8", "replace")
        case str(), "encode", _:
            return owner.encode("utf-8", "replace")
        case _:
            return None


def _text_method(owner: str | bytes, method: str, arguments: "list[Value]") -> Value:
    if any(type(argument) is not type(owner) for argument in arguments):
        return None
    made = getattr(owner, method)(*arguments)
    return made if isinstance(made, (str, bytes)) else None


def _function(name: str, arguments: "list[Value]") -> Value:
    match name, arguments:
        case "chr", [int() as code] if 0 <= code < 0x110000:
            return chr(code)
        case "ord", [str() as text] if len(text) == 1:
            return ord(text)
        case "str", [str() | int() as value]:
            return str(value)
        case "bytes" | "bytearray", [list() as items]:
            return bytes(item for item in items if isinstance(item, int))
        case "bytes" | "str", [bytes() as data, *_]:
            return data if name == "bytes" else data.decode("utf-8", "replace")
        case "bytes.fromhex" | "bytearray.fromhex", [str() as digits]:
            return bytes.fromhex(digits)
        case "reversed", [str() | bytes() | list() as value]:
            return _items(value[::-1])
        case "list" | "tuple", [value]:
            return _items(value)
        case "codecs.decode", [str() | bytes() as value, str() as codec] if codec.lower().replace("-", "_") in _CODECS:
            return _decoded(value, codec.lower().replace("-", "_"))
        case known, [str() | bytes() as value] if known in DECODERS:
            return DECODERS[known](value.encode("ascii") if isinstance(value, str) else value)
        case _:
            return None


def _decoded(value: str | bytes, codec: str) -> str | bytes | None:
    if codec in {"rot13", "rot_13"}:
        return codecs.encode(value, codec) if isinstance(value, str) else None
    data = value if isinstance(value, bytes) else value.encode("ascii")
    return binascii.unhexlify(data) if codec.startswith("hex") else base64.decodebytes(data)
