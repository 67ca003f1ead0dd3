"""SARIF 2.1.0, in the shape that GitHub code scanning reads.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. GitHub shows a result only with a location in a file
of the repository and a start line (https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning),
so the first location is the outer file and binary places carry ``startLine`` 1 beside ``byteOffset`` (section 3.30.4:
the two are independent). A place inside an archive is a nested artifact (section 3.24.5) with the byte offset in it.
"""

import json
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from modelsign.gate import Acceptance
from modelsign.report import Result
from modelsign.report.json import Json, rules_of, text
from scanners.findings import FileReport, Finding, Report, Rule, Severity
from scanners.rules.explained import page_of

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
# GitHub orders alerts by this number: over 9.0 critical, over 7.0 high, over 4.0 medium.
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
    Severity.INFO: "0.0",
}


def write(result: Result, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> str:
    """Return a SARIF log with one run per target."""
    del color, quiet, verbose
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(report, result) for report in result.reports]}
    return json.dumps(log, indent=2, ensure_ascii=True) + "\n"


def _run(report: Report, result: Result) -> Json:
    rules = rules_of(report.findings)
    index = {rule.id: position for position, rule in enumerate(rules)}
    artifacts = _Artifacts()
    results = [
        _result(finding, index[finding.rule.id], artifacts, result.gate.acceptance_of(finding))
        for finding in report.findings
    ]
    invocation: Json = {"executionSuccessful": report.complete}
    notifications = list(_notifications(report.files, artifacts))
    if notifications:
        invocation["toolExecutionNotifications"] = notifications
    run: Json = {
        "tool": {
            "driver": {
                "name": "modelsign",
                "semanticVersion": report.tool_version,
                "informationUri": "https://modelsign.dev",
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "automationDetails": {"id": f"modelsign/{text(report.target)}/"},
        "invocations": [invocation],
        "artifacts": artifacts.values,
        "results": results,
        "properties": {
            "ruleset": report.ruleset,
            "target": text(report.target),
            "verdict": report.verdict.value,
            "complete": report.complete,
        },
    }
    if result.environment is not None:
        run["properties"] = {**_bag(run), "environment": dict(result.environment)}
    return run


def _bag(run: Json) -> Json:
    properties = run["properties"]
    assert isinstance(properties, dict)
    return properties


class _Artifacts:
    """The files, and members inside them, that results speak about; each one once."""

    def __init__(self) -> None:
        self.values: list[Json] = []
        self._index: dict[tuple[str, ...], int] = {}

    def index_of(self, path: str, members: tuple[str, ...] = ()) -> int:
        """Return the position of a file or of a member, adding it and what it lies in where they are new."""
        key = (path, *members)
        if key not in self._index:
            value: Json = {"location": {"uri": _uri(key[-1])}}
            if members:
                value["parentIndex"] = self.index_of(path, members[:-1])
            self._index[key] = len(self.values)
            self.values.append(value)
        return self._index[key]


def _uri(path: str) -> str:
    """Return a path as a relative URI reference; its first segment must not look like a scheme (RFC 3986, 4.2)."""
    escaped = quote(path.encode("utf-8", "surrogateescape"), safe="/!$&'()*+,;=@~-._").lstrip("/")
    return escaped or "."


def _result(finding: Finding, rule_index: int, artifacts: _Artifacts, acceptance: Acceptance | None) -> Json:
    message = finding.message + (f"\n\n{finding.evidence}" if finding.evidence else "")
    region: Json = {"startLine": 1}
    members = finding.location.members
    if not members:
        region |= _bytes(finding)
    location: Json = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(finding.file), "index": artifacts.index_of(finding.file)},
            "region": region,
        }
    }
    value: Json = {
        "ruleId": finding.rule.id,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": text(message)},
        "locations": [location],
        "partialFingerprints": {"modelsign/v1": finding.fingerprint},
        "properties": {
            "severity": finding.severity.value,
            "confidence": finding.confidence.value,
            "evidence": text(finding.evidence),
            "members": [text(member) for member in members],
            "offset": finding.location.offset,
            "length": finding.location.length,
        },
    }
    if members:
        location["logicalLocations"] = [{"fullyQualifiedName": text("/".join(members)), "kind": "member"}]
        value["relatedLocations"] = [_member(finding, artifacts)]
    if acceptance is not None:
        value["suppressions"] = [_suppression(acceptance)]
    return value


def _bytes(finding: Finding) -> Json:
    place = finding.location
    if place.offset is None:
        return {}
    value: Json = {"byteOffset": place.offset}
    if place.length is not None:
        value["byteLength"] = place.length
    return value


def _member(finding: Finding, artifacts: _Artifacts) -> Json:
    members = finding.location.members
    inner: Json = {
        "artifactLocation": {"uri": _uri(members[-1]), "index": artifacts.index_of(finding.file, members)},
    }
    if finding.location.offset is not None:
        inner["region"] = _bytes(finding)
    return {"id": 0, "physicalLocation": inner, "message": {"text": text(f"in {' / '.join(members)}")}}


def _suppression(acceptance: Acceptance) -> Json:
    value: Json = {"kind": "external", "status": "accepted", "justification": text(acceptance.reason)}
    value["properties"] = {"by": acceptance.by, "owner": acceptance.owner, "expires": acceptance.expires}
    return value


def _rule(rule: Rule) -> Json:
    page = page_of(rule.id)
    help_text = page if page is not None else f"{rule.summary}\n\nHow to fix: {rule.fix}"
    tags = ["security", *([f"external/cwe/{rule.cwe.lower()}"] if rule.cwe else [])]
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": f"{rule.summary}. {rule.fix}"},
        "helpUri": rule.url,
        "help": {"text": help_text, "markdown": help_text},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": tags, "precision": "high", "security-severity": _SCORES[rule.severity]},
    }


def _notifications(files: Sequence[FileReport], artifacts: _Artifacts) -> Iterator[Json]:
    for file in files:
        for reason in file.coverage.reasons:
            yield {
                "level": "warning",
                "message": {"text": text(reason)},
                "locations": [
                    {
                        "physicalLocation": {
                            "artifactLocation": {"uri": _uri(file.path), "index": artifacts.index_of(file.path)}
                        }
                    }
                ],
            }
