"""Scanning in workers: `engine.scan_blob` for many files, each a stranger to the program that reads the results."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from modelsign.isolation import wire
from modelsign.isolation.confinement import Bounds, Sandbox
from modelsign.isolation.preparing import prepare, prepare_patterns, scan_data
from modelsign.isolation.workers import Served, results
from scanners.containers.zip_records import LOCAL_MAGIC
from scanners.engine import ScannedFile, scan_blob
from scanners.findings import Confidence, Coverage, FileReport, Finding, Location, Verdict
from scanners.limits import Limits
from scanners.reader import FileReader
from scanners.reading import FileFacts
from scanners.records import dataclass
from scanners.registry import TREE_FACTS
from scanners.rules.file.coverage import READER_CRASHED

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")
"""what files begin with that are compressed from their beginning on: gzip, bzip2, xz, 7z, Zstandard, LZ4"""
_FEW = 8
"""files that are scanned without compiling the regular expressions of all others first"""
_QUIET = frozenset({Verdict.CLEAN, Verdict.UNSUPPORTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to scan."""

    path: str
    """relative to the target, with forward slashes"""
    descriptor: int
    """open for reading; its opener closes it, once the result of this job is there"""
    size: int
    sha256: str | None = None
    """for the report, where the caller has computed it"""


def scan_files(
    jobs: Iterable[Job],
    *,
    limits: Limits | None = None,
    sandbox: Sandbox = Sandbox.AUTO,
    bounds: Bounds | None = None,
    workers: int | None = None,
    every_fact: bool = False,
) -> Iterator[ScannedFile]:
    """Scan the files of one target and yield what each came to, in order. Never raises for what a file contains.

    Args:
        jobs: taken as workers become free, up to some hundred ahead of the results. Files of different targets
            belong in different calls, so that no worker serves two of them.
        limits: what the scan of one file may cost, in counts.
        sandbox: which layers of isolation to ask for.
        bounds: what one worker may use up; what ends there is reported as `error`.
        workers: how many at once; as many as there are processors by default.
        every_fact: whether to hand on all that was seen, not only what rules about neighbours read. A checkpoint
            states one fact a tensor, which takes as long to tell as to find.

    Raises:
        UsageError: the sandbox is required and this machine lacks a layer.
    """
    prepare(scan_data())
    bounds = bounds or Bounds()
    return results(
        _Scan(limits, bounds.answer, every_fact=every_fact),
        _counted(jobs),
        sandbox=sandbox,
        bounds=bounds,
        workers=workers,
    )


def _counted(jobs: Iterable[Job]) -> Iterator[Job]:
    """Hand the jobs on; where they turn out to be many, prepare for that."""
    for count, job in enumerate(jobs):
        if count == _FEW:
            prepare_patterns()
        yield job


class _Scan:
    """The work, as `workers.Work`."""

    def __init__(self, limits: Limits | None, room: int, *, every_fact: bool) -> None:
        self._limits = limits
        self._room = room
        self._every_fact = every_fact

    def descriptor(self, task: Job) -> int:
        return task.descriptor

    def size(self, task: Job) -> int:
        return task.size

    def group(self, task: Job) -> str | None:
        """Let files of one directory share a worker, but those that need more than Python at first sight.

        The worker notices the others (`sharing`); this saves beginning with them twice.
        """
        try:
            head = os.pread(task.descriptor, 10, 0)
        except OSError:
            return None
        deflated = head.startswith(LOCAL_MAGIC) and head[8:10] not in {b"", b"\0\0"}
        if deflated or head.startswith(_COMPRESSED) or task.path.endswith((".py", ".npy")):
            return None
        return task.path.rpartition("/")[0]

    def serve(self, task: Job) -> Served:
        scanned = scan_blob(FileReader(task.descriptor, task.size), task.path, limits=self._limits)
        if not self._every_fact:
            kept = tuple([fact for fact in scanned.facts.facts if type(fact) in TREE_FACTS])
            scanned = replace(scanned, facts=replace(scanned.facts, facts=kept))
        answer = wire.encode(scanned)
        # Half of the room, because one batch shares it and because of what frames the answer.
        if len(answer) > self._room // 2:
            scanned = _without_facts(scanned, len(answer))
            answer = wire.encode(scanned)
        return Served(answer, quiet=self.quiet(scanned))

    def quiet(self, result: ScannedFile) -> bool:
        return result.report.verdict in _QUIET

    def read(self, task: Job, answer: bytes) -> ScannedFile:
        return wire.decode(answer, path=task.path, size=task.size, sha256=task.sha256)

    def refused(self, task: Job, kind: str, message: str) -> ScannedFile:
        return _error(task, f"the scan failed with {kind}: {message}")

    def failed(self, task: Job, reason: str) -> ScannedFile:
        return _error(task, f"the worker that scanned the file failed: {reason}")


def _without_facts(scanned: ScannedFile, size: int) -> ScannedFile:
    """Return the report alone: so many facts that rules about neighbours will not see them, which is not clean."""
    report = scanned.report
    reason = f"what was seen takes {size} bytes to tell, which is too much for the rules about neighbouring files"
    coverage = replace(report.coverage, reasons=tuple(sorted((*report.coverage.reasons, reason))))
    verdict = report.verdict if report.verdict.rank > Verdict.INCOMPLETE.rank else Verdict.INCOMPLETE
    return ScannedFile(
        report=replace(report, coverage=coverage, verdict=verdict), facts=replace(scanned.facts, facts=())
    )


def _error(job: Job, reason: str) -> ScannedFile:
    finding = Finding(
        rule=READER_CRASHED,
        file=job.path,
        location=Location(),
        severity=READER_CRASHED.severity,
        confidence=Confidence.HIGH,
        message=reason,
    )
    report = FileReport(
        path=job.path,
        size=job.size,
        sha256=job.sha256,
        formats=(),
        verdict=Verdict.ERROR,
        coverage=Coverage(unread=job.size, reasons=(reason,)),
        findings=(finding,),
    )
    return ScannedFile(report=report, facts=FileFacts(path=job.path, formats=(), facts=()))
