"""Typed access to fields of decoded JSON: a missing or mistyped field is an `EnvelopeError` that names it."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attestations.errors import EnvelopeError
from attestations.strict_json import Json

_SHA256 = re.compile(r"[0-9a-f]{64}")
# RFC 3339 with a zone: `datetime.fromisoformat` alone also takes dates, week dates and local times.
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")


def member(parent: Mapping[str, Json], key: str, where: str) -> Mapping[str, Json]:
    """Return the object under ``key``."""
    return mapping(parent.get(key), f"{where}.{key}")


def mapping(value: Json, where: str) -> Mapping[str, Json]:
    """Return ``value`` if it is an object."""
    if not isinstance(value, dict):
        raise EnvelopeError(f"{where}: an object was expected, not {_kind(value)}")
    return value


def sequence(parent: Mapping[str, Json], key: str, where: str) -> Sequence[Json]:
    """Return the array under ``key``."""
    value = parent.get(key)
    if not isinstance(value, list):
        raise EnvelopeError(f"{where}.{key}: an array was expected, not {_kind(value)}")
    return value


def text(parent: Mapping[str, Json], key: str, where: str) -> str:
    """Return the string under ``key``."""
    value = parent.get(key)
    if not isinstance(value, str):
        raise EnvelopeError(f"{where}.{key}: a string was expected, not {_kind(value)}")
    return value


def texts(parent: Mapping[str, Json], key: str, where: str) -> tuple[str, ...]:
    """Return the array of strings under ``key``."""
    values = sequence(parent, key, where)
    if not all(isinstance(value, str) for value in values):
        raise EnvelopeError(f"{where}.{key}: an array of strings was expected")
    return tuple(str(value) for value in values)


def boolean(parent: Mapping[str, Json], key: str, where: str) -> bool:
    """Return the boolean under ``key``."""
    value = parent.get(key)
    if not isinstance(value, bool):
        raise EnvelopeError(f"{where}.{key}: true or false was expected, not {_kind(value)}")
    return value


def count(parent: Mapping[str, Json], key: str, where: str) -> int:
    """Return the non-negative integer under ``key``."""
    value = parent.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise EnvelopeError(f"{where}.{key}: a whole number of at least 0 was expected, not {_kind(value)}")
    return value


def optional_count(parent: Mapping[str, Json], key: str, where: str) -> int | None:
    """Return the non-negative integer under ``key``, None where it is absent or null."""
    return None if parent.get(key) is None else count(parent, key, where)


def sha256(parent: Mapping[str, Json], key: str, where: str) -> str:
    """Return the SHA-256 of the DigestSet under ``key``, as lower-case hex."""
    value = text(member(parent, key, where), "sha256", f"{where}.{key}")
    if _SHA256.fullmatch(value) is None:
        raise EnvelopeError(f"{where}.{key}.sha256: 64 lower-case hexadecimal digits were expected")
    return value


def time(parent: Mapping[str, Json], key: str, where: str) -> datetime:
    """Return the RFC 3339 time under ``key``, in UTC."""
    value = text(parent, key, where)
    if _RFC3339.fullmatch(value) is None:
        raise EnvelopeError(f"{where}.{key}: an RFC 3339 time such as 2026-11-23T12:00:00Z was expected")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise EnvelopeError(f"{where}.{key}: {value} is no time: {error}") from error


def rfc3339(moment: datetime) -> str:
    """Return ``moment`` as RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _kind(value: Json) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
