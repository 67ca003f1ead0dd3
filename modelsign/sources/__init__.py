"""Where the bytes of a target come from: one scheme per file.

A source lists what a target holds and opens regular files, one descriptor each; who reads them is not its concern.
"""

import os
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from modelsign.errors import UsageError
from scanners.records import dataclass


class Links(Enum):
    """What becomes of a symbolic link that leaves the target (one that stays inside is read under both names)."""

    REPORT = "report"
    FOLLOW = "follow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in a target."""

    path: str
    """relative to the target, with forward slashes; undecodable bytes as surrogates"""
    size: int = 0
    why_not: str | None = None
    """why the entry cannot be opened; None for a file that can"""
    link: str | None = None
    """what the entry points to, where it is a symbolic link that a report should mention"""
    is_directory: bool = False
    """whether it is a link to a directory of the target, whose files have entries of their own"""


class Source(Protocol):
    """What every scheme provides."""

    @property
    def name(self) -> str:
        """The name of the target, without what lies above it."""
        ...

    @property
    def is_file(self) -> bool:
        """Whether the target is one file, which must be readable, rather than a collection of them."""
        ...

    def entries(self) -> Sequence[Entry]:
        """Return all entries, sorted by path."""
        ...

    def open(self, entry: Entry) -> int:
        """Return a descriptor of the entry's bytes, which the caller closes. Raises OSError."""
        ...


def source_of(target: str | os.PathLike[str], *, links: Links = Links.REPORT) -> Source:
    """Return the source that ``target`` names.

    Raises:
        SourceError: it does not exist or cannot be read.
        UsageError: its scheme is not known.
    """
    name = os.fspath(target)
    if name == "-":
        from modelsign.sources.stdin import StandardInput

        return StandardInput()
    scheme, separator, _ = name.partition("://")
    if separator and scheme.isalnum():
        raise UsageError(f"{name}: the scheme {scheme}:// is not known; give a path, a directory, or '-'")
    from modelsign.sources.local import LocalSource

    return LocalSource(name, links=links)
