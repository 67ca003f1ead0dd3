import pytest

from scanners.facts import Operator
from scanners.formats import savedmodel
from tests.builders.protobufs import (
    constant,
    data,
    function,
    function_attribute,
    graph_def,
    node,
    number,
    saved_model,
    text_attribute,
)
from tests.builders.readings import anomalies, blob_of, read_with, stated_by, survive_mutations, uncovered

HOSTILE = saved_model([constant("path", "/tmp/x"), constant("text", "y"), node("w", "WriteFile", ["path", "text"])])


def operators(content: bytes) -> list[Operator]:
    return [fact for fact in read_with(savedmodel, content, name="saved_model.pb").facts if isinstance(fact, Operator)]


def arguments(content: bytes) -> set[tuple[str, str]]:
    return {pair for fact in operators(content) for pair in fact.arguments if pair[0] != "node"}


def test_content_decides_not_the_name() -> None:
    assert savedmodel.matches(blob_of(HOSTILE, "weights.bin"))
    assert savedmodel.matches(blob_of(graph_def([node("a", "Relu")]), "x"))
    assert not savedmodel.matches(blob_of(b"\x08\x01", "saved_model.pb"))
    assert not savedmodel.matches(blob_of(b"\n\x03abc", "x.pb"))


def test_computing_operators_are_not_stated() -> None:
    assert operators(saved_model([node("a", "MatMul", ["b", "c"]), node("b", "Relu")])) == []


def test_everything_is_accounted_for() -> None:
    assert uncovered(read_with(savedmodel, HOSTILE, name="saved_model.pb")) == 0


def test_a_constant_is_followed_to_the_operator() -> None:
    assert ("constant", "/tmp/x") in arguments(HOSTILE)


def test_a_constant_is_followed_through_joins_and_identities() -> None:
    nodes = [
        constant("a", "/etc"),
        constant("b", "/passwd"),
        node("join", "StringJoin", ["a", "b"]),
        node("id", "Identity", ["join:0"]),
        node("r", "ReadFile", ["id", "^a"]),
    ]
    assert {("constant", "/etc"), ("constant", "/passwd")} <= arguments(saved_model(nodes))


def test_a_constant_is_followed_into_a_function() -> None:
    inner = function("f", ["path"], [node("r", "ReadFile", ["path"])])
    outer = [constant("p", "/etc/passwd"), node("c", "PartitionedCall", ["p"], function_attribute("f", "f"))]
    assert ("constant", "/etc/passwd") in arguments(saved_model(outer, [inner]))


def test_an_input_from_outside_is_dynamic() -> None:
    assert ("dynamic", "Placeholder") in arguments(
        saved_model([node("p", "Placeholder"), node("r", "ReadFile", ["p"])])
    )


def test_an_asset_is_told_from_a_constant() -> None:
    nodes = [constant("v", "/home/me/vocab.txt"), node("i", "InitializeTableFromTextFileV2", ["t", "v"])]
    assert ("asset", "/home/me/vocab.txt") in arguments(saved_model(nodes, assets={"v:0": "vocab.txt"}))


def test_an_asset_outside_the_model_is_an_anomaly() -> None:
    content = saved_model([node("a", "Relu")], assets={"v:0": "../../etc/passwd"})
    assert anomalies(read_with(savedmodel, content)) == ["tensorflow-asset-outside"]


def test_the_last_of_two_operator_names_counts_as_in_protobuf() -> None:
    content = saved_model([data(1, "n") + data(2, "Relu") + data(2, "WriteFile")])
    assert [one.name for one in operators(content)] == ["WriteFile"]


def test_graphs_in_several_parts_are_all_read() -> None:
    part = data(2, data(2, graph_def([node("r", "ReadFile")])))
    assert [one.name for one in operators(number(1, 1) + data(2, data(2, graph_def([node("a", "Relu")]))) + part)] == [
        "ReadFile"
    ]


def test_print_names_its_stream() -> None:
    content = saved_model([node("p", "PrintV2", ["x"], text_attribute("output_stream", "file:///tmp/x"))])
    assert ("output_stream", "file:///tmp/x") in arguments(content)


def test_operators_nobody_registers_are_custom_once() -> None:
    content = saved_model([node("a", "MyOp"), node("b", "MyOp"), node("c", "f")], [function("f", [], [])])
    assert [(one.name, one.arguments[0]) for one in operators(content)] == [("MyOp", ("custom", "yes"))]


def test_what_stands_before_a_break_still_counts() -> None:
    facts = stated_by(savedmodel, HOSTILE + b"\x12\xff\x01", name="saved_model.pb").facts
    assert [fact.name for fact in facts if isinstance(fact, Operator)] == ["WriteFile"]


def test_keras_descriptions_are_handed_on() -> None:
    metadata = data(
        1, number(2, 0) + data(3, "root") + data(4, "_tf_keras_model") + data(5, b'{"class_name": "Lambda"}')
    )
    reading = read_with(savedmodel, metadata, name="keras_metadata.pb")
    assert [child.reader.read_at(0, 99) for child in reading.children] == [b'{"class_name": "Lambda"}']


@pytest.mark.parametrize(
    "content", [HOSTILE, saved_model([constant("a", "b")], [function("f", ["x"], [node("n", "Op")])])]
)
def test_truncations_and_mutations_end_in_a_verdict(content: bytes) -> None:
    survive_mutations(savedmodel, [content], name="saved_model.pb")
