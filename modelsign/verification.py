"""Decide whether a model may be loaded: signature, content, claims, a scan of its own, and a policy.

The order is that of cost and of trust: who signed is settled before the model is touched, names and sizes before a byte
is hashed, and only what was signed is scanned and held against claims. The model is walked before the first and after
the last look at it; whatever changed meanwhile denies.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attestations.bundle import Bundle
from attestations.errors import (
    AttestationError,
    ContentChanged,
    IdentityMismatch,
    ManifestError,
    NotRegular,
    Unsupported,
)
from attestations.ignoring import resolve_ignored
from attestations.legacy import LegacyVerifier, is_legacy, legacy_manifest_of
from attestations.manifest import Manifest, claims_path, signature_path
from attestations.predicates.oms_signature import manifest_of
from attestations.uris import OMS_DIGESTS_V0_1, OMS_SIGNATURE_V1
from attestations.verify import Unproven, VerifiedStatement, Verifier, bind
from modelsign.claims import store
from modelsign.claims.summary import summary_of
from modelsign.errors import SourceError, UsageError
from modelsign.isolation import Sandbox
from modelsign.policy import content
from modelsign.policy.caller import Trusted
from modelsign.policy.content import Content
from modelsign.policy.decision import AppliedPolicy, Claim, Code, Decision, Level, LocalScan, Reason, Signer
from modelsign.policy.evaluate import current, evaluate, symlinks, unsigned_files
from modelsign.policy.evidence import Evidence, SignedClaim, signer_of
from modelsign.policy.failure import reason_of
from modelsign.policy.request import Progress, Request
from modelsign.policy.rules import ModelRules, Policy
from modelsign.policy.trust import Proven, Verifiers, policy_verifiers, refuse_own_trust
from modelsign.regular import path_of, read_regular
from scanners.records import dataclass

if TYPE_CHECKING:
    from attestations.signers.sigstore import SigstoreTrust
    from scanners.findings import Report

PathLike = str | os.PathLike[str]

_MAX_SIGNATURE_BYTES = 256 * 1024 * 1024
_SIGNATURES = frozenset({OMS_SIGNATURE_V1, OMS_DIGESTS_V0_1})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """A proven model signature."""

    proven: Proven
    signer: Signer
    manifest: Manifest


def verify(
    target: PathLike,
    *,
    keys: Sequence[PathLike] = (),
    identity: str | None = None,
    identity_regexp: str | None = None,
    issuer: str | None = None,
    issuer_regexp: str | None = None,
    certificate_claims: Mapping[str, str] | None = None,
    sigstore: "SigstoreTrust | None" = None,
    max_trust_age: timedelta | None = None,
    verifiers: Sequence[Verifier] = (),
    policy: "PathLike | Policy | None" = None,
    signature: PathLike | None = None,
    claims: PathLike | None = None,
    cosignatures: Sequence[PathLike] = (),
    ignore: Sequence[str] = (),
    partial: Sequence[str] = (),
    every: bool = False,
    scan: bool = True,
    allow_incomplete: bool = False,
    allow_unsigned: bool = False,
    allow_symlinks: bool = False,
    signed_after: datetime | None = None,
    signed_before: datetime | None = None,
    legacy: bool = False,
    insecure_ignore_log: bool = False,
    insecure_ignore_time: bool = False,
    claimed_digests: PathLike | None = None,
    accept_claimed_digests: bool = False,
    offline: bool = False,
    sandbox: Sandbox = Sandbox.AUTO,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> Decision:
    """Decide whether a model may be loaded.

    Nothing is trusted by default: give a key, an identity with its issuer, or a policy. Where a policy and a key or
    identity are given, the signature must satisfy both.

    Args:
        target: a directory, or a model that is one file.
        keys: PEM files with public keys.
        identity: who must have signed keyless: exact, or a glob whose ``*`` crosses neither ``/`` nor ``@``.
        identity_regexp: the same as a regular expression for the whole identity.
        issuer: who must vouch for that identity, exact.
        issuer_regexp: the same as a regular expression.
        certificate_claims: what the certificate must say besides, for example ``repository_id``.
        sigstore: the Sigstore instance to believe; public good unless given.
        max_trust_age: refuse Sigstore roots that were fetched longer ago.
        verifiers: verifiers of `attestations.signers` that the caller has already.
        policy: a policy or its file.
        signature: where the signature lies, if not in its usual place.
        claims: where the claims lie, if not in their usual place.
        cosignatures: files with further signatures of the same model, for a policy that wants several signers.
        ignore: names or patterns, relative to the model's root, that are not part of the model.
        partial: shell patterns; only files that match one are verified, the rest is named as unchecked.
        every: name every difference instead of ending at the first.
        scan: scan the model as well.
        allow_incomplete: let pass what the scan could not analyse.
        allow_unsigned: let pass files that nobody signed (a policy has its own rule for that).
        allow_symlinks: follow links that stay inside the model, where its signer did (a policy has its own rule too).
        signed_after: let a signature count only when somebody trusted says that it was made after this.
        signed_before: the same for before.
        legacy: read signatures of model-signing v0.2.0, which are weaker than today's.
        insecure_ignore_log: accept what ``identity`` signed although no entry of a transparency log proves it. A reason
            of level "warn" says so. No policy is satisfied by such a signature, so the two exclude each other.
        insecure_ignore_time: accept, besides, what nobody trusted gives a time to.
        claimed_digests: a file with digests that others claim (`modelsign digest --json`, or lines of `sha256sum`) to
            compare with the signed ones; nothing is measured, and ``target`` need not hold the files.
        accept_claimed_digests: be content with that.
        offline: open no connection.
        sandbox: which layers of isolation the scan's workers get.
        progress: told how many bytes have been read since the last call.
        now: the time to hold statements and the policy against; the clock's unless given.

    Returns:
        The decision. A model that is not allowed is no error.

    Raises:
        UsageError: nobody to trust was given, or options contradict each other.
        PolicyError: the policy is malformed.
        SourceError: a file cannot be read.
        ManifestError: the files cannot be listed or hashed.
    """
    model = path_of(target)
    if not model.exists() and not (claimed_digests is not None and signature is not None):
        raise SourceError(f"{model}: there is no such file or directory")
    if claimed_digests is not None and partial:
        raise UsageError("--partial measures files, and --manifest measures none; give one of them")
    if policy is not None and insecure_ignore_log:
        raise UsageError(
            "a policy is not satisfied by what no transparency log proves; --insecure-ignore-tlog and --policy exclude "
            "each other"
        )
    loaded = policy if policy is None or isinstance(policy, Policy) else _load(Path(policy))
    if loaded is not None:
        refuse_own_trust(loaded, model)
    trusted = Trusted(
        keys=tuple(Path(key) for key in keys),
        identity=identity,
        identity_regexp=identity_regexp,
        issuer=issuer,
        issuer_regexp=issuer_regexp,
        claims=certificate_claims or {},
        signed_after=signed_after,
        signed_before=signed_before,
        insecure_ignore_log=insecure_ignore_log,
        insecure_ignore_time=insecure_ignore_time,
        sigstore=sigstore or _default_instance(offline, max_trust_age, needed=identity or identity_regexp),
    )
    ignored = _ignored(model, ignore)
    request = Request(
        model=model,
        signature=signature_path(model) if signature is None else path_of(signature),
        claims=claims_path(model) if claims is None else _given_claims(path_of(claims)),
        cosignatures=tuple(Path(path) for path in cosignatures),
        ignored=ignored,
        partial=tuple(partial),
        every=every,
        scan=scan and claimed_digests is None,
        sandbox=sandbox,
        legacy=legacy,
        allow_incomplete=allow_incomplete,
        allow_unsigned=allow_unsigned,
        allow_symlinks=allow_symlinks,
        claimed=None if claimed_digests is None else _claimed(Path(claimed_digests), model.name or "model", ignored),
        accept_claimed=accept_claimed_digests,
        policy=loaded,
        verifiers=_verifiers(
            trusted.verifiers(verifiers), loaded, sigstore, offline=offline, max_trust_age=max_trust_age
        ),
        progress=progress,
        now=now or datetime.now(UTC),
    )
    return _decide(request)


def _claimed(path: Path, name: str, ignored: tuple[str, ...]) -> Manifest:
    from modelsign.claims import claimed_digests

    return claimed_digests.read(path, name=name, ignored=ignored)


def _given_claims(path: Path) -> Path:
    # No claims in their usual place are none; where somebody names a file, it is a typing mistake.
    if not os.path.lexists(path):
        raise SourceError(f"{path}: there is no such file of claims")
    return path


def _load(path: Path) -> Policy:
    from modelsign.policy.file import load

    return load(path)


def _default_instance(offline: bool, max_trust_age: timedelta | None, *, needed: str | None) -> "SigstoreTrust | None":
    if needed is None:
        return None
    from modelsign.trusting import instance

    return instance(None, offline=offline, max_age=max_trust_age)


def _ignored(model: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    if not patterns:
        return ()
    if model.is_file():
        raise UsageError(f"{model} is one file; there is nothing in it to ignore")
    try:
        return resolve_ignored(model, patterns)
    except ManifestError as error:
        raise UsageError(str(error)) from error


def _verifiers(
    caller: tuple[Verifier, ...],
    policy: Policy | None,
    sigstore: "SigstoreTrust | None",
    *,
    offline: bool,
    max_trust_age: timedelta | None,
) -> Verifiers:
    verifiers = Verifiers()
    if policy is not None:
        verifiers = policy_verifiers(policy, sigstore, offline=offline, max_age=max_trust_age)
    if not caller and not verifiers.policy:
        if policy is not None:
            raise UsageError(
                f"policy {policy.name} names no key and no identity, so nobody is trusted; add them to it, or give "
                "--key FILE or --identity NAME --issuer URL"
            )
        raise UsageError(
            "whom do you trust? A signature by anybody proves nothing. Give --key FILE (a public key), or "
            "--identity NAME with --issuer URL (keyless), or --policy FILE"
        )
    return replace(verifiers, caller=caller)


def _decide(request: Request) -> Decision:
    policy = request.policy
    decision = Decision(
        target=request.name,
        reasons=() if policy is None else (current(policy, request.now),),
        policy=None
        if policy is None
        else AppliedPolicy(name=policy.name, sha256=policy.sha256, mode=policy.mode.value),
    )
    signed = _signature(request)
    if isinstance(signed, Reason):
        return _with(decision, signed)
    decision = replace(_with(decision, *_signature_reasons(request, signed)), signers=(signed.signer,))
    if not decision.allowed and not request.every:
        return decision
    found = content.look(request, signed.manifest)
    if isinstance(found, Reason):
        return _with(decision, found)
    comparison = found.comparison
    decision = replace(decision, covered=content.covered(request, signed.manifest, comparison))
    differences = content.differences(request, signed.manifest, comparison)
    if differences:
        return _with(decision, *differences)
    return _judged(request, signed, found, _with(decision, *content.matches(request, comparison)))


def _judged(request: Request, signed: _Signed, found: Content, decision: Decision) -> Decision:
    """Add what claims, the local scan and the policy say about content that is what was signed."""
    actual = found.comparison.actual
    unsigned = found.unsigned(request.rules)
    try:
        whole = content.whole_files(request, actual)
        claims, notes = _claims(request, whole)
        report = _scanned(request, found, unsigned) if request.scan else None
        found.check(request)
    except (ContentChanged, NotRegular) as error:
        return _with(decision, reason_of(error))
    signature = SignedClaim(
        bound=bind(signed.proven.verified, actual, signed=signed.manifest),
        signer=signed.signer,
        trusted_by_caller=signed.proven.by_caller,
    )
    evidence = Evidence(
        manifest=whole,
        signatures=(signature, *(claim for claim in claims if _is_signature(claim, signed.manifest, request.rules))),
        statements=tuple(claim for claim in claims if claim.bound.verified.statement.predicate_type not in _SIGNATURES),
        unsigned=unsigned,
        report=report,
        now=request.now,
    )
    if request.policy is None:
        reasons = (*unsigned_files(unsigned, request.rules), symlinks(whole, request.rules))
    else:
        # Whether the policy is current was said at the beginning.
        reasons = tuple(
            reason for reason in evaluate(request.policy, evidence) if reason.code is not Code.POLICY_CURRENT
        )
    if report is not None:
        reasons += _scan_reasons(request, report, evidence)
    decision = replace(
        decision,
        reasons=(
            *decision.reasons,
            *(
                reason
                for claim in claims
                for reason in _unlogged(
                    claim.bound.verified, f"the claim {claim.bound.verified.statement.predicate_type}"
                )
            ),
        ),
        claims=tuple(_claim(claim) for claim in claims),
        scan=None if report is None else _scan_in_brief(report),
        notes=(*decision.notes, *notes),
        manifest=whole,
        inputs=tuple(claim.bound.verified.bundle.digest() for claim in (signature, *claims)),
    )
    return _with(decision, *reasons)


def _scanned(request: Request, found: Content, unsigned: Sequence[str]) -> "Report":
    # The scanner is imported where it is used: a verification with --no-scan does not pay for it.
    from modelsign.policy import observed

    return observed.scan_here(
        request.model,
        found.comparison.actual,
        unsigned=unsigned,
        left=found.comparison.left,
        opened=found.comparison.opened,
        sandbox=request.sandbox,
        progress=request.progress,
    )


def _scan_reasons(request: Request, report: "Report", evidence: Evidence) -> tuple[Reason, ...]:
    from modelsign.policy import observed

    reasons = observed.judged(report, request.policy, allow_incomplete=request.allow_incomplete)
    return reasons if request.partial else reasons + observed.agreement(report, evidence)


def _scan_in_brief(report: "Report") -> LocalScan:
    return LocalScan(
        verdict=report.verdict.value,
        complete=report.complete,
        findings=len(report.findings),
        ruleset=report.ruleset,
    )


def _with(decision: Decision, *reasons: Reason) -> Decision:
    return replace(decision, reasons=(*decision.reasons, *reasons))


def _signature(request: Request) -> _Signed | Reason:
    """Return the proven signature, or why there is none."""
    try:
        # Without a name for the bytes, so that they are gone while what they say is read: megabytes for many files.
        bundle = Bundle.parse(read_regular(request.signature, _MAX_SIGNATURE_BYTES, what="the signature"))
    except FileNotFoundError:
        message = f"there is no signature at {request.signature}; ask whoever made the model for one"
        return Reason(code=Code.SIGNATURE_FOUND, message=message, passed=False)
    except AttestationError as error:
        return reason_of(error)
    try:
        proven, manifest = _proven(request, bundle)
    except AttestationError as error:
        return reason_of(error)
    return _Signed(proven=proven, signer=_signer(request, proven), manifest=manifest)


def _proven(request: Request, bundle: Bundle) -> tuple[Proven, Manifest]:
    if not is_legacy(bundle):
        proven = request.verifiers.prove(bundle)
        return proven, manifest_of(proven.verified.statement)
    if not request.legacy:
        raise Unsupported(
            "a signature of model-signing v0.2.0, which has no digest over the whole model; --legacy reads it"
        )
    proven = request.verifiers.through(lambda verifier: LegacyVerifier(inner=verifier)).prove(bundle)
    return proven, legacy_manifest_of(proven.verified.statement)


def _signer(request: Request, proven: Proven) -> Signer:
    # Whom only the caller trusts has no name in the policy, whatever a certificate of another instance may say.
    named = request.policy is not None and proven.by_policy
    identities = request.policy.identities if request.policy is not None and named else {}
    return signer_of(proven.verified, vouched=proven.vouched if named else (), identities=identities)


def _signature_reasons(request: Request, signed: _Signed) -> list[Reason]:
    valid = Reason(code=Code.SIGNATURE_VALID, message="the signature is valid", passed=True)
    if request.verifiers.caller and not signed.proven.by_caller:
        return [valid, reason_of(signed.proven.failure or IdentityMismatch("not signed by whom you trust"))]
    trusted = Reason(
        code=Code.SIGNER_TRUSTED, message=f"signed by {signed.signer.name}", passed=True, subject=signed.signer.name
    )
    unlogged = _unlogged(signed.proven.verified, "the signature")
    return [valid, *unlogged, trusted] if signed.proven.by_caller else [valid, *unlogged]


def _unlogged(verified: VerifiedStatement, what: str) -> tuple[Reason, ...]:
    """Return the warning that goes with a statement that was let pass without proof of a log."""
    if not verified.unproven:
        return ()
    missing = "no proof of a transparency log was looked at (--insecure-ignore-tlog): nobody could notice a misuse of "
    missing += f"{verified.signed_by.name}"
    if Unproven.TIME in verified.unproven:
        missing += "; nor does anybody trusted say when it was signed (--insecure-ignore-time): an expired key would do"
    return (
        Reason(
            code=Code.LOG_PROOF,
            message=f"for {what} {missing}",
            passed=False,
            subject=verified.signed_by.name,
            level=Level.WARN,
        ),
    )


def _claims(request: Request, whole: Manifest) -> tuple[tuple[SignedClaim, ...], tuple[str, ...]]:
    """Return the claims by people who are trusted, and a note about the others."""
    claims = []
    others = unread = 0
    cosigned = [_cosignature(path) for path in request.cosignatures]
    for bundle in (*(line.bundle for line in store.read(request.claims)), *cosigned):
        if bundle is None:
            unread += 1
            continue
        try:
            proven = request.verifiers.prove(bundle)
            bound = bind(proven.verified, whole)
        except AttestationError:
            others += 1
            continue
        claims.append(SignedClaim(bound=bound, signer=_signer(request, proven), trusted_by_caller=proven.by_caller))
    notes = []
    if others:
        notes.append(f"{others} claims are not by anybody trusted, or do not hold; they count for nothing")
    if unread:
        notes.append(f"{unread} lines of {request.claims.name} are no bundles; they count for nothing")
    return tuple(claims), tuple(notes)


def _cosignature(path: Path) -> Bundle:
    try:
        return Bundle.parse(read_regular(path, _MAX_SIGNATURE_BYTES, what="the further signature"))
    except FileNotFoundError as error:
        raise SourceError(f"{path}: the further signature cannot be read: {error.strerror}") from error
    except AttestationError as error:
        raise SourceError(f"{path}: no signature that can be read: {error}") from error


def _is_signature(claim: SignedClaim, signed: Manifest, rules: ModelRules) -> bool:
    """Return whether a claim signs the very files that the model's own signature does.

    One that signs more is of another model: whoever takes files away must not keep the signature over all of them.
    """
    statement = claim.bound.verified.statement
    if statement.predicate_type != OMS_SIGNATURE_V1 or not claim.bound.covers_all:
        return False
    return content.held(manifest_of(statement), rules).files() == content.held(signed, rules).files()


def _claim(claim: SignedClaim) -> Claim:
    return Claim(
        predicate_type=claim.bound.verified.statement.predicate_type,
        summary=summary_of(claim.bound),
        signer=claim.signer,
    )
