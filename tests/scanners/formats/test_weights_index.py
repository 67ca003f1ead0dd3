import json

from scanners.facts import Reference
from scanners.formats import weights_index
from tests.builders.readings import blob_of, read_with, survive_mutations

INDEX = json.dumps({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-1.safetensors"}}).encode()


def test_every_file_is_stated_once_with_its_count() -> None:
    facts = read_with(weights_index, INDEX, name="model.safetensors.index.json").facts
    assert [(fact.target, fact.context) for fact in facts if isinstance(fact, Reference)] == [
        ("m-1.safetensors", "2 tensors"),
        ("m-2.safetensors", "1 tensors"),
    ]


def test_the_name_decides() -> None:
    assert weights_index.matches(blob_of(INDEX, "pytorch_model.bin.index.json"))
    assert not weights_index.matches(blob_of(INDEX, "config.json"))


def test_other_shapes_state_nothing() -> None:
    assert read_with(weights_index, b'{"weight_map": []}', name="a.index.json").facts == []
    assert read_with(weights_index, b"[1]", name="a.index.json").facts == []


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(weights_index, [INDEX], name="a.index.json", rounds=150)
