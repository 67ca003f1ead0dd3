r"""`modelsign.report/v1`: the report as JSON, and back.

The same bytes of the same target give the same report, byte for byte: no time, no host, no path outside of the target.
`schemas/report-v1.json` is its JSON Schema. Text that is not valid Unicode is spelled out (`\udc80`), and such a path
has its bytes in ``path_b64``.
"""

import base64
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from attestations.named_files import read_whole
from modelsign.errors import SourceError, UsageError
from modelsign.escape import json_document
from modelsign.gate import Acceptance, verdict_over
from modelsign.json_fields import count, explain, items, mapping, string
from modelsign.report import Result
from scanners.findings import (
    Confidence,
    Coverage,
    FileReport,
    Finding,
    Location,
    Report,
    Rule,
    Severity,
    Verdict,
)

_MAX_BYTES = 1 << 30

SCHEMA = "modelsign.report/v1"
SEVERAL = "modelsign.reports/v1"

Json = dict[str, object]


def write(result: Result, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> str:
    """Return one report as a JSON document; several as one document that holds them."""
    del color, quiet, verbose
    documents = [document(report, result) for report in result.reports]
    if len(documents) == 1:
        return _text(documents[0])
    return _text(
        {
            "schema": SEVERAL,
            "verdict": verdict_over(result.reports).value,
            "complete": all(report.complete for report in result.reports),
            "reports": documents,
        }
    )


def _text(value: Json) -> str:
    # ASCII only: the form may meet a terminal, and escapes survive every encoding.
    return json_document(json.dumps(value, indent=2, ensure_ascii=True)) + "\n"


def document(report: Report, result: Result) -> Json:
    """Return one report as JSON values."""
    value: Json = {
        "schema": SCHEMA,
        "tool": {"name": "modelsign", "version": report.tool_version, "ruleset": report.ruleset},
        "target": text(report.target),
        "verdict": report.verdict.value,
        "complete": report.complete,
        "summary": summary(report),
        "files": [file_value(file) for file in report.files],
        "findings": [finding_value(finding, result.gate.acceptance_of(finding)) for finding in report.findings],
        "rules": {rule.id: rule_value(rule) for rule in rules_of(report.findings)},
    }
    if result.environment is not None:
        value["environment"] = dict(result.environment)
    return value


def summary(report: Report) -> Json:
    """Return counts by verdict, format and severity, and where the bytes went."""
    coverages = [file.coverage for file in report.files]
    return {
        "files": len(report.files),
        "bytes": {
            "total": sum(file.size for file in report.files),
            "parsed": sum(coverage.parsed for coverage in coverages),
            "inert": sum(coverage.inert for coverage in coverages),
            "unread": sum(coverage.unread for coverage in coverages),
        },
        "verdicts": _counts(file.verdict.value for file in report.files),
        "formats": _counts(name for file in report.files for name in file.formats),
        "severities": _counts(finding.severity.value for finding in report.findings),
    }


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def rules_of(findings: Iterable[Finding]) -> list[Rule]:
    """Return the rules of the findings, once each, sorted by id."""
    rules = {finding.rule.id: finding.rule for finding in findings}
    return [rules[name] for name in sorted(rules)]


def file_value(file: FileReport) -> Json:
    """Return one file as JSON values."""
    return {
        **path_value("path", file.path),
        "size": file.size,
        "sha256": file.sha256,
        "formats": [text(name) for name in file.formats],
        "verdict": file.verdict.value,
        "coverage": {
            "parsed": file.coverage.parsed,
            "inert": file.coverage.inert,
            "unread": file.coverage.unread,
            "reasons": [text(reason) for reason in file.coverage.reasons],
        },
    }


def finding_value(finding: Finding, acceptance: Acceptance | None) -> Json:
    """Return one finding as JSON values."""
    value: Json = {
        "rule": finding.rule.id,
        "name": finding.rule.name,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "message": text(finding.message),
        **path_value("file", finding.file),
        "members": [text(member) for member in finding.location.members],
        "offset": finding.location.offset,
        "length": finding.location.length,
        "evidence": text(finding.evidence),
        "fingerprint": finding.fingerprint,
    }
    if acceptance is not None:
        value["accepted"] = {
            "by": acceptance.by,
            "reason": text(acceptance.reason),
            "owner": acceptance.owner,
            "expires": acceptance.expires,
        }
    return value


def rule_value(rule: Rule) -> Json:
    """Return what a report says about a rule."""
    return {
        "name": rule.name,
        "severity": rule.severity.value,
        "summary": rule.summary,
        "fix": rule.fix,
        "url": rule.url,
        "cwe": rule.cwe,
    }


def path_value(key: str, path: str) -> Json:
    """Return a path, and its bytes as base64 where it is not valid Unicode."""
    shown = text(path)
    if shown == path:
        return {key: path}
    return {key: shown, "path_b64": base64.b64encode(os.fsencode(path)).decode("ascii")}


def text(value: str) -> str:
    """Return ``value`` with lone surrogates spelled out, which JSON cannot carry."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def load(path: Path) -> tuple[Report, ...]:
    """Read reports that an earlier run wrote.

    Raises:
        SourceError: the file cannot be read.
        UsageError: it is no such report.
    """
    try:
        data = read_whole(path, _MAX_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: the report cannot be read: {error.strerror}") from error
    try:
        return parse(data)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def parse(data: bytes) -> tuple[Report, ...]:
    """Return the reports of one JSON document.

    Raises:
        UsageError: it is no report of this version, or contradicts itself.
    """
    try:
        value = mapping(json.loads(data))
        schema = value["schema"]
        if schema == SEVERAL:
            return tuple(_report(item) for item in _mappings(value["reports"]))
        if schema != SCHEMA:
            raise UsageError(f"the schema is {schema!r}; expected {SCHEMA}, as `modelsign scan --json` writes it")
        return (_report(value),)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"not a report of `modelsign scan --json` ({explain(error)})") from error


def _report(value: Mapping[str, object]) -> Report:
    rules = {name: _rule(name, item) for name, item in mapping(value["rules"]).items()}
    findings: dict[str, list[Finding]] = {}
    for item in _mappings(value["findings"]):
        finding = _finding(item, rules)
        findings.setdefault(finding.file, []).append(finding)
    files = tuple(_file(item, findings) for item in _mappings(value["files"]))
    tool = mapping(value["tool"])
    report = Report(
        target=string(value["target"]),
        tool_version=string(tool["version"]),
        ruleset=string(tool["ruleset"]),
        files=files,
    )
    if len(report.findings) != len(_mappings(value["findings"])):
        raise UsageError("the report has findings in files that it does not list")
    if report.verdict.value != value["verdict"] or report.complete is not value["complete"]:
        raise UsageError("the report's verdict does not follow from its files")
    return report


def _rule(name: str, value: object) -> Rule:
    item = mapping(value)
    return Rule(
        id=name,
        name=string(item["name"]),
        severity=Severity(item["severity"]),
        summary=string(item["summary"]),
        fix=string(item["fix"]),
        cwe=None if item["cwe"] is None else string(item["cwe"]),
    )


def _finding(item: Mapping[str, object], rules: Mapping[str, Rule]) -> Finding:
    return Finding(
        rule=rules[string(item["rule"])],
        file=_path(item, "file"),
        location=Location(
            members=tuple(string(member) for member in items(item["members"])),
            offset=_optional(item["offset"]),
            length=_optional(item["length"]),
        ),
        severity=Severity(item["severity"]),
        confidence=Confidence(item["confidence"]),
        message=string(item["message"]),
        evidence=string(item["evidence"]),
    )


def _file(item: Mapping[str, object], findings: Mapping[str, list[Finding]]) -> FileReport:
    path = _path(item, "path")
    coverage = mapping(item["coverage"])
    return FileReport(
        path=path,
        size=count(item["size"]),
        formats=tuple(string(name) for name in items(item["formats"])),
        verdict=Verdict(item["verdict"]),
        coverage=Coverage(
            parsed=count(coverage["parsed"]),
            inert=count(coverage["inert"]),
            unread=count(coverage["unread"]),
            reasons=tuple(string(reason) for reason in items(coverage["reasons"])),
        ),
        findings=tuple(findings.get(path, ())),
        sha256=None if item["sha256"] is None else string(item["sha256"]),
    )


def _path(item: Mapping[str, object], key: str) -> str:
    if "path_b64" in item:
        return os.fsdecode(base64.b64decode(string(item["path_b64"]), validate=True))
    return string(item[key])


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [mapping(item) for item in items(value)]


def _optional(value: object) -> int | None:
    return None if value is None else count(value)
