import json
from typing import Any

import pytest

from scanners.facts import Reference
from scanners.formats import skops
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def node(name: str, loader: str = "ObjectNode", **more: Any) -> dict[str, Any]:
    module, _, short = name.rpartition(".")
    return {"__class__": short, "__module__": module, "__loader__": loader, **more}


SCHEMA = json.dumps(
    node("sklearn.pipeline.Pipeline", content=node("builtins.dict", "DictNode", content={
        "func": node("numpy.log1p", "FunctionNode"),
        "fit": node("a.B", "MethodNode", content={"func": "fit", "obj": node("a.B")}),
        "op": node("operator.attrgetter", "OperatorFuncNode", attrs={"content": [{"content": '"x"'}]}),
    }))
).encode()  # fmt: skip


def references(content: bytes) -> set[tuple[str, str]]:
    facts = read_with(skops, content, name="schema.json").facts
    return {(fact.target, fact.context) for fact in facts if isinstance(fact, Reference)}


def test_every_callable_is_stated_and_plain_values_are_not() -> None:
    assert references(SCHEMA) == {
        ("sklearn.pipeline.Pipeline", "ObjectNode"),
        ("numpy.log1p", "FunctionNode"),
        ("a.B", "MethodNode"),
        ("a.B", "ObjectNode"),
        ("a.B.fit", "MethodNode of a.B"),
        ("operator.attrgetter", "OperatorFuncNode"),
        ("x", "OperatorFuncNode of operator.attrgetter"),
    }
    assert uncovered(read_with(skops, SCHEMA, name="schema.json")) == 0


def test_only_a_schema_is_taken() -> None:
    assert skops.matches(blob_of(SCHEMA, "schema.json"))
    assert not skops.matches(blob_of(b'{"a": 1}', "schema.json"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(skops, [SCHEMA], name="schema.json", rounds=200)


def test_a_schema_is_found_behind_any_padding() -> None:
    padded = json.dumps({"pad": "A" * 9000, **node("os.system", "FunctionNode")}).encode()
    assert skops.matches(blob_of(padded, "schema.json"))
    assert skops.matches(blob_of(padded.decode().encode("utf-16"), "schema.json"))
    assert ("os.system", "FunctionNode") in references(padded)


def test_a_list_of_another_class_is_stated() -> None:
    assert references(json.dumps(node("os.system", "ListNode", content=[])).encode()) == {("os.system", "ListNode")}


@pytest.mark.parametrize("module", [[], {}])
def test_a_module_that_is_no_name_is_stated(module: object) -> None:
    described = {"__class__": "list", "__module__": module, "__loader__": "ListNode", "content": []}
    assert references(json.dumps(described).encode()) == {(f"{module}.list", "ListNode")}
