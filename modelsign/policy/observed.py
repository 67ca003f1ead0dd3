"""What the verification sees for itself: a scan on this machine, and whether the signed one agrees with it."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from attestations.errors import ContentChanged, EnvelopeError
from attestations.files import Fingerprint, fingerprint
from attestations.manifest import Manifest
from attestations.predicates.model_scan import ModelScan
from attestations.uris import MODEL_SCAN_V0_1
from modelsign.claims.model_scan import again
from modelsign.claims.ruleset import ruleset_digest
from modelsign.ignoring import parse as parse_ignore
from modelsign.isolation import Sandbox
from modelsign.policy.decision import Code, Level, Reason
from modelsign.policy.evidence import Evidence
from modelsign.policy.rules import Policy
from modelsign.scanning import scan
from scanners.findings import Coverage, FileReport, Finding, Report, Severity, Verdict

_MAX_FINDINGS = 20


def scan_here(
    model: Path,
    manifest: Manifest,
    *,
    unsigned: Sequence[str],
    left: Sequence[str],
    opened: Mapping[str, Fingerprint],
    sandbox: Sandbox,
    progress: Callable[[int], None] | None,
) -> Report:
    """Scan what was measured, and what lies there unsigned; nothing else is opened.

    Args:
        model: where it lies.
        manifest: what was measured.
        unsigned: files that nobody signed and that are let pass.
        left: signed files that a partial verification leaves.
        opened: each file as it was when it was hashed; what is scanned must be these very files.
        sandbox: which layers of isolation the workers get.
        progress: told how many bytes are done.

    Raises:
        ContentChanged: another file lay there than was hashed.
    """
    wanted = set(manifest.files()) | set(unsigned)
    skipped = [name for name in (*manifest.ignored, *manifest.unsigned, *left) if name not in wanted]
    ignore = parse_ignore([f"/{_literal(name)}" for name in skipped]) if skipped and model.is_dir() else None
    report = scan(os.fspath(model), ignore=ignore, sandbox=sandbox, opened=_same_as(model, opened), progress=progress)
    looked_at = [file for file in report.files if file.path in wanted]
    # Whatever keeps the scanner from a file that was measured, it must not pass for clean. Behind a link to a directory
    # of the model lies a file that was scanned under its own path: it is the same where its name (by which loaders and
    # rules tell files) and all of its fingerprint are.
    seen = {(_last(file.path), opened[file.path]) for file in looked_at if file.path in opened}
    missed = [
        _not_scanned(name)
        for name in wanted.difference(file.path for file in looked_at)
        if (_last(name), opened.get(name)) not in seen
    ]
    return replace(report, files=tuple(sorted((*looked_at, *missed), key=lambda file: file.path)))


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _same_as(model: Path, opened: Mapping[str, Fingerprint]) -> Callable[[str, os.stat_result], None]:
    """Return what raises `ContentChanged` for a file that is not the one that was hashed.

    A directory that is renamed away and back between two looks leaves no trace on the files in it.
    """
    if "" in opened:
        opened = {model.absolute().name: opened[""]}

    def check(name: str, status: os.stat_result) -> None:
        now = fingerprint(status)
        if opened.get(name, now) != now:
            raise ContentChanged(f"{name}: another file lay there when it was scanned than when it was hashed")

    return check


def _not_scanned(name: str) -> FileReport:
    coverage = Coverage(reasons=("the scan did not come across this file",))
    return FileReport(path=name, size=0, formats=(), verdict=Verdict.INCOMPLETE, coverage=coverage)


def _literal(name: str) -> str:
    # Brackets of brackets would be a warning of the regular expression engine.
    return "".join({"*": "[*]", "?": "[?]", "[": "?"}.get(character, character) for character in name)


def judged(report: Report, policy: Policy | None, *, allow_incomplete: bool) -> tuple[Reason, ...]:
    """Answer what the local scan says: each finding that is worse than allowed, and what could not be analysed."""
    allowed = Severity.LOW if policy is None or policy.scan is None else Severity(policy.scan.max_severity.value)
    reasons = []
    worse = [finding for finding in report.findings if finding.severity > allowed]
    reasons += [_found(finding) for finding in worse[:_MAX_FINDINGS]]
    if len(worse) > _MAX_FINDINGS:
        message = f"and {len(worse) - _MAX_FINDINGS} more findings; `modelsign scan` shows them"
        reasons.append(Reason(code=Code.LOCAL_SCAN, message=message, passed=False))
    if not worse:
        message = f"a scan here with rule set {report.ruleset} finds no known danger"
        reasons.append(Reason(code=Code.LOCAL_SCAN, message=message, passed=True))
    unread = [file.path for file in report.files if not file.coverage.complete or file.verdict is Verdict.ERROR]
    if unread:
        shown = ", ".join(unread[:5]) + (f" and {len(unread) - 5} more" if len(unread) > 5 else "")
        message = f"not completely analysed: {shown}; `modelsign scan` says why, --allow-incomplete lets it pass"
        tolerated = allow_incomplete or (policy is not None and policy.scan is not None and not policy.scan.complete)
        level = Level.WARN if tolerated else Level.DENY
        reasons.append(Reason(code=Code.LOCAL_SCAN_COMPLETE, message=message, passed=False, level=level))
    return tuple(reasons)


def _found(finding: Finding) -> Reason:
    place = "".join(f" » {member}" for member in finding.location.members)
    if finding.location.offset is not None:
        place += f" at byte {finding.location.offset}"
    message = f"{finding.rule.id} {finding.rule.name}: {finding.message}"
    if finding.evidence:
        message += f" ({finding.evidence})"
    return Reason(
        code=Code.LOCAL_SCAN,
        message=f"{message}, in {finding.file}{place}. {finding.rule.fix}",
        passed=False,
        subject=finding.file,
    )


def agreement(report: Report, evidence: Evidence) -> tuple[Reason, ...]:
    """Compare the local scan with signed ones by the same version and rules: their reports must have one digest."""
    reasons = []
    for claim in evidence.statements:
        statement = claim.bound.verified.statement
        if statement.predicate_type != MODEL_SCAN_V0_1 or not claim.bound.covers_all:
            continue
        try:
            scan = ModelScan.parse(statement.predicate)
        except EnvelopeError:
            continue
        made_by = (scan.scanner.version, scan.scanner.ruleset, scan.scanner.ruleset_sha256)
        who = claim.signer.name
        if made_by != (report.tool_version, report.ruleset, ruleset_digest()):
            message = f"the scan signed by {who} was made with other rules than here; digests cannot be compared"
            reasons.append(Reason(code=Code.SCAN_AGREES, message=message, passed=True, subject=who))
            continue
        agrees = again(report, evidence.manifest, target=scan.report_name) == scan.report_sha256
        message = (
            f"the scan here and the one signed by {who} have the same digest"
            if agrees
            else f"the scan here and the one signed by {who} differ although rules and bytes are the same; ask them why"
        )
        reasons.append(Reason(code=Code.SCAN_AGREES, message=message, passed=agrees, subject=who, level=Level.WARN))
    return tuple(reasons)
