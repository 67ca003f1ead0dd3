"""What is inside a file, for a person who wants to look: members, imports, calls, tensors, opcodes of pickles.

The facts are those of the scan; members and disassembly are read for this purpose only. Nothing is executed.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelsign.disassembly import Instruction, around
from modelsign.errors import SourceError
from modelsign.sources import Entry, source_of
from scanners import detect, engine, registry
from scanners.errors import ScanError
from scanners.facts import Call, Fact, Import, Stored
from scanners.findings import FileReport, Location
from scanners.limits import Budget, Limits
from scanners.reader import FileReader
from scanners.reading import INERT, Blob, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A blob inside the file."""

    path: tuple[str, ...]
    size: int
    formats: tuple[str, ...]
    stored: bool
    """whether its bytes lie in the file as they are"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a look into one file shows."""

    report: FileReport
    facts: tuple[Fact, ...]
    members: tuple[Member, ...]
    excerpts: tuple[tuple[Location, tuple[Instruction, ...]], ...]
    """opcodes around the place of each finding that lies in a pickle"""
    stopped: str | None
    """why the list of members ends early; None when it is whole"""


def inspect(target: str | os.PathLike[str]) -> Inspection:
    """Look into one file.

    Raises:
        SourceError: it does not exist, cannot be read, or is a directory.
    """
    if Path(target).is_dir():
        raise SourceError(f"{os.fspath(target)}: is a directory; name one file of it")
    source = source_of(target)
    [entry] = source.entries()
    return _inspect(entry, source.open(entry))


def _inspect(entry: Entry, descriptor: int) -> Inspection:
    try:
        reader = FileReader(descriptor)
        scanned = engine.scan_blob(reader, entry.path)
        walk = _Walk()
        walk.run(Blob(reader=reader, name=entry.path))
        named = {fact.location for fact in scanned.facts.facts if isinstance(fact, Import | Call | Stored)}
        places = {finding.location for finding in scanned.report.findings} & named
        excerpts = tuple(
            (place, lines)
            for place in sorted(places, key=lambda place: (place.members, place.offset or 0))
            if (lines := walk.excerpt(place))
        )
        return Inspection(
            report=scanned.report,
            facts=scanned.facts.facts,
            members=tuple(walk.members),
            excerpts=excerpts,
            stopped=walk.stopped,
        )
    finally:
        os.close(descriptor)


class _Walk:
    """Finds the blobs inside a file, the way the engine does."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.stopped: str | None = None
        self._blobs: dict[tuple[str, ...], Blob] = {}

    def run(self, blob: Blob) -> None:
        """Visit the blob and everything inside it, in order."""
        budget = Budget(limits=Limits())
        work = [blob]
        while work:
            current = work.pop()
            children: list[Blob] = []
            try:
                names = tuple(self._read(current, budget, children))
            except ScanError as error:
                self.stopped = str(error)
                names = ()
            self._blobs.setdefault(current.members, current)
            if current.members:
                self.members.append(
                    Member(path=current.members, size=_size(current), formats=names, stored=current.stored)
                )
            work += reversed(children)

    @staticmethod
    def _read(blob: Blob, budget: Budget, children: list[Blob]) -> Iterator[str]:
        if blob.depth > budget.limits.depth or INERT in blob.roles:
            return
        for module in detect.formats_of(blob, registry.FORMATS, registry.READ_BY):
            reading = Reading(blob=blob, budget=budget)
            yield module.NAME
            with contextlib.suppress(ScanError):  # the scan's findings say what stopped it; here counts what was seen
                module.read(blob, reading)
            children += reading.children

    def excerpt(self, place: Location) -> tuple[Instruction, ...]:
        """Return the opcodes around a place."""
        blob = self._blobs.get(place.members)
        if blob is None or place.offset is None:
            return ()
        try:
            return around(blob.reader, place.offset)
        except ScanError:
            return ()


def _size(blob: Blob) -> int:
    try:
        return blob.reader.size
    except ScanError:
        return 0
