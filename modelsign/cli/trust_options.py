"""Whom to trust, as options that verbs share; a verb gets ``trusted: TrustChoice``.

cosign's names for the same things are accepted, so that a command line can be carried over.
"""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click
from click.core import ParameterSource

if sys.version_info >= (3, 12):
    from typing import override
elif not TYPE_CHECKING:
    from modelsign.cli.overriding import override
else:
    from typing_extensions import override

from modelsign.cli.instance import check_instance
from modelsign.config import refuse_inside
from modelsign.errors import UsageError
from modelsign.policy.identities import CLAIMS
from modelsign.policy.rules import duration
from scanners.records import dataclass

if TYPE_CHECKING:
    from attestations.signers.sigstore import SigstoreTrust
    from attestations.timestamps import TimestampAuthority
    from attestations.verify import Verifier

P = ParamSpec("P")
R = TypeVar("R")


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """A span of time: `30m`, `24h`, `7d`, `4w`."""

    name = "span"

    @override
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        span = value if isinstance(value, timedelta) else duration(str(value))
        if span is None:
            self.fail(f"{value!r} is no span of time such as 30m, 24h, 7d or 4w", param, ctx)
        return span


DURATION = Duration()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustChoice:
    """What the user said about trust."""

    keys: tuple[Path, ...]
    identity: str | None
    identity_regexp: str | None
    issuer: str | None
    issuer_regexp: str | None
    pins: tuple[str, ...]
    roots: tuple[Path, ...]
    subject: str | None
    subject_name: str | None
    spki: str | None
    any_subject: bool
    authorities: tuple[Path, ...]
    trusted_root: Path | None
    max_trust_age: timedelta | None
    staging: bool
    instance: str | None
    instance_root: Path | None
    policy: Path | None
    offline: bool

    def arguments(self, target: str) -> dict[str, object]:
        """Return the keyword arguments for `modelsign.verification.verify`.

        Raises:
            UsageError: options contradict each other, or what decides lies inside of what is judged.
        """
        for path in self.keys:
            refuse_inside(path, [target], what="key")
        if self.policy is not None:
            refuse_inside(self.policy, [target], what="policy")
        if self.trusted_root is not None:
            refuse_inside(self.trusted_root, [target], what="trusted root")
        if self.instance_root is not None:
            refuse_inside(self.instance_root, [target], what="root of an instance")
        for path in (*self.roots, *self.authorities):
            refuse_inside(path, [target], what="certificate")
        if self.authorities and not self.keys and not self.roots:
            raise UsageError(
                "--timestamp-authority tells the time for --key and --certificate-chain; keyless signatures take it "
                "from their instance, and a policy names its own"
            )
        self._refuse_unused()
        verifiers = (*self._key_verifiers(), *self._certificate_verifiers())
        return {
            "keys": () if self.authorities else self.keys,
            "verifiers": verifiers,
            "identity": self.identity,
            "identity_regexp": self.identity_regexp,
            "issuer": self.issuer,
            "issuer_regexp": self.issuer_regexp,
            "certificate_claims": self._claims(),
            "sigstore": self._instance(),
            "max_trust_age": self.max_trust_age,
            "policy": self.policy,
            "offline": self.offline,
        }

    def _refuse_unused(self) -> None:
        """Refuse a Sigstore instance that nothing is held against; a configuration may name one for other calls."""
        if self.identity or self.identity_regexp or self.issuer or self.issuer_regexp or self.policy is not None:
            return
        if not self.keys and not self.roots:
            return
        context = click.get_current_context()
        for name, option in (("trusted_root", "--trusted-root"), ("staging", "--staging"), ("instance", "--instance")):
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise UsageError(
                    f"{option} says which Sigstore instance to believe about keyless signatures, and only keys or "
                    "certificates are trusted here; leave it out, or give --identity NAME and --issuer URL as well"
                )

    def _key_verifiers(self) -> "Sequence[Verifier]":
        """Return verifiers for the keys where timestamps shall count; elsewhere the library makes them itself."""
        if not self.authorities:
            return ()
        from attestations.errors import SigningError
        from attestations.signers.key import KeyVerifier

        try:
            return [KeyVerifier.load(path, authorities=self._authorities()) for path in self.keys]
        except SigningError as error:
            raise UsageError(f"{error}; --key takes the public key of whom you trust") from error

    def _certificate_verifiers(self) -> "Sequence[Verifier]":
        pin = {"subject": self.subject, "name": self.subject_name, "spki": self.spki}
        pinned = any(value is not None for value in pin.values())
        if not self.roots:
            if pinned or self.any_subject:
                raise UsageError("whose certificate under which root? Give --certificate-chain FILE as well")
            return ()
        if pinned == self.any_subject:
            raise UsageError(
                "everybody with a certificate under that root could sign; say whom you mean with --subject, "
                "--subject-name or --subject-key, or that you mean everybody with --any-subject (one of the two)"
            )
        from attestations.errors import TrustError
        from attestations.signers.certificate import CertificateVerifier, Pin, load_roots

        whom = Pin(**pin)
        try:
            roots = load_roots(self.roots)
        except TrustError as error:
            raise UsageError(f"{error}; --certificate-chain takes the roots that you trust") from error
        return [
            CertificateVerifier(roots=roots, accepts=whom, expected=whom.describe(), authorities=self._authorities())
        ]

    def _authorities(self) -> "tuple[TimestampAuthority, ...]":
        from attestations.errors import TrustError
        from attestations.timestamps import load_authority

        try:
            return tuple(load_authority(path) for path in self.authorities)
        except TrustError as error:
            raise UsageError(str(error)) from error

    def _claims(self) -> Mapping[str, str]:
        claims = {}
        for pin in self.pins:
            name, equals, value = pin.partition("=")
            if not equals or name not in CLAIMS:
                raise UsageError(f"--pin {pin}: give NAME=VALUE, where NAME is one of {', '.join(CLAIMS)}")
            claims[name] = value
        return claims

    def _instance(self) -> "SigstoreTrust | None":
        check_instance(self.instance, self.instance_root)
        if [self.staging, self.trusted_root is not None, self.instance is not None].count(True) > 1:
            raise UsageError("--staging, --trusted-root and --instance exclude each other; give one of them")
        source = self.trusted_root or self.instance or ("staging" if self.staging else None)
        if source is None:
            return None
        from modelsign.trusting import instance

        return instance(source, offline=self.offline, max_age=self.max_trust_age, bootstrap=self.instance_root)


def trust_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add the options that say whom to trust."""

    @click.option(
        "--key",
        "keys",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        multiple=True,
        metavar="FILE",
        help="Trust the holder of this public key (PEM); may be repeated, one of them must have signed.",
    )
    @click.option(
        "--identity",
        "--certificate-identity",
        "identity",
        metavar="NAME",
        help="Trust this keyless identity; in it * stands for anything but / and @. Needs --issuer.",
    )
    @click.option(
        "--identity-regexp",
        "--certificate-identity-regexp",
        "identity_regexp",
        metavar="REGEXP",
        help="The same as a regular expression for the whole identity.",
    )
    @click.option(
        "--issuer",
        "--certificate-oidc-issuer",
        "issuer",
        metavar="URL",
        help="Who vouches for the identity, exactly.",
    )
    @click.option(
        "--issuer-regexp",
        "--certificate-oidc-issuer-regexp",
        "issuer_regexp",
        metavar="REGEXP",
        help="The same as a regular expression for the whole issuer.",
    )
    @click.option(
        "--pin",
        "pins",
        multiple=True,
        metavar="NAME=VALUE",
        help="What the certificate must say besides: repository_id, owner_id, trigger, runner ...; may be repeated.",
    )
    @click.option(
        "--certificate-chain",
        "roots",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        multiple=True,
        metavar="FILE",
        help="Trust certificates under these roots (PEM); may be repeated. Needs a --subject... or --any-subject.",
    )
    @click.option("--subject", metavar="NAME", help="Whose certificate: its common name or whole subject.")
    @click.option("--subject-name", metavar="NAME", help="Whose certificate: one of its alternative names.")
    @click.option("--subject-key", "spki", metavar="HEX", help="Whose certificate: SHA-256 of its public key (DER).")
    @click.option("--any-subject", is_flag=True, help="Trust everybody with a certificate under those roots.")
    @click.option(
        "--timestamp-authority",
        "authorities",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        multiple=True,
        metavar="FILE",
        help="Believe timestamps of this authority (PEM: its certificate and root); may be repeated.",
    )
    @click.option(
        "--trusted-root",
        "--trust-config",
        "trusted_root",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        metavar="FILE",
        help="Believe the Sigstore instance that this file describes, instead of public good.",
    )
    @click.option(
        "--max-trust-age",
        type=DURATION,
        metavar="SPAN",
        help="Refuse Sigstore roots that were fetched longer ago (30d, say), or whose age is not known.",
    )
    @click.option("--staging", is_flag=True, help="Believe Sigstore's staging instance, for trying out.")
    @click.option(
        "--instance",
        metavar="URL",
        help="Believe the Sigstore instance whose TUF repository is here; the first time with --instance-root.",
    )
    @click.option(
        "--instance-root",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        metavar="FILE",
        help="The first root.json of that TUF repository, from whoever runs it.",
    )
    @click.option(
        "--policy",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        metavar="FILE",
        help="Ask what this policy asks (TOML; docs/policy.md).",
    )
    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        names = (
            *("keys", "identity", "identity_regexp", "issuer", "issuer_regexp"),
            *("pins", "roots", "subject", "subject_name", "spki", "any_subject", "authorities"),
            *("trusted_root", "max_trust_age", "staging", "instance", "instance_root", "policy"),
        )
        values = {name: kwargs.pop(name) for name in names}
        kwargs["trusted"] = TrustChoice(**values, offline=bool(kwargs.pop("offline")))  # type: ignore[arg-type]  # click made them
        return function(*args, **kwargs)

    return wrapped
