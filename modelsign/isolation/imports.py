"""Modules that a worker needs while it has no right to read them.

A worker imports everything before it gives its rights up: it inherits what the parent has imported. Parsers that few
files need (a template engine, a decompressor) are imported where they are used, so that nobody else pays for them. When
a worker without rights comes to such an import, it stops and names the module; the parent imports it, if it is one of
the list below, and has the file done again. A worker that was taken over can ask for nothing else.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

# Top-level package -> what to import when anything of it is asked for. None of them does anything when imported.
PROVIDED: dict[str, tuple[str, ...]] = {
    "ast": ("ast",),
    "base64": ("base64",),
    "bisect": ("bisect",),
    "bz2": ("bz2",),
    "configparser": ("configparser",),
    "difflib": ("difflib",),
    "hashlib": ("hashlib",),
    "heapq": ("heapq",),
    "html": ("html.parser",),
    "jinja2": ("jinja2", "jinja2.lexer", "jinja2.nodes", "jinja2.parser", "jinja2.ext", "jinja2.sandbox"),
    "json": ("json",),
    "logging": ("logging",),
    "lz4": ("lz4.frame", "lz4.block"),
    "lzma": ("lzma",),
    "plistlib": ("plistlib",),
    "py7zr": ("py7zr",),
    "string": ("string",),
    "struct": ("struct",),
    "symtable": ("symtable",),
    "textwrap": ("textwrap",),
    "tokenize": ("tokenize",),
    "tomllib": ("tomllib",),
    "unicodedata": ("unicodedata",),
    "xml": ("xml.parsers.expat",),
    "zlib": ("zlib",),
    "zstandard": ("zstandard",),
}
_OWN = ("scanners", "modelsign.conversion", "encodings")
"""packages whose modules may be asked for one by one"""
_MOST = 64
"""modules that one run may ask for"""


class NeededModuleError(BaseException):
    """A worker without rights came to an import. No `Exception`: no parser may swallow it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Stop:
    """A finder for workers without rights: it finds nothing, and says what was looked for.

    It does not inherit from `importlib.abc.MetaPathFinder`, whose import takes longer than most scans.
    """

    def __init__(self, absent: frozenset[str]) -> None:
        self._absent = absent

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self._absent:
            return None
        raise NeededModuleError(fullname)


class Provider:
    """The parent's side: imports what workers may need, and remembers what is not installed."""

    def __init__(self) -> None:
        self.absent: frozenset[str] = frozenset()
        self._asked: set[str] = set()

    def provide(self, name: str) -> bool:
        """Import a module for later workers; False when it is none of those that workers get."""
        if name in self._asked:
            return True  # by a worker that was started before
        if len(self._asked) >= _MOST or not all(part.isidentifier() for part in name.split(".")):
            return False
        wanted = _wanted(name)
        if not wanted:
            return False
        self._asked.add(name)
        try:
            for module in wanted:
                importlib.import_module(module)
        except ImportError:
            self.absent |= {name}
            return True
        if name not in sys.modules:
            self.absent |= {name}
        return True


def _wanted(name: str) -> tuple[str, ...]:
    if any(name == own or name.startswith(f"{own}.") for own in _OWN):
        return (name,)
    return PROVIDED.get(name.partition(".")[0], ())
