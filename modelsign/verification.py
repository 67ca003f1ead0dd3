"""Decide whether a model may be loaded: signature, content, claims, a scan of its own, and a policy.

The order is that of cost and of trust: who signed is settled before the model is touched, names and sizes before a byte
is hashed, and only what was signed is scanned and held against claims. The model is walked before the first and after
the last look at it; whatever changed meanwhile denies.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from attestations.bundle import Bundle
from attestations.errors import (
    AttestationError,
    ContentChanged,
    IdentityMismatch,
    LogProofInvalid,
    ManifestError,
    NotRegular,
    TrustError,
    Unsupported,
)
from attestations.files import Walk, check_unchanged, walk
from attestations.ignoring import resolve_ignored
from attestations.manifest import (
    FILES,
    Comparison,
    Manifest,
    claims_path,
    ignored_with_defaults,
    measure,
    measure_against,
    signature_path,
)
from attestations.predicates.oms_signature import manifest_of
from attestations.statement import Statement
from attestations.uris import OMS_SIGNATURE_V1
from attestations.verify import Verifier, bind
from modelsign.claims import store
from modelsign.claims.summary import summary_of
from modelsign.errors import SourceError, UsageError
from modelsign.policy.caller import Trusted
from modelsign.policy.decision import AppliedPolicy, Claim, Code, Covered, Decision, Level, LocalScan, Reason, Signer
from modelsign.policy.evaluate import current, evaluate, symlinks, unsigned_files
from modelsign.policy.evidence import Evidence, SignedClaim, signer_of
from modelsign.policy.rules import ModelRules, Policy
from modelsign.policy.trust import Proven, Verifiers, policy_verifiers

if TYPE_CHECKING:
    from attestations.signers.sigstore import SigstoreTrust
    from scanners.findings import Report

PathLike = str | os.PathLike[str]
Progress = Callable[[int], None]

_MAX_SIGNATURE_BYTES = 256 * 1024 * 1024
_MAX_LISTED = 1000
"""differing files of one kind that become reasons of their own"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What was asked, resolved."""

    model: Path
    signature: Path
    claims: Path
    ignored: tuple[str, ...]
    partial: tuple[str, ...]
    every: bool
    scan: bool
    allow_incomplete: bool
    allow_unsigned: bool
    policy: Policy | None
    verifiers: Verifiers
    progress: Progress | None
    now: datetime

    @property
    def rules(self) -> ModelRules:
        """What may lie in the model: as the policy says, or as the caller does where there is no policy."""
        if self.policy is not None:
            return self.policy.model
        return ModelRules(unsigned_files=Level.WARN if self.allow_unsigned else Level.DENY, symlinks=Level.WARN)


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
    verifiers: Sequence[Verifier] = (),
    policy: "PathLike | Policy | None" = None,
    signature: PathLike | None = None,
    claims: PathLike | None = None,
    ignore: Sequence[str] = (),
    partial: Sequence[str] = (),
    every: bool = False,
    scan: bool = True,
    allow_incomplete: bool = False,
    allow_unsigned: bool = False,
    offline: bool = False,
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
        verifiers: verifiers of `attestations.signers` that the caller has already.
        policy: a policy or its file.
        signature: where the signature lies, if not in its usual place.
        claims: where the claims lie, if not in their usual place.
        ignore: names or patterns, relative to the model's root, that are not part of the model.
        partial: shell patterns; only files that match one are verified, the rest is named as unchecked.
        every: name every difference instead of ending at the first.
        scan: scan the model as well.
        allow_incomplete: let pass what the scan could not analyse.
        allow_unsigned: let pass files that nobody signed (a policy has its own rule for that).
        offline: open no connection.
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
    model = Path(target)
    if not model.exists():
        raise SourceError(f"{model}: there is no such file or directory")
    loaded = policy if policy is None or isinstance(policy, Policy) else _load(Path(policy))
    trusted = Trusted(
        keys=tuple(Path(key) for key in keys),
        identity=identity,
        identity_regexp=identity_regexp,
        issuer=issuer,
        issuer_regexp=issuer_regexp,
        claims=certificate_claims or {},
        sigstore=sigstore or _default_instance(offline=offline, needed=identity or identity_regexp),
    )
    request = _Request(
        model=model,
        signature=signature_path(model) if signature is None else Path(signature),
        claims=claims_path(model) if claims is None else Path(claims),
        ignored=_ignored(model, ignore),
        partial=tuple(partial),
        every=every,
        scan=scan,
        allow_incomplete=allow_incomplete,
        allow_unsigned=allow_unsigned,
        policy=loaded,
        verifiers=_verifiers((*verifiers, *trusted.verifiers()), loaded, sigstore, offline=offline),
        progress=progress,
        now=now or datetime.now(UTC),
    )
    return _decide(request)


def _load(path: Path) -> Policy:
    from modelsign.policy.file import load

    return load(path)


def _default_instance(*, offline: bool, needed: str | None) -> "SigstoreTrust | None":
    if needed is None:
        return None
    from attestations.signers.sigstore import SigstoreTrust

    return SigstoreTrust(offline=offline)


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
    caller: tuple[Verifier, ...], policy: Policy | None, sigstore: "SigstoreTrust | None", *, offline: bool
) -> Verifiers:
    verifiers = Verifiers() if policy is None else policy_verifiers(policy, sigstore, offline=offline)
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


def _decide(request: _Request) -> Decision:
    policy = request.policy
    decision = Decision(
        target=request.model.name or request.model.resolve().name,
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
    content = _content(request, signed)
    if isinstance(content, Reason):
        return _with(decision, content)
    decision = replace(decision, covered=_covered(content.comparison, signed.manifest))
    differences = _differences(request, signed, content.comparison)
    if differences:
        return _with(decision, *differences)
    decision = _with(decision, _matches(content.comparison))
    return _judged(request, signed, content, decision)


def _judged(request: _Request, signed: _Signed, content: "_Content", decision: Decision) -> Decision:
    """Add what claims, the local scan and the policy say about content that is what was signed."""
    actual = content.comparison.actual
    unsigned = content.unsigned(request.rules)
    try:
        whole = _whole(request, actual)
        claims, notes = _claims(request, whole)
        report = _scanned(request, content, unsigned) if request.scan else None
        _check_unchanged(request, content.seen, actual)
    except (ContentChanged, NotRegular) as error:
        return _with(decision, _failure(error))
    signature = SignedClaim(
        bound=bind(signed.proven.verified, actual),
        signer=signed.signer,
        trusted_by_caller=signed.proven.by_caller,
    )
    evidence = Evidence(
        manifest=whole,
        signatures=(signature, *(claim for claim in claims if _is_signature(claim))),
        statements=tuple(claim for claim in claims if not _is_signature(claim)),
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
        claims=tuple(_claim(claim) for claim in claims),
        scan=None if report is None else _scan_in_brief(report),
        notes=(*decision.notes, *notes),
    )
    return _with(decision, *reasons)


def _scanned(request: _Request, content: "_Content", unsigned: Sequence[str]) -> "Report":
    # The scanner is imported where it is used: a verification with --no-scan does not pay for it.
    from modelsign.policy import observed

    return observed.scan_here(
        request.model,
        content.comparison.actual,
        unsigned=unsigned,
        left=content.comparison.left,
        progress=request.progress,
    )


def _scan_reasons(request: _Request, report: "Report", evidence: Evidence) -> tuple[Reason, ...]:
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


def _signature(request: _Request) -> _Signed | Reason:
    """Return the proven signature, or why there is none."""
    try:
        with request.signature.open("rb") as file:
            data = file.read(_MAX_SIGNATURE_BYTES + 1)
    except FileNotFoundError:
        message = f"there is no signature at {request.signature}; ask whoever made the model for one"
        return Reason(code=Code.SIGNATURE_FOUND, message=message, passed=False)
    except OSError as error:
        raise SourceError(f"{request.signature}: the signature cannot be read: {error.strerror}") from error
    if len(data) > _MAX_SIGNATURE_BYTES:
        message = f"{request.signature} is larger than any signature"
        return Reason(code=Code.SIGNATURE_VALID, message=message, passed=False)
    try:
        proven = request.verifiers.prove(Bundle.parse(data))
        manifest = manifest_of(proven.verified.statement)
    except AttestationError as error:
        return _failure(error)
    return _Signed(proven=proven, signer=_signer(request, proven), manifest=manifest)


def _signer(request: _Request, proven: Proven) -> Signer:
    identities = {} if request.policy is None else request.policy.identities
    return signer_of(
        proven.verified, key_names=request.verifiers.key_names, vouched=proven.vouched, identities=identities
    )


def _signature_reasons(request: _Request, signed: _Signed) -> list[Reason]:
    valid = Reason(code=Code.SIGNATURE_VALID, message="the signature is valid", passed=True)
    if request.verifiers.caller and not signed.proven.by_caller:
        return [valid, _failure(signed.proven.failure or IdentityMismatch("not signed by whom you trust"))]
    trusted = Reason(
        code=Code.SIGNER_TRUSTED, message=f"signed by {signed.signer.name}", passed=True, subject=signed.signer.name
    )
    return [valid, trusted] if signed.proven.by_caller else [valid]


def _failure(error: AttestationError) -> Reason:
    """Return the reason that an error comes to."""
    kinds: tuple[tuple[type[AttestationError], Code], ...] = (
        (Unsupported, Code.SIGNATURE_SUPPORTED),
        (IdentityMismatch, Code.SIGNER_TRUSTED),
        (LogProofInvalid, Code.LOG_PROOF),
        (TrustError, Code.TRUST_USABLE),
        (ContentChanged, Code.CONTENT_STABLE),
        (NotRegular, Code.CONTENT),
    )
    code = next((code for kind, code in kinds if isinstance(error, kind)), Code.SIGNATURE_VALID)
    return Reason(code=code, message=str(error), passed=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """The model as it lies here, held against what was signed."""

    seen: Walk
    comparison: Comparison
    allowed_unsigned: tuple[str, ...]
    """names that the policy lets lie there unsigned, and that do"""

    def unsigned(self, rules: ModelRules) -> tuple[str, ...]:
        """Return all files that nobody signed and that do not end the verification."""
        extra = self.comparison.differences.extra if rules.unsigned_files is Level.WARN else ()
        return tuple(sorted({*extra, *self.allowed_unsigned}))


def _content(request: _Request, signed: _Signed) -> _Content | Reason:
    """Measure the model and compare it with its signed manifest; a reason where it cannot be a model at all."""
    manifest = signed.manifest
    may_be_unsigned = request.rules.may_be_unsigned
    ignored: tuple[str, ...] = ()
    if request.model.is_dir():
        ignored = (*request.ignored, *may_be_unsigned, *_own_files(request), *_other_signatures(request, manifest))
    try:
        seen = walk(request.model, ignored=ignored_with_defaults(ignored), allow_symlinks=manifest.allow_symlinks)
        comparison = measure_against(
            manifest,
            request.model,
            ignored=ignored,
            unsigned_allowed=request.rules.unsigned_files is Level.WARN,
            partial=request.partial,
            every=request.every,
            progress=request.progress,
        )
    except (ContentChanged, NotRegular) as error:
        return _failure(error)
    signed_names = set(manifest.files())
    left_out = set(comparison.actual.unsigned)
    return _Content(
        seen=seen,
        comparison=comparison,
        allowed_unsigned=tuple(name for name in may_be_unsigned if name in left_out and name not in signed_names),
    )


def _own_files(request: _Request) -> list[str]:
    """Return the signature and the claims, where the caller put them into the model under names of their own."""
    root = request.model.resolve()
    places = [path.parent.resolve() / path.name for path in (request.signature, request.claims)]
    return [place.relative_to(root).as_posix() for place in places if place.is_relative_to(root)]


def _other_signatures(request: _Request, manifest: Manifest) -> list[str]:
    """Return other signatures of this very model in its root: JSON that no loader reads, and that says the same.

    They are recognised by what they hold, not by their name: anything else that is called ``*.sig`` is a file of the
    model, signed or not.
    """
    wanted = {(entry.resource, entry.digest) for entry in manifest.entries}
    found = []
    for path in sorted(request.model.glob("*.sig")):
        try:
            if path.is_symlink() or path.stat().st_size > _MAX_SIGNATURE_BYTES:
                continue
            said = manifest_of(Statement.parse(Bundle.parse(path.read_bytes()).envelope.payload))
        except (AttestationError, OSError):
            continue
        if {(entry.resource, entry.digest) for entry in said.entries} == wanted:
            found.append(path.name)
    return [name for name in found if name not in set(manifest.files())]


def _differences(request: _Request, signed: _Signed, comparison: Comparison) -> list[Reason]:
    found = comparison.differences
    reasons = [
        *_listed(Code.FILE_MISSING, found.missing, "was signed and is not here"),
        *_listed(Code.FILE_CHANGED, found.changed, "is not what was signed"),
    ]
    if request.rules.unsigned_files is Level.DENY:
        left_out = set(signed.manifest.ignored) - set(comparison.actual.ignored)
        reasons += [_unsigned(name, left_out) for name in found.extra[:_MAX_LISTED]]
        if len(found.extra) > _MAX_LISTED:
            reasons += _listed(Code.FILE_UNSIGNED, found.extra[_MAX_LISTED:], "was never signed")
    if reasons and not comparison.complete:
        message = "the verification ended at the first difference; --all finds every one"
        reasons.append(Reason(code=Code.CONTENT, message=message, passed=False))
    return reasons


def _listed(code: Code, names: Sequence[str], what: str) -> list[Reason]:
    reasons = [Reason(code=code, message=f"{name} {what}", passed=False, subject=name) for name in names[:_MAX_LISTED]]
    more = len(names) - len(reasons)
    if more:
        reasons.append(Reason(code=code, message=f"and {more} more files", passed=False))
    return reasons


def _unsigned(name: str, left_out: set[str]) -> Reason:
    parts = name.split("/")
    above = next((part for end in range(1, len(parts) + 1) if (part := "/".join(parts[:end])) in left_out), None)
    message = f"{name} was never signed; remove it, or have the model signed with it"
    if above is not None:
        message = f"{name} was left out by whoever signed; if that is right for you, give --ignore {above}"
    return Reason(code=Code.FILE_UNSIGNED, message=message, passed=False, subject=name)


def _matches(comparison: Comparison) -> Reason:
    actual = comparison.actual
    message = f"{len(actual.files())} files with {actual.size} bytes are what was signed"
    if comparison.left:
        message += f"; {len(comparison.left)} signed files were not looked at"
    return Reason(code=Code.CONTENT, message=message, passed=True)


def _covered(comparison: Comparison, signed: Manifest) -> Covered:
    actual = comparison.actual
    return Covered(
        root=signed.root,
        files=len(actual.files()),
        size=actual.size,
        ignored=tuple(name for name in actual.unsigned if name not in {"model.sig", "claims.jsonl"}),
        unsigned=comparison.differences.extra,
        unchecked=comparison.left if comparison.complete else (),
    )


def _whole(request: _Request, actual: Manifest) -> Manifest:
    """Return what was measured as whole files with SHA-256, which is how statements name files."""
    if actual.method == FILES and actual.hash_type == "sha256":
        return actual
    whole = measure(
        request.model,
        ignored=actual.ignored,
        allow_symlinks=actual.allow_symlinks,
        progress=request.progress,
    )
    names = set(actual.files())
    return replace(whole, entries=tuple(entry for entry in whole.entries if whole.file_name(entry) in names))


def _check_unchanged(request: _Request, seen: Walk, actual: Manifest) -> None:
    check_unchanged(request.model, seen, ignored=actual.ignored, allow_symlinks=actual.allow_symlinks)


def _claims(request: _Request, whole: Manifest) -> tuple[tuple[SignedClaim, ...], tuple[str, ...]]:
    """Return the claims by people who are trusted, and a note about the others."""
    claims = []
    others = unread = 0
    for line in store.read(request.claims):
        if line.bundle is None:
            unread += 1
            continue
        try:
            proven = request.verifiers.prove(line.bundle)
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


def _is_signature(claim: SignedClaim) -> bool:
    statement = claim.bound.verified.statement
    return statement.predicate_type == OMS_SIGNATURE_V1 and claim.bound.covers_all


def _claim(claim: SignedClaim) -> Claim:
    return Claim(
        predicate_type=claim.bound.verified.statement.predicate_type,
        summary=summary_of(claim.bound),
        signer=claim.signer,
    )
