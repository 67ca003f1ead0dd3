"""Torch's rebuild calls become tensors at once; what cannot is named."""

import pytest

from scanners.limits import Budget
from scanners.pickles.machine import PickleRun, run
from scanners.pickles.tensors import refusal
from scanners.pickles.values import Made, Value
from scanners.reader import BytesReader
from tests.builders import pickles as p


def storage(kind: str = "FloatStorage", key: str = "0", numel: int = 6, *rest: object) -> p.Raw:
    return p.Raw(p.value(("storage", p.Global("torch", kind), key, "cpu", numel, *rest)) + b"Q")


HOOKS = p.call("collections", "OrderedDict")


def ran(item: object) -> PickleRun:
    return run(BytesReader(p.dump(item)), budget=Budget())


def v2(*rest: object, kind: str = "FloatStorage") -> p.Raw:
    return p.call("torch._utils", "_rebuild_tensor_v2", storage(kind), 0, (2, 3), (3, 1), False, HOOKS, *rest)


def test_a_tensor_says_where_its_elements_lie() -> None:
    (tensor,) = ran({"w": v2()}).tensors

    assert (tensor.dtype, tensor.shape, tensor.stride, tensor.storage_offset) == ("float32", (2, 3), (3, 1), 0)
    assert (tensor.storage_key, tensor.storage_numel, tensor.storage_dtype) == ("0", 6, "float32")


@pytest.mark.parametrize("end", ["", ", None"])
@pytest.mark.parametrize("kind", ["torch.FloatStorage", "torch.cuda.FloatStorage"])
def test_a_storage_of_protocol_0_is_a_printed_tuple(kind: str, end: str) -> None:
    printed = p.Raw(f"P('storage', <class '{kind}'>, '0', 'cuda:0', 6{end})\n".encode())
    rebuilt = p.call("torch._utils", "_rebuild_tensor_v2", printed, 0, (2, 3), (3, 1), False, HOOKS)
    (tensor,) = ran({"w": rebuilt}).tensors

    assert (tensor.storage_key, tensor.storage_numel, tensor.storage_dtype) == ("0", 6, "float32")


@pytest.mark.parametrize(
    "printed",
    [
        "('storage', <class 'evil.FloatStorage'>, '0', 'cpu', 6)",
        "('storage', <class 'torch.EvilStorage'>, '0', 'cpu', 6)",
        "('storage', <class 'torch.FloatStorage'>, '0', 'cpu', -6)",
        "('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 6, ('1', 0, 6))",
        "('module', <class 'torch.FloatStorage'>, '0', 'cpu', 6)",
        "0",
    ],
)
def test_other_text_is_no_storage(printed: str) -> None:
    persistent = p.Raw(f"P{printed}\n".encode())
    rebuilt = p.call("torch._utils", "_rebuild_tensor_v2", persistent, 0, (2, 3), (3, 1), False, HOOKS)
    assert ran({"w": rebuilt}).tensors == []


def test_a_folded_tensor_leaves_no_call() -> None:
    assert [made.function.dotted for made in ran(v2()).calls] == ["collections.OrderedDict"]  # type: ignore[union-attr]  # a name


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [
        ((storage("UntypedStorage"), 0, (6,), (1,), False, HOOKS, p.Global("torch", "float8_e4m3fn")), "float8_e4m3fn"),
        (
            (storage("UntypedStorage"), 0, (1,), (1,), False, HOOKS, p.Global("torch", "uint32"), {"conj": True}),
            "uint32",
        ),
    ],
)
def test_version_3_brings_its_own_dtype(arguments: tuple[object, ...], dtype: str) -> None:
    (tensor,) = ran(p.call("torch._utils", "_rebuild_tensor_v3", *arguments)).tensors

    assert (tensor.dtype, tensor.storage_dtype) == (dtype, "uint8")


def test_the_oldest_call_has_four_arguments() -> None:
    (tensor,) = ran(p.call("torch._utils", "_rebuild_tensor", storage(), 1, (2,), (1,))).tensors

    assert (tensor.kind, tensor.storage_offset) == ("_rebuild_tensor", 1)


def test_a_parameter_is_its_tensor() -> None:
    result = ran(p.call("torch._utils", "_rebuild_parameter", v2(), True, HOOKS))

    assert result.root is result.tensors[0]


def test_a_parameter_with_plain_attributes_is_its_tensor() -> None:
    state: tuple[object, ...] = ({"tied": True}, {})

    result = ran(p.call("torch._utils", "_rebuild_parameter_with_state", v2(), True, HOOKS, state))

    assert result.root is result.tensors[0]


def test_a_tensor_rebuilt_as_its_own_class_is_a_tensor() -> None:
    arguments = (storage(), 0, (6,), (1,), False, HOOKS)
    rebuilt = p.call(
        "torch._tensor",
        "_rebuild_from_type_v2",
        p.Global("torch._utils", "_rebuild_tensor_v2"),
        p.Global("torch", "Tensor"),
        arguments,
        {},
    )

    assert len(ran(rebuilt).tensors) == 1


def test_legacy_views_are_kept() -> None:
    tensor = p.call(
        "torch._utils", "_rebuild_tensor_v2", storage("FloatStorage", "0", 6, ("1", 2, 4)), 0, (2,), (1,), False, HOOKS
    )

    assert ran(tensor).tensors[0].view == ("1", 2, 4)


def test_metadata_is_kept() -> None:
    assert ran(v2({"conj": True})).tensors[0].metadata is not None


def test_hooks_are_kept_where_there_are_any() -> None:
    hooks = p.Raw(p.value(HOOKS) + p.value(1) + p.global_("os", "system") + p.SETITEM)
    tensor = p.call("torch._utils", "_rebuild_tensor_v2", storage(), 0, (6,), (1,), False, hooks)

    assert ran(tensor).tensors[0].hooks is not None


def refused(item: object) -> str | None:
    root: Value = ran(item).root
    assert isinstance(root, Made)
    return refusal(root)


@pytest.mark.parametrize(
    ("item", "named"),
    [
        (p.call("torch._utils", "_rebuild_qtensor", storage("QInt8Storage")), "quantised"),
        (p.call("torch._utils", "_rebuild_sparse_tensor", 1), "sparse"),
        (p.call("torch._utils", "_rebuild_meta_tensor_no_storage", 1), "meta"),
        (p.call("torch._utils", "_rebuild_nested_tensor", 1), "nested"),
        (p.call("torch._utils", "_rebuild_wrapper_subclass", 1), "subclass"),
        (p.call("torch._utils", "_rebuild_tensor_v2", storage(), -1, (2,), (1,), False, HOOKS), "does not take"),
        (p.call("torch._utils", "_rebuild_tensor_v2", storage(), 0, (2,), (-1,), False, HOOKS), "does not take"),
        (p.call("torch._utils", "_rebuild_tensor_v2", storage(), True, (2,), (1,), False, HOOKS), "does not take"),
        (p.call("torch._utils", "_rebuild_tensor_v2", storage("EvilStorage"), 0, (2,), (1,), False, HOOKS), "does not"),
        (p.call("torch._utils", "_rebuild_tensor_v2", "storage", 0, (2,), (1,), False, HOOKS), "does not take"),
        (
            p.call(
                "torch._tensor",
                "_rebuild_from_type_v2",
                p.Global("torch._utils", "_rebuild_tensor_v2"),
                p.Global("mine", "Tensor"),
                (storage(), 0, (6,), (1,), False, HOOKS),
                {},
            ),
            "mine.Tensor",
        ),
    ],
)
def test_what_is_not_folded_says_why(item: object, named: str) -> None:
    assert named in (refused(item) or "")


def test_other_calls_are_no_refused_tensors() -> None:
    assert refused(p.call("collections", "OrderedDict")) is None
