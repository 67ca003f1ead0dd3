"""The protobuf wire format: the one reader of it that the graph formats share.

Source: protobuf.dev, "Encoding". A message is read field by field; a length-delimited field is a range that nobody has
to read, so weights are stepped over. Repeated occurrences of a field that the schema has once are all handed out:
parsers merge messages and let the last scalar win, and what one of them overlooks must not be overlooked here.
"""

from collections.abc import Iterator
from typing import NamedTuple

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded
from scanners.reader import Reader
from scanners.records import dataclass

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)
MAXIMUM_FIELDS = 8_000_000
MAXIMUM_DEPTH = 100
"""protobuf's own recursion limit"""


class Field(NamedTuple):
    """One field. ``value`` is the number of a varint; ``offset`` and ``length`` span the content of all others."""

    number: int
    kind: int
    value: int
    offset: int
    length: int


@dataclass(slots=True)
class Tally:
    """Fields read so far in one blob."""

    fields: int = 0

    def spend(self) -> None:
        """Account for one field."""
        self.fields += 1
        if self.fields > MAXIMUM_FIELDS:
            raise LimitExceeded("fields", f"more than {MAXIMUM_FIELDS} protobuf fields")


def fields(reader: Reader, start: int, end: int, tally: Tally) -> Iterator[Field]:
    """Yield the fields of the message in ``[start, end)``.

    Raises:
        FormatError: a tag, a varint or a length does not fit.
        LimitExceeded: the blob has too many fields.
    """
    cursor = Cursor(reader, start, end)
    groups = 0
    while cursor.offset < end:
        tally.spend()
        place = cursor.offset
        tag = _varint(cursor)
        number, kind = tag >> 3, tag & 7
        if not number or tag >= 1 << 32:
            raise FormatError(f"protobuf field number {number} is not possible", offset=place)
        if kind == VARINT:
            offset = cursor.offset
            value = _varint(cursor)
            if not groups:
                yield Field(number, kind, value, offset, cursor.offset - offset)
        elif kind == BYTES:
            length = _varint(cursor)
            offset = cursor.offset
            cursor.skip(length)
            if not groups:
                yield Field(number, kind, 0, offset, length)
        elif kind in {FIXED32, FIXED64}:
            width = 4 if kind == FIXED32 else 8
            offset = cursor.offset
            cursor.skip(width)
            if not groups:
                yield Field(number, kind, 0, offset, width)
        elif kind == GROUP:
            groups += 1
            if groups > MAXIMUM_DEPTH:
                raise LimitExceeded("depth", f"protobuf groups nested deeper than {MAXIMUM_DEPTH}")
        elif kind == GROUP_END and groups:
            groups -= 1
        else:
            raise FormatError(f"protobuf wire type {kind} is not possible here", offset=place)
    if groups:
        raise FormatError("a protobuf group does not end", offset=end)


def _varint(cursor: Cursor) -> int:
    value = shift = 0
    while True:
        byte = cursor.u8()
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF
        shift += 7
        if shift >= 70:
            raise FormatError("a protobuf number is longer than ten bytes", offset=cursor.offset)


def text_of(reader: Reader, field: Field, limit: int = 65536) -> str:
    """Return a string field, cut at ``limit`` bytes."""
    if field.kind != BYTES:
        return ""
    return reader.read_at(field.offset, min(field.length, limit)).decode("utf-8", "replace")


def packed_numbers(content: bytes) -> list[int]:
    """Return the numbers of a packed repeated field; one that is cut off at its end is left out."""
    values, value, shift = [], 0, 0
    for byte in content:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
    return values


def looks_like(
    reader: Reader, shape: dict[int, int], required: int, *, start: int = 0, end: int | None = None, sample: int = 64
) -> Field | None:
    """Return the first field numbered ``required`` if ``[start, end)`` begins as a message of the given shape.

    Args:
        reader: the blob.
        shape: field number to wire kind; other numbers are refused.
        required: a number that must occur in the sample.
        start: where the message begins.
        end: where it ends; the end of the blob by default.
        sample: how many fields to look at.
    """
    found: Field | None = None
    try:
        for count, field in enumerate(fields(reader, start, reader.size if end is None else end, Tally())):
            if shape.get(field.number) != field.kind:
                return None
            if found is None and field.number == required:
                found = field
            if count >= sample:
                break
    except (FormatError, LimitExceeded):
        pass  # a truncated file still is what its beginning says
    return found
