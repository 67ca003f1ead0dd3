"""The predicate `model-scan/v0.1`: what a scanner looked at in a model, and what it found.

A bare "pass" is no evidence. The predicate records what was evaluated (scanner, rule set, every file with its digest
and outcome, bytes nobody read), so that a verifier can tell a clean scan from a scan of something else or of a part.
Field names follow in-toto's `vulns` predicate where it has them (`scanner`, `metadata.scanFinishedOn`;
in-toto/attestation, spec/predicates/vulns_02.md). `ModelScan.parse` refuses predicates that contradict themselves:
`complete` beside unread bytes, `PASSED` beside a finding that does not pass.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Self, TypeVar

from attestations.errors import EnvelopeError
from attestations.predicates import fields
from attestations.records import dataclass
from attestations.strict_json import Json


class Result(Enum):
    """What the scan as a whole came to."""

    PASSED = "PASSED"
    """clean: nothing known to be dangerous, nothing left out"""
    WARNED = "WARNED"
    """suspicious, or not completely read"""
    FAILED = "FAILED"
    """malicious"""


class Outcome(Enum):
    """What one file came to, worst last (the scanner's verdicts)."""

    UNSUPPORTED = "unsupported"
    CLEAN = "clean"
    INCOMPLETE = "incomplete"
    ERROR = "error"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"


class Severity(Enum):
    """How bad a finding is if it is true, worst last."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Position in the order, 0 (info) to 4 (critical)."""
        return _SEVERITIES.index(self)


_SEVERITIES = tuple(Severity)
_Choice = TypeVar("_Choice", bound=Enum)
_INCOMPLETE = frozenset({Outcome.INCOMPLETE, Outcome.ERROR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """Who looked, and with which rules."""

    uri: str
    """package URL without a version: `pkg:pypi/modelsign-suite`"""
    version: str
    ruleset: str
    """CalVer of the rule set: `2026.11.0`"""
    ruleset_sha256: str
    """digest of everything that judges, so that two scanners of one version can be told apart"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedBytes:
    """Where the bytes of all files went."""

    files: int
    size: int
    parsed: int
    inert: int
    unread: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFile:
    """One file that was looked at."""

    name: str
    sha256: str
    outcome: Outcome
    analyzers: tuple[str, ...]
    """the formats it was read as"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFinding:
    """One finding, by rule and place. No evidence: that stays in the report, whose digest the predicate carries."""

    rule: str
    name: str
    severity: Severity
    confidence: str
    file: str
    members: tuple[str, ...]
    offset: int | None
    message: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScan:
    """The content of a `model-scan/v0.1` predicate."""

    scanner: Scanner
    result: Result
    complete: bool
    coverage: ScannedBytes
    files: tuple[ScannedFile, ...]
    findings: tuple[ScanFinding, ...]
    started: datetime
    finished: datetime
    report_name: str
    """what the report calls its target; a report made again under that name has the same digest"""
    report_media_type: str
    report_sha256: str

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding, None where there is none."""
        return max((finding.severity for finding in self.findings), key=lambda one: one.rank, default=None)

    def to_predicate(self) -> dict[str, Json]:
        """Return the predicate as JSON values, files and findings in a fixed order."""
        return {
            "scanner": {
                "uri": self.scanner.uri,
                "version": self.scanner.version,
                "ruleset": {"version": self.scanner.ruleset, "digest": {"sha256": self.scanner.ruleset_sha256}},
            },
            "result": self.result.value,
            "complete": self.complete,
            "coverage": {
                "files": self.coverage.files,
                "bytes": self.coverage.size,
                "parsed": self.coverage.parsed,
                "inert": self.coverage.inert,
                "unread": self.coverage.unread,
            },
            "files": [
                {
                    "name": file.name,
                    "digest": {"sha256": file.sha256},
                    "outcome": file.outcome.value,
                    "analyzers": list(file.analyzers),
                }
                for file in sorted(self.files, key=lambda file: file.name)
            ],
            "findings": [_finding_json(finding) for finding in sorted(self.findings, key=_place)],
            "metadata": {
                "scanStartedOn": fields.rfc3339(self.started),
                "scanFinishedOn": fields.rfc3339(self.finished),
            },
            "report": {
                "name": self.report_name,
                "mediaType": self.report_media_type,
                "digest": {"sha256": self.report_sha256},
            },
        }

    @classmethod
    def parse(cls, predicate: Mapping[str, Json]) -> Self:
        """Read a predicate; fields we do not know are passed over, fields we know must be right and agree.

        Raises:
            EnvelopeError: a field is missing or mistyped, a file is named twice, or the predicate contradicts itself.
        """
        scanner = fields.member(predicate, "scanner", "predicate")
        ruleset = fields.member(scanner, "ruleset", "predicate.scanner")
        coverage = fields.member(predicate, "coverage", "predicate")
        metadata = fields.member(predicate, "metadata", "predicate")
        report = fields.member(predicate, "report", "predicate")
        scan = cls(
            scanner=Scanner(
                uri=fields.text(scanner, "uri", "predicate.scanner"),
                version=fields.text(scanner, "version", "predicate.scanner"),
                ruleset=fields.text(ruleset, "version", "predicate.scanner.ruleset"),
                ruleset_sha256=fields.sha256(ruleset, "digest", "predicate.scanner.ruleset"),
            ),
            result=_one_of(Result, predicate, "result", "predicate"),
            complete=fields.boolean(predicate, "complete", "predicate"),
            coverage=ScannedBytes(
                files=fields.count(coverage, "files", "predicate.coverage"),
                size=fields.count(coverage, "bytes", "predicate.coverage"),
                parsed=fields.count(coverage, "parsed", "predicate.coverage"),
                inert=fields.count(coverage, "inert", "predicate.coverage"),
                unread=fields.count(coverage, "unread", "predicate.coverage"),
            ),
            files=tuple(
                _parse_file(value, f"predicate.files[{index}]")
                for index, value in enumerate(fields.sequence(predicate, "files", "predicate"))
            ),
            findings=tuple(
                _parse_finding(value, f"predicate.findings[{index}]")
                for index, value in enumerate(fields.sequence(predicate, "findings", "predicate"))
            ),
            started=fields.time(metadata, "scanStartedOn", "predicate.metadata"),
            finished=fields.time(metadata, "scanFinishedOn", "predicate.metadata"),
            report_name=fields.text(report, "name", "predicate.report"),
            report_media_type=fields.text(report, "mediaType", "predicate.report"),
            report_sha256=fields.sha256(report, "digest", "predicate.report"),
        )
        scan._refuse_contradictions()
        return scan

    def _refuse_contradictions(self) -> None:
        if len({file.name for file in self.files}) != len(self.files):
            raise EnvelopeError("predicate.files: a file is named twice")
        if self.coverage.files != len(self.files):
            raise EnvelopeError(
                f"predicate.coverage.files says {self.coverage.files}, but {len(self.files)} are listed"
            )
        left_out = self.coverage.unread or any(file.outcome in _INCOMPLETE for file in self.files)
        if self.complete and left_out:
            raise EnvelopeError("predicate.complete is true, but files or bytes were left out")
        worst = self.worst
        serious = worst is not None and worst.rank >= Severity.MEDIUM.rank
        doubtful = any(file.outcome in {Outcome.SUSPICIOUS, Outcome.MALICIOUS} for file in self.files)
        if self.result is Result.PASSED and (not self.complete or serious or doubtful):
            raise EnvelopeError("predicate.result is PASSED, but the scan was incomplete or found something")
        if self.finished < self.started:
            raise EnvelopeError("predicate.metadata: the scan finished before it started")


def _parse_file(value: Json, where: str) -> ScannedFile:
    file = fields.mapping(value, where)
    return ScannedFile(
        name=fields.text(file, "name", where),
        sha256=fields.sha256(file, "digest", where),
        outcome=_one_of(Outcome, file, "outcome", where),
        analyzers=fields.texts(file, "analyzers", where),
    )


def _parse_finding(value: Json, where: str) -> ScanFinding:
    finding = fields.mapping(value, where)
    return ScanFinding(
        rule=fields.text(finding, "rule", where),
        name=fields.text(finding, "name", where),
        severity=_one_of(Severity, finding, "severity", where),
        confidence=fields.text(finding, "confidence", where),
        file=fields.text(finding, "file", where),
        members=fields.texts(finding, "members", where),
        offset=fields.optional_count(finding, "offset", where),
        message=fields.text(finding, "message", where),
        fingerprint=fields.text(finding, "fingerprint", where),
    )


def _finding_json(finding: ScanFinding) -> dict[str, Json]:
    return {
        "rule": finding.rule,
        "name": finding.name,
        "severity": finding.severity.value,
        "confidence": finding.confidence,
        "file": finding.file,
        "members": list(finding.members),
        "offset": finding.offset,
        "message": finding.message,
        "fingerprint": finding.fingerprint,
    }


def _place(finding: ScanFinding) -> tuple[str, tuple[str, ...], int, str, str]:
    offset = -1 if finding.offset is None else finding.offset
    return (finding.file, finding.members, offset, finding.rule, finding.fingerprint)


def _one_of(kind: type[_Choice], parent: Mapping[str, Json], key: str, where: str) -> _Choice:
    value = fields.text(parent, key, where)
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(str(member.value) for member in kind)
        raise EnvelopeError(f"{where}.{key}: {value!r} is none of {allowed}") from None
