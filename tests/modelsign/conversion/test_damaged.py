"""Damage of every kind ends in a refusal or in the same tensors, never in a crash and never in other tensors."""

import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelsign.errors import ConversionError
from tests.builders.checkpoints import (
    Call,
    Name,
    flax_array,
    floats,
    msgpack,
    numpy_array,
    ordered,
    pickled,
    row_major,
    tensor,
    torch_legacy,
    torch_tar,
    torch_zip,
)
from tests.builders.zips import archive
from tests.modelsign.conversion.reading import in_memory


def npy(data: bytes) -> bytes:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }" % (len(data) // 4)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


VALUE = {"model": ordered({"a": tensor("0", (2, 3)), "b": tensor("0", (3, 2), stride=(1, 3), numel=6)}), "n": 1}
OLD = {"a": tensor("1", (2,), view=None), "b": tensor("2", (2,), view=None)}
FILES = {
    "zip": torch_zip(VALUE, {"0": floats(6)}),
    "deflated": torch_zip(VALUE, {"0": floats(6)}, deflated=True),
    "legacy": torch_legacy(OLD, {"1": (2, floats(2)), "2": (2, floats(2, 5))}),
    "tar": torch_tar({"a": "7"}, [("1", "float32", 6, floats(6))], [("7", "1", "float32", (2, 3), (3, 1), 0)]),
    "npy": npy(floats(5)),
    "npz": archive(("a.npy", npy(floats(5))), ("b.npy", npy(floats(3)))),
    "pickle": pickled({"a": numpy_array(floats(3), (3,), "f4"), "b": 1}),
    "flax": msgpack({"a": {"b": flax_array((3,), "float32", floats(3))}, "c": 2}),
}
CHECKED = {"zip", "deflated", "npz"}
"""formats whose records have checksums: there no damage may change a tensor"""


@pytest.mark.parametrize("kind", FILES)
def test_every_truncation_is_refused_or_harmless(kind: str) -> None:
    data = FILES[kind]
    whole = in_memory(data).tensors
    for length in range(len(data)):
        try:
            found = in_memory(data[:length]).tensors
        except ConversionError:
            continue
        assert found == whole, length


@pytest.mark.parametrize("kind", FILES)
def test_flipped_bits_are_refused_or_harmless(kind: str) -> None:
    data = FILES[kind]
    whole = in_memory(data)
    chosen = random.Random(kind)
    places = range(len(data)) if len(data) < 2500 else sorted(chosen.sample(range(len(data)), 2500))
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << chosen.randrange(8)
        try:
            found = in_memory(bytes(damaged))
        except ConversionError:
            continue
        if kind in CHECKED:
            assert {raw for _, _, raw in found.tensors.values()} <= {raw for _, _, raw in whole.tensors.values()}, place
        # Without checksums a flipped name or weight is what the file says; shapes and sizes still have to agree.


@pytest.mark.parametrize("kind", FILES)
def test_doubled_and_missing_stretches_are_refused_or_harmless(kind: str) -> None:
    data = FILES[kind]
    chosen = random.Random(kind)
    for _ in range(300):
        start = chosen.randrange(len(data))
        end = min(len(data), start + chosen.choice([1, 4, 30, 64, 200]))
        for damaged in (data[:start] + data[end:], data[:end] + data[start:]):
            try:
                in_memory(damaged)
            except ConversionError:
                continue


DTYPES = st.sampled_from(["float32", "float64", "int16", "uint8", "complex64"])
ITEMSIZE = {"float32": 4, "float64": 8, "int16": 2, "uint8": 1, "complex64": 8}


@st.composite
def views(draw: st.DrawFn) -> tuple[bytes, dict[str, Any], dict[str, bytes]]:
    """Return (storage bytes, tensors, the bytes each must come to): what a strided view is, item by item."""
    dtype = draw(DTYPES)
    itemsize = ITEMSIZE[dtype]
    count = draw(st.integers(1, 64))
    data = draw(st.binary(min_size=count * itemsize, max_size=count * itemsize))
    tensors: dict[str, Any] = {}
    expected: dict[str, bytes] = {}
    for index in range(draw(st.integers(1, 4))):
        rank = draw(st.integers(0, 4))
        shape = tuple(draw(st.lists(st.integers(0, 4), min_size=rank, max_size=rank)))
        stride = draw(st.one_of(st.just(row_major(shape)), st.tuples(*[st.integers(0, 12)] * rank)))
        last = sum((length - 1) * step for length, step in zip(shape, stride, strict=True)) if 0 not in shape else 0
        if last >= count:
            continue
        offset = draw(st.integers(0, count - 1 - last))
        name = f"t{index}"
        tensors[name] = tensor("0", shape, dtype=dtype, offset=offset, stride=stride, numel=count)
        expected[name] = b"".join(
            data[(offset + place) * itemsize : (offset + place + 1) * itemsize] for place in places(shape, stride)
        )
    return data, tensors, expected


def places(shape: tuple[int, ...], stride: tuple[int, ...]) -> list[int]:
    """Return the storage place of every item, in row-major order."""
    found = [0]
    for length, step in zip(shape, stride, strict=True):
        found = [place + index * step for place in found for index in range(length)]
    return found


@settings(max_examples=150)
@given(made=views(), deflated=st.booleans(), protocol=st.sampled_from([2, 4]))
def test_any_views_of_a_storage_arrive(
    made: tuple[bytes, dict[str, Any], dict[str, bytes]], deflated: bool, protocol: int
) -> None:
    data, tensors, expected = made
    if not tensors:
        return
    written = in_memory(torch_zip(tensors, {"0": data}, deflated=deflated, protocol=protocol))
    for name, raw in expected.items():
        kept = written.metadata.get(name, name)
        assert written.tensors[kept][2] == raw


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TREES = st.recursive(
    st.just("tensor") | st.none() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150)
@given(tree=TREES)
def test_any_tree_gives_every_tensor_its_own_name_or_is_refused(tree: Any) -> None:
    storages: dict[str, bytes] = {}

    def filled(value: Any) -> Any:
        if value == "tensor":
            key = str(len(storages))
            storages[key] = floats(1, len(storages))
            return tensor(key, (1,))
        if isinstance(value, list):
            return [filled(item) for item in value]
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        return value

    data = torch_zip(filled(tree), storages)
    try:
        written = in_memory(data, select=".")
    except ConversionError:
        return
    assert sorted(raw for _, _, raw in written.tensors.values()) == sorted(storages.values())


@settings(max_examples=300)
@given(
    data=st.binary(max_size=300), head=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x93NUMPY\x01\x00", b"\x81"])
)
def test_arbitrary_bytes_are_refused(data: bytes, head: bytes) -> None:
    with pytest.raises(ConversionError):
        in_memory(head + data)


@pytest.mark.parametrize(
    "call",
    [
        Call(Name("torch._utils", "_rebuild_tensor_v2"), ()),
        Call(Name("torch._utils", "_rebuild_tensor_v2"), (1, 2, 3, 4, 5, 6)),
        Call(Name("torch._utils", "_rebuild_tensor_v3"), (1, 2, 3, 4, 5, 6, 7)),
        Call(Name("torch._utils", "_rebuild_parameter"), (None, True, None)),
        Call(Name("torch._utils", "_rebuild_from_type_v2"), ()),
        Call(Name("torch._tensor", "_rebuild_from_type_v2"), (1, 2, 3, 4)),
    ],
)
def test_a_rebuild_call_with_wrong_arguments_is_refused(call: Call) -> None:
    with pytest.raises(ConversionError):
        in_memory(torch_zip({"w": tensor("0", (1,)), "x": call}, {"0": floats(1)}))
