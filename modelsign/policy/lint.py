"""What a policy's author probably did not mean: rules nobody can satisfy, names nobody uses, trust that is too wide."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from attestations.errors import AttestationError
from modelsign.errors import PolicyError
from modelsign.policy.identities import CertificateIdentity, KeyIdentity, RootedIdentity
from modelsign.policy.rules import Mode, Policy, When

_SOON = timedelta(days=30)
_PICKLED = frozenset({"pickle", "torch-zip", "torch-legacy", "torch-tar", "joblib", "npy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing to look at."""

    code: str
    """stable, kebab-case"""
    message: str


def lint(policy: Policy, *, now: datetime) -> tuple[Remark, ...]:
    """Return what should be looked at, in a fixed order; nothing for a policy without doubts."""
    return tuple(Remark(code=code, message=message) for code, message in _remarks(policy, now))


def _remarks(policy: Policy, now: datetime) -> Iterator[tuple[str, str]]:
    yield from _expiry(policy, now)
    if policy.mode is Mode.WARN:
        yield "warns-only", 'mode = "warn" lets every model pass; it is for trying a policy out'
    yield from _trust(policy)
    yield from _names(policy)
    yield from _times(policy)
    yield from _absence(policy)
    if policy.model.formats is not None:
        yield from _formats(policy.model.formats)


def _expiry(policy: Policy, now: datetime) -> Iterator[tuple[str, str]]:
    if policy.expires is None:
        yield "no-end", "without expires, a copy that somebody forgot decides for ever"
    elif policy.expires < now:
        yield "expired", f"it expired on {policy.expires:%Y-%m-%d} and denies everything"
    elif policy.expires - now < _SOON:
        yield "expires-soon", f"it expires on {policy.expires:%Y-%m-%d}"


def _trust(policy: Policy) -> Iterator[tuple[str, str]]:
    from modelsign.policy.trust import policy_verifiers

    try:
        policy_verifiers(policy, None, offline=True)
    except PolicyError as error:
        yield "unusable-trust", str(error)
    except AttestationError as error:
        yield "unusable-trust", str(error)
    for name in sorted(policy.identities):
        for pattern in policy.identities[name]:
            if isinstance(pattern, RootedIdentity) and pattern.anybody:
                yield "anybody", f"{name}: everybody with a certificate under {pattern.root} may sign"
            if isinstance(pattern, CertificateIdentity):
                yield from _certificate(name, pattern)


def _certificate(name: str, pattern: CertificateIdentity) -> Iterator[tuple[str, str]]:
    if pattern.subject.fullmatch("x") and pattern.subject.fullmatch("anybody"):
        yield "anybody", f"{name}: the subject fits everybody with an account at the issuer"
    workflow = ".github/workflows/" in pattern.shown or "\\.github/workflows/" in pattern.shown
    if workflow and not {"repository_id", "owner_id"} & pattern.claims.keys():
        yield (
            "name-without-id",
            f"{name}: a repository's name can be given up and taken by somebody else; pin repository_id or owner_id",
        )


def _names(policy: Policy) -> Iterator[tuple[str, str]]:
    rules = [rule for rule in (policy.signature, policy.scan, policy.conversion) if rule is not None]
    used = {name for rule in rules for name in rule.by}
    if used:
        for name in sorted(policy.identities.keys() - used):
            if all(rule.by for rule in rules):
                yield "unused-identity", f"{name} is named and no rule asks for it"
    keys = {
        pattern.key
        for patterns in policy.identities.values()
        for pattern in patterns
        if isinstance(pattern, KeyIdentity)
    }
    for key in policy.trust.keys:
        if key.name not in keys:
            yield (
                "unused-key",
                f"key {key.name} is trusted and no identity uses it: whatever it signs counts for nothing",
            )
    if policy.scan is not None and policy.scan.by and set(policy.scan.by) & set(policy.signature.by):
        both = ", ".join(sorted(set(policy.scan.by) & set(policy.signature.by)))
        yield "scans-itself", f"{both} both releases and scans: the scan is the releaser's own word"


def _absence(policy: Policy) -> Iterator[tuple[str, str]]:
    if policy.conversion is not None and policy.conversion.when is When.CONVERTED:
        message = (
            'when = "model.converted" asks for nothing once the claim is gone, and whoever can write to the model can '
            'take it away; when = "always" holds'
        )
        yield "absence-passes", message


def _times(policy: Policy) -> Iterator[tuple[str, str]]:
    rule = policy.scan
    if rule is None or rule.max_age is None or not rule.trusted_time or policy.trust.timestamps:
        return
    patterns = policy.patterns(rule.by)
    if patterns and not any(isinstance(pattern, CertificateIdentity) for pattern in patterns):
        message = (
            "max_age needs a clock that is not the signer's, and keys have none: name authorities under [trust] "
            "timestamps, or say trusted_time = false"
        )
        yield "no-clock", message


def _formats(formats: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    from scanners.registry import FORMATS

    known = {module.NAME for module in FORMATS}
    for name in formats:
        if name not in known:
            yield "unknown-format", f"{name} is no format that a scan reports; the names are {', '.join(sorted(known))}"
        elif name in _PICKLED:
            yield "pickles-allowed", f"{name} can run code when it is loaded; convert such files instead"
