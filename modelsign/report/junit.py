"""JUnit's XML, so that a build server shows a scan as a test run: one test case per file.

What closes the gate is a failure, what could not be analysed an error, and a file that no loader reads is skipped.
"""

from collections.abc import Iterator

from modelsign.escape import markup, plain
from modelsign.report import Result
from modelsign.report.human import place_of, said_of
from scanners.findings import FileReport, Finding, Report, Verdict


def write(result: Result, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> str:
    """Return one test suite per target."""
    del color, quiet, verbose
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites name="modelsign scan">']
    for report in result.reports:
        lines += _suite(report, result)
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _suite(report: Report, result: Result) -> Iterator[str]:
    cases = [_Case(file, report, result) for file in report.files]
    yield (
        f'  <testsuite name="{markup(report.target)}" tests="{len(cases)}"'
        f' failures="{sum(case.failed for case in cases)}"'
        f' errors="{sum(case.missed for case in cases)}"'
        f' skipped="{sum(case.skipped for case in cases)}">'
    )
    yield "    <properties>"
    for name, value in (
        ("modelsign.version", report.tool_version),
        ("modelsign.ruleset", report.ruleset),
        ("verdict", report.verdict.value),
        ("complete", str(report.complete).lower()),
    ):
        yield f'      <property name="{name}" value="{markup(value)}"/>'
    yield "    </properties>"
    for case in cases:
        yield from case.lines()
    yield "  </testsuite>"


class _Case:
    """One file as a test case."""

    def __init__(self, file: FileReport, report: Report, result: Result) -> None:
        self._file = file
        self._target = report.target
        self._gate = result.gate
        self._stopping = result.gate.stopped_by_file(file)
        self.failed = bool(self._stopping)
        complete = file.coverage.complete and file.verdict is not Verdict.ERROR
        self.missed = not self.failed and not complete and not result.gate.allow_incomplete
        self.skipped = not self.failed and not self.missed and file.verdict is Verdict.UNSUPPORTED

    def lines(self) -> Iterator[str]:
        """Yield the element, line by line."""
        name = f'classname="{markup(self._target)}" name="{markup(self._file.path)}"'
        inner = [*self._outcome(), *self._notes()]
        if not inner:
            yield f"    <testcase {name}/>"
            return
        yield f"    <testcase {name}>"
        yield from inner
        yield "    </testcase>"

    def _outcome(self) -> Iterator[str]:
        if self.failed:
            worst = self._stopping[0]
            message = f"{worst.rule.id} {worst.rule.name}: {worst.message}"
            yield f'      <failure type="{self._file.verdict.value}" message="{markup(message)}">'
            yield from (f"{markup(line)}" for finding in self._stopping for line in _told(finding))
            yield "      </failure>"
        elif self.missed:
            reasons = self._file.coverage.reasons
            yield f'      <error type="{self._file.verdict.value}" message="{markup("; ".join(reasons))}"/>'
        elif self.skipped:
            yield '      <skipped message="no model loader reads it"/>'

    def _notes(self) -> Iterator[str]:
        others = [finding for finding in self._file.findings if finding not in self._stopping]
        reasons = () if self.missed else self._file.coverage.reasons
        if not others and not reasons:
            return
        yield "      <system-out>"
        for finding in others:
            acceptance = self._gate.acceptance_of(finding)
            yield from (markup(line) for line in _told(finding))
            if acceptance is not None:
                yield markup(f"  accepted by {said_of(acceptance)}")
        yield from (markup(f"not analysed: {reason}") for reason in reasons)
        yield "      </system-out>"


def _told(finding: Finding) -> Iterator[str]:
    yield f"{finding.severity.value} {finding.rule.id} {finding.rule.name}: {plain(finding.message)}"
    if finding.evidence:
        yield f"  does   {plain(finding.evidence)}"
    yield f"  where  {place_of(finding)}"
    yield f"  fix    {plain(finding.rule.fix)}"
