import json
from dataclasses import replace
from typing import Any

import pytest

from modelsign.conversion.dtypes import DTYPES
from modelsign.conversion.plan import Encoding, Plan, PlannedTensor, Store
from modelsign.conversion.record import LeftOut
from modelsign.errors import ConversionError

STORE = Store(name="data/0", encoding=Encoding.RAW, size=24, segments=((100, 24),), crc=7)
TENSOR = PlannedTensor(name="a", dtype=DTYPES["F32"], shape=(2, 3), store=0, offset=0)
PLAN = Plan(
    format="torch-zip",
    stores=(STORE, Store(name="x", encoding=Encoding.INLINE, size=2, data=b"\x00\xff")),
    tensors=(TENSOR, replace(TENSOR, name="t", stride=(1, 2), swap=4, neg=True)),
    wrapper="model",
    left_out=(LeftOut(path="epoch", kind="int", values=1),),
    notes=("a note",),
    values={"epoch": 3},
)


def plan(store: Store = STORE, tensor: PlannedTensor = TENSOR) -> Plan:
    return Plan(format="x", stores=(store,), tensors=(tensor,))


def test_a_plan_goes_through_json_unchanged() -> None:
    assert Plan.from_json(PLAN.to_json()) == PLAN


def test_a_good_plan_passes() -> None:
    PLAN.check(124)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 25},
        {"size": 23},
        {"segments": ((101, 24),)},
        {"segments": ((-1, 24),)},
        {"segments": ((100, -24),)},
        {"segments": ()},
        {"base": 0},
        {"base": -1},
        {"encoding": Encoding.INLINE},
        {"encoding": Encoding.DEFLATE, "size": 1 << 40},
        {"encoding": Encoding.LATIN1, "size": 25},
        {"encoding": Encoding.ESCAPED, "size": 3},
        {"encoding": Encoding.QUOTED, "size": 5},
        {"encoding": Encoding.QUOTED, "size": 25},
    ],
)
def test_a_store_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match="data/0"):
        plan(store=replace(STORE, **change)).check(124)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (2, 4)},
        {"shape": (-1, 3)},
        {"shape": (1,) * 65},
        {"shape": (1 << 40, 1 << 40)},
        {"offset": 4},
        {"offset": -4},
        {"store": 1},
        {"store": -1},
        {"stride": (3,)},
        {"stride": (-1, 1)},
        {"stride": (6, 1)},
        {"swap": 2},
        {"conj": True},
        {"dtype": DTYPES["U8"], "neg": True},
        {"dtype": DTYPES["F4"], "shape": (3,)},
        {"dtype": DTYPES["F4"], "shape": ()},
        {"name": "__metadata__"},
        {"name": "\udfff"},
        {"name": "x" * 100_000},
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConversionError):
        plan(tensor=replace(TENSOR, **change)).check(124)


def test_two_tensors_of_one_name_are_refused() -> None:
    with pytest.raises(ConversionError, match="both be called"):
        Plan(format="x", stores=(STORE,), tensors=(TENSOR, TENSOR)).check(124)


def test_overlapping_views_out_of_proportion_are_refused() -> None:
    store = Store(name="s", encoding=Encoding.RAW, size=1 << 20, segments=((0, 1 << 20),))
    views = tuple(
        PlannedTensor(name=str(index), dtype=DTYPES["U8"], shape=(1 << 19,), store=0, offset=index)
        for index in range(5000)
    )
    with pytest.raises(ConversionError, match="expanded or overlapping"):
        Plan(format="x", stores=(store,), tensors=views).check(1 << 20)


@pytest.mark.parametrize("field", ["format", "stores", "tensors", "wrapper", "left_out", "notes", "values"])
@pytest.mark.parametrize("value", [3, [[1]], {"a": 1}, [["a", "b"]], True])
def test_json_that_is_no_plan_is_refused(field: str, value: object) -> None:
    head, *rows = PLAN.to_json().split(b"\n")
    fields = {**json.loads(head), field: value}
    if field == "values" and isinstance(value, dict):
        return
    with pytest.raises(ConversionError, match="not a conversion plan"):
        Plan.from_json(b"\n".join([json.dumps(fields).encode(), *rows]))


@pytest.mark.parametrize("row", [1, 2, 3, 4])
@pytest.mark.parametrize("other", [b"", b"3", b"[]", b"[1,2,3,4,5,6,7,8]", b"[1,2,3,4,5,6,7,8,9]", b"\xff", b"["])
def test_a_row_that_is_none_is_refused(row: int, other: bytes) -> None:
    lines = PLAN.to_json().split(b"\n")
    lines[row] = other
    with pytest.raises(ConversionError, match="not a conversion plan"):
        Plan.from_json(b"\n".join(lines))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_number_of_rows_is_refused(change: int) -> None:
    lines = PLAN.to_json().split(b"\n")
    lines = lines[:change] if change < 0 else [*lines, lines[-1]]
    with pytest.raises(ConversionError, match="not a conversion plan"):
        Plan.from_json(b"\n".join(lines))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"3", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_plan_is_refused(data: bytes) -> None:
    with pytest.raises(ConversionError, match="not a conversion plan"):
        Plan.from_json(data)
