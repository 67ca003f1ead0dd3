"""Iterators that a loader would exhaust: reported however they are wrapped; kept ones are nothing."""

import pytest

from scanners.engine import scan_blob
from scanners.reader import BytesReader
from tests.builders import pickles as p

COUNT = p.call("itertools", "count")
LONG = p.call("builtins", "range", 1 << 31)


def rules(item: object) -> set[str]:
    report = scan_blob(BytesReader(p.dump(item)), "model.pkl").report
    return {finding.rule.id for finding in report.findings}


@pytest.mark.parametrize(
    "iterator",
    [
        COUNT,
        LONG,
        p.call("builtins", "range", 0, -(1 << 40), -1),
        p.call("itertools", "cycle", [1]),
        p.call("itertools", "repeat", "a"),
        p.call("itertools", "repeat", "a", 1 << 30),
        p.call("itertools", "product", [1, 2], [3]),
        p.call("itertools", "chain", [1], COUNT),
        p.call("itertools", "islice", COUNT, 1 << 30),
        p.call("itertools", "islice", COUNT, 0, None),
        p.call("itertools", "zip_longest", [1], LONG),
    ],
)
@pytest.mark.parametrize(
    "consumer", ["builtins.list", "builtins.dict", "builtins.bytes", "collections.deque", "collections.Counter"]
)
def test_iterator_that_a_call_exhausts_is_reported(consumer: str, iterator: p.Raw) -> None:
    module, _, name = consumer.rpartition(".")

    assert "MS114" in rules(p.call(module, name, iterator))


@pytest.mark.parametrize(
    "item",
    [
        p.call("copyreg", "__newobj_ex__", p.Global("collections", "deque"), (COUNT,), {}),
        p.call("copyreg", "__newobj__", p.Global("collections", "deque"), COUNT),
        p.apply(p.call("functools", "partial", p.Global("collections", "deque")), COUNT),
        p.apply(p.call("functools", "partial", p.Global("collections", "deque"), COUNT)),
        p.call("collections", "deque", p.apply(p.call("functools", "partial", p.Global("itertools", "count")))),
    ],
)
def test_iterator_that_a_call_of_another_exhausts_is_reported(item: object) -> None:
    assert "MS114" in rules(item)


@pytest.mark.parametrize(
    "item",
    [
        COUNT,
        LONG,
        p.call("builtins", "iter", LONG),
        p.call("builtins", "list", p.call("builtins", "range", 1000)),
        p.call("builtins", "list", p.call("itertools", "islice", COUNT, 10)),
        p.call("builtins", "list", p.call("itertools", "repeat", 0, 100)),
        p.call("builtins", "str", LONG),
        p.call("builtins", "map", p.Global("builtins", "int"), COUNT),
        p.call("functools", "partial", p.Global("collections", "deque"), COUNT),
        p.call("collections", "defaultdict", p.Global("itertools", "count")),
    ],
)
def test_iterator_that_is_kept_or_short_is_not_reported(item: object) -> None:
    assert "MS114" not in rules({"kept": item})
