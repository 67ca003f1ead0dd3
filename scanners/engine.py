"""One file in, one report out: detect, read, descend, judge, account.

The engine never raises for what a file contains. It reads a blob in every format that a loader would take it for,
follows children within the depth budget, turns whatever a reader could not do into a fact (and so into a finding), and
adds up where the bytes went: parsed, inert, unread. What was not analysed is never clean.
"""

from collections.abc import Iterable, Iterator
from dataclasses import field, replace

from scanners import detect, registry
from scanners.containers import zip as zip_container
from scanners.containers.unpacking import Unpacked
from scanners.containers.zip_records import LOCAL_MAGIC
from scanners.errors import FormatError, LimitExceeded, ScanError
from scanners.facts import Anomaly, Fact, Identified, Tensor
from scanners.findings import (
    Confidence,
    Coverage,
    FileReport,
    Finding,
    Location,
    Report,
    Verdict,
    verdict_of,
)
from scanners.knowledge import RULESET
from scanners.limits import Budget, Limits
from scanners.neighbours import raw_weights
from scanners.reader import BytesReader, FileReader, Reader, Window
from scanners.reading import INERT, Blob, FileFacts, Format, Reading
from scanners.records import dataclass
from scanners.rules.file.coverage import READER_CRASHED, UNSUPPORTED_CONSTRUCT

_SMALL = 1 << 19
"""bytes up to which a blob is read at once"""
_REASONS = 20
"""reasons listed one by one"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFile:
    """What one file came to, and the facts that rules about neighbours need."""

    report: FileReport
    facts: FileFacts


def scan_blob(reader: Reader, path: str, *, limits: Limits | None = None, sha256: str | None = None) -> ScannedFile:
    """Scan one file. Never raises for what the file contains.

    Args:
        reader: its bytes.
        path: relative to the target, with forward slashes.
        limits: what the scan may cost.
        sha256: the digest to put into the report, where the caller has computed it.
    """
    scan = _Scan(Budget(limits=limits or Limits(), input_bytes=reader.size))
    root = _Frame(parent=None, span=(0, reader.size))
    scan.run(Blob(reader=reader, name=path.rsplit("/", 1)[-1]), root)
    parsed, inert, unread = scan.account(root, reader.size)
    coverage = Coverage(parsed=parsed, inert=inert, unread=unread, reasons=scan.listed_reasons(unread))
    tensors = len({fact.name for fact in scan.facts if isinstance(fact, Tensor)})
    facts = FileFacts(path=path, formats=scan.formats(), facts=tuple(scan.facts), tensors=tensors)
    findings = tuple(sorted(scan.judge(facts), key=_order))
    verdict = verdict_of(findings, complete=coverage.complete, crashed=scan.crashed, known=scan.known)
    report = FileReport(
        path=path,
        size=reader.size,
        formats=facts.formats,
        verdict=verdict,
        coverage=coverage,
        findings=findings,
        sha256=sha256,
    )
    return ScannedFile(report=report, facts=facts)


def finish(target: str, scanned: Iterable[ScannedFile], *, tool_version: str) -> Report:
    """Apply the rules about neighbours and fold all files of a target into its report."""
    files = sorted(scanned, key=lambda file: file.report.path)
    facts = [file.facts for file in files]
    raw = raw_weights(facts)
    reports = {file.report.path: _explained(file) if file.report.path in raw else file.report for file in files}
    for module in registry.TREE_RULES:
        for finding in _judged(module.__name__, module.judge(facts), target):
            report = reports.get(finding.file, files[0].report if files else None)
            if report is not None:
                reports[report.path] = _with_finding(reports[report.path], finding)
    return Report(
        target=target,
        tool_version=tool_version,
        ruleset=RULESET,
        files=tuple(reports[file.report.path] for file in files),
    )


def _explained(file: ScannedFile) -> FileReport:
    """Return the report of a file that a neighbour uses as raw weights, if nothing but its form was unknown."""
    report = file.report
    unknown = [fact for fact in file.facts.facts if isinstance(fact, Anomaly) and fact.code == "no-reader"]
    if len(unknown) != len(file.facts.facts) or not all(
        fact.message.startswith("named like a model") for fact in unknown
    ):
        return report
    return replace(
        report, formats=("raw-weights",), verdict=Verdict.CLEAN, coverage=Coverage(inert=report.size), findings=()
    )


def _with_finding(report: FileReport, finding: Finding) -> FileReport:
    crashed = finding.rule is READER_CRASHED
    alone = verdict_of([finding], complete=True, crashed=crashed, known=report.verdict is not Verdict.UNSUPPORTED)
    coverage = report.coverage
    if finding.rule is UNSUPPORTED_CONSTRUCT:
        # Only the neighbours show that something of this file was not read.
        alone = Verdict.INCOMPLETE
        coverage = replace(coverage, reasons=tuple(sorted({*coverage.reasons, finding.message})))
    verdict = max(report.verdict, alone, key=lambda one: one.rank)
    findings = tuple(sorted((*report.findings, finding), key=_order))
    return replace(report, findings=findings, verdict=verdict, coverage=coverage)


def _order(finding: Finding) -> tuple[int, str, tuple[str, ...], int, str, str]:
    """Worst first, then by rule and place: the order of findings in every report."""
    location = finding.location
    return (
        -finding.severity.rank,
        finding.rule.id,
        location.members,
        -1 if location.offset is None else location.offset,
        finding.message,
        finding.evidence,
    )


def _judged(rules: str, findings: Iterator[Finding], path: str) -> Iterator[Finding]:
    """Yield what a rule finds, and a finding about the rule itself where it fails."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001 - one of the two borders, as the next line says
        # One of the two borders: a bug in one rule must not hide what the others found, nor pass for clean.
        _log(f"the rules in {rules}", error)
        yield Finding(
            rule=READER_CRASHED,
            file=path,
            location=Location(),
            severity=READER_CRASHED.severity,
            confidence=Confidence.HIGH,
            message=f"the rules in {rules} failed with {type(error).__name__}; the file was not judged completely",
        )


def _log(what: str, error: Exception) -> None:
    """Keep the traceback of a bug of ours for those who look for it."""
    import logging  # takes longer than the scan of a small file, and is seldom needed

    logging.getLogger(__name__).debug("%s failed", what, exc_info=error)


@dataclass(slots=True)
class _Frame:
    """A stretch of bytes in which ranges are collected: the file, or one compressed blob inside it.

    A stored child lies in its parent's bytes as it is, so it writes into its parent's frame at an offset. A compressed
    one has bytes of its own; folded up, its whole span counts as what became of it.
    """

    parent: "_Frame | None"
    span: tuple[int, int]
    size: int = 0
    broken: bool = False
    """whether unpacking ended before the end"""
    parsed: list[tuple[int, int]] = field(default_factory=list)
    inert: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Scan:
    """The work on one file."""

    budget: Budget
    facts: list[Fact] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    identified: list[str] = field(default_factory=list)
    frames: list[_Frame] = field(default_factory=list)
    crashed: bool = False
    known: bool = False

    def run(self, blob: Blob, root: _Frame) -> None:
        """Read the blob and everything inside it, depth first and in order."""
        work: list[tuple[Blob, _Frame, int, bool]] = [(blob, root, 0, False)]
        while work:
            blob, frame, base, done = work.pop()
            if done:
                self.release(blob, frame)
                continue
            children = self.blob(blob, frame, base)
            if isinstance(blob.reader, Unpacked):
                work.append((blob, frame, base, True))
            for child in reversed(children):
                assert child.span is not None
                offset, length = child.span
                if child.stored:
                    work.append((child, frame, base + offset, False))
                else:
                    inner = _Frame(parent=frame, span=(base + offset, base + offset + length))
                    self.frames.append(inner)
                    work.append((child, inner, 0, False))

    def release(self, blob: Blob, frame: _Frame) -> None:
        """Let go of unpacked bytes once the children of a blob are done; say what ended unpacking early."""
        reader = blob.reader
        assert isinstance(reader, Unpacked)
        if reader.broken is not None:
            frame.broken = True
            self.failed(blob, reader.broken)
        reader.release()

    def blob(self, blob: Blob, frame: _Frame, base: int) -> list[Blob]:
        """Read one blob in all its formats; return its children."""
        children: list[Blob] = []
        try:
            size = blob.reader.size
            if base == 0 and frame.parent is not None:
                frame.size = size
            if INERT in blob.roles:
                frame.inert.append((base, base + size))
            elif blob.depth > self.budget.limits.depth:
                self.failed(
                    blob, LimitExceeded("depth", f"containers nested more than {self.budget.limits.depth} deep")
                )
            else:
                children = self.formats_of(blob, frame, base, size)
        except ScanError as error:
            self.failed(blob, error)
        except Exception as error:  # noqa: BLE001 - one of the two borders: whatever a parser trips over costs one blob
            # and is reported as an error, never as clean.
            self.broke(blob, "detection", error)
        return children

    def formats_of(self, blob: Blob, frame: _Frame, base: int, size: int) -> list[Blob]:
        children: list[Blob] = []
        taken = False
        blob = _at_hand(blob, size)
        for module in _zip_last(blob, detect.formats_of(blob, registry.FORMATS, registry.READ_BY) if size else ()):
            if children and _is_zip(module) and self.is_member(blob, children):
                continue
            reading = Reading(blob=blob, budget=self.budget)
            stopped = self.reading(module, blob, reading)
            # A format that looked closer and found nothing of its own (a zip that is no torch-zip) has not taken it.
            taken = taken or stopped or reading.touched
            frame.parsed += _moved(reading.parsed_ranges, base)
            frame.inert += _moved(reading.inert_ranges, base)
            self.reasons.update(self.placed(blob, why) for why in reading.reasons)
            self.facts += reading.facts
            children += reading.children
        self.known = self.known or taken
        if not taken:
            why = detect.why_unread(blob)
            if why is None:
                frame.inert.append((base, base + size))
            else:
                self.known = True
                code, message = why
                self.state(blob, code, message)
                self.reasons.add(self.placed(blob, message))
        return children

    def is_member(self, blob: Blob, children: list[Blob]) -> bool:
        """Return whether the zip archive at the end of a blob is one of the members already found."""
        members = [child.span for child in children if child.stored and child.span is not None]
        return bool(members) and zip_container.lies_within(blob, self.budget, members)

    def reading(self, module: Format, blob: Blob, reading: Reading) -> bool:
        """Let one format read, and turn what stops it into a fact; return whether something did."""
        stopped = True
        try:
            module.read(blob, reading)
            stopped = False
        except ScanError as error:
            self.failed(blob, error, module.NAME)
        except Exception as error:  # noqa: BLE001 - as above: the same border, around one format of several
            self.broke(blob, module.NAME, error)
        if not blob.members:
            self.identified += [fact.format for fact in reading.facts if isinstance(fact, Identified)]
        return stopped

    def failed(self, blob: Blob, error: ScanError, name: str = "") -> None:
        """Record that a reader stopped for a documented reason."""
        if isinstance(error, LimitExceeded):
            code = "limit-exceeded"
        elif isinstance(error, FormatError):
            code = "malformed"
        else:
            code = "unsupported-construct"
        offset = error.offset if isinstance(error, FormatError) else None
        prefix = f"{name}: " if name else ""
        self.state(blob, code, f"{prefix}{error}", offset)
        self.reasons.add(self.placed(blob, f"{prefix}{error}"))

    def broke(self, blob: Blob, name: str, error: Exception) -> None:
        """Record that a reader failed in a way nobody foresaw: a bug of ours."""
        _log(f"the {name} reader", error)
        self.crashed = True
        message = f"the {name} reader failed with {type(error).__name__}"
        self.state(blob, "reader-crashed", message)
        self.reasons.add(self.placed(blob, message))

    def state(self, blob: Blob, code: str, message: str, offset: int | None = None) -> None:
        # Not through the budget of facts: these facts say that something is missing.
        location = Location(members=blob.members, offset=offset)
        self.facts.append(Anomaly(location=location, code=code, message=message))

    @staticmethod
    def placed(blob: Blob, why: str) -> str:
        return f"{'/'.join(blob.members)}: {why}" if blob.members else why

    def formats(self) -> tuple[str, ...]:
        """Return the formats of the file itself, without the containers that only carry them."""
        carried = {registry.CARRIERS[name] for name in self.identified if name in registry.CARRIERS}
        return tuple(dict.fromkeys(name for name in self.identified if name not in carried))

    def account(self, root: _Frame, size: int) -> tuple[int, int, int]:
        """Fold the frames of compressed blobs into the file and count bytes parsed, inert and unread."""
        for frame in reversed(self.frames):
            parent = frame.parent
            assert parent is not None
            parsed, inert, unread = _counts(frame, frame.size)
            if unread or frame.broken:
                continue  # a compressed range counts as read only when all of what it holds was
            (parent.parsed if parsed or not inert else parent.inert).append(frame.span)
        return _counts(root, size)

    def listed_reasons(self, unread: int) -> tuple[str, ...]:
        """Return the reasons, sorted; a number instead of a list where there are very many."""
        reasons = sorted(self.reasons)
        if unread and not reasons:
            reasons = [f"{unread} bytes were read by no format"]
        if len(reasons) > _REASONS:
            reasons = [*reasons[:_REASONS], f"~ and {len(reasons) - _REASONS} more reasons"]
        return tuple(reasons)

    def judge(self, facts: FileFacts) -> Iterator[Finding]:
        """Apply every rule about one file."""
        others = facts
        if facts.tensors:
            others = replace(facts, facts=tuple([fact for fact in facts.facts if not isinstance(fact, Tensor)]))
        for module in registry.FILE_RULES:
            seen = facts if module in registry.TENSOR_RULES else others
            for finding in _judged(module.__name__, module.judge(seen), facts.path):
                self.crashed = self.crashed or finding.rule is READER_CRASHED
                yield finding


def _is_zip(module: Format) -> bool:
    return module.NAME == zip_container.NAME or registry.CARRIERS.get(module.NAME) == zip_container.NAME


def _zip_last(blob: Blob, modules: tuple[Format, ...]) -> tuple[Format, ...]:
    """Put the zip formats last where the blob does not begin as a zip: what is found from the end may be a member."""
    if not any(map(_is_zip, modules)) or blob.reader.read_at(0, 4) == LOCAL_MAGIC:
        return modules
    return tuple(sorted(modules, key=_is_zip))


def _at_hand(blob: Blob, size: int) -> Blob:
    """Return a small stored blob with its bytes in memory: every format looks at it."""
    if size > _SMALL or not isinstance(blob.reader, Window | FileReader):
        return blob
    reader = BytesReader(blob.reader.read_at(0, size))
    # Once for every member, and `dataclasses.replace` takes five times as long.
    return Blob(
        reader=reader,
        name=blob.name,
        members=blob.members,
        depth=blob.depth,
        span=blob.span,
        stored=blob.stored,
        roles=blob.roles,
        shared=blob.shared,
        around=blob.around,
        claims=blob.claims,
    )


def _moved(ranges: list[tuple[int, int]], base: int) -> list[tuple[int, int]]:
    return [(base + start, base + end) for start, end in ranges] if base else ranges


def _counts(frame: _Frame, size: int) -> tuple[int, int, int]:
    """Return how many of ``size`` bytes were parsed, were inert and not parsed, and neither."""
    parsed = _merged(frame.parsed, size)
    either = _merged(frame.parsed + frame.inert, size)
    return parsed, either - parsed, size - either


def _merged(ranges: list[tuple[int, int]], size: int) -> int:
    """Return how many bytes of ``[0, size)`` the ranges cover together."""
    total = 0
    reached = 0
    for start, end in sorted(ranges):
        low = start if start > reached else reached  # noqa: FURB136 - once a member, and `max` takes three times as long
        high = end if end < size else size  # noqa: FURB136 - as above
        if high > low:
            total += high - low
            reached = high
    return total
