import struct

import pytest

from scanners.engine import scan_blob
from scanners.facts import Tensor
from scanners.findings import Verdict
from scanners.formats import onnx_tensor
from scanners.reader import BytesReader
from tests.builders import protobufs as pb
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered

WEIGHTS = struct.pack("<6f", *range(6))
FLOATS = pb.number(1, 2) + pb.number(1, 3) + pb.number(2, 1) + pb.data(8, "x") + pb.data(9, WEIGHTS)
TEXTS = pb.number(1, 2) + pb.number(2, 8) + pb.data(6, "a") + pb.data(6, "b")
TENSORS = {
    "numbers": FLOATS,
    "a scalar": pb.number(2, 7) + pb.data(9, bytes(8)),
    "nothing": pb.number(1, 0) + pb.number(2, 1),
    "text": TEXTS,
    "packed dimensions": pb.data(1, b"\x02\x03") + pb.number(2, 1) + pb.data(9, WEIGHTS),
    "halves of bytes": pb.number(1, 3) + pb.number(2, 22) + pb.data(9, b"\x21\x03"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_is_data(name: str) -> None:
    data = TENSORS[name]
    assert onnx_tensor.matches(blob_of(data, "input_0.pb"))
    assert uncovered(read_with(onnx_tensor, data)) == 0
    assert scan_blob(BytesReader(data), "input_0.pb").report.verdict is Verdict.CLEAN


def test_its_shape_and_type_are_stated() -> None:
    facts = scan_blob(BytesReader(FLOATS), "input_0.pb").facts.facts
    (tensor,) = (fact for fact in facts if isinstance(fact, Tensor))
    assert (tensor.name, tensor.dtype, tensor.shape, tensor.storage_bytes) == ("x", "F32", (2, 3), 24)


GRAPH = pb.onnx_graph([pb.onnx_node("Evil", "com.evil")])
NO_TENSORS = {
    "nothing": b"",
    "no type": pb.number(1, 1) + pb.data(9, bytes(4)),
    "a type of tomorrow": pb.number(1, 1) + pb.number(2, 99) + pb.data(9, bytes(4)),
    "two types": pb.number(2, 1) + pb.number(2, 1) + pb.data(9, bytes(4)),
    "fewer bytes than elements": FLOATS[:-24] + bytes(24) + pb.number(1, 2),
    "less text than elements": TEXTS + pb.number(1, 2),
    "text that is numbers as well": TEXTS + pb.data(9, bytes(2)),
    "cut off": FLOATS[:-1],
    "bytes behind it": FLOATS + b"\x00",
    "data in another file": pb.number(1, 1) + pb.number(2, 1) + pb.data(13, b"") + pb.number(14, 1),
    "too many dimensions": pb.data(1, b"\x01" * 9) + pb.number(2, 1) + pb.data(9, bytes(4)),
    "dimensions that are a message": pb.data(1, b"\x00" * 200) + pb.number(2, 1),
    "a model in its numbers": pb.number(1, 10) + pb.number(2, 7) + pb.data(7, GRAPH),
    "a name that is a message": pb.number(2, 1) + pb.data(8, bytes(300)) + pb.data(9, bytes(4)),
    "a graph of TensorFlow": pb.graph_def([pb.node("a", "ReadFile")]) + pb.number(2, 1),
    "a model": pb.onnx_model([pb.onnx_node("Add")]),
    "a model with a foreign number": pb.onnx_model([pb.onnx_node("Evil", "com.evil")]) + pb.number(2, 1),
}


@pytest.mark.parametrize("name", NO_TENSORS)
def test_anything_else_is_not_claimed(name: str) -> None:
    assert not onnx_tensor.matches(blob_of(NO_TENSORS[name], "input_0.pb"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(onnx_tensor, [FLOATS, TEXTS], name="input_0.pb")
