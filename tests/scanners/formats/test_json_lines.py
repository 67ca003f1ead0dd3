import pytest

from scanners.errors import FormatError
from scanners.formats import json_lines
from tests.builders.readings import read_with, survive_mutations, uncovered


def test_lines_are_data() -> None:
    reading = read_with(json_lines, b'{"a": 1}\n\n[2]\n"last"', name="train.jsonl")
    assert uncovered(reading) == 0


def test_a_line_across_chunks_is_one_line() -> None:
    long = b'{"text": "' + b"x" * (3 << 20) + b'"}\n'
    assert uncovered(read_with(json_lines, long + long, name="a.jsonl")) == 0


@pytest.mark.parametrize(
    "data", [b"{'a': 1}\n", b'{"a": 1}\n\x80\x04.', b"[" * 100_000], ids=["python", "pickle-behind", "deep"]
)
def test_what_is_no_json_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_with(json_lines, data, name="a.jsonl")


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(json_lines, [b'{"a": [1, 2.5e3]}\n"x"\n'], name="a.jsonl")
