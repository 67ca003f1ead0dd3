import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestations.errors import EnvelopeError
from attestations.strict_json import Json, parse, parse_object, text_of, write


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"x": {"a": 1, "\\u0061": 2}}', "twice"),
        (b'{"a": NaN}', "not a JSON number"),
        (b'{"a": -Infinity}', "not a JSON number"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b"1" * 5000, "cannot|be read"),
    ],
)
def test_text_with_two_meanings_or_none_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(EnvelopeError, match=problem):
        parse(text, "the document")


def test_error_names_the_document() -> None:
    with pytest.raises(EnvelopeError, match="the bundle is not a JSON object"):
        parse_object(b"[]", "the bundle")


def test_lone_surrogate_is_no_text() -> None:
    value = parse(b'"\\ud800"', "the document")
    with pytest.raises(EnvelopeError, match="not valid Unicode"):
        text_of(value, "the name")


def test_same_value_same_bytes() -> None:
    assert write({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()


def test_what_json_cannot_hold_is_not_written() -> None:
    with pytest.raises(EnvelopeError, match="cannot be written"):
        write({"a": float("nan")})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


# Long ones are written in parts; a few values again and again, for drawing each one takes a minute.
counts = st.integers(60, 130)
many = st.builds(lambda some, count: (some * count)[:count], st.lists(json_values, min_size=1, max_size=3), counts)
many |= st.builds(
    lambda name, value, count: {f"{name}{number}": value for number in range(count)}, st.text(), json_values, counts
)


@given(st.dictionaries(st.text(), json_values | many))
def test_writing_is_what_the_standard_encoder_does(value: dict[str, Json]) -> None:
    try:
        written = write(value)
    except EnvelopeError:
        return  # lone surrogates
    assert written == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert parse(written, "it") == value
