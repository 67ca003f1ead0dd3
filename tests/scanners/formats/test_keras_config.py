import base64
import json

import pytest

from scanners.facts import Operator
from scanners.formats import keras_config
from tests.builders.keras import DENSE, layer, sequential
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def operators(data: bytes) -> list[tuple[str, dict[str, str]]]:
    facts = read_with(keras_config, data, name="config.json").facts
    found = [(fact.name, dict(fact.arguments)) for fact in facts if isinstance(fact, Operator)]
    return [one for one in found if one[0] != "class"]


def test_an_ordinary_model_states_classes_only() -> None:
    data = sequential(DENSE, layer("Dropout", {"rate": 0.1}), compile_config={"optimizer": "adam", "loss": "mse"})
    assert operators(data) == []
    assert uncovered(read_with(keras_config, data, name="config.json")) == 0


@pytest.mark.parametrize(
    "wrapped",
    [
        sequential,
        lambda one: sequential(layer("TimeDistributed", {"layer": one})),
        lambda one: sequential(layer("Sequential", {"layers": [layer("Bidirectional", {"layer": one})]})),
        lambda one: sequential(DENSE, compile_config={"loss": one}),
        lambda one: sequential(layer("Dense", {"activation": one})),
        lambda one: json.dumps({"class_name": "Functional", "config": {"layers": [one]}}).encode(),
        lambda one: json.dumps([[[{"x": one}]]]).encode(),
    ],
)
def test_a_lambda_is_found_at_any_depth(wrapped: object) -> None:
    assert callable(wrapped)
    found = operators(wrapped(layer("Lambda", {"function": "lambda x: x"})))
    assert [name for name, _ in found] == ["Lambda"]


@pytest.mark.parametrize(
    "function",
    [
        {"class_name": "__lambda__", "config": {"code": base64.b64encode(b"\xe3z\x06system").decode()}},
        [base64.b64encode(b"\xe3z\x06system").decode(), None, None],
        base64.b64encode(b"\xe3z\x06system").decode() + "\n",
        "lambda x: system('id')",
    ],
)
def test_the_names_its_code_uses_are_stated(function: object) -> None:
    facts = read_with(keras_config, sequential(layer("Lambda", {"function": function})), name="config.json").facts
    used = {value for fact in facts if isinstance(fact, Operator) for key, value in fact.arguments if key == "uses"}
    assert any("system" in name for name in used)


def test_a_lambda_is_told_once() -> None:
    function = {"class_name": "__lambda__", "config": {"code": "eA=="}}
    assert len(operators(sequential(layer("Lambda", {"function": function})))) == 1


def test_a_vocabulary_in_a_file_is_stated_and_a_list_is_not() -> None:
    assert operators(sequential(layer("StringLookup", {"vocabulary": ["a"]}))) == []
    found = operators(sequential(layer("StringLookup", {"vocabulary": "/etc/passwd"})))
    assert [(name, arguments["path"]) for name, arguments in found] == [("lookup", "/etc/passwd")]


def test_the_module_of_a_torch_wrapper_is_handed_on() -> None:
    config = {"module": base64.b64encode(b"PK\x03\x04").decode()}
    reading = read_with(keras_config, sequential(layer("TorchModuleWrapper", config)), name="config.json")
    assert [child.reader.read_at(0, 9) for child in reading.children] == [b"PK\x03\x04"]


def test_only_json_that_describes_objects_is_taken() -> None:
    assert keras_config.matches(blob_of(sequential(DENSE), "config.json"))
    assert not keras_config.matches(blob_of(b'{"model_type": "llama"}', "config.json"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(keras_config, [sequential(DENSE, layer("Lambda", {"function": "eA=="}))], name="config.json")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_a_configuration_is_read_in_every_encoding_that_json_loads_takes(encoding: str) -> None:
    activation = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    text = json.dumps({"class_name": "Sequential", "config": {"layers": [{"config": {"activation": activation}}]}})
    data = text.encode(encoding)
    assert keras_config.matches(blob_of(data, "config.json"))
    assert [name for name, _ in operators(data)] == ["function"]


def graph_operators(node: object) -> list[str]:
    config = {"name": "x", "node_def": node, "constants": {"0": "/tmp/x"}}
    data = json.dumps({"class_name": "Functional", "config": [{"class_name": "TensorFlowOpLayer", "config": config}]})
    facts = read_with(keras_config, data.encode(), name="config.json").facts
    return [fact.name for fact in facts if isinstance(fact, Operator) and fact.framework == "tensorflow"]


@pytest.mark.parametrize(
    "node",
    [
        {"name": "w", "op": "WriteFile"},
        '{"name": "w", "op": "WriteFile"}',
        "\n\x01w\x12\tWriteFile\x1a\x01a",
    ],
)
def test_the_operator_of_a_tensorflow_layer_is_stated_however_it_was_written(node: object) -> None:
    assert graph_operators(node) == ["WriteFile"]


def test_an_operator_that_only_computes_is_not_stated() -> None:
    assert graph_operators("\n\x03Add\x12\x05AddV2\x1a\x01a") == []
