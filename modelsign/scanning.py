"""Scan a target: every file of it, in one pass, into one report."""

import os
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelsign.errors import NothingToDo, SourceError
from modelsign.isolation import Job, Sandbox, scan_files
from modelsign.sources import Entry, Links, Source, source_of
from modelsign.version import __version__
from scanners import engine
from scanners.facts import Anomaly
from scanners.findings import Coverage, FileReport, Location, Report, Verdict
from scanners.limits import Limits
from scanners.reading import FileFacts
from scanners.rules.file import left_out

if TYPE_CHECKING:
    from modelsign.ignoring import Ignore

Progress = Callable[[int], None]
"""Called with the number of further bytes that are done."""

_CHUNK = 1 << 20


class ScanInterrupted(KeyboardInterrupt):
    """The scan was interrupted; ``report`` holds what was done, and the rest as left out. The cause is chained."""

    def __init__(self, report: Report) -> None:
        super().__init__("the scan was interrupted")
        self.report = report


def scan(
    target: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    digest: bool = False,
    links: Links = Links.REPORT,
    ignore: "Ignore | None" = None,
    sandbox: Sandbox = Sandbox.AUTO,
    jobs: int | None = None,
    opened: Callable[[str, os.stat_result], None] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Scan a file or a directory for anything that executes or deceives. Nothing of it is executed.

    Args:
        target: a path, or `-` for standard input.
        limits: what the scan of one file may cost.
        digest: whether to compute the SHA-256 of every file (it reads every byte; scanning alone seldom does).
        links: what becomes of symbolic links that leave the target.
        ignore: files to leave out; each one makes the report incomplete.
        sandbox: which layers of isolation the parsing workers get.
        jobs: how many workers at once; as many as there are processors by default.
        opened: told of each file that was opened; what it raises ends the scan.
        progress: called with the number of further bytes that are done.

    Returns:
        The report: verdicts, findings and coverage per file, sorted by path.

    Raises:
        SourceError: the target does not exist or cannot be read.
        NothingToDo: the target holds no file.
        UsageError: the sandbox is required and this machine lacks a layer.
        ScanInterrupted: on a keyboard interrupt or a termination; it carries the partial report.
    """
    source = source_of(target, links=links)
    entries = source.entries()
    if not entries:
        raise NothingToDo(f"{os.fspath(target)}: there is no file in it")
    files = _Opened(source, entries, ignore=ignore, opened=opened)
    done = []
    try:
        for scanned in scan_files(files.jobs(), limits=limits, sandbox=sandbox, workers=jobs):
            file = files.finish(scanned, digest=digest)
            done.append(file)
            if progress is not None:
                progress(file.report.size)
    except (KeyboardInterrupt, SystemExit) as error:
        rest = files.rest({file.report.path for file in done})
        report = engine.finish(source.name, [*done, *rest], tool_version=__version__)
        raise ScanInterrupted(report) from error
    finally:
        files.close()
    return engine.finish(source.name, [*done, *files.others], tool_version=__version__)


def size_of(target: str | os.PathLike[str], *, links: Links = Links.REPORT) -> int:
    """Return how many bytes a scan of ``target`` will pass: the total for a progress bar."""
    return sum(entry.size for entry in source_of(target, links=links).entries())


class _Opened:
    """The files of a target on their way through the workers: opened when one is free, closed when its result is in."""

    def __init__(
        self,
        source: Source,
        entries: Sequence[Entry],
        *,
        ignore: "Ignore | None",
        opened: Callable[[str, os.stat_result], None] | None,
    ) -> None:
        self._source = source
        self._opened = opened
        self._entries = entries
        self._ignore = ignore
        self._waiting: deque[tuple[Entry, int, os.stat_result]] = deque()
        self.others: list[engine.ScannedFile] = []
        """what was not given to a worker"""

    def jobs(self) -> Iterator[Job]:
        """Open file after file; what cannot or shall not be opened goes to `others`."""
        for entry in self._entries:
            pattern = self._ignore.pattern_for(entry.path) if self._ignore else None
            if pattern is not None:
                self.others.append(not_opened(entry, f"left out by the ignore pattern {pattern!r}"))
            elif entry.why_not is not None:
                self.others.append(not_opened(entry, entry.why_not))
            elif entry.is_directory:
                self.others.append(_link_to_directory(entry))
            else:
                try:
                    descriptor = self._source.open(entry)
                except OSError as error:
                    if self._source.is_file:
                        raise SourceError(f"{entry.path}: cannot be opened: {error.strerror}") from error
                    self.others.append(not_opened(entry, f"cannot be opened: {error.strerror}"))
                    continue
                status = os.fstat(descriptor)
                self._waiting.append((entry, descriptor, status))
                if self._opened is not None:
                    self._opened(entry.path, status)
                yield Job(path=entry.path, descriptor=descriptor, size=status.st_size)

    def finish(self, scanned: engine.ScannedFile, *, digest: bool) -> engine.ScannedFile:
        """Close the file that a result is about, and say so where it is no longer the file that was opened."""
        entry, descriptor, before = self._waiting.popleft()
        try:
            sha256 = sha256_of(descriptor) if digest else None
            changed = _identity(os.fstat(descriptor)) != _identity(before)
        except OSError as error:
            return not_opened(entry, f"cannot be read: {error.strerror}")
        finally:
            os.close(descriptor)
        if changed:
            return not_opened(entry, "the file changed while it was read")
        scanned = replace(scanned, report=replace(scanned.report, sha256=sha256))
        if entry.link is not None:
            return _with_fact(scanned, "symbolic-link", f"a symbolic link to {entry.link!r}, read as the file it names")
        return scanned

    def rest(self, done: Container[str]) -> list[engine.ScannedFile]:
        """Return every entry that is not done as one that was not opened."""
        return [
            not_opened(entry, entry.why_not or "the scan was interrupted before this file")
            for entry in self._entries
            if entry.path not in done
        ]

    def close(self) -> None:
        """Close what an error left open."""
        while self._waiting:
            os.close(self._waiting.popleft()[1])


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def sha256_of(descriptor: int) -> str:
    """Return the SHA-256 of a file as plain hex."""
    import hashlib  # loads OpenSSL, which a scan without digests does not need

    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    position = 0
    while length := os.preadv(descriptor, [buffer], position):
        digest.update(view[:length])
        position += length
    return digest.hexdigest()


def not_opened(entry: Entry, why: str) -> engine.ScannedFile:
    """Return what a file comes to that nobody looked into: incomplete, with the reason."""
    coverage = Coverage(unread=entry.size, reasons=(why,))
    report = FileReport(path=entry.path, size=entry.size, formats=(), verdict=Verdict.INCOMPLETE, coverage=coverage)
    facts = FileFacts(path=entry.path, formats=(), facts=())
    return _with_fact(engine.ScannedFile(report=report, facts=facts), "left-out", why)


def _link_to_directory(entry: Entry) -> engine.ScannedFile:
    report = FileReport(path=entry.path, size=0, formats=(), verdict=Verdict.UNSUPPORTED, coverage=Coverage())
    facts = FileFacts(path=entry.path, formats=(), facts=())
    return _with_fact(
        engine.ScannedFile(report=report, facts=facts),
        "symbolic-link",
        f"a symbolic link to the directory {entry.link!r}, whose files are read under their own names",
    )


def _with_fact(scanned: engine.ScannedFile, code: str, message: str) -> engine.ScannedFile:
    """Add what the walk over the target saw, and what its rule says about that."""
    fact = Anomaly(location=Location(), code=code, message=message)
    facts = replace(scanned.facts, facts=(*scanned.facts.facts, fact))
    findings = tuple(left_out.judge(replace(facts, facts=(fact,))))
    return engine.ScannedFile(
        report=replace(scanned.report, findings=(*scanned.report.findings, *findings)), facts=facts
    )
