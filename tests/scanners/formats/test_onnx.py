from scanners.facts import Operator, Reference, Tensor
from scanners.formats import onnx
from tests.builders.protobufs import data, onnx_graph, onnx_model, onnx_node, onnx_tensor
from tests.builders.readings import anomalies, blob_of, read_with, survive_mutations, uncovered

EXTERNAL = {"location": "weights.bin", "offset": "0", "length": "4096"}
ORDINARY = onnx_model(
    [onnx_node("MatMul"), onnx_node("Relu")], [onnx_tensor(raw=bytes(64)), onnx_tensor("e", EXTERNAL)]
)


def references(content: bytes) -> list[str]:
    return [fact.target for fact in read_with(onnx, content).facts if isinstance(fact, Reference)]


def operators(content: bytes) -> list[tuple[str, str]]:
    return [(fact.domain, fact.name) for fact in read_with(onnx, content).facts if isinstance(fact, Operator)]


def test_an_ordinary_model_states_its_tensors_and_where_they_lie() -> None:
    reading = read_with(onnx, ORDINARY)
    assert [fact.name for fact in reading.facts if isinstance(fact, Tensor)] == ["w", "e"]
    assert references(ORDINARY) == ["weights.bin"]
    assert anomalies(reading) == []
    assert operators(ORDINARY) == []
    assert uncovered(reading) == 0


def test_content_decides_not_the_name() -> None:
    assert onnx.matches(blob_of(ORDINARY, "model.bin"))
    assert not onnx.matches(blob_of(b"\x08\x01\x12\x02ab", "x.onnx"))


def test_external_data_in_attributes_and_inner_graphs_is_found() -> None:
    tensor = onnx_tensor("c", {"location": "../x"})
    inner = data(5, data(1, "then_branch") + data(6, onnx_graph([], [tensor])))
    assert references(onnx_model([onnx_node("If", attributes=inner)])) == ["../x"]
    assert references(onnx_model([onnx_node("Constant", attributes=data(5, data(1, "value") + data(5, tensor)))])) == [
        "../x"
    ]


def test_the_last_of_two_locations_counts_as_loaders_read_it() -> None:
    entries = data(13, data(1, "location") + data(2, "a")) + data(13, data(1, "location") + data(2, "/etc/passwd"))
    assert "/etc/passwd" in references(onnx_model(tensors=[onnx_tensor() + entries]))


def test_unknown_keys_and_ranges_are_anomalies() -> None:
    keys = {"location": "w", "basepath": "/etc", "__class__": "x", "offset": "-1"}
    assert sorted(anomalies(read_with(onnx, onnx_model(tensors=[onnx_tensor("w", keys)])))) == [
        "onnx-external-key",
        "onnx-external-key",
        "onnx-external-range",
    ]


def test_operators_of_other_domains_are_stated_with_whether_the_model_defines_them() -> None:
    local = data(25, data(1, "Mine") + data(7, onnx_node("Relu")) + data(10, "my"))
    content = onnx_model([onnx_node("Mine", "my"), onnx_node("Theirs", "their")], extra=local)
    stated = [fact for fact in read_with(onnx, content).facts if isinstance(fact, Operator)]
    assert [(fact.domain, fact.name, fact.arguments) for fact in stated] == [
        ("my", "Mine", (("defined", "here"),)),
        ("their", "Theirs", ()),
    ]


def test_graphs_nested_without_end_do_not_recurse() -> None:
    graph = onnx_graph([onnx_node("PyOp", "x")])
    for _ in range(300):
        graph = onnx_graph([onnx_node("If", attributes=data(5, data(6, graph)))])
    assert ("x", "PyOp") in operators(onnx_model(extra=data(7, graph)))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(onnx, [ORDINARY], name="model.onnx")
