"""Markdown, for a pull request or a job summary. Everything an attacker controls is escaped or in a code span."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from modelsign.escape import code_span, markdown
from modelsign.report import Result
from modelsign.report.human import ADVICE, content_of, place_of, said_of, size_of
from scanners.findings import FileReport, Finding, Report, Severity, Verdict


def write(result: Result, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> str:
    """Return a section per target."""
    del color, quiet, verbose
    lines = [line for report in result.reports for line in _section(report, result)]
    lines += [line for notice in result.notices for line in (f"> {markdown(notice)}", "")]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(report: Report, result: Result) -> Iterator[str]:
    yield f"## modelsign: {markdown(report.target)} is {report.verdict.value}"
    yield ""
    yield f"{ADVICE[report.verdict].capitalize()}. It holds {markdown(content_of(report.files))}."
    yield ""
    judged = [file for file in report.files if file.findings or file.coverage.reasons]
    if judged:
        yield "| file | verdict | formats | size |"
        yield "|---|---|---|---|"
        for file in judged:
            formats = ", ".join(map(markdown, file.formats)) or "-"
            yield f"| {markdown(file.path)} | {file.verdict.value} | {formats} | {size_of(file.size)} |"
        yield ""
    for file in judged:
        yield from _file(file, result)
    yield f"modelsign {markdown(report.tool_version)}, rules {markdown(report.ruleset)}"
    yield ""


def _file(file: FileReport, result: Result) -> Iterator[str]:
    yield f"### {markdown(file.path)}"
    yield ""
    ordered = sorted(file.findings, key=lambda finding: finding.severity < Severity.MEDIUM)
    for _, group in groupby(ordered, key=lambda finding: finding.rule.id):
        yield from _group(list(group), result)
    yield from (f"- not analysed: {markdown(reason)}" for reason in file.coverage.reasons)
    if file.verdict is Verdict.ERROR and not file.coverage.reasons:
        yield "- not analysed"
    yield ""


def _group(findings: Sequence[Finding], result: Result) -> Iterator[str]:
    rule = findings[0].rule
    yield (
        f"- **{findings[0].severity.value}** [{rule.id}]({rule.url}) {markdown(rule.name)}: {markdown(rule.summary)}. "
        f"*{markdown(rule.fix)}*"
    )
    for finding in findings:
        evidence = f"{code_span(finding.evidence)} " if finding.evidence else ""
        yield f"  - {evidence}in {code_span(place_of(finding))}: {markdown(finding.message)}"
        acceptance = result.gate.acceptance_of(finding)
        if acceptance is not None:
            yield f"    - accepted by {markdown(said_of(acceptance))}"
