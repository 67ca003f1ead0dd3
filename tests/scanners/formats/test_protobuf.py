import pytest

from scanners.errors import FormatError, LimitExceeded
from scanners.formats.protobuf import Field, Tally, fields
from scanners.reader import BytesReader
from tests.builders.protobufs import data, number, varint


def read(content: bytes) -> list[Field]:
    return list(fields(BytesReader(content), 0, len(content), Tally()))


def test_fields_come_in_order_and_content_stays_where_it_is() -> None:
    content = number(1, 300) + data(2, b"abc") + varint(3 << 3 | 5) + bytes(4) + varint(4 << 3 | 1) + bytes(8)
    assert [(one.number, one.value, one.length) for one in read(content)] == [
        (1, 300, 2),
        (2, 0, 3),
        (3, 0, 4),
        (4, 0, 8),
    ]


def test_groups_are_stepped_over() -> None:
    content = varint(1 << 3 | 3) + number(7, 1) + varint(1 << 3 | 4) + number(2, 5)
    assert [one.number for one in read(content)] == [2]


@pytest.mark.parametrize(
    "content",
    [
        data(1, b"abc")[:-1],
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x08" + b"\xff" * 11,
        b"\x00\x01",
        b"\x0e",
        b"\x0b\x08\x01",
        b"\x0c",
    ],
)
def test_what_does_not_fit_is_malformed(content: bytes) -> None:
    with pytest.raises(FormatError):
        read(content)


def test_groups_nested_without_end_are_refused() -> None:
    with pytest.raises(LimitExceeded):
        read(b"\x0b" * 200)
