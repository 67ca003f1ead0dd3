"""A policy's questions, each answered with a reason.

Every rule says "deny unless": a claims file is no authenticated set, lines can be removed or replayed, so a missing
statement can only ever deny. Of one signer's scans only the newest counts, so that a later "failed" is not outvoted by
an earlier "passed" that happens to lie beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from attestations.errors import EnvelopeError
from attestations.manifest import Manifest
from attestations.predicates.model_scan import ModelScan, Result, Severity
from attestations.uris import CONVERT_BUILD_TYPE_V1, MODEL_SCAN_V0_1, SLSA_PROVENANCE_V1
from modelsign.policy.decision import Code, Level, Reason, Signer
from modelsign.policy.evidence import Evidence, SignedClaim
from modelsign.policy.identities import distinct
from modelsign.policy.rules import ConversionRule, Mode, ModelRules, Policy, ScanRule, When, calver

_WORSE = (Result.PASSED, Result.WARNED, Result.FAILED)


def evaluate(policy: Policy, evidence: Evidence) -> tuple[Reason, ...]:
    """Return what ``policy`` says about ``evidence``, in a fixed order.

    In mode `warn` a broken rule does not deny, except that a policy past its date decides nothing.
    """
    reasons = [
        current(policy, evidence.now),
        _signed(policy, evidence),
        *unsigned_files(evidence.unsigned, policy.model),
        symlinks(evidence.manifest, policy.model),
        *_formats(policy, evidence),
        *_remote_code(policy, evidence),
    ]
    if policy.scan is not None:
        reasons.append(_scan_attested(policy, policy.scan, evidence))
    if policy.conversion is not None:
        reasons.extend(_conversion_attested(policy, policy.conversion, evidence))
    match policy.mode:
        case Mode.ENFORCE:
            return tuple(reasons)
        case Mode.WARN:
            return tuple(
                reason if reason.code is Code.POLICY_CURRENT else replace(reason, level=Level.WARN)
                for reason in reasons
            )
        case _:
            assert_never(policy.mode)


def current(policy: Policy, now: datetime) -> Reason:
    """Return whether the policy still decides anything."""
    if policy.expires is not None and now > policy.expires:
        message = f"policy {policy.name} expired on {policy.expires:%Y-%m-%d}; ask its owner for a new one"
        return Reason(code=Code.POLICY_CURRENT, message=message, passed=False)
    until = "has no end" if policy.expires is None else f"holds until {policy.expires:%Y-%m-%d}"
    return Reason(code=Code.POLICY_CURRENT, message=f"policy {policy.name} {until}", passed=True)


def accepts(names: Sequence[str], claim: SignedClaim) -> bool:
    """Return whether a statement is by one of ``names``; without names, by anybody the policy or the caller trusts."""
    if names:
        return not set(names).isdisjoint(claim.signer.principals)
    return bool(claim.signer.principals) or claim.trusted_by_caller


def _signed(policy: Policy, evidence: Evidence) -> Reason:
    rule = policy.signature
    accepted = [one for one in evidence.signatures if accepts(rule.by, one)]
    wanted = _who(rule.by)
    if not accepted:
        found = ", ".join(sorted({one.signer.name for one in evidence.signatures})) or "nobody"
        message = f"the policy wants a signature by {wanted}; signed by {found}"
        unnamed = next(
            (name for one in evidence.signatures if not one.signer.principals for name in one.signer.vouched), ""
        )
        if unnamed.startswith("key "):
            key = unnamed.removeprefix("key ")
            message += f"; that key is in [trust], but no identity is it: [identities] NAME = {{ key = {key!r} }}"
        return Reason(code=Code.SIGNER_TRUSTED, message=message, passed=False)
    if rule.threshold > 1:
        count = distinct([one.signer for one in accepted], policy.patterns(rule.by))
        if count < rule.threshold:
            message = f"the policy wants {rule.threshold} different signers of {wanted}; there are {count}"
            return Reason(code=Code.SIGNER_THRESHOLD, message=message, passed=False)
    names = ", ".join(sorted({_called(one.signer) for one in accepted}))
    return Reason(code=Code.SIGNER_TRUSTED, message=f"signed by {names}, as the policy wants", passed=True)


def unsigned_files(names: Sequence[str], rules: ModelRules) -> Iterator[Reason]:
    """Answer for each file that lies in the model and that nobody signed."""
    for name in names:
        if name in rules.may_be_unsigned:
            message = f"{name} is not signed, and may change at any time; the policy allows it"
            yield Reason(code=Code.FILE_UNSIGNED, message=message, passed=True, subject=name)
        else:
            message = f"{name} was never signed; remove it, or have the model signed with it"
            yield Reason(
                code=Code.FILE_UNSIGNED, message=message, passed=False, subject=name, level=rules.unsigned_files
            )


def symlinks(manifest: Manifest, rules: ModelRules) -> Reason:
    """Answer whether the model was signed through symbolic links."""
    if manifest.allow_symlinks:
        message = "the model was signed through symbolic links, which may lead elsewhere at the next load"
        return Reason(code=Code.SYMLINKS, message=message, passed=False, level=rules.symlinks)
    return Reason(code=Code.SYMLINKS, message="no symbolic links", passed=True)


def _formats(policy: Policy, evidence: Evidence) -> Iterator[Reason]:
    allowed = policy.model.formats
    if allowed is None:
        return
    if evidence.report is None:
        message = "the policy limits formats, and without a local scan they are not known; leave out --no-scan"
        yield Reason(code=Code.FORMATS, message=message, passed=False)
        return
    from modelsign.policy.model_files import foreign_formats

    foreign = foreign_formats(evidence.report, allowed)
    for name, formats in sorted(foreign.items()):
        message = f"{name} is {' and '.join(formats)}; the policy allows {', '.join(allowed)}"
        yield Reason(code=Code.FORMATS, message=message, passed=False, subject=name)
    if not foreign:
        yield Reason(code=Code.FORMATS, message=f"every model file is one of {', '.join(allowed)}", passed=True)


def _remote_code(policy: Policy, evidence: Evidence) -> Iterator[Reason]:
    level = policy.model.remote_code
    if level is None:
        return
    if evidence.report is None:
        message = "the policy forbids code in the model, and without a local scan it is not known; leave out --no-scan"
        yield Reason(code=Code.REMOTE_CODE, message=message, passed=False, level=level)
        return
    from modelsign.policy.model_files import code_in

    found = code_in(evidence.report)
    for name, why in sorted(found.items()):
        yield Reason(code=Code.REMOTE_CODE, message=f"{name}: {why}", passed=False, subject=name, level=level)
    if not found:
        yield Reason(code=Code.REMOTE_CODE, message="the model brings no code of its own", passed=True)


def _scan_attested(policy: Policy, rule: ScanRule, evidence: Evidence) -> Reason:
    wanted = _who(rule.by)
    scans = [one for one in evidence.statements if one.bound.verified.statement.predicate_type == MODEL_SCAN_V0_1]
    accepted = [one for one in scans if accepts(rule.by, one)]
    if not accepted:
        others = f" ({len(scans)} by others)" if scans else ""
        message = f"no signed scan by {wanted}{others}; they make one with `modelsign attest --scan`"
        return Reason(code=Code.SCAN_ATTESTED, message=message, passed=False)
    problems: list[str] = []
    passing: list[tuple[SignedClaim, ModelScan]] = []
    for claim, scan in _newest(accepted, problems):
        problem = next(_scan_problems(rule, claim, scan, evidence), None)
        if problem is None:
            passing.append((claim, scan))
        else:
            problems.append(f"the scan by {_called(claim.signer)} {problem}")
    enough = len(passing) >= 1
    if rule.threshold > 1:
        count = distinct([claim.signer for claim, _ in passing], policy.patterns(rule.by))
        enough = count >= rule.threshold
        if not enough:
            problems.append(f"{rule.threshold} different scanners are wanted, {count} passed")
    if not enough:
        return Reason(code=Code.SCAN_ATTESTED, message="; ".join(problems), passed=False)
    shown = ", ".join(
        f"{_called(claim.signer)} with rule set {scan.scanner.ruleset}: {scan.result.value}" for claim, scan in passing
    )
    return Reason(code=Code.SCAN_ATTESTED, message=f"a signed scan of every file by {shown}", passed=True)


def _newest(accepted: Sequence[SignedClaim], problems: list[str]) -> list[tuple[SignedClaim, ModelScan]]:
    """Return each signer's newest scan of the whole model, in order of signers; note why others do not count."""
    newest: dict[tuple[str | None, str | None, str], tuple[SignedClaim, ModelScan]] = {}
    for claim in accepted:
        signer = claim.signer
        if not claim.bound.covers_all:
            problems.append(_not_all(claim))
            continue
        try:
            scan = ModelScan.parse(claim.bound.verified.statement.predicate)
        except EnvelopeError as error:
            problems.append(f"the scan by {_called(signer)} is malformed: {error}")
            continue
        who = (signer.issuer, signer.identity, signer.key if signer.identity is None else "")
        if who not in newest or _later(scan, newest[who][1]):
            newest[who] = (claim, scan)
    return [newest[who] for who in sorted(newest, key=lambda who: tuple(part or "" for part in who))]


def _later(scan: ModelScan, other: ModelScan) -> bool:
    """Return whether a scan replaces another one; of two in one second the worse does, in whatever order they lie."""
    return _weight(scan) > _weight(other)


def _weight(scan: ModelScan) -> tuple[datetime, int, bool, int]:
    worst = -1 if scan.worst is None else scan.worst.rank
    return scan.finished, _WORSE.index(scan.result), not scan.complete, worst


def _not_all(claim: SignedClaim) -> str:
    bound = claim.bound
    named = set(bound.files)
    left_out = [name for name in bound.manifest.files() if name not in named]
    return f"the scan by {_called(claim.signer)} does not cover {_some(left_out)} as it lies here"


def _scan_problems(rule: ScanRule, claim: SignedClaim, scan: ModelScan, evidence: Evidence) -> Iterator[str]:
    wanted = dict(_digests(evidence))
    listed = {file.name: file.sha256 for file in scan.files}
    unlisted = sorted(name for name, digest in wanted.items() if listed.get(name) != digest)
    if unlisted:
        yield f"does not list {_some(unlisted)} among the files it looked at"
    if scan.result is Result.FAILED:
        yield "says FAILED"
    if rule.complete and not scan.complete:
        yield "was not complete"
    worst = scan.worst
    if worst is not None and worst.rank > rule.max_severity.rank:
        yield f"has a finding of severity {worst.value}; the policy allows {rule.max_severity.value} at most"
    if scan.result is Result.WARNED and rule.max_severity.rank < Severity.MEDIUM.rank and scan.complete:
        yield "says WARNED"
    yield from _scanner_problems(rule, scan)
    if rule.max_age is not None:
        yield from _age_problems(rule, rule.max_age, claim, scan, evidence.now)


def _digests(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for entry in evidence.manifest.entries:
        yield evidence.manifest.file_name(entry), entry.digest.hex


def _scanner_problems(rule: ScanRule, scan: ModelScan) -> Iterator[str]:
    if rule.scanner:
        from packaging.version import Version

        versions = rule.scanner.get(scan.scanner.uri)
        if versions is None:
            yield f"was made with {scan.scanner.uri}; the policy wants {', '.join(sorted(rule.scanner))}"
        else:
            try:
                fits = versions.contains(Version(scan.scanner.version), prereleases=True)
            except ValueError:  # also a number of more digits than Python turns into one
                fits = False
            if not fits:
                yield f"was made with version {scan.scanner.version} of the scanner; the policy wants {versions}"
    if rule.ruleset_min is not None:
        ruleset = calver(scan.scanner.ruleset)
        if ruleset is None or ruleset < rule.ruleset_min:
            least = ".".join(map(str, rule.ruleset_min))
            yield f"was made with rule set {scan.scanner.ruleset}; the policy wants {least} or later"


def _age_problems(
    rule: ScanRule, max_age: timedelta, claim: SignedClaim, scan: ModelScan, now: datetime
) -> Iterator[str]:
    signed = claim.signer.time
    if rule.trusted_time and signed is None:
        yield (
            "carries no trusted time, so its age is not known; sign it with a timestamp (--timestamp-url) or keyless, "
            "or accept the signer's own clock with trusted_time = false"
        )
        return
    # The scanner's own clock can only make a statement older than its seal, never younger.
    oldest = scan.finished if signed is None else min(signed, scan.finished)
    youngest = scan.finished if signed is None else max(signed, scan.finished)
    # Differences, because sums of times can leave the calendar.
    if youngest - now > rule.clock_skew or (signed is not None and scan.finished - signed > rule.clock_skew):
        yield f"is dated in the future ({youngest:%Y-%m-%d %H:%M} UTC)"
    elif now - oldest > max_age:
        yield f"is from {oldest:%Y-%m-%d %H:%M} UTC, older than {_span(max_age)}; scan again"


def _conversion_attested(policy: Policy, rule: ConversionRule, evidence: Evidence) -> Iterator[Reason]:
    tensors = {name: digest for name, digest in _digests(evidence) if name.endswith(".safetensors")}
    accepted = [
        one
        for one in evidence.statements
        if one.bound.verified.statement.predicate_type == SLSA_PROVENANCE_V1 and accepts(rule.by, one)
    ]
    if rule.when is When.CONVERTED and not _was_converted(evidence):
        yield Reason(code=Code.CONVERSION_ATTESTED, message="the model was not converted", passed=True)
        return
    wanted = _who(rule.by)
    if not tensors:
        message = f"the policy wants a conversion attested by {wanted}, and the model has no safetensors file"
        yield Reason(code=Code.CONVERSION_ATTESTED, message=message, passed=False)
        return
    problems: list[str] = []
    said = [(one, _converted(rule, one, problems)) for one in accepted]
    for name, digest in sorted(tensors.items()):
        vouching = [one.signer for one, files in said if files.get(name) == digest]
        count = len(vouching) if rule.threshold == 1 else distinct(vouching, policy.patterns(rule.by))
        if count >= rule.threshold:
            who = ", ".join(sorted({_called(signer) for signer in vouching}))
            message = f"the conversion of {name} is attested by {who}"
            yield Reason(code=Code.CONVERSION_ATTESTED, message=message, passed=True, subject=name)
        else:
            why = "; ".join(problems) or "they make one with `modelsign attest --conversion RECORD`"
            message = f"no signed conversion of {name} by {wanted}; {why}"
            yield Reason(code=Code.CONVERSION_ATTESTED, message=message, passed=False, subject=name)


def _converted(rule: ConversionRule, claim: SignedClaim, problems: list[str]) -> Mapping[str, str]:
    """Return the files whose conversion a statement attests, none where the statement is not acceptable."""
    from attestations.predicates.provenance import Provenance
    from modelsign.claims.conversion import converted_files

    bound = claim.bound
    try:
        provenance = Provenance.parse(bound.verified.statement.predicate)
        if provenance.build_type != rule.build_type:
            problems.append(f"a statement is of build type {provenance.build_type}")
            return {}
        covered = set(bound.files)
        if rule.build_type == CONVERT_BUILD_TYPE_V1:
            return {name: digest for name, digest in converted_files(provenance).items() if name in covered}
    except EnvelopeError as error:
        problems.append(f"the statement by {_called(claim.signer)} does not count: {error}")
        return {}
    # Another build type: its parameters are not ours to read, its subjects are what it made.
    return {
        bound.manifest.file_name(entry): entry.digest.hex
        for entry in bound.manifest.entries
        if bound.manifest.file_name(entry) in covered
    }


def _was_converted(evidence: Evidence) -> bool:
    """Return whether anybody says that the model was converted; a checkpoint left beside the output says so too."""
    return any(one.bound.verified.statement.predicate_type == SLSA_PROVENANCE_V1 for one in evidence.statements)


def _called(signer: Signer) -> str:
    return "/".join(signer.principals) or signer.name


def _who(names: Sequence[str]) -> str:
    return " or ".join(names) or "anybody it trusts"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _span(span: timedelta) -> str:
    hours = int(span.total_seconds()) // 3600
    if hours and hours % 24 == 0:
        return f"{hours // 24} days"
    return f"{hours} hours" if hours else f"{int(span.total_seconds()) // 60} minutes"
