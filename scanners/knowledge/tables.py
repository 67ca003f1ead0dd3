"""The loader of semantics.toml and judgement.toml: one lookup by dotted name each.

The tables never change while the program runs, so each is read once, when the first pickle with a call is judged.
"""

import functools
import tomllib
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Standing(Enum):
    """What is known about a callable."""

    HARMLESS = "harmless"
    """calling it, building it and keeping it does nothing but make a value, whatever the arguments"""
    SHAPED = "harmless in some shapes"
    """harmless when called with arguments of the listed shapes; kept for a later call it is unknown"""
    CODE = "carries code"
    """makes a function, class or module out of what the file holds: it runs when that is called"""
    DANGEROUS = "dangerous"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The standing of one callable, and why."""

    standing: Standing
    nature: str = ""
    """`process`, `code`, `import`, `network`, `file`, `native`, `pickle`, `internals` …"""
    reason: str = ""
    source: str = ""
    entry: str = ""
    """the entry of judgement.toml that decided"""
    shapes: frozenset[str] = frozenset()
    kept: bool = False
    """whether a shaped callable may be kept for later"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a callable does to values."""

    kind: str
    target: int = 0
    """the argument the effect is about"""


UNKNOWN = Judgement(standing=Standing.UNKNOWN, reason="no entry of judgement.toml speaks about it")
_CLASS = "<Class>"
_CONSTANT = "<CONSTANT>"
_CYTHON = "<Cython>"
_ANY = "*"

INTERNALS = frozenset(
    {
        "__base__",
        "__bases__",
        "__builtins__",
        "__class__",
        "__class_getitem__",
        "__closure__",
        "__code__",
        "__delattr__",
        "__dict__",
        "__func__",
        "__getattr__",
        "__getattribute__",
        "__globals__",
        "__import__",
        "__init_subclass__",
        "__loader__",
        "__mro__",
        "__reduce__",
        "__reduce_ex__",
        "__self__",
        "__setattr__",
        "__spec__",
        "__subclasses__",
        "__wrapped__",
        "cr_frame",
        "f_back",
        "f_builtins",
        "f_globals",
        "f_locals",
        "gi_frame",
        "mro",
        "tb_frame",
    }
)
"""Attributes that lead from any object into the interpreter: no library's pickle walks through them."""


def python3_name(module: str, name: str) -> tuple[str, str]:
    """Return today's name of what a Python 2 pickle calls ``module.name`` (as `pickle` maps it below protocol 3)."""
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


class Tables:
    """Both tables, ready for lookups."""

    def __init__(self, semantics: str, judgement: str) -> None:
        self._effects: dict[str, Effect] = {}
        for entry in tomllib.loads(semantics)["effect"]:
            effect = Effect(kind=entry["kind"], target=entry.get("target", 0))
            for name in entry["names"].split():
                self._effects[name] = effect
        self._exact: dict[str, Judgement] = {}
        self._modules: dict[str, list[tuple[frozenset[str], Judgement]]] = {}
        for table in tomllib.loads(judgement)["callables"]:
            self._add(table)

    def _add(self, table: dict[str, str]) -> None:
        standing = Standing[table["standing"].upper()]
        names = table.get("names", _ANY).split()
        patterns = frozenset(name for name in names if name in {_CLASS, _CONSTANT, _CYTHON, _ANY} or "*" in name)
        for module in table["modules"].split():
            judgement = Judgement(
                standing=standing,
                nature=table.get("nature", ""),
                reason=table["reason"],
                source=table.get("source", ""),
                entry=f"{module}: {' '.join(sorted(patterns))}" if patterns else module,
                shapes=frozenset(table.get("shapes", "").split()),
                kept=table.get("kept") == "harmless",
            )
            for name in names:
                if name not in patterns:
                    self._exact.setdefault(f"{module}.{name}", judgement)
            if patterns:
                self._modules.setdefault(module, []).append((patterns, judgement))

    def effect(self, dotted: str) -> Effect | None:
        """Return what calling ``dotted`` does to values, None where that is not modelled."""
        return self._effects.get(dotted)

    def judge(self, dotted: str) -> Judgement:
        """Return the standing of a callable by its full name.

        An exact entry decides before a module's, a longer module before a shorter one. A name that walks through the
        interpreter's own attributes is dangerous whatever it starts from.
        """
        found = self._judge(dotted)
        if found.standing is Standing.DANGEROUS:
            return found
        parts = dotted.split(".")
        crossed = INTERNALS.intersection(parts[1:])
        if crossed and dotted not in self._exact:
            return Judgement(
                standing=Standing.DANGEROUS,
                nature="internals",
                reason=f"walks through {min(crossed)} into the interpreter",
            )
        return found

    def _judge(self, dotted: str) -> Judgement:
        exact = self._exact.get(dotted)
        if exact is not None:
            return exact
        parts = dotted.split(".")
        for length in range(min(len(parts), 16), 0, -1):
            module = ".".join(parts[:length])
            for patterns, judgement in self._modules.get(module, ()):
                if _fits(parts[length:], patterns):
                    return judgement
        return UNKNOWN


def _fits(rest: list[str], patterns: frozenset[str]) -> bool:
    """Whether what follows a module fits one of its patterns."""
    if _ANY in patterns:
        return True
    if not rest:
        return False
    last = rest[-1]
    if f"**.{last}" in patterns or (len(rest) > 1 and ".".join(rest[:-1]) + ".*" in patterns):
        return True
    # A submodule may lie between; a class inside a class or a method may not.
    if any(part.lstrip("_")[:1].isupper() for part in rest[:-1]):
        return False
    if _CYTHON in patterns and last.startswith("__pyx_unpickle_"):
        return True
    if any(part.startswith("__") for part in rest):
        return False
    bare = last.lstrip("_")
    if _CLASS in patterns and bare[:1].isupper():
        return True
    return _CONSTANT in patterns and bare.isupper()


@functools.cache
def tables() -> Tables:
    """Return the tables that ship with this package."""
    folder = Path(__file__).parent
    return Tables(
        (folder / "semantics.toml").read_text("utf-8"),
        (folder / "judgement.toml").read_text("utf-8"),
    )


def judge(dotted: str) -> Judgement:
    """Return the standing of a callable, under its own name and under the one `pickle` maps it to; the worse counts."""
    found = tables().judge(dotted)
    module, _, name = dotted.rpartition(".")
    mapped = ".".join(python3_name(module, name))
    if mapped != dotted:
        other = tables().judge(mapped)
        if _RANK[other.standing] > _RANK[found.standing] or found.standing is Standing.UNKNOWN:
            return other
    return found


_RANK = {
    Standing.HARMLESS: 0,
    Standing.SHAPED: 1,
    Standing.UNKNOWN: 2,
    Standing.CODE: 3,
    Standing.DANGEROUS: 4,
}
