import struct

import pytest

from scanners.errors import FormatError
from scanners.formats import sentencepiece
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def message(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def model(pieces: int = 3) -> bytes:
    piece = message(1, b"\xe2\x96\x81a") + b"\x15" + struct.pack("<f", -1.5) + b"\x18\x01"
    return message(1, piece) * pieces + message(2, b"\x0a\x03a.t") + message(3, b"\x0a\x04nmt_")


def test_a_tokenizer_model_is_data() -> None:
    assert sentencepiece.matches(blob_of(model(), "tokenizer.model"))
    assert uncovered(read_with(sentencepiece, model())) == 0


@pytest.mark.parametrize("data", [b"", b"\x0a", b"\x80\x04.", message(1, message(1, b"no score")), b"\x0a\x05abc"])
def test_other_bytes_are_not_claimed(data: bytes) -> None:
    assert not sentencepiece.matches(blob_of(data, "tokenizer.model"))


def test_bytes_that_are_no_field_are_a_format_error() -> None:
    with pytest.raises(FormatError):
        read_with(sentencepiece, model() + b"\x80\x04cos\nsystem\n.")


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(sentencepiece, [model()], name="tokenizer.model")
