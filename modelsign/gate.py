"""The gate: whether what a scan found lets a pipeline go on.

A report is the truth about a target and never changes. What a user has accepted (a baseline, a waiver) changes the
gate only, stays visible in every form of the report, and never reaches a malicious finding.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import Enum
from typing import assert_never

from scanners.findings import FileReport, Finding, Report, Severity, Verdict
from scanners.records import dataclass


class FailOn(Enum):
    """From which findings on the gate closes."""

    MALICIOUS = "malicious"
    SUSPICIOUS = "suspicious"
    ANY = "any"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Why a finding does not close the gate."""

    by: str
    """`baseline` or `waiver`"""
    reason: str
    owner: str | None = None
    expires: str | None = None
    """ISO date"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The findings that a user accepts, and what the user should know about the waivers."""

    by_fingerprint: Mapping[str, Acceptance] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a user lets pass."""

    fail_on: FailOn = FailOn.SUSPICIOUS
    allow_incomplete: bool = False
    accepted: Mapping[str, Acceptance] = field(default_factory=dict)
    """by fingerprint"""

    def stopped_by(self, report: Report) -> tuple[Finding, ...]:
        """Return the findings that close the gate."""
        return tuple(finding for file in report.files for finding in self.stopped_by_file(file))

    def stopped_by_file(self, file: FileReport) -> tuple[Finding, ...]:
        """Return the findings of one file that close the gate."""
        lowest = self._lowest()
        if lowest is None:
            return ()
        return tuple(
            finding for finding in file.findings if finding.severity >= lowest and self.acceptance_of(finding) is None
        )

    def misses(self, report: Report) -> bool:
        """Return whether the gate closes because something could not be analysed."""
        return not self.allow_incomplete and not report.complete

    def acceptance_of(self, finding: Finding) -> Acceptance | None:
        """Return why a finding is accepted. One that makes a file malicious never is."""
        return None if finding.severity >= Severity.HIGH else self.accepted.get(finding.fingerprint)

    def _lowest(self) -> Severity | None:
        match self.fail_on:
            case FailOn.MALICIOUS:
                return Severity.HIGH
            case FailOn.SUSPICIOUS:
                return Severity.MEDIUM
            case FailOn.ANY:
                return Severity.INFO
            case FailOn.NEVER:
                return None
            case _:
                assert_never(self.fail_on)


def verdict_over(reports: Iterable[Report]) -> Verdict:
    """Return the worst verdict of several reports."""
    return max((report.verdict for report in reports), key=lambda verdict: verdict.rank, default=Verdict.UNSUPPORTED)
