"""A scan report as the predicate `model-scan/v0.1`.

Only signed files count: `model.sig`, `claims.jsonl` and what git keeps beside a model come and go without a new scan.
The report's digest is that of its JSON form over these files, under the target's name, with nothing accepted: whoever
scans the same bytes with the same rules gets the same digest.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from attestations.manifest import Manifest
from attestations.predicates.model_scan import (
    ModelScan,
    Outcome,
    Result,
    ScanFinding,
    ScannedBytes,
    ScannedFile,
    Scanner,
    Severity,
)
from modelsign.claims.ruleset import ruleset_digest
from modelsign.errors import UsageError
from modelsign.gate import Gate
from modelsign.report import Result as Rendered
from modelsign.report import json as json_report
from modelsign.version import __version__
from scanners.findings import FileReport, Finding, Report, Verdict
from scanners.knowledge import RULESET

SCANNER_URI = "pkg:pypi/modelsign-suite"
REPORT_MEDIA_TYPE = "application/vnd.modelsign.report.v1+json"

_RESULTS: Mapping[Verdict, Result] = {
    Verdict.UNSUPPORTED: Result.PASSED,
    Verdict.CLEAN: Result.PASSED,
    Verdict.INCOMPLETE: Result.WARNED,
    Verdict.ERROR: Result.WARNED,
    Verdict.SUSPICIOUS: Result.WARNED,
    Verdict.MALICIOUS: Result.FAILED,
}


def scan_of(report: Report, manifest: Manifest, *, started: datetime, finished: datetime) -> ModelScan:
    """Return what ``report`` says about the files of ``manifest``.

    Args:
        report: with the digest of every file.
        manifest: whole files with SHA-256, as measured.
        started: when the scan began.
        finished: when it ended.

    Raises:
        UsageError: the report lacks digests, speaks of other bytes, leaves a signed file out, or was made by other
            rules than this version's, whose digest is not known here.
    """
    if (report.tool_version, report.ruleset) != (__version__, RULESET):
        raise UsageError(
            f"the report was made by modelsign {report.tool_version} with rule set {report.ruleset}, this is "
            f"{__version__} with {RULESET}; scan again (`modelsign attest --scan` does both)"
        )
    signed = restricted(report, manifest)
    looked_at = (*signed.files, *_behind_links(signed, manifest))
    _refuse_other_bytes(looked_at, manifest)
    coverages = [file.coverage for file in looked_at]
    result = _RESULTS[signed.verdict]
    return ModelScan(
        scanner=Scanner(
            uri=SCANNER_URI,
            version=report.tool_version,
            ruleset=report.ruleset,
            ruleset_sha256=ruleset_digest(),
        ),
        result=Result.WARNED if result is Result.PASSED and not signed.complete else result,
        complete=signed.complete,
        coverage=ScannedBytes(
            files=len(looked_at),
            size=sum(file.size for file in looked_at),
            parsed=sum(coverage.parsed for coverage in coverages),
            inert=sum(coverage.inert for coverage in coverages),
            unread=sum(coverage.unread for coverage in coverages),
        ),
        files=tuple(
            ScannedFile(
                name=file.path,
                sha256=file.sha256 or "",
                outcome=Outcome(file.verdict.value),
                analyzers=file.formats,
            )
            for file in looked_at
        ),
        findings=tuple(_finding(finding) for finding in signed.findings),
        started=started,
        finished=finished,
        report_name=json_report.text(signed.target),
        report_media_type=REPORT_MEDIA_TYPE,
        report_sha256=report_digest(signed),
    )


def restricted(report: Report, manifest: Manifest) -> Report:
    """Return the part of ``report`` that is about the files of ``manifest``."""
    names = set(manifest.files())
    return replace(report, files=tuple(file for file in report.files if file.path in names))


def report_digest(report: Report) -> str:
    """Return the SHA-256 of a report's JSON form, as plain hex."""
    return hashlib.sha256(json_report.write(Rendered(reports=(report,), gate=Gate())).encode("ascii")).hexdigest()


def again(report: Report, manifest: Manifest, *, target: str) -> str:
    """Return the digest that ``report`` has under another name of the target and with the manifest's digests.

    For comparing a local scan with a signed one: both then speak of the same bytes under the same name.
    """
    digests = {manifest.file_name(entry): entry.digest.hex for entry in manifest.entries}
    signed = restricted(report, manifest)
    files = tuple(replace(file, sha256=digests[file.path]) for file in signed.files)
    return report_digest(replace(signed, target=target, files=files))


def _behind_links(report: Report, manifest: Manifest) -> list[FileReport]:
    """Return what the report says about files that it has under another path of the model only.

    A scan reads what lies behind a linked directory once, under its own path. It is the same file where its name (by
    which loaders and rules tell files) and all of its bytes are; its findings stay with the path they were found under.
    """
    reported = {file.path: file for file in report.files}
    missing = [entry for entry in manifest.entries if manifest.file_name(entry) not in reported]
    same = {(_last(file.path), file.sha256): file for file in reversed(report.files)} if missing else {}
    names = ((manifest.file_name(entry), entry.digest.hex) for entry in missing)
    return [
        replace(same[_last(name), digest], path=name, findings=())
        for name, digest in names
        if (_last(name), digest) in same
    ]


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _refuse_other_bytes(files: Iterable[FileReport], manifest: Manifest) -> None:
    reported = {file.path: file.sha256 for file in files}
    for entry in manifest.entries:
        name = manifest.file_name(entry)
        if name not in reported:
            raise UsageError(
                f"the report says nothing about {name}, which is part of the model; scan the whole model, with files "
                "where it has links"
            )
        if reported[name] is None:
            raise UsageError(f"the report has no digest of {name}; make it with `modelsign scan --digest --json`")
        if reported[name] != entry.digest.hex:
            raise UsageError(f"the report is about other bytes of {name} than lie here; scan again")


def _finding(finding: Finding) -> ScanFinding:
    return ScanFinding(
        rule=finding.rule.id,
        name=finding.rule.name,
        severity=Severity(finding.severity.value),
        confidence=finding.confidence.value,
        file=finding.file,
        members=tuple(json_report.text(member) for member in finding.location.members),
        offset=finding.location.offset,
        message=json_report.text(finding.message),
        fingerprint=finding.fingerprint,
    )
