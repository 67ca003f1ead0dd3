import pytest

from scanners.facts import Identified, Operator, Reference
from scanners.formats import tensorflow_shard
from scanners.reading import Reading
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered
from tests.builders.tensorflow_bundles import checkpoint, string_tensor, thing

NAME = "variables.data-00000-of-00001"
OBJECTS = (
    thing(children={"layer": 1, "optimizer": 2}),
    thing(values={"layer/kernel/.ATTRIBUTES/VARIABLE_VALUE": "dense/kernel"}),
    thing(slots=[(1, "m", 1)], saver=("my_package.Saver", "table")),
)


def shard(*things: bytes, weights: bytes = bytes(40)) -> bytes:
    return checkpoint(*things, weights=weights)[NAME]


def references(reading: Reading) -> list[tuple[str, str, str]]:
    return [(one.kind, one.target, one.context) for one in reading.facts if isinstance(one, Reference)]


def test_objects_are_stated_with_their_keys_names_and_savers() -> None:
    reading = read_with(tensorflow_shard, shard(*OBJECTS), name=NAME)
    size = len(string_tensor(b"".join(OBJECTS)))
    assert references(reading) == [
        ("registered-saver", "my_package.Saver", "table"),
        ("object-graph", f"40+{size}", "found"),
    ]
    assert [one.arguments for one in reading.facts if isinstance(one, Operator)] == [
        (("child", "layer"), ("child", "optimizer")),
        (("value", "layer/kernel/.ATTRIBUTES/VARIABLE_VALUE"), ("name", "dense/kernel")),
        (("slot", "m"),),
    ]
    assert [one.detail for one in reading.facts if isinstance(one, Identified)] == ["object graph of 3 objects"]
    assert uncovered(reading) == 0


def test_only_the_object_graph_is_parsed_the_rest_is_weights() -> None:
    data = shard(*OBJECTS)
    reading = read_with(tensorflow_shard, data, name=NAME)
    assert reading.parsed_ranges == [(40, len(data))]
    assert reading.inert_ranges == [(0, 40)]


@pytest.mark.parametrize("weights", [b"", b"\n" * 1000, bytes(range(256)) * 50])
def test_weights_are_not_taken_for_an_object_graph(weights: bytes) -> None:
    reading = read_with(tensorflow_shard, weights, name=NAME)
    assert references(reading) == []
    assert uncovered(reading) == 0


def test_in_a_large_shard_the_object_graph_is_found_from_the_end() -> None:
    reading = read_with(tensorflow_shard, shard(*OBJECTS, weights=bytes(20 << 20)), name=NAME)
    assert references(reading)[-1][1].startswith(f"{20 << 20}+")


def test_a_small_shard_is_searched_to_its_beginning() -> None:
    tensor = string_tensor(b"".join(OBJECTS))
    reading = read_with(tensorflow_shard, tensor + bytes(400), name=NAME)
    assert references(reading)[-1] == ("object-graph", f"0+{len(tensor)}", "found")


def test_in_a_large_shard_the_object_graph_is_found_near_the_beginning() -> None:
    tensor = string_tensor(b"".join(OBJECTS))
    reading = read_with(tensorflow_shard, bytes(4096) + tensor + bytes(20 << 20), name=NAME)
    assert references(reading)[-1] == ("object-graph", f"4096+{len(tensor)}", "found")
    assert uncovered(reading) == 0


def test_only_what_is_named_as_a_shard_is_taken() -> None:
    assert tensorflow_shard.matches(blob_of(b"", NAME))
    assert not tensorflow_shard.matches(blob_of(b"", "variables.index"))
    assert not tensorflow_shard.matches(blob_of(b"", "data-00000-of-00001"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(tensorflow_shard, [shard(*OBJECTS)], name=NAME)
