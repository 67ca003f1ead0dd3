"""The policy file: TOML in, a `Policy` out that cannot be wrong in shape.

A key nobody knows is an error that names the nearest one: a misspelt `max_agee` must not silently ask for nothing.
Paths are relative to the policy's own directory. What the values mean is in `evaluate.py`.
"""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from pathlib import Path
from typing import TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from attestations.manifest import name_problem
from attestations.named_files import read_whole
from attestations.predicates.model_scan import Severity
from attestations.uris import CONVERT_BUILD_TYPE_V1
from modelsign.errors import PolicyError, SourceError
from modelsign.policy.decision import Level
from modelsign.policy.identities import (
    CLAIMS,
    CertificateIdentity,
    KeyIdentity,
    Pattern,
    RootedIdentity,
    exactly,
    glob,
    regex,
)
from modelsign.policy.rules import (
    ConversionRule,
    Mode,
    ModelRules,
    Policy,
    ScanRule,
    SignatureRule,
    Trust,
    TrustedKey,
    TrustedRoots,
    When,
    calver,
    duration,
)
from modelsign.trusting import ADDRESSES, INSTANCES

SCHEMA = 1
_MAX_BYTES = 1 << 20
_Value = TypeVar("_Value")
_Choice = TypeVar("_Choice", bound=Enum)


def load(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        SourceError: the file cannot be read.
        PolicyError: it is not a policy.
    """
    try:
        data = read_whole(path, _MAX_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: the policy cannot be read: {error.strerror}") from error
    return parse(data, path)


def parse(data: bytes, path: Path) -> Policy:
    """Return the policy in ``data``; ``path`` names it in messages and anchors its relative paths.

    Raises:
        PolicyError: the bytes are not a policy; the message names the file and the key.
    """
    if len(data) > _MAX_BYTES:
        raise PolicyError(f"{path}: larger than {_MAX_BYTES} bytes, no policy is")
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise PolicyError(f"{path}: not TOML: {error}") from error
    table = _Table(document, path, "")
    schema = table.take("schema", int)
    if schema != SCHEMA:
        raise table.error("schema", f"must be {SCHEMA}, the only version there is")
    policy = _policy(table, path, hashlib.sha256(data).hexdigest())
    table.finish()
    return policy


def _policy(table: "_Table", path: Path, sha256: str) -> Policy:
    trust_table = table.table("trust")
    trust = _trust(trust_table, path.parent)
    identities = _identities(table.table("identities"), trust)
    require = table.table("require")
    policy = Policy(
        name=table.take("name", str, path.stem),
        sha256=sha256,
        path=path,
        expires=_end_of(table.optional("expires", date)),
        mode=table.choice("mode", Mode, Mode.ENFORCE),
        trust=trust,
        identities=identities,
        model=_model(table.table("model")),
        signature=_signature(require.table("signature"), identities),
        scan=_scan(require.table("scan"), identities) if require.has("scan") else None,
        conversion=_conversion(require.table("conversion"), identities) if require.has("conversion") else None,
    )
    require.finish()
    return policy


def _end_of(day: date | None) -> datetime | None:
    """Return the moment a policy ends: a date counts to the end of that day, UTC."""
    if day is None:
        return None
    if isinstance(day, datetime):
        return day.replace(tzinfo=UTC) if day.tzinfo is None else day
    return datetime.combine(day, time.max, UTC)


def _start_of(day: date | None) -> datetime | None:
    if day is None or isinstance(day, datetime):
        return _end_of(day)
    return datetime.combine(day, time.min, UTC)


def _trust(table: "_Table", base: Path) -> Trust:
    keys = table.table("keys")
    trusted = tuple(_trusted_key(keys, name, base) for name in keys.names())
    keys.finish()
    certificates = table.table("certificates")
    roots = tuple(TrustedRoots(name=name, path=base / certificates.take(name, str)) for name in certificates.names())
    certificates.finish()
    sigstore = table.optional("sigstore", str)
    first_root = table.optional("sigstore_root", str)
    by_address = sigstore is not None and sigstore.startswith(ADDRESSES)
    if first_root is not None and not by_address:
        raise table.error("sigstore_root", "goes with the https address of a TUF repository as `sigstore`")
    sigstore_file = None
    if sigstore is not None and sigstore not in INSTANCES and not by_address:
        sigstore_file = base / sigstore
        sigstore = None
    timestamps = tuple(base / path for path in table.texts("timestamps"))
    max_age = _duration(table, "max_age")
    table.finish()
    return Trust(
        keys=trusted,
        roots=roots,
        timestamps=timestamps,
        sigstore=sigstore,
        sigstore_file=sigstore_file,
        sigstore_root=None if first_root is None else base / first_root,
        max_age=max_age,
    )


def _trusted_key(keys: "_Table", name: str, base: Path) -> TrustedKey:
    if keys.is_table(name):
        table = keys.table(name)
        key = TrustedKey(
            name=name,
            path=base / table.take("file", str),
            not_before=_start_of(table.optional("not_before", date)),
            not_after=_end_of(table.optional("not_after", date)),
        )
        if key.not_before is not None and key.not_after is not None and key.not_after < key.not_before:
            raise table.error("not_after", "lies before not_before: the key would count at no time")
        table.finish()
        return key
    return TrustedKey(name=name, path=base / keys.take(name, str))


def _identities(table: "_Table", trust: Trust) -> dict[str, tuple[Pattern, ...]]:
    identities = {name: _alternatives(table.table(name), trust) for name in table.names()}
    table.finish()
    return identities


def _alternatives(table: "_Table", trust: Trust) -> tuple[Pattern, ...]:
    if not table.has("any"):
        return (_pattern(table, trust),)
    alternatives = tuple(_pattern(one, trust) for one in table.tables("any"))
    if not alternatives:
        raise table.error("any", "must list at least one identity")
    table.finish()
    return alternatives


def _pattern(table: "_Table", trust: Trust) -> Pattern:
    if table.has("key"):
        return _key_identity(table, {key.name for key in trust.keys})
    if table.has("certificate"):
        return _rooted_identity(table, {roots.name for roots in trust.roots})
    issuer = table.take("issuer", str)
    if table.has("subject") == table.has("subject_regex"):
        raise table.error("", "needs either subject (a glob) or subject_regex, or key, or certificate")
    if table.has("subject"):
        shown = table.take("subject", str)
        subject = glob(shown)
    else:
        shown = table.take("subject_regex", str)
        subject = _regex(table, shown)
    claims = {name: table.take(name, str) for name in CLAIMS if table.has(name)}
    table.finish()
    return CertificateIdentity(
        issuer=exactly(issuer), subject=subject, shown=f"{shown} (issuer {issuer})", claims=claims
    )


def _key_identity(table: "_Table", known: set[str]) -> KeyIdentity:
    key = table.take("key", str)
    if key not in known:
        raise table.error("key", f"there is no key {key!r} in [trust] keys{_near(key, known)}")
    table.finish()
    return KeyIdentity(key=key)


def _rooted_identity(table: "_Table", known: set[str]) -> RootedIdentity:
    root = table.take("certificate", str)
    if root not in known:
        raise table.error("certificate", f"there is no {root!r} in [trust] certificates{_near(root, known)}")
    identity = RootedIdentity(
        root=root,
        subject=table.optional("subject", str),
        name=table.optional("name", str),
        spki=table.optional("spki", str),
        anybody=table.take("any_subject", bool, False),
    )
    if identity.anybody == any(part is not None for part in (identity.subject, identity.name, identity.spki)):
        raise table.error(
            "", "everybody with a certificate under that root could sign; give subject, name or spki, or any_subject"
        )
    table.finish()
    return identity


def _regex(table: "_Table", text: str) -> re.Pattern[str]:
    try:
        return regex(text)
    except ValueError as error:
        raise table.error("subject_regex", str(error)) from error


def _model(table: "_Table") -> ModelRules:
    unsigned = Level.DENY
    names: tuple[str, ...] = ()
    if table.is_list("unsigned_files"):
        names = table.texts("unsigned_files")
        for name in names:
            if problem := name_problem(name):
                raise table.error("unsigned_files", f"the name {name!r} {problem}; give names below the model's root")
    else:
        unsigned = table.choice("unsigned_files", Level, Level.DENY)
    rules = ModelRules(
        formats=table.texts("formats") if table.has("formats") else None,
        unsigned_files=unsigned,
        may_be_unsigned=names,
        symlinks=table.choice("symlinks", Level, Level.DENY),
        remote_code=table.choice("remote_code", Level, Level.DENY) if table.has("remote_code") else None,
    )
    table.finish()
    return rules


def _signature(table: "_Table", identities: Mapping[str, tuple[Pattern, ...]]) -> SignatureRule:
    by, threshold = _by(table, identities)
    table.finish()
    return SignatureRule(by=by, threshold=threshold)


def _scan(table: "_Table", identities: Mapping[str, tuple[Pattern, ...]]) -> ScanRule:
    by, threshold = _by(table, identities)
    if table.take("cover", str, "all-files") != "all-files":
        raise table.error("cover", "must be all-files: a scan of a part says nothing about the rest")
    max_severity = table.choice("max_severity", Severity, Severity.LOW)
    if max_severity.rank > Severity.MEDIUM.rank:
        raise table.error("max_severity", "must be info, low or medium: what is worse makes a model malicious")
    rule = ScanRule(
        by=by,
        threshold=threshold,
        max_age=_duration(table, "max_age"),
        trusted_time=table.take("trusted_time", bool, True),
        clock_skew=_duration(table, "clock_skew") or timedelta(minutes=5),
        complete=table.take("complete", bool, True),
        max_severity=max_severity,
        scanner=_scanners(table.table("scanner")),
        ruleset_min=_ruleset(table),
    )
    table.finish()
    return rule


def _scanners(table: "_Table") -> dict[str, SpecifierSet]:
    scanners = {}
    for uri in table.names():
        try:
            scanners[uri] = SpecifierSet(table.take(uri, str))
        except InvalidSpecifier as error:
            raise table.error(uri, f"is no version specifier such as '>=0.3.0': {error}") from error
    table.finish()
    return scanners


def _ruleset(table: "_Table") -> tuple[int, ...] | None:
    version = table.optional("ruleset_min", str)
    if version is None:
        return None
    numbers = calver(version)
    if numbers is None:
        raise table.error("ruleset_min", f"{version!r} is no rule set version such as '2026.11' or '2026.11.0'")
    return numbers


def _conversion(table: "_Table", identities: Mapping[str, tuple[Pattern, ...]]) -> ConversionRule:
    by, threshold = _by(table, identities)
    rule = ConversionRule(
        by=by,
        threshold=threshold,
        build_type=table.take("build_type", str, CONVERT_BUILD_TYPE_V1),
        when=table.choice("when", When, When.ALWAYS),
    )
    table.finish()
    return rule


def _by(table: "_Table", identities: Mapping[str, tuple[Pattern, ...]]) -> tuple[tuple[str, ...], int]:
    names = table.texts("by") if table.has("by") else ()
    for name in names:
        if name not in identities:
            raise table.error("by", f"there is no {name!r} in [identities]{_near(name, identities)}")
    if table.has("by") and not names:
        raise table.error("by", "is empty: nobody could satisfy it")
    threshold = table.take("threshold", int, 1)
    people = sum(len(identities[name]) for name in set(names) or identities)
    if threshold < 1:
        raise table.error("threshold", "must be at least 1")
    if threshold > 1 and threshold > people:
        raise table.error("threshold", f"asks for {threshold} different signers, but only {people} could sign")
    return names, threshold


def _duration(table: "_Table", key: str) -> timedelta | None:
    text = table.optional(key, str)
    if text is None:
        return None
    span = duration(text)
    if span is None:
        raise table.error(key, f"{text!r} is no duration such as '30m', '24h', '7d' or '4w'")
    return span


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class _Table:
    """A TOML table that knows which of its keys were asked for, so that the rest can be refused."""

    def __init__(self, values: Mapping[str, object], path: Path, name: str) -> None:
        self._values = values
        self._path = path
        self._name = name
        self._asked: set[str] = set()

    def error(self, key: str, message: str) -> PolicyError:
        return PolicyError(f"{self._path}: {'.'.join(part for part in (self._name, key) if part)}: {message}")

    def names(self) -> list[str]:
        """Return the keys of a table whose keys the user chooses."""
        return sorted(self._values)

    def has(self, key: str) -> bool:
        self._asked.add(key)
        return key in self._values

    def is_table(self, key: str) -> bool:
        return isinstance(self._values.get(key), dict)

    def is_list(self, key: str) -> bool:
        return isinstance(self._values.get(key), list)

    def take(self, key: str, kind: type[_Value], default: _Value | None = None) -> _Value:
        """Return the value under ``key``; absent, the default, or an error when there is none."""
        value = self.optional(key, kind)
        if value is not None:
            return value
        if default is None:
            raise self.error(key, "is missing")
        return default

    def optional(self, key: str, kind: type[_Value]) -> _Value | None:
        self._asked.add(key)
        value = self._values.get(key)
        if value is None:
            return None
        # TOML's true is no number, though Python's is.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, f"must be {_KINDS[kind]}")
        return value

    def choice(self, key: str, kind: type[_Choice], default: _Choice) -> _Choice:
        value = self.optional(key, str)
        if value is None:
            return default
        try:
            return kind(value)
        except ValueError:
            allowed = ", ".join(repr(member.value) for member in kind)
            raise self.error(key, f"must be one of {allowed}, not {value!r}") from None

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.optional(key, list)
        if value is None:
            return ()
        if not all(isinstance(item, str) for item in value):
            raise self.error(key, "must be a list of strings")
        return tuple(value)

    def table(self, key: str) -> "_Table":
        """Return the table under ``key``, an empty one where it is absent."""
        value = self.optional(key, dict)
        return _Table({} if value is None else value, self._path, self._inside(key))

    def tables(self, key: str) -> list["_Table"]:
        values = self.optional(key, list) or []
        if not all(isinstance(item, dict) for item in values):
            raise self.error(key, "must be a list of tables")
        return [_Table(item, self._path, f"{self._inside(key)}[{index}]") for index, item in enumerate(values)]

    def finish(self) -> None:
        """Refuse what nobody asked for."""
        for key in sorted(self._values.keys() - self._asked):
            raise self.error(key, f"unknown key{_near(key, self._asked)}")

    def _inside(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key


_KINDS: Mapping[type, str] = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    date: "a date such as 2027-06-30",
    list: "a list",
    dict: "a table",
}
