import pytest

from scanners.errors import FormatError
from scanners.facts import Operator, Tensor
from scanners.formats import tflite
from tests.builders.flatbuffers import tflite as build
from tests.builders.readings import anomalies, blob_of, read_with, survive_mutations, uncovered

ORDINARY = build()


def test_an_ordinary_model_has_tensors_and_no_anomaly() -> None:
    reading = read_with(tflite, ORDINARY)
    assert anomalies(reading) == []
    assert [(fact.name, fact.shape) for fact in reading.facts if isinstance(fact, Tensor)] == [("t", (1, 4))] * 2
    assert uncovered(reading) == 0


def test_the_identifier_decides() -> None:
    assert tflite.matches(blob_of(ORDINARY, "model.bin"))
    assert not tflite.matches(blob_of(b"\0" * 64, "model.tflite"))


def test_custom_operators_are_named() -> None:
    content = build(codes=[{0: ("b", 32), 1: "FlexWriteFile"}])
    assert [fact.name for fact in read_with(tflite, content).facts if isinstance(fact, Operator)] == ["FlexWriteFile"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (build(inputs=(99,)), "tflite-index"),
        (build(inputs=(-2,)), "tflite-index"),
        (build(code=5), "tflite-index"),
        (build(shape=(1 << 20, 1 << 20)), "tflite-shape"),
        (build(shape=(-5,)), "tflite-shape"),
        (build(buffer={1: ("Q", 64), 2: ("Q", 1 << 40)}), "tflite-buffer-outside"),
    ],
)
def test_what_leads_outside_is_an_anomaly(content: bytes, code: str) -> None:
    assert code in anomalies(read_with(tflite, content))


def test_an_offset_outside_is_malformed() -> None:
    with pytest.raises(FormatError):
        read_with(tflite, b"\xff\xff\xff\x7fTFL3" + bytes(8))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(tflite, [ORDINARY], name="m.tflite")
