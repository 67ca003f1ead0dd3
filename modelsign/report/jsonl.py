"""The report as lines of JSON: one line about the target, then one per file with its findings.

For pipelines that take a record at a time. Each line says what it is (``type``) and names the target.
"""

import json
from collections.abc import Iterator

from modelsign.report import Result
from modelsign.report.json import Json, file_value, finding_value, rules_of, summary, text
from modelsign.report.json import rule_value as rule_of
from scanners.findings import Report

SCHEMA = "modelsign.report-lines/v1"


def write(result: Result, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> str:
    """Return the lines of every report, one after the other."""
    del color, quiet, verbose
    lines = [line for report in result.reports for line in _lines(report, result)]
    return "".join(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n" for line in lines)


def _lines(report: Report, result: Result) -> Iterator[Json]:
    target = text(report.target)
    head: Json = {
        "schema": SCHEMA,
        "type": "target",
        "target": target,
        "tool": {"name": "modelsign", "version": report.tool_version, "ruleset": report.ruleset},
        "verdict": report.verdict.value,
        "complete": report.complete,
        "summary": summary(report),
        "rules": {rule.id: rule_of(rule) for rule in rules_of(report.findings)},
    }
    if result.environment is not None:
        head["environment"] = dict(result.environment)
    yield head
    for file in report.files:
        yield {
            "schema": SCHEMA,
            "type": "file",
            "target": target,
            **file_value(file),
            "findings": [finding_value(finding, result.gate.acceptance_of(finding)) for finding in file.findings],
        }
