"""The report for a person: one line where all is well; what, where, why and the way out where it is not."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from modelsign.escape import plain
from modelsign.gate import Acceptance
from modelsign.report import Result
from scanners.findings import FileReport, Finding, Report, Severity, Verdict

_ALIKE = 3
"""files that could not be analysed for one reason, and are shown one by one"""
_PER_RULE = 4
"""findings of one rule in one file that are shown one by one"""

_COLORS = {
    Verdict.MALICIOUS: "red",
    Verdict.SUSPICIOUS: "yellow",
    Verdict.ERROR: "magenta",
    Verdict.INCOMPLETE: "magenta",
    Verdict.CLEAN: "green",
    Verdict.UNSUPPORTED: "cyan",
}
ADVICE = {
    Verdict.MALICIOUS: "do not load it",
    Verdict.SUSPICIOUS: "do not load it before somebody has looked at the findings",
    Verdict.ERROR: "it could not be judged",
    Verdict.INCOMPLETE: "a part of it could not be analysed",
    Verdict.CLEAN: "no known danger",
    Verdict.UNSUPPORTED: "nothing in it is read by a model loader",
}


def write(result: Result, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> str:
    """Return the report as text."""
    paint = _Paint(color)
    lines: list[str] = []
    for report in result.reports:
        block = list(_report(report, result, paint, verbose=verbose, quiet=quiet))
        if lines and block:
            lines.append("")
        lines += block
    lines += [f"note: {plain(notice)}" for notice in result.notices]
    return "".join(f"{line}\n" for line in lines)


class _Paint:
    """Colours where the terminal shows them."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, color: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
        return click.style(text, fg=color, bold=bold or None, dim=dim or None) if self._color else text


def _report(report: Report, result: Result, paint: _Paint, *, verbose: bool, quiet: bool) -> Iterator[str]:
    shown = [file for file in report.files if _needs_attention(file, verbose=verbose)]
    if not shown:
        if not quiet:
            yield _one_line(report, paint)
        return
    yield _title(report, paint)
    for _, alike in groupby(sorted(shown, key=_likeness), key=_likeness):
        files = list(alike)
        kept = files if verbose else files[:_ALIKE]
        for file in kept:
            yield ""
            yield from _file(file, result, paint, verbose=verbose)
        if len(files) > len(kept):
            yield f"and {len(files) - len(kept)} more files like these (-v shows them)"
    if quiet:
        return
    yield ""
    yield from _rest(report)


def _needs_attention(file: FileReport, *, verbose: bool) -> bool:
    return verbose or file.verdict not in {Verdict.CLEAN, Verdict.UNSUPPORTED}


def _likeness(file: FileReport) -> tuple[int, tuple[str, ...]]:
    """Return a key that is worst first, and the same for files that failed to be analysed for the same reasons."""
    alike = not any(finding.severity >= Severity.MEDIUM for finding in file.findings)
    return -file.verdict.rank, file.coverage.reasons if alike else ("", file.path)


def _title(report: Report, paint: _Paint) -> str:
    verdict = report.verdict
    name = paint(verdict.value.upper(), _COLORS[verdict], bold=True)
    advice = ADVICE[verdict]
    if not report.complete and verdict.rank > Verdict.ERROR.rank:
        advice += "; and not everything could be analysed"
    return f"{plain(report.target)}: {name} - {advice}"


def _one_line(report: Report, paint: _Paint) -> str:
    verdict = paint(report.verdict.value, _COLORS[report.verdict], bold=True)
    notes = len(report.findings)
    said = f", {_number(notes, 'note')} (-v shows them)" if notes else ""
    joined = " in" if report.verdict is Verdict.CLEAN else ":"
    return f"{plain(report.target)}: {verdict} - {ADVICE[report.verdict]}{joined} {content_of(report.files)}{said}"


def content_of(files: Sequence[FileReport]) -> str:
    """Return ``4 files (json 2, torch-zip 1, not for loaders 1)``."""
    formats: dict[str, int] = {}
    for file in files:
        name = "+".join(file.formats) or ("not for loaders" if file.verdict is Verdict.UNSUPPORTED else "no format")
        formats[name] = formats.get(name, 0) + 1
    if len(files) == 1:
        return f"1 file ({plain(next(iter(formats)))}, {size_of(files[0].size)})"
    listed = ", ".join(f"{plain(name)} {count}" for name, count in sorted(formats.items()))
    return f"{len(files)} files ({listed}; {size_of(sum(file.size for file in files))})"


def _file(file: FileReport, result: Result, paint: _Paint, *, verbose: bool) -> Iterator[str]:
    verdict = paint(file.verdict.value, _COLORS[file.verdict], bold=True)
    formats = ", ".join(map(plain, file.formats)) or "no format known here"
    yield f"{paint(plain(file.path), bold=True)}: {verdict} ({formats}; {size_of(file.size)})"
    reasons = set(file.coverage.reasons)
    findings = [
        finding
        for finding in file.findings
        if verbose or finding.severity >= Severity.MEDIUM or not _repeats(finding, reasons)
    ]
    if not verbose and any(finding.severity >= Severity.MEDIUM for finding in findings):
        findings = [finding for finding in findings if finding.severity >= Severity.MEDIUM]
    for _, group in groupby(findings, key=lambda finding: (finding.severity, finding.rule.id)):
        yield from _group(list(group), result, paint)
    for reason in file.coverage.reasons:
        yield f"  not analysed: {plain(reason)}"
    if file.coverage.unread:
        yield f"  {file.coverage.unread} of {file.size} bytes were not read"


def _repeats(finding: Finding, reasons: set[str]) -> bool:
    """Return whether a note says what the coverage says anyway."""
    return any(reason.endswith(finding.message) for reason in reasons)


def _group(findings: list[Finding], result: Result, paint: _Paint) -> Iterator[str]:
    first = findings[0]
    color = {Severity.CRITICAL: "red", Severity.HIGH: "red", Severity.MEDIUM: "yellow"}.get(first.severity, "cyan")
    severity = paint(first.severity.value, color, bold=True)
    yield f"  {severity} {first.rule.id} {paint(first.rule.name, bold=True)}: {plain(first.rule.summary)}"
    for finding in findings[:_PER_RULE]:
        if finding.evidence:
            yield f"    does   {paint(plain(finding.evidence), color)}"
        yield f"    where  {place_of(finding)}"
        yield f"    why    {plain(finding.message)} ({finding.confidence.value} confidence)"
        acceptance = result.gate.acceptance_of(finding)
        if acceptance is not None:
            yield f"    accepted by {said_of(acceptance)}"
    if len(findings) > _PER_RULE:
        yield f"    and {len(findings) - _PER_RULE} more like these (--format json lists them all)"
    yield f"    fix    {plain(first.rule.fix)}"


def place_of(finding: Finding) -> str:
    """Return where a finding lies, escaped: ``model.bin -> archive/data.pkl, byte 83``."""
    place = " -> ".join(plain(part) for part in (finding.file, *finding.location.members))
    if finding.location.offset is None:
        return place
    return f"{place}, byte {finding.location.offset}"


def said_of(acceptance: Acceptance) -> str:
    """Return who accepted a finding, until when and why, escaped."""
    owner = f" of {plain(acceptance.owner)}" if acceptance.owner else ""
    until = f", until {plain(acceptance.expires)}" if acceptance.expires else ""
    return f"{acceptance.by}{owner}{until}: {plain(acceptance.reason)}"


def _rest(report: Report) -> Iterator[str]:
    if len(report.files) > 1:
        verdicts = Counter(file.verdict for file in report.files)
        counted = ", ".join(
            f"{verdicts[verdict]} {verdict.value}" for verdict in reversed(Verdict) if verdicts[verdict]
        )
        formats = Counter(name for file in report.files for name in file.formats)
        listed = ", ".join(f"{plain(name)} {count}" for name, count in sorted(formats.items()))
        total = size_of(sum(file.size for file in report.files))
        yield f"{len(report.files)} files, {total}: {counted}. Formats: {listed or 'none'}."
    rules = sorted({finding.rule.id for finding in report.findings if finding.severity >= Severity.MEDIUM})
    if rules:
        yield f"More about a rule: modelsign rules show {rules[0]}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size_of(size: int) -> str:
    """Return a size for people: ``1.2 MB`` (powers of 1000, as file managers show it)."""
    if size < 1000:
        return f"{size} bytes"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
    raise AssertionError("unreachable")
