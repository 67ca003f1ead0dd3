import pytest

from scanners.errors import FormatError
from scanners.facts import Reference
from scanners.formats import mlflow_module
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def test_the_module_is_stated() -> None:
    reading = read_with(mlflow_module, b"my.pickles\n", name="data/pickle_module_info.txt")
    assert [fact.target for fact in reading.facts if isinstance(fact, Reference)] == ["my.pickles"]
    assert uncovered(reading) == 0


def test_the_name_decides() -> None:
    assert mlflow_module.matches(blob_of(b"keras", "data/keras_module.txt"))
    assert not mlflow_module.matches(blob_of(b"keras", "notes.txt"))


def test_what_is_too_long_for_a_name_is_refused() -> None:
    with pytest.raises(FormatError):
        read_with(mlflow_module, b"x" * 5000, name="keras_module.txt")


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(mlflow_module, [b"mlflow.pytorch.pickle_module"], name="pickle_module_info.txt", rounds=50)
