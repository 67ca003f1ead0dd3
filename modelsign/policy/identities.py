"""Who a policy means by a name: certificate identities by issuer and subject, keys, or any of several.

A glob's ``*`` crosses neither ``/`` nor ``@``: ``…/release.yml@refs/tags/*`` means one tag, not a path an attacker can
extend. Regular expressions must match the whole subject. Both are traps that have let foreign workflows pass elsewhere.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Protocol, TypeAlias

from modelsign.policy.decision import Signer
from scanners.records import dataclass

MAX_REGEX = 1000
"""characters; Python's engine backtracks, and a policy is no place for a program"""
_MAX_SUBJECT = 2048

# What Fulcio writes into a certificate, as `attestations.signers.certificate_names` calls it (a test compares the two:
# that module imports cryptography, which reading a policy does not need).
CLAIMS = (
    "build_config",
    "build_config_digest",
    "build_signer",
    "build_signer_digest",
    "digest",
    "owner",
    "owner_id",
    "ref",
    "repository",
    "repository_id",
    "run",
    "runner",
    "trigger",
    "visibility",
)


class Certified(Protocol):
    """Whom a certificate names, as a verifier or a decision tells it."""

    @property
    def method(self) -> str: ...

    @property
    def identity(self) -> str | None: ...

    @property
    def issuer(self) -> str | None: ...

    @property
    def claims(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateIdentity:
    """A name that an issuer vouches for: a workflow, an account, a machine."""

    issuer: re.Pattern[str]
    subject: re.Pattern[str]
    shown: str
    """issuer and subject as their author wrote them"""
    claims: Mapping[str, str] = field(default_factory=dict)
    """what Fulcio's certificate must say besides: `repository_id`, `owner_id`, `trigger`, `runner` …"""

    def matches(self, signer: Certified) -> bool:
        """Return whether ``signer`` is this identity."""
        return (
            signer.method == "sigstore"
            and signer.issuer is not None
            and signer.identity is not None
            and max(len(signer.issuer), len(signer.identity)) <= _MAX_SUBJECT
            and self.issuer.fullmatch(signer.issuer) is not None
            and self.subject.fullmatch(signer.identity) is not None
            and all(signer.claims.get(name) == value for name, value in self.claims.items())
        )

    def describe(self) -> str:
        """Return the identity as a person would write it."""
        return ", ".join([self.shown, *(f"{name} {value}" for name, value in sorted(self.claims.items()))])


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyIdentity:
    """Whoever holds a key of `[trust] keys`."""

    key: str
    """its name in the policy"""

    def matches(self, signer: Signer) -> bool:
        """Return whether ``signer`` is this identity."""
        return self.describe() in signer.vouched

    def describe(self) -> str:
        """Return the identity as a person would write it."""
        return f"key {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootedIdentity:
    """Whose certificate under the roots of `[trust] certificates` counts; all that is given must fit."""

    root: str
    subject: str | None = None
    name: str | None = None
    spki: str | None = None
    anybody: bool = False

    def matches(self, signer: Signer) -> bool:
        """Return whether ``signer`` is this identity: whether its own verifier vouched for the bundle."""
        return self.describe() in signer.vouched

    def describe(self) -> str:
        """Return the identity as a person would write it."""
        parts = {"subject": self.subject, "name": self.name, "public key": self.spki}
        whom = ", ".join(f"{what} {value}" for what, value in parts.items() if value is not None)
        return f"certificate under {self.root}: {whom or 'anybody'}"


Pattern: TypeAlias = CertificateIdentity | KeyIdentity | RootedIdentity


def glob(pattern: str) -> re.Pattern[str]:
    """Return the expression for a glob whose ``*`` stands for any run of characters but ``/`` and ``@``."""
    return re.compile("[^/@]*".join(re.escape(part) for part in pattern.split("*")))


def exactly(text: str) -> re.Pattern[str]:
    """Return the expression that matches ``text`` and nothing else."""
    return re.compile(re.escape(text))


def regex(text: str) -> re.Pattern[str]:
    """Return a regular expression that somebody wrote, for a match of the whole.

    Raises:
        ValueError: it is none, or longer than `MAX_REGEX`.
    """
    if len(text) > MAX_REGEX:
        raise ValueError(f"is longer than {MAX_REGEX} characters")
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error


def principals(signer: Signer, identities: Mapping[str, Sequence[Pattern]]) -> tuple[str, ...]:
    """Return the names under which ``identities`` knows ``signer``, sorted."""
    return tuple(sorted(name for name, patterns in identities.items() if any(one.matches(signer) for one in patterns)))


def distinct(signers: Iterable[Signer], patterns: Sequence[Pattern]) -> int:
    """Return how many of ``patterns`` are met by different signers, each signer and each pattern counted once.

    Three signatures of one workflow are one principal, and so is one person who fits two patterns: this is the size of
    a largest matching between the two sides.
    """
    people = _people(signers)
    candidates = [
        [who for who, person in enumerate(people) if any(pattern.matches(signer) for signer in person)]
        for pattern in patterns
    ]
    holder: dict[int, int] = {}

    def place(pattern: int, tried: set[int]) -> bool:
        for who in candidates[pattern]:
            if who in tried:
                continue
            tried.add(who)
            if who not in holder or place(holder[who], tried):
                holder[who] = pattern
                return True
        return False

    return sum(place(pattern, set()) for pattern in range(len(patterns)))


def _people(signers: Iterable[Signer]) -> list[list[Signer]]:
    """Return the signers by person: who has one name, or one key under several names (bare and with a certificate)."""
    people: list[tuple[set[tuple[str | None, ...]], list[Signer]]] = []
    for signer in {(_who(signer), signer.key): signer for signer in signers}.values():
        marks, person = {_who(signer), ("key", signer.key)}, [signer]
        others = []
        for one in people:
            if one[0].isdisjoint(marks):
                others.append(one)
            else:
                marks, person = marks | one[0], [*one[1], *person]
        people = [*others, (marks, person)]
    return [person for _, person in people]


def _who(signer: Signer) -> tuple[str | None, ...]:
    return (signer.issuer, signer.identity) if signer.identity is not None else ("key", signer.key)
