import struct

import pytest

from scanners.errors import FormatError, LimitExceeded
from scanners.formats import ubjson
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def length(number: int) -> bytes:
    return b"L" + struct.pack(">q", number)


def text(value: bytes) -> bytes:
    return b"S" + length(len(value)) + value


def key(value: bytes) -> bytes:
    return length(len(value)) + value


def model(inner: bytes = b"Z") -> bytes:
    return b"{" + key(b"learner") + inner + b"}"


ORDINARY = model(
    b"{" + key(b"names") + b"[#" + length(2) + text(b"a") + text(b"b")
    + key(b"weights") + b"[$d#" + length(3) + b"\0" * 12
    + key(b"mixed") + b"[i\x01TFNU\x02]" + key(b"empty") + b"{}" + key(b"big") + b"H" + length(2) + b"12" + b"}"
)  # fmt: skip


def test_a_model_is_data() -> None:
    assert ubjson.matches(blob_of(ORDINARY, "model.ubj"))
    assert uncovered(read_with(ubjson, ORDINARY)) == 0


def test_bytes_behind_the_value_stay_unread() -> None:
    assert uncovered(read_with(ubjson, ORDINARY + b"\x80\x04.")) == 3


@pytest.mark.parametrize("data", [b"", b"{", b"{i\x01a", b"\x80\x04."])
def test_other_bytes_are_not_claimed(data: bytes) -> None:
    assert not ubjson.matches(blob_of(data, "model.ubj"))


@pytest.mark.parametrize(
    "data",
    [
        model(b"?"),
        model(b"S" + length(-1)),
        model(b"[$d#" + length(1 << 40)),
        model(b"[$d"),
        ORDINARY[:-1],
    ],
    ids=["unknown-marker", "negative-length", "count-beyond-the-end", "type-without-count", "truncated"],
)
def test_broken_data_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_with(ubjson, data)


def test_nesting_has_a_limit() -> None:
    with pytest.raises(LimitExceeded):
        read_with(ubjson, model(b"[" * 1000))


def test_counted_nothing_costs_nothing() -> None:
    assert uncovered(read_with(ubjson, model(b"[$Z#" + length(1 << 60)))) == 0


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(ubjson, [ORDINARY], name="model.ubj")
