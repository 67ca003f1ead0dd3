"""The state of a TensorFlow checkpoint: which files are the newest ones."""

import pytest

from scanners.formats import tensorflow_checkpoint
from tests.builders.readings import anomalies, blob_of, read_with, uncovered

STATE = b'model_checkpoint_path: "model.ckpt-1"\n'


def test_a_state_beside_its_checkpoint_is_nothing_remarkable() -> None:
    assert tensorflow_checkpoint.matches(blob_of(STATE, name="checkpoint"))
    reading = read_with(tensorflow_checkpoint, STATE, name="checkpoint")
    assert anomalies(reading) == []
    assert uncovered(reading) == 0


@pytest.mark.parametrize(
    "line", [b'all_model_checkpoint_paths: "../x"', b'\r\n\n \t all_model_checkpoint_paths\n:\n"a/../../x"']
)
def test_a_checkpoint_elsewhere_is_stated(line: bytes) -> None:
    assert anomalies(read_with(tensorflow_checkpoint, STATE + line)) == ["tensorflow-checkpoint-outside"]


def test_empty_lines_without_end_are_passed_once() -> None:
    assert anomalies(read_with(tensorflow_checkpoint, STATE + b"\n" * 1_000_000)) == []
