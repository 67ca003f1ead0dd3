"""Whom the caller of a verification trusts, beside or instead of a policy."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from attestations.errors import AttestationError
from attestations.signers.key import KeyVerifier
from attestations.verify import Verifier
from modelsign.errors import UsageError
from modelsign.policy.identities import CertificateIdentity, exactly, glob, regex
from modelsign.policy.trust import LimitedVerifier, identity_verifier
from scanners.records import dataclass

if TYPE_CHECKING:
    from attestations.signers.sigstore import SigstoreTrust


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Keys, and one keyless identity. Empty means nobody."""

    keys: tuple[Path, ...] = ()
    identity: str | None = None
    """exact, or a glob whose ``*`` crosses neither ``/`` nor ``@``"""
    identity_regexp: str | None = None
    issuer: str | None = None
    issuer_regexp: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    """what the certificate must say besides: `repository_id`, `owner_id`, `trigger`, `runner` …"""
    signed_after: datetime | None = None
    """a signature counts only when somebody trusted says that it was made after this"""
    signed_before: datetime | None = None
    sigstore: "SigstoreTrust | None" = None
    """the instance to believe; None for public good"""
    insecure_ignore_log: bool = False
    """accept keyless signatures that no log entry proves"""
    insecure_ignore_time: bool = False
    """accept, besides, those that nobody trusted gives a time to"""

    def verifiers(self, others: Sequence[Verifier] = ()) -> tuple[Verifier, ...]:
        """Return the verifiers for this trust, none where nobody is trusted.

        Args:
            others: verifiers that the caller has already; the limits in time hold for them too.

        Raises:
            UsageError: an identity without an issuer or the other way round, a malformed expression, a key that
                cannot be used, limits in time with nothing between them.
        """
        found = (*others, *self._keys(), *self._identities())
        if self.signed_after and self.signed_before and self.signed_before <= self.signed_after:
            raise UsageError("no time lies after --signed-after and before --signed-before; turn them round")
        if self.signed_after is None and self.signed_before is None:
            return found
        return tuple(
            LimitedVerifier(
                inner=verifier, name="this trust", not_before=self.signed_after, not_after=self.signed_before
            )
            for verifier in found
        )

    def _keys(self) -> list[Verifier]:
        try:
            return [KeyVerifier.load(path) for path in self.keys]
        except AttestationError as error:
            raise UsageError(f"{error}; --key takes the public key of whom you trust") from error

    def _identities(self) -> list[Verifier]:
        identity = _either(self.identity, self.identity_regexp, "identity")
        issuer = _either(self.issuer, self.issuer_regexp, "issuer")
        if self.insecure_ignore_time and not self.insecure_ignore_log:
            raise UsageError(
                "without a time no log entry can be judged; --insecure-ignore-time goes with --insecure-ignore-tlog"
            )
        if self.insecure_ignore_log and identity is None:
            raise UsageError("--insecure-ignore-tlog is about keyless signatures; it goes with --identity")
        if identity is None and issuer is None:
            if self.claims:
                raise UsageError("what a certificate must say besides needs --identity and --issuer")
            return []
        if identity is None:
            raise UsageError(f"--issuer alone trusts everybody with an account at {issuer}; give --identity as well")
        if issuer is None:
            raise UsageError(
                f"--identity alone trusts whichever issuer says {identity}; give --issuer as well, for example "
                "--issuer https://token.actions.githubusercontent.com"
            )
        try:
            pattern = CertificateIdentity(
                issuer=exactly(issuer) if self.issuer_regexp is None else regex(issuer),
                subject=glob(identity) if self.identity_regexp is None else regex(identity),
                shown=f"{identity} (issuer {issuer})",
                claims=self.claims,
            )
        except ValueError as error:
            raise UsageError(f"the expression {error}") from error
        return [
            identity_verifier(
                self._instance(),
                [pattern],
                expected=pattern.describe(),
                insecure_ignore_log=self.insecure_ignore_log,
                insecure_ignore_time=self.insecure_ignore_time,
            )
        ]

    def _instance(self) -> "SigstoreTrust":
        from attestations.signers.sigstore import SigstoreTrust

        return self.sigstore or SigstoreTrust()


def _either(exact: str | None, expression: str | None, what: str) -> str | None:
    if exact is not None and expression is not None:
        raise UsageError(f"--{what} and --{what}-regexp exclude each other; give one of them")
    given = expression if exact is None else exact
    if given == "":
        raise UsageError(f"an empty {what} trusts nobody")
    return given
