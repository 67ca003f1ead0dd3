"""The loader of semantics.toml and judgement.toml: one lookup by dotted name each.

The tables never change while the program runs, so each is read once, when the first pickle with a call is judged.
They are TOML of the plainest kind (tables of strings), read here line by line: importing `tomllib` and letting it parse
them takes a third as long as a whole scan. A test holds that `tomllib` reads the same.
"""

import functools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from dataclasses import field
from enum import Enum
from pathlib import Path

from scanners.records import dataclass


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


def entries(text: str, table: str) -> Iterator[dict[str, str]]:
    """Yield the tables ``[[table]]`` of a TOML text of ours, numbers as text.

    Raises:
        ValueError: the text holds anything but such tables of strings and numbers.
    """
    found: dict[str, str] | None = None
    lines = iter(text.splitlines())
    for line in lines:
        key, equals, value = line.partition(" = ")
        if not line or line[0] == "#":
            continue
        if line == f"[[{table}]]":
            if found is not None:
                yield found
            found = {}
        elif found is None or not equals or key in found or "\\" in value:
            raise ValueError(f"not the plain TOML that is expected here: {line}")
        elif value == '"""':
            found[key] = "\n".join(iter(lines.__next__, '"""')) + "\n"
        elif value.isdecimal():
            found[key] = value
        elif len(value) > 1 and value[0] == value[-1] == '"' and value.count('"') == 2:
            found[key] = value[1:-1]
        else:
            raise ValueError(f"not the plain TOML that is expected here: {line}")
    if found is not None:
        yield found


@dataclass(slots=True)
class _Entry:
    """One table of judgement.toml."""

    position: int
    """an earlier one goes before a later one"""
    table: dict[str, str]
    exact: frozenset[str]
    patterns: frozenset[str]
    judgements: dict[str, Judgement] = field(default_factory=dict)

    def judgement(self, module: str) -> Judgement:
        """Return what the entry says about a callable of one of its modules."""
        found = self.judgements.get(module)
        if found is None:
            found = self.judgements[module] = Judgement(
                standing=Standing[self.table["standing"].upper()],
                nature=self.table.get("nature", ""),
                reason=self.table["reason"],
                source=self.table.get("source", ""),
                entry=f"{module}: {' '.join(sorted(self.patterns))}" if self.patterns else module,
                shapes=frozenset(self.table.get("shapes", "").split()),
                kept=self.table.get("kept") == "harmless",
            )
        return found


class Tables:
    """Both tables, ready for lookups."""

    def __init__(self, semantics: str, judgement: str) -> None:
        self._effects: dict[str, Effect] = {}
        for entry in entries(semantics, "effect"):
            effect = Effect(kind=entry["kind"], target=int(entry.get("target", "0")))
            for name in entry["names"].split():
                self._effects[name] = effect
        self._modules: dict[str, list[_Entry]] = {}
        for position, table in enumerate(entries(judgement, "callables")):
            self._add(position, table)
        self._deepest = max((module.count(".") + 1 for module in self._modules), default=0)

    def _add(self, position: int, table: dict[str, str]) -> None:
        names = frozenset(table.get("names", _ANY).split())
        patterns = frozenset(name for name in names if name in {_CLASS, _CONSTANT, _CYTHON} or "*" in name)
        entry = _Entry(position=position, table=table, exact=names - patterns, patterns=patterns)
        for module in table["modules"].split():
            self._modules.setdefault(module, []).append(entry)

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
        if crossed and self._exactly(parts) is None:
            return Judgement(
                standing=Standing.DANGEROUS,
                nature="internals",
                reason=f"walks through {min(crossed)} into the interpreter",
            )
        return found

    def _judge(self, dotted: str) -> Judgement:
        parts = dotted.split(".")
        exact = self._exactly(parts)
        if exact is not None:
            return exact
        for module, rest in self._splits(parts):
            for entry in self._modules[module]:
                if entry.patterns and _fits(rest, entry.patterns):
                    return self._through_imports(rest, entry.judgement(module))
        return self._through_imports(parts[1:], UNKNOWN)

    def _through_imports(self, rest: list[str], found: Judgement) -> Judgement:
        """Return what is known about the end of a name that goes through a module that another one imports.

        ``sklearn.cluster._kmeans`` and ``os.system`` is `os.system`, whatever a pattern says of what lies in sklearn.
        """
        if found.standing is Standing.DANGEROUS:
            return found
        for position, part in enumerate(rest[:-1]):
            imported = _IMPORTED.get(part)
            if imported is None or (found.standing is Standing.UNKNOWN and part not in _NEVER_OWN):
                continue
            other = self._judge(".".join([imported, *rest[position + 1 :]]))
            if _RANK[other.standing] > _RANK[found.standing]:
                return other
        return found

    def _exactly(self, parts: list[str]) -> Judgement | None:
        """Return what the first entry says that has exactly this name."""
        first: tuple[int, str, _Entry] | None = None
        for module, rest in self._splits(parts):
            name = ".".join(rest)
            for entry in self._modules[module]:
                if name in entry.exact and (first is None or entry.position < first[0]):
                    first = (entry.position, module, entry)
        return None if first is None else first[2].judgement(first[1])

    def _splits(self, parts: list[str]) -> Iterator[tuple[str, list[str]]]:
        """Yield each way to read a dotted name as a module with entries and a name in it, longest module first."""
        for length in range(min(len(parts), self._deepest), 0, -1):
            module = ".".join(parts[:length])
            if module in self._modules:
                yield module, parts[length:]


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


_NEVER_OWN = frozenset(
    "os posix nt sys subprocess shutil builtins __builtins__ __builtin__ importlib ctypes marshal runpy pty".split()
)
"""modules that no library calls one of its own after"""
_IMPORTED = {
    **{
        name: name
        for name in (
            *_NEVER_OWN,
            *"_ctypes socket pickle _pickle multiprocessing threading tempfile asyncio zipfile tarfile sqlite3".split(),
            *"webbrowser urllib joblib cloudpickle dill gc _io codecs shelve logging warnings concurrent".split(),
        )
    },
    "__builtin__": "builtins",
    "__builtins__": "builtins",
    "np": "numpy",
    "pd": "pandas",
    "mp": "multiprocessing",
}
"""what libraries import into their modules, under the names they give it, and the module it is"""


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


def effect_of(dotted: str) -> Effect | None:
    """Return what calling a callable does to values, None where that is not modelled."""
    return tables().effect(dotted)
