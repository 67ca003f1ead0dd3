"""What a loader would do to tensors after making them is refused, never written as if it had not happened."""

from typing import Any

import pytest

from modelsign.conversion.inputs.request import Request
from modelsign.conversion.parsing import parse
from modelsign.errors import ConversionError
from scanners.reader import BytesReader
from tests.builders.checkpoints import (
    Call,
    Name,
    Pickler,
    Raw,
    floats,
    numpy_array,
    ordered,
    pickled,
    storage,
    tensor,
    torch_zip,
)
from tests.modelsign.conversion.reading import in_memory

STORAGES = {"0": floats(2), "1": floats(2, 7)}
TENSOR, OTHER = tensor("0", (2,)), tensor("1", (2,))
WITH_STATE = Name("torch._utils", "_rebuild_parameter_with_state")
PARAMETER = Name("torch.nn.parameter", "Parameter")


def opcodes(*parts: Any) -> Raw:
    pickler = Pickler()
    pickler.out.clear()
    for part in parts:
        if isinstance(part, bytes):
            pickler.out += part
        else:
            pickler.save(part)
    return Raw(bytes(pickler.out))


def with_call(call: Call) -> Raw:
    """Return a dictionary (90 in the memo) of a tensor (91), and behind it a call whose result is dropped."""
    return opcodes(b"}r\x5a\0\0\0(X\1\0\0\0w", TENSOR, b"r\x5b\0\0\0u", call, b"0")


def parameter(state: Any) -> Call:
    return Call(WITH_STATE, (TENSOR, True, ordered({}), state))


@pytest.mark.parametrize(
    "function",
    [
        Name("torch", "Tensor.neg_"),
        Name("torch.Tensor", "copy_"),
        Name("torch.nn.init", "zeros_"),
        Name("torch._utils", "_set_obj_state"),
        Name("numpy", "ndarray.fill"),
        Name("operator", "imul"),
        Name("builtins", "dict.update"),
        Name("__builtin__", "dict.pop"),
        Name("collections", "OrderedDict.update"),
        Name("collections", "deque.append"),
        Name("random", "shuffle"),
    ],
)
@pytest.mark.parametrize(
    "given", [b"j\x5b\0\0\0", b"j\x5a\0\0\0", b"]j\x5b\0\0\0a"], ids=["tensor", "dictionary", "list"]
)
def test_a_function_that_is_called_with_tensors_is_refused(function: Name, given: bytes) -> None:
    data = torch_zip(with_call(Call(function, (Raw(given),))), STORAGES)
    with pytest.raises(ConversionError, match=function.name.rpartition(".")[2]):
        in_memory(data)


@pytest.mark.parametrize(
    "call",
    [
        Call(Name("torch.return_types", "max"), ((TENSOR, OTHER), {})),
        Call(Name("torch.fx.graph_module", "reduce_graph_module"), ({"_parameters": {"w": TENSOR}}, "")),
        Call(Name("numpy.random._pickle", "__randomstate_ctor"), (numpy_array(floats(1), (1,), "f4"),)),
        Call(Name("collections", "deque"), ([TENSOR],)),
        Call(
            Name("functools", "partial"),
            (Name("my.model", "act"),),
            state=(Name("my.model", "act"), (TENSOR,), {}, None),
        ),
        Call(Name("my.model", "Net"), (TENSOR,)),
        Call(Name("my.model", "rebuild"), (TENSOR,)),
        Call(
            Name("copyreg", "_reconstructor"),
            (Name("my.model", "Net"), Name("builtins", "object"), None),
            state={"w": TENSOR},
        ),
        Call(Name("numpy.core.multiarray", "scalar"), (numpy_array(floats(1), (1,), "f4"), b"")),
    ],
)
def test_what_makes_things_of_tensors_stays_inert(call: Call) -> None:
    written = in_memory(torch_zip({"state_dict": {"w": TENSOR}, "beside": call}, STORAGES))
    assert {name: raw for name, (_, _, raw) in written.tensors.items()} == {"w": STORAGES["0"]}


@pytest.mark.parametrize(
    "computed",
    [
        Call(Name("functools", "partial"), (Name("torch", "Tensor.neg_"),)),
        Call(Name("builtins", "getattr"), (Name("torch", "Tensor"), "neg_")),
        Call(Name("__builtin__", "getattr"), (ordered({}), "update")),
        Call(Name("builtins", "getattr"), ({}, "update")),
    ],
)
def test_a_function_computed_by_the_pickle_and_called_with_tensors_is_refused(computed: Call) -> None:
    with pytest.raises(ConversionError):
        in_memory(torch_zip({"w": TENSOR, "x": opcodes(computed, b"(", TENSOR, b"tR")}, STORAGES))


@pytest.mark.parametrize(
    "computed",
    [
        Call(Name("cloudpickle.cloudpickle", "_builtin_type"), ("MethodType",)),
        Call(Name("functools", "partial"), (Name("my.model", "act"),)),
        Call(Name("builtins", "getattr"), (Name("my.model", "Net"), "made")),
    ],
)
def test_what_another_library_computes_stays_inert(computed: Call) -> None:
    written = in_memory(torch_zip({"w": TENSOR, "x": opcodes(computed, b"(", TENSOR, b"tR")}, STORAGES))
    assert {name: raw for name, (_, _, raw) in written.tensors.items()} == {"w": STORAGES["0"]}


@pytest.mark.parametrize("name", ["data", "real", "imag"])
@pytest.mark.parametrize("form", ["dict", "slots", "ordered", "typed", "new"])
def test_an_attribute_that_is_the_data_of_a_tensor_is_refused(name: str, form: str) -> None:
    state = {"note": 1, name: OTHER}
    value = {
        "dict": parameter(state),
        "slots": parameter((None, state)),
        "ordered": parameter(ordered(state)),
        "typed": Call(
            Name("torch._tensor", "_rebuild_from_type_v2"),
            (TENSOR.function, Name("torch", "Tensor"), TENSOR.arguments, state),
        ),
        "new": Call(PARAMETER, (TENSOR,), new=True, state=state),
    }[form]
    with pytest.raises(ConversionError, match=r"'w'.*changes after making it"):
        in_memory(torch_zip({"w": value}, STORAGES))


@pytest.mark.parametrize(
    "state", [(storage("1", "float32", 2), 0, (2,), (1,)), (OTHER, True, None, True, ordered({}))], ids=["set_", "data"]
)
def test_a_state_that_puts_another_tensor_in_place_is_refused(state: Any) -> None:
    with pytest.raises(ConversionError, match="changes after making it"):
        in_memory(torch_zip({"w": Call(PARAMETER, (TENSOR,), new=True, state=state)}, STORAGES))


def test_attributes_of_any_kind_are_left_out_and_counted() -> None:
    state = {"extra": OTHER, "names": {"a": [1]}}
    plain = Call(
        Name("torch._tensor", "_rebuild_from_type_v2"),
        (TENSOR.function, Name("torch", "Tensor"), TENSOR.arguments, state),
    )
    old = Call(PARAMETER, (OTHER,), new=True, state=(True, False, ordered({})))
    data = torch_zip({"a": parameter(state), "b": plain, "c": old}, STORAGES)
    plan = parse(BytesReader(data), Request())
    assert "attributes of 3 tensors were left out" in plan.notes
    written = in_memory(data)
    assert written.metadata == {"b": "a", "format": "pt"}
    assert {name: raw for name, (_, _, raw) in written.tensors.items()} == {"a": STORAGES["0"], "c": STORAGES["1"]}


def test_assigned_items_are_refused() -> None:
    for value, what in [
        (opcodes(b"](", TENSOR, b"eK\0", OTHER, b"s"), "items of a list"),
        (Call(PARAMETER, (TENSOR,), new=True, entries=[(0, OTHER)]), "changes after making it"),
    ]:
        with pytest.raises(ConversionError, match=what):
            in_memory(torch_zip({"w": value, "v": TENSOR}, STORAGES))
    array = numpy_array(floats(2), (2,), "f4")
    with pytest.raises(ConversionError, match="assigns items"):
        in_memory(pickled({"w": Call(array.function, array.arguments, state=array.state, entries=[(0, 1.5)])}))


def test_a_storage_described_as_in_the_old_format_is_refused_in_an_archive() -> None:
    with pytest.raises(ConversionError, match="old format"):
        in_memory(torch_zip({"w": tensor("0", (1,), numel=2, view=("9", 1, 1))}, STORAGES))
