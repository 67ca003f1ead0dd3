"""JSON as signed documents need it: one meaning per text, bounded, and every failure an `EnvelopeError`.

Python's parser keeps the last of two equal keys, takes NaN, and can run out of stack; two programs that read the same
signed bytes could then see different claims. RFC 8259 section 4 leaves duplicate names open, so they are refused.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NoReturn, TypeAlias

from attestations.errors import EnvelopeError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

# A manifest of a million files takes about 200 MB of JSON; nothing real is larger.
MAX_BYTES = 256 * 1024 * 1024

_LONG = 64
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def parse(data: bytes, what: str) -> Json:
    """Return the JSON value in ``data``; ``what`` names the document in error messages.

    Raises:
        EnvelopeError: the text is not UTF-8, not JSON, too large, too deep, or gives a key twice.
    """
    if len(data) > MAX_BYTES:
        raise EnvelopeError(f"{what} is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8")
        value: Json = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except EnvelopeError as error:
        raise EnvelopeError(f"{what}: {error}") from None
    except UnicodeDecodeError as error:
        raise EnvelopeError(f"{what} is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise EnvelopeError(f"{what} is not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from error
    except RecursionError as error:
        raise EnvelopeError(f"{what} is nested too deep") from error
    except ValueError as error:  # a number of thousands of digits
        raise EnvelopeError(f"{what} is not JSON that can be read: {error}") from error
    return value


def parse_object(data: bytes, what: str) -> dict[str, Json]:
    """Return the JSON object in ``data``."""
    value = parse(data, what)
    if not isinstance(value, dict):
        raise EnvelopeError(f"{what} is not a JSON object")
    return value


def write(value: Mapping[str, Json]) -> bytes:
    """Return ``value`` as one line of JSON: sorted keys, no spaces, UTF-8; the same bytes on every machine.

    Long arrays and objects are written in parts: the standard encoder would hold some ten strings for each of the
    items of a manifest at once.
    """
    try:
        return "".join(_chunks(dict(value))).encode("utf-8")
    except (ValueError, RecursionError) as error:  # lone surrogates, NaN, depth
        raise EnvelopeError(f"a value cannot be written as JSON: {error}") from error


def _chunks(value: Json) -> Iterator[str]:
    if isinstance(value, dict) and value:
        names = sorted(value)
        if len(names) > _LONG:
            for start in range(0, len(names), _LONG):
                part = {name: value[name] for name in names[start : start + _LONG]}
                yield f"{',' if start else '{'}{_encode(part)[1:-1]}"
        else:
            for number, name in enumerate(names):
                yield f"{',' if number else '{'}{_encode(name)}:"
                yield from _chunks(value[name])
        yield "}"
    elif isinstance(value, list) and len(value) > _LONG:
        for start in range(0, len(value), _LONG):
            yield f"{',' if start else '['}{_encode(value[start : start + _LONG])[1:-1]}"
        yield "]"
    else:
        yield _encode(value)


def text_of(value: Json, what: str) -> str:
    """Return ``value`` when it is a string that UTF-8 can hold (JSON escapes allow lone surrogates)."""
    if not isinstance(value, str):
        raise EnvelopeError(f"{what} is not a string")
    if value.isascii():
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise EnvelopeError(f"{what} is not valid Unicode") from error
    return value


def object_of(value: Json, what: str) -> dict[str, Json]:
    """Return ``value`` when it is an object."""
    if not isinstance(value, dict):
        raise EnvelopeError(f"{what} is not an object")
    return value


def list_of(value: Json, what: str) -> list[Json]:
    """Return ``value`` when it is an array."""
    if not isinstance(value, list):
        raise EnvelopeError(f"{what} is not an array")
    return value


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise EnvelopeError(f"the key {key!r} is given twice")
            seen.add(key)
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise EnvelopeError(f"{name} is not a JSON number")
