"""JSON, strictly and within bounds: the one reader of JSON that formats share.

The standard library's parser does the work; around it stand a limit on bytes, on values (a byte of text can cost sixty
of memory) and on depth, and it is told to refuse what JSON does not have (`NaN`). Duplicate keys are kept in mind,
because parsers disagree on which one counts.
"""

import json
from dataclasses import field
from typing import TypeAlias

from scanners.errors import FormatError, LimitExceeded
from scanners.limits import Budget
from scanners.reading import Blob
from scanners.records import dataclass

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_CONTAINERS = 2_000_000
_VALUES = 16_000_000
_DIGITS = 4000
_STEP = 1 << 20
_KEY = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed JSON text."""

    value: Json
    duplicates: tuple[str, ...] = ()
    """keys that one object has twice, sorted"""


@dataclass(slots=True)
class _Hooks:
    """What the parser calls back."""

    duplicates: set[str] = field(default_factory=set)

    def pairs(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.duplicates.add(key)
                seen.add(key)
        return made

    @staticmethod
    def whole(digits: str) -> int | str:
        # Python refuses to convert very long numbers, with an error of its own; nobody computes with them either.
        return int(digits) if len(digits) <= _DIGITS else digits

    @staticmethod
    def constant(word: str) -> float:
        # Python and JavaScript configurations do carry `NaN` and `Infinity`; loaders in Python read them.
        return float(word)


def parse(data: bytes) -> Document:
    """Parse JSON text, in any encoding that `json.loads` tells from its first bytes when it is given bytes.

    Raises:
        FormatError: it is no JSON.
        LimitExceeded: it has more values than we are ready to hold.
    """
    if data.count(b"[") + data.count(b"{") > _CONTAINERS:
        raise LimitExceeded("text", f"more than {_CONTAINERS} JSON objects and arrays")
    if data.count(b",") > _VALUES:
        raise LimitExceeded("text", f"more than {_VALUES} JSON values")
    hooks = _Hooks()
    encoding = json.detect_encoding(data)
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise FormatError(f"JSON text that is not {encoding.upper()}", offset=error.start) from error
    try:
        value: Json = json.loads(
            text, object_pairs_hook=hooks.pairs, parse_int=hooks.whole, parse_constant=hooks.constant
        )
    except json.JSONDecodeError as error:
        offset = len(text[: error.pos].encode(encoding.removesuffix("-sig"), "surrogatepass"))
        raise FormatError(f"no JSON: {error.msg}", offset=offset) from error
    except RecursionError as error:
        raise FormatError("JSON nested too deeply for any parser") from error
    return Document(value=value, duplicates=tuple(sorted(hooks.duplicates)))


def head_of(blob: Blob, size: int) -> bytes:
    """Return the beginning of a JSON text in UTF-8, whatever it is in."""
    head = blob.reader.read_at(0, size)
    encoding = json.detect_encoding(head[:4])
    return head if encoding.startswith("utf-8") else head.decode(encoding, "replace").encode("utf-8", "replace")


def mentions(blob: Blob, *words: str) -> bool:
    """Return whether a JSON text holds one of the words anywhere, or an escape that may spell it.

    Not the beginning alone: whoever writes a file may put any number of other keys before the one that matters.
    """
    head = blob.reader.read_at(0, 4)
    encoding = json.detect_encoding(head).removesuffix("-sig")
    if encoding in {"utf-16", "utf-32"}:  # with a mark that says which end comes first
        encoding += "-be" if head.startswith((b"\xfe\xff", b"\0\0\xfe\xff")) else "-le"
    wanted = [word.encode(encoding) for word in (*words, "\\u00")]
    place, overlap = 0, max(map(len, wanted))
    while place < blob.reader.size:
        piece = blob.reader.read_at(place, _STEP + overlap)
        if any(word in piece for word in wanted):
            return True
        place += _STEP
    return False


def document_of(blob: Blob, budget: Budget) -> Document:
    """Parse a whole blob once, whichever format asks first. Raises as `parse`."""
    known = blob.shared.get(_KEY)
    if not isinstance(known, Document):
        if blob.reader.size > budget.limits.text:
            raise LimitExceeded("text", f"{blob.reader.size} bytes of JSON, more than {budget.limits.text}")
        known = parse(blob.reader.read_at(0, blob.reader.size))
        blob.shared[_KEY] = known
    return known
