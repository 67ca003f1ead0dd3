"""From what a policy or a caller trusts to verifiers, and from a bundle to proof by them.

Nothing is trusted that was not named: no key, no issuer, no instance has a default. The policy's trust and the caller's
are asked separately, because where both are given a signature must satisfy both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attestations.bundle import Bundle
from attestations.errors import AttestationError, IdentityMismatch, OutsideItsTime
from attestations.signers.key import KeyVerifier
from attestations.verify import Proof, SignedBy, VerifiedStatement, Verifier, verify_bundle
from modelsign.config import refuse_inside
from modelsign.errors import PolicyError
from modelsign.policy.identities import CertificateIdentity, KeyIdentity, RootedIdentity
from modelsign.policy.rules import Policy, TrustedKey
from scanners.records import dataclass

if TYPE_CHECKING:
    from attestations.signers.sigstore import SigstoreTrust
    from attestations.timestamps import TimestampAuthority


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifiers:
    """What decides whether a bundle counts."""

    policy: tuple[Verifier, ...] = ()
    caller: tuple[Verifier, ...] = ()
    named: Mapping[str, Verifier] = field(default_factory=dict)
    """for each key and each certificate identity of the policy its own verifier; they are among ``policy`` as well"""

    def through(self, wrap: Callable[[Verifier], Verifier]) -> "Verifiers":
        """Return these verifiers, each in a wrapping."""
        return replace(
            self,
            policy=tuple(wrap(verifier) for verifier in self.policy),
            caller=tuple(wrap(verifier) for verifier in self.caller),
            named={name: wrap(verifier) for name, verifier in self.named.items()},
        )

    def prove(self, bundle: Bundle) -> "Proven":
        """Return the statement in ``bundle`` as proven by the policy's trust, by the caller's, or by both.

        Raises:
            AttestationError: by neither; what the caller's verifiers said where there are any.
        """
        by_policy, policy_error = _try(bundle, self.policy)
        by_caller, caller_error = _try(bundle, self.caller)
        verified = by_policy or by_caller
        failure = caller_error or policy_error
        if verified is None:
            raise failure or IdentityMismatch("no key and no identity is trusted")
        vouched = [name for name, verifier in self.named.items() if _try(bundle, [verifier])[0] is not None]
        return Proven(
            verified=verified,
            by_policy=by_policy is not None,
            by_caller=by_caller is not None,
            vouched=tuple(sorted(vouched)),
            failure=failure,
        )


def _try(
    bundle: Bundle, verifiers: Sequence[Verifier]
) -> tuple[VerifiedStatement, None] | tuple[None, AttestationError | None]:
    if not verifiers:
        return None, None
    try:
        return verify_bundle(bundle, verifiers), None
    except AttestationError as error:
        return None, error


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A proven statement, and whose trust proves it."""

    verified: VerifiedStatement
    by_policy: bool
    by_caller: bool
    vouched: tuple[str, ...]
    """the keys and certificate identities of the policy that have signed it"""
    failure: AttestationError | None
    """what the other side said, where one of the two does not trust the signer"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitedVerifier:
    """A verifier whose proofs count within a time only, told by a clock that is not the signer's."""

    inner: Verifier
    name: str
    """what is limited: ``the key release``"""
    not_before: datetime | None
    not_after: datetime | None

    def handles(self, bundle: Bundle) -> bool:
        return self.inner.handles(bundle)

    def verify(self, bundle: Bundle) -> Proof:
        proof = self.inner.verify(bundle)
        if proof.time is None:
            raise OutsideItsTime(
                f"{self.name} counts for some time only, and nobody but the signer says when this was signed; it needs "
                "a timestamp of a trusted authority"
            )
        if self.not_before is not None and proof.time < self.not_before:
            raise OutsideItsTime(
                f"{self.name} counts from {_day(self.not_before)} on; this was signed {_day(proof.time)}"
            )
        if self.not_after is not None and proof.time > self.not_after:
            raise OutsideItsTime(f"{self.name} counts until {_day(self.not_after)}; this was signed {_day(proof.time)}")
        return proof


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


def policy_verifiers(
    policy: Policy, sigstore: "SigstoreTrust | None", *, offline: bool, max_age: timedelta | None = None
) -> Verifiers:
    """Return the verifiers for the keys and identities of a policy.

    Args:
        policy: the policy.
        sigstore: the instance to believe instead of the one that the policy names.
        offline: open no connection for trust material.
        max_age: how long ago it may have been fetched, where that is stricter than what the policy says.

    Raises:
        PolicyError: a key cannot be used, or identities are named and no Sigstore instance is.
    """
    authorities = _authorities(policy)
    patterns = [pattern for name in sorted(policy.identities) for pattern in policy.identities[name]]
    named = {
        **{KeyIdentity(key=key.name).describe(): _key_verifier(key, authorities) for key in policy.trust.keys},
        **_rooted(policy, [one for one in patterns if isinstance(one, RootedIdentity)], authorities),
    }
    verifiers = [*named.values()]
    keyless = [one for one in patterns if isinstance(one, CertificateIdentity)]
    if keyless:
        trust = sigstore or _instance(policy, offline=offline, max_age=max_age)
        verifiers.append(identity_verifier(trust, keyless, expected="an identity of the policy"))
    return Verifiers(policy=tuple(verifiers), named=named)


def refuse_own_trust(policy: Policy, model: Path) -> None:
    """Raise `UsageError` where a policy names a key, a certificate or a root that lies in the model it shall judge."""
    trust = policy.trust
    for what, paths in (
        ("key of the policy", [key.path for key in trust.keys]),
        ("certificate of the policy", [*(roots.path for roots in trust.roots), *trust.timestamps]),
        ("trusted root of the policy", [path for path in (trust.sigstore_file, trust.sigstore_root) if path]),
    ):
        for path in paths:
            refuse_inside(path, [str(model)], what=what)


def _authorities(policy: Policy) -> "tuple[TimestampAuthority, ...]":
    if not policy.trust.timestamps:
        return ()
    from attestations.timestamps import load_authority

    try:
        return tuple(load_authority(path) for path in policy.trust.timestamps)
    except AttestationError as error:
        raise PolicyError(f"the policy's timestamp authority: {error}") from error


def _rooted(
    policy: Policy, identities: Sequence[RootedIdentity], authorities: "tuple[TimestampAuthority, ...]"
) -> dict[str, Verifier]:
    if not identities:
        return {}
    from attestations.signers.certificate import CertificateVerifier, Pin, load_roots

    paths = {roots.name: roots.path for roots in policy.trust.roots}
    try:
        return {
            identity.describe(): CertificateVerifier(
                roots=load_roots([paths[identity.root]]),
                accepts=Pin(subject=identity.subject, name=identity.name, spki=identity.spki),
                expected=identity.describe(),
                authorities=authorities,
            )
            for identity in identities
        }
    except AttestationError as error:
        raise PolicyError(f"the policy's certificates: {error}") from error


def identity_verifier(
    trust: "SigstoreTrust",
    patterns: Sequence[CertificateIdentity],
    *,
    expected: str,
    insecure_ignore_log: bool = False,
    insecure_ignore_time: bool = False,
) -> Verifier:
    """Return a verifier for keyless signatures by whoever fits one of ``patterns``."""
    from attestations.signers.sigstore import SigstoreVerifier

    def accepts(signer: SignedBy) -> bool:
        return any(pattern.matches(signer) for pattern in patterns)

    return SigstoreVerifier(
        trust=trust,
        accepts=accepts,
        expected=expected,
        insecure_ignore_log=insecure_ignore_log,
        insecure_ignore_time=insecure_ignore_time,
    )


def _key_verifier(key: TrustedKey, authorities: "tuple[TimestampAuthority, ...]") -> Verifier:
    try:
        verifier = KeyVerifier.load(key.path, name=key.name, authorities=authorities)
    except AttestationError as error:
        raise PolicyError(f"the policy's key {key.name}: {error}") from error
    if key.not_before is None and key.not_after is None:
        return verifier
    return LimitedVerifier(
        inner=verifier, name=f"the key {key.name}", not_before=key.not_before, not_after=key.not_after
    )


def _instance(policy: Policy, *, offline: bool, max_age: timedelta | None) -> "SigstoreTrust":
    from modelsign.trusting import instance

    source = policy.trust.sigstore_file or policy.trust.sigstore
    if source is None:
        raise PolicyError(
            f"{policy.path or policy.name}: identities are named, but no Sigstore instance to believe; say "
            'sigstore = "public-good" (or "staging", the path of a trusted root, the address of a TUF repository) in '
            "[trust]"
        )
    ages = [age for age in (max_age, policy.trust.max_age) if age is not None]
    return instance(
        source,
        bootstrap=policy.trust.sigstore_root,
        offline=offline,
        max_age=min(ages, default=None),
    )
