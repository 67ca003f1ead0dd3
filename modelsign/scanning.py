"""Scan a target: every file of it, in one pass, into one report."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from modelsign.errors import NothingToDo
from modelsign.ignoring import Ignore
from modelsign.sources import Entry, Links, Source, source_of
from modelsign.version import __version__
from scanners import engine
from scanners.facts import Anomaly
from scanners.findings import Coverage, FileReport, Location, Report, Verdict
from scanners.limits import Limits
from scanners.reader import FileReader
from scanners.reading import FileFacts
from scanners.rules.file import left_out

Progress = Callable[[int], None]
"""Called with the number of further bytes that are done."""

_CHUNK = 1 << 20


def scan(
    target: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    digest: bool = False,
    links: Links = Links.REPORT,
    ignore: Ignore | None = None,
    progress: Progress | None = None,
) -> Report:
    """Scan a file or a directory for anything that executes or deceives. Nothing of it is executed.

    Args:
        target: a path, or `-` for standard input.
        limits: what the scan of one file may cost.
        digest: whether to compute the SHA-256 of every file (it reads every byte; scanning alone seldom does).
        links: what becomes of symbolic links that leave the target.
        ignore: files to leave out; each one makes the report incomplete.
        progress: called with the number of further bytes that are done.

    Returns:
        The report: verdicts, findings and coverage per file, sorted by path.

    Raises:
        SourceError: the target does not exist or cannot be read.
        NothingToDo: the target holds no file.
    """
    source = source_of(target, links=links)
    entries = source.entries()
    if not entries:
        raise NothingToDo(f"{os.fspath(target)}: there is no file in it")
    scanned = _scanned(source, entries, limits=limits, digest=digest, ignore=ignore, progress=progress)
    return engine.finish(source.name, scanned, tool_version=__version__)


def size_of(target: str | os.PathLike[str], *, links: Links = Links.REPORT) -> int:
    """Return how many bytes a scan of ``target`` will pass: the total for a progress bar."""
    return sum(entry.size for entry in source_of(target, links=links).entries())


def _scanned(
    source: Source,
    entries: Sequence[Entry],
    *,
    limits: Limits | None,
    digest: bool,
    ignore: Ignore | None,
    progress: Progress | None,
) -> Iterator[engine.ScannedFile]:
    for entry in entries:
        pattern = ignore.pattern_for(entry.path) if ignore else None
        if pattern is not None:
            yield not_opened(entry, f"left out by the ignore pattern {pattern!r}")
        elif entry.why_not is not None:
            yield not_opened(entry, entry.why_not)
        elif entry.is_directory:
            yield _link_to_directory(entry)
        else:
            yield _opened(source, entry, limits=limits, digest=digest)
        if progress is not None:
            progress(entry.size)


def _opened(source: Source, entry: Entry, *, limits: Limits | None, digest: bool) -> engine.ScannedFile:
    try:
        descriptor = source.open(entry)
    except OSError as error:
        return not_opened(entry, f"cannot be opened: {error.strerror}")
    try:
        before = os.fstat(descriptor)
        scanned = engine.scan_blob(
            FileReader(descriptor),
            entry.path,
            limits=limits,
            sha256=sha256_of(descriptor) if digest else None,
        )
        if _identity(os.fstat(descriptor)) != _identity(before):
            return not_opened(entry, "the file changed while it was read")
    except OSError as error:
        return not_opened(entry, f"cannot be read: {error.strerror}")
    finally:
        os.close(descriptor)
    if entry.link is not None:
        return _with_fact(scanned, "symbolic-link", f"a symbolic link to {entry.link!r}, read as the file it names")
    return scanned


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def sha256_of(descriptor: int) -> str:
    """Return the SHA-256 of a file as plain hex."""
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
