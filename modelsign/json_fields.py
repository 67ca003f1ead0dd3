"""Values of a JSON document that somebody else may have written, each checked for its type where it is read.

What does not fit is a TypeError or ValueError, and a field that is not there a KeyError; `explain` puts all of
them, and what `json.loads` raises, into words for the message that names the file.
"""

import json
from collections.abc import Mapping


def mapping(value: object) -> Mapping[str, object]:
    """Return an object."""
    if not isinstance(value, dict):
        raise TypeError(f"an object was expected, not {_kind(value)}")
    return value


def items(value: object) -> list[object]:
    """Return a list."""
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {_kind(value)}")
    return value


def string(value: object) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise TypeError(f"a string was expected, not {_kind(value)}")
    return value


def count(value: object) -> int:
    """Return a number of things: no fraction, not negative, and never true or false."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("a count was expected")
    return value


def flag(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"true or false was expected, not {_kind(value)}")
    return value


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return "a string"
        case _:
            return "a number"


def explain(error: Exception) -> str:
    """Return why a document could not be read, in words."""
    match error:
        case json.JSONDecodeError():
            return f"no JSON from line {error.lineno}, column {error.colno} on"
        case UnicodeDecodeError():
            return "no JSON, which is text"
        case RecursionError():
            return "nested too deeply"
        case KeyError():
            return f"no {error.args[0]!r} where one was expected"
        case _:
            return str(error)
