"""UBJSON as XGBoost writes it (`model.ubj`): numbers, texts, arrays and objects, all data.

Walked to the end with a stack of open containers, typed arrays stepped over. Source: ubjson.org, draft 12 (markers, and
the `$` type and `#` count of optimised containers); xgboost `src/common/json.cc`, which writes lengths as `L`.
XGBoost's loader takes numbers and settings from it and imports, opens and calls nothing that it names.
"""

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified
from scanners.reading import Blob, Reading

NAME = "ubjson"

_WIDTHS = {b"i": 1, b"U": 1, b"C": 1, b"I": 2, b"l": 4, b"d": 4, b"L": 8, b"D": 8}
_LENGTHS = frozenset({b"i", b"U", b"I", b"l", b"L"})
_EMPTY = frozenset({b"Z", b"T", b"F"})
_DEPTH = 512
_VALUES = 20_000_000


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with an object whose first key XGBoost writes, or an array of such."""
    return blob.reader.read_at(0, 24).startswith((b"{L\0\0\0\0\0\0\0\x07learner", b"{L\0\0\0\0\0\0\0\x07version"))


def read(blob: Blob, reading: Reading) -> None:
    """Walk the one value to its end."""
    cursor = Cursor(blob.reader, order=">")
    reading.state(Identified(location=reading.at(), format=NAME))
    _walk(cursor)
    reading.parsed(0, cursor.offset)


def _walk(cursor: Cursor) -> None:
    # Of each open container: whether it is an object, the type of its values, how many are left (None: to a marker).
    still_open: list[tuple[bool, bytes, int | None]] = []
    values = 0
    marker = cursor.take(1)
    while True:
        values += 1
        if values > _VALUES:
            raise LimitExceeded("values", f"more than {_VALUES} UBJSON values")
        if marker in {b"{", b"["}:
            if len(still_open) >= _DEPTH:
                raise LimitExceeded("depth", f"UBJSON nested deeper than {_DEPTH}")
            still_open.append(_opened(cursor, is_object=marker == b"{"))
        else:
            _scalar(cursor, marker)
        following = _next(cursor, still_open)
        if following is None:
            return
        marker = following


def _opened(cursor: Cursor, *, is_object: bool) -> tuple[bool, bytes, int | None]:
    kind, count = b"", None
    place = cursor.offset
    marker = cursor.take(1)
    if marker == b"$":
        kind = cursor.take(1)
        marker = cursor.take(1)
        if marker != b"#":
            raise FormatError("a typed UBJSON container without a count", offset=place)
    if marker == b"#":
        count = _length(cursor)
        width = 0 if kind in _EMPTY else _WIDTHS.get(kind)
        if kind and not is_object and width is not None:
            cursor.skip(width * count)
            count = 0
    else:
        cursor.offset = place
    return is_object, kind, count


def _next(cursor: Cursor, still_open: list[tuple[bool, bytes, int | None]]) -> bytes | None:
    """Step to the next value and return its marker; None when the outermost container is closed."""
    while still_open:
        is_object, kind, count = still_open[-1]
        if count == 0 or (count is None and _closes(cursor, b"}" if is_object else b"]")):
            still_open.pop()
            continue
        if count is not None:
            still_open[-1] = (is_object, kind, count - 1)
        if is_object:
            cursor.skip(_length(cursor))  # the key
        marker = kind or cursor.take(1)
        while marker == b"N":  # no-op
            marker = cursor.take(1)
        return marker
    return None


def _closes(cursor: Cursor, sign: bytes) -> bool:
    place = cursor.offset
    if cursor.take(1) == sign:
        return True
    cursor.offset = place
    return False


def _scalar(cursor: Cursor, marker: bytes) -> None:
    if marker in {b"S", b"H"}:
        cursor.skip(_length(cursor))
    elif marker not in _EMPTY:
        width = _WIDTHS.get(marker)
        if width is None:
            raise FormatError(f"{marker!r} is no UBJSON marker", offset=cursor.offset - 1)
        cursor.skip(width)


def _length(cursor: Cursor) -> int:
    place = cursor.offset
    marker = cursor.take(1)
    if marker not in _LENGTHS:
        raise FormatError(f"{marker!r} is no UBJSON length", offset=place)
    length = int.from_bytes(cursor.take(_WIDTHS[marker]), "big", signed=marker != b"U")
    if length < 0:
        raise FormatError("a negative UBJSON length", offset=place)
    return length
