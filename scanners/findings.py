"""The verdicts of a scan and everything that leads to them: rules, findings, file reports, the report.

Values only: frozen, keyword-only, no I/O. Text that an attacker controls (paths, evidence, messages) is raw here;
the report writers escape it.
"""

from collections.abc import Iterable
from enum import Enum

from scanners.records import dataclass
from scanners.uris import RULE_PAGES


class Severity(Enum):
    """How bad it is if the finding is true. Ordered: `Severity.HIGH > Severity.MEDIUM`."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Position in the order, 0 (info) to 4 (critical)."""
        return _SEVERITIES.index(self)

    def __lt__(self, other: "Severity") -> bool:
        return self.rank < other.rank

    def __gt__(self, other: "Severity") -> bool:
        return self.rank > other.rank

    def __le__(self, other: "Severity") -> bool:
        return self.rank <= other.rank

    def __ge__(self, other: "Severity") -> bool:
        return self.rank >= other.rank


_SEVERITIES = tuple(Severity)


class Confidence(Enum):
    """How sure the rule is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Verdict(Enum):
    """What a file or a report comes to, worst last; `UNSUPPORTED` does not count in a report."""

    UNSUPPORTED = "unsupported"
    CLEAN = "clean"
    INCOMPLETE = "incomplete"
    ERROR = "error"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"

    @property
    def rank(self) -> int:
        """Position in the order of declaration."""
        return _VERDICTS.index(self)


_VERDICTS = tuple(Verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind of danger. The id is never reused; the name names the bad thing, so that "allow <name>" reads right."""

    id: str
    name: str
    severity: Severity
    """the usual severity; a finding may carry another one where the rule's page says so"""
    summary: str
    fix: str
    """the way out, one sentence"""
    cwe: str | None = None

    @property
    def url(self) -> str:
        """The page of the rule."""
        return f"{RULE_PAGES}/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place inside a file: member path through containers, then bytes of the innermost member."""

    members: tuple[str, ...] = ()
    offset: int | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that matched at a place."""

    rule: Rule
    file: str
    location: Location
    severity: Severity
    confidence: Confidence
    message: str
    evidence: str = ""
    """the call, operator or text, as a person would write it; capped at `EVIDENCE_LIMIT` characters"""

    @property
    def fingerprint(self) -> str:
        """Stable across moves of the payload inside its member: rule, file, members and evidence, not the offset."""
        import hashlib  # loads OpenSSL, which a clean scan does not need

        parts = (self.rule.id, self.file, *self.location.members, self.message, self.evidence)
        digest = hashlib.sha256()
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()[:32]


EVIDENCE_LIMIT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Where the bytes of a file went; the three counts add up to its size."""

    parsed: int = 0
    """interpreted by a reader"""
    inert: int = 0
    """weights and padding that no loader interprets"""
    unread: int = 0
    """bytes nobody looked at"""
    reasons: tuple[str, ...] = ()
    """why bytes stayed unread or a reading stopped early, sorted"""

    @property
    def complete(self) -> bool:
        """Whether every byte that a loader could interpret was parsed."""
        return not self.unread and not self.reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What one file came to."""

    path: str
    """relative to the target, POSIX, undecodable bytes as surrogates"""
    size: int
    formats: tuple[str, ...]
    verdict: Verdict
    coverage: Coverage
    findings: tuple[Finding, ...] = ()
    sha256: str | None = None
    """plain hex; None unless a digest was asked for"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a target came to."""

    target: str
    """the name of the target, without the directories above it"""
    tool_version: str
    ruleset: str
    files: tuple[FileReport, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in order of files."""
        return tuple(finding for file in self.files for finding in file.findings)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the files, `unsupported` not counted."""
        return max((file.verdict for file in self.files), key=lambda verdict: verdict.rank, default=Verdict.UNSUPPORTED)

    @property
    def complete(self) -> bool:
        """Whether nothing was left out: no error, no unread byte."""
        return all(file.coverage.complete and file.verdict is not Verdict.ERROR for file in self.files)


def verdict_of(findings: Iterable[Finding], *, complete: bool, crashed: bool, known: bool) -> Verdict:
    """Fold findings and coverage into the verdict of one file.

    Args:
        findings: all findings of the file.
        complete: whether the coverage is complete.
        crashed: whether a reader or a rule failed with an unexpected error.
        known: whether any loader would read the file (False for a README or an image).
    """
    worst = max((finding.severity for finding in findings), key=lambda severity: severity.rank, default=Severity.INFO)
    if worst >= Severity.HIGH:
        return Verdict.MALICIOUS
    if worst is Severity.MEDIUM:
        return Verdict.SUSPICIOUS
    if crashed:
        return Verdict.ERROR
    if not complete:
        return Verdict.INCOMPLETE
    return Verdict.CLEAN if known else Verdict.UNSUPPORTED
