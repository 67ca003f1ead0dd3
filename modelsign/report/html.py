"""One HTML page that needs nothing else: no script, no picture, no request (and a policy in its head that says so)."""

from collections.abc import Iterator
from itertools import groupby

from modelsign.escape import markup
from modelsign.report import Result
from modelsign.report.human import ADVICE, content_of, place_of, said_of, size_of
from scanners.findings import FileReport, Finding, Report, Verdict

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; }
article { border-left: 4px solid var(--line); background: var(--soft); padding: .5rem 1rem; margin: .75rem 0; }
dl { display: grid; grid-template-columns: 6rem 1fr; margin: .5rem 0; } dd { margin: 0; overflow-wrap: anywhere; }
dt { opacity: .7; } footer { margin-top: 3rem; font-size: .85rem; opacity: .7; }
.badge { display: inline-block; border-radius: .25rem; padding: 0 .5rem; color: #fff; background: #666; }
.malicious, .critical, .high { background: #b3261e; } .suspicious, .medium { background: #9a6700; }
.error, .incomplete { background: #7b3fa0; } .clean { background: #1a7f37; }
article.critical, article.high { border-color: #b3261e; background: var(--soft); }
article.medium { border-color: #9a6700; background: var(--soft); }
"""


def write(result: Result, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> str:
    """Return the page."""
    del color, quiet, verbose
    names = ", ".join(markup(report.target) for report in result.reports)
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>modelsign: {names}</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
    ]
    for report in result.reports:
        lines += _report(report, result)
    lines += [f"<p>{markup(notice)}</p>" for notice in result.notices]
    return "\n".join([*lines, "</body>", "</html>"]) + "\n"


def _report(report: Report, result: Result) -> Iterator[str]:
    yield f"<h1>{markup(report.target)} {_badge(report.verdict.value)}</h1>"
    complete = "" if report.complete else " Not everything could be analysed."
    holds = f"It holds {markup(content_of(report.files))}."
    yield f"<p>{markup(ADVICE[report.verdict].capitalize())}.{complete} {holds}</p>"
    yield "<table>"
    yield "<thead><tr><th>file</th><th>verdict</th><th>formats</th><th>size</th><th>not read</th></tr></thead>"
    yield "<tbody>"
    for file in report.files:
        unread = str(file.coverage.unread) if file.coverage.unread else ""
        yield (
            f"<tr><td>{markup(file.path)}</td><td>{_badge(file.verdict.value)}</td>"
            f"<td>{markup(', '.join(file.formats))}</td><td>{size_of(file.size)}</td><td>{unread}</td></tr>"
        )
    yield "</tbody>"
    yield "</table>"
    for file in report.files:
        if file.findings or file.coverage.reasons or file.verdict is Verdict.ERROR:
            yield from _file(file, result)
    yield f"<footer>modelsign {markup(report.tool_version)}, rules {markup(report.ruleset)}</footer>"


def _file(file: FileReport, result: Result) -> Iterator[str]:
    yield f"<h2>{markup(file.path)} {_badge(file.verdict.value)}</h2>"
    if file.sha256 is not None:
        yield f"<p>SHA-256 <code>{file.sha256}</code></p>"
    for _, group in groupby(file.findings, key=lambda finding: (finding.severity, finding.rule.id)):
        yield from _group(list(group), result)
    if file.coverage.reasons:
        yield "<ul>"
        yield from (f"<li>not analysed: {markup(reason)}</li>" for reason in file.coverage.reasons)
        yield "</ul>"


def _group(findings: list[Finding], result: Result) -> Iterator[str]:
    first = findings[0]
    yield f'<article class="{first.severity.value}">'
    yield (
        f'<p>{_badge(first.severity.value)} <a href="{markup(first.rule.url)}">{first.rule.id}</a> '
        f"<strong>{markup(first.rule.name)}</strong>: {markup(first.rule.summary)}</p>"
    )
    for finding in findings:
        yield "<dl>"
        if finding.evidence:
            yield f"<dt>does</dt><dd><code>{markup(finding.evidence)}</code></dd>"
        yield f"<dt>where</dt><dd>{markup(place_of(finding))}</dd>"
        yield f"<dt>why</dt><dd>{markup(finding.message)} ({finding.confidence.value} confidence)</dd>"
        acceptance = result.gate.acceptance_of(finding)
        if acceptance is not None:
            yield f"<dt>accepted</dt><dd>by {markup(said_of(acceptance))}</dd>"
        yield "</dl>"
    yield f"<p>How to fix: {markup(first.rule.fix)}</p>"
    yield "</article>"


def _badge(name: str) -> str:
    return f'<span class="badge {name}">{name}</span>'
