"""What is inside a file, for a person who wants to look: members, imports, calls, tensors, opcodes of pickles.

The facts are those of the scan; members and disassembly are read for this purpose only. Nothing is executed.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from modelsign.disassembly import Instruction, around
from modelsign.errors import SourceError
from modelsign.isolation import Job, RefusedError, Sandbox, WorkerError, ask, scan_files
from modelsign.sources import source_of
from scanners import detect, registry
from scanners.errors import ScanError
from scanners.facts import Call, Fact, Import, Stored
from scanners.findings import FileReport, Location
from scanners.limits import Budget, Limits
from scanners.reader import Reader
from scanners.reading import INERT, Blob, Reading

T = TypeVar("T")


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


def inspect(target: str | os.PathLike[str], *, sandbox: Sandbox = Sandbox.AUTO) -> Inspection:
    """Look into one file.

    Args:
        target: a path, or `-` for standard input.
        sandbox: which layers of isolation the parsers get.

    Raises:
        SourceError: it does not exist, cannot be read, or is a directory.
        UsageError: the sandbox is required and this machine lacks a layer.
    """
    if Path(target).is_dir():
        raise SourceError(f"{os.fspath(target)}: is a directory; name one file of it")
    source = source_of(target)
    [entry] = source.entries()
    descriptor = source.open(entry)
    try:
        return _inspect(entry.path, descriptor, os.fstat(descriptor).st_size, sandbox)
    finally:
        os.close(descriptor)


def _inspect(path: str, descriptor: int, size: int, sandbox: Sandbox) -> Inspection:
    [scanned] = scan_files([Job(path=path, descriptor=descriptor, size=size)], sandbox=sandbox, every_fact=True)
    named = {fact.location for fact in scanned.facts.facts if isinstance(fact, Import | Call | Stored)}
    places = sorted(
        {finding.location for finding in scanned.report.findings} & named,
        key=lambda place: (place.members, place.offset or 0, place.length or 0),
    )
    try:
        members, excerpts, stopped = _heard(
            ask(partial(_look, path, places), descriptor, size, sandbox=sandbox), places
        )
    except (RefusedError, WorkerError) as error:
        members, excerpts, stopped = (), (), str(error)
    return Inspection(
        report=scanned.report, facts=scanned.facts.facts, members=members, excerpts=excerpts, stopped=stopped
    )


def _look(path: str, places: Sequence[Location], reader: Reader) -> bytes:
    """List members and disassemble around places. Runs in a worker."""
    walk = _Walk()
    walk.run(Blob(reader=reader, name=path))
    document = {
        "members": [[member.path, member.size, member.formats, member.stored] for member in walk.members],
        "excerpts": [[[one.offset, one.name, one.argument] for one in walk.excerpt(place)] for place in places],
        "stopped": walk.stopped,
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _heard(
    answer: bytes, places: Sequence[Location]
) -> tuple[tuple[Member, ...], tuple[tuple[Location, tuple[Instruction, ...]], ...], str | None]:
    """Read a worker's answer, which may say anything.

    Raises:
        WorkerError: it breaks the schema.
    """
    try:
        document = json.loads(answer)
        members = tuple(
            Member(
                path=tuple(_is(str, part) for part in path),
                size=_is(int, size),
                formats=tuple(_is(str, name) for name in formats),
                stored=_is(bool, stored),
            )
            for path, size, formats, stored in document["members"]
        )
        excerpts = tuple(
            (
                place,
                tuple(
                    Instruction(offset=_is(int, offset), name=_is(str, name), argument=_is(str, argument))
                    for offset, name, argument in lines
                ),
            )
            for place, lines in zip(places, document["excerpts"], strict=True)
            if lines
        )
        stopped = document["stopped"]
        return members, excerpts, None if stopped is None else _is(str, stopped)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WorkerError(f"the worker answered what it should not: {type(error).__name__}") from error


def _is(kind: type[T], value: object) -> T:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} expected")
    return value


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
            with contextlib.suppress(ScanError):  # the scan's findings say what stopped it; here counts what was seen
                module.read(blob, reading)
            if reading.touched:
                yield module.NAME
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
