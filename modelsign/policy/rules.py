"""What a policy asks, as values: the policy file parsed, `evaluate` answering.

No parser and no crypto is imported here: a verification without a policy file does not pay for one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from attestations.predicates.model_scan import Severity
from attestations.uris import CONVERT_BUILD_TYPE_V1
from modelsign.policy.decision import Level
from modelsign.policy.identities import Pattern
from scanners.patterns import late
from scanners.records import dataclass

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_DURATION = late(r"([1-9][0-9]{0,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_CALVER = late(r"[0-9]{4}\.[0-9]{1,2}(\.[0-9]{1,6})?")


class Mode(Enum):
    """What a broken rule does."""

    ENFORCE = "enforce"
    WARN = "warn"


class When(Enum):
    """When a conversion must be attested."""

    ALWAYS = "always"
    CONVERTED = "model.converted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key, and when its signatures count (by a clock that is not the signer's)."""

    name: str
    path: Path
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedRoots:
    """Certificate authorities; an identity says whose certificate under them counts."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Where trust comes from."""

    keys: tuple[TrustedKey, ...] = ()
    roots: tuple[TrustedRoots, ...] = ()
    timestamps: tuple[Path, ...] = ()
    """certificates of timestamp authorities whose word on the time counts"""
    sigstore: str | None = None
    """`public-good`, `staging`, or the address of a TUF repository"""
    sigstore_file: Path | None = None
    """or a file with the trusted root of an instance"""
    sigstore_root: Path | None = None
    """the first root of that repository"""
    max_age: timedelta | None = None
    """how long ago the roots of that instance may have been fetched"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """What the model itself may be."""

    formats: tuple[str, ...] | None = None
    """None for any"""
    unsigned_files: Level = Level.DENY
    may_be_unsigned: tuple[str, ...] = ()
    """names that may lie in the model without being signed"""
    symlinks: Level = Level.DENY
    remote_code: Level | None = None
    """None for not asked"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRule:
    """Who must have signed."""

    by: tuple[str, ...] = ()
    """names of identities; empty for anybody the policy or the caller trusts"""
    threshold: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRule:
    """Which signed scan must exist."""

    by: tuple[str, ...] = ()
    threshold: int = 1
    max_age: timedelta | None = None
    trusted_time: bool = True
    """whether the age must be shown by a clock that is not the signer's"""
    clock_skew: timedelta = timedelta(minutes=5)
    complete: bool = True
    max_severity: Severity = Severity.LOW
    scanner: Mapping[str, "SpecifierSet"] = field(default_factory=dict)
    """acceptable scanners with their versions; empty for any"""
    ruleset_min: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRule:
    """Which signed conversion must exist."""

    by: tuple[str, ...] = ()
    threshold: int = 1
    build_type: str = CONVERT_BUILD_TYPE_V1
    when: When = When.ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is asked of a model before it may be loaded."""

    name: str
    sha256: str
    """of the file's bytes"""
    path: Path | None = None
    expires: datetime | None = None
    """the last moment at which it may allow anything"""
    mode: Mode = Mode.ENFORCE
    trust: Trust = field(default_factory=Trust)
    identities: Mapping[str, tuple[Pattern, ...]] = field(default_factory=dict)
    model: ModelRules = field(default_factory=ModelRules)
    signature: SignatureRule = field(default_factory=SignatureRule)
    scan: ScanRule | None = None
    conversion: ConversionRule | None = None

    def patterns(self, names: Iterable[str]) -> tuple[Pattern, ...]:
        """Return the patterns of the identities ``names``, or of all of them when no name is given."""
        chosen = tuple(names) or tuple(sorted(self.identities))
        return tuple(pattern for name in chosen for pattern in self.identities[name])


def calver(version: str) -> tuple[int, ...] | None:
    """Return a rule set version as numbers to compare, None where it is none. `2026.11` is `2026.11.0`."""
    if _CALVER.fullmatch(version) is None:
        return None
    numbers = tuple(int(part) for part in version.split("."))
    return (*numbers, 0) if len(numbers) == 2 else numbers


def duration(text: str) -> timedelta | None:
    """Return a span such as `30m`, `24h`, `7d` or `4w`, None for anything else."""
    match = _DURATION.fullmatch(text)
    return None if match is None else timedelta(**{_UNITS[match[2]]: int(match[1])})
