from pathlib import Path
from typing import Any

import pytest

from modelsign import convert
from modelsign.errors import ConversionError
from tests.builders.checkpoints import Extension, flax_array, floats, msgpack
from tests.modelsign.conversion.reading import read


def converted(folder: Path, value: Any) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    (folder / "m.msgpack").write_bytes(msgpack(value))
    convert(folder / "m.msgpack")
    return read(folder / "m.safetensors").tensors


def refusal(folder: Path, data: bytes) -> str:
    (folder / "m.msgpack").write_bytes(data)
    with pytest.raises(ConversionError) as caught:
        convert(folder / "m.msgpack")
    assert [entry.name for entry in folder.iterdir()] == ["m.msgpack"]
    return str(caught.value)


def test_nested_arrays_get_dotted_names(tmp_path: Path) -> None:
    value = {"params": {"dense": {"kernel": flax_array((2, 3), "float32", floats(6))}}, "step": 7, "rate": 0.5}
    assert converted(tmp_path, value) == {"params.dense.kernel": ("F32", (2, 3), floats(6))}


@pytest.mark.parametrize(
    ("dtype", "name", "size"), [("bfloat16", "BF16", 2), ("bool", "BOOL", 1), ("uint32", "U32", 4)]
)
def test_types_are_known_by_name(tmp_path: Path, dtype: str, name: str, size: int) -> None:
    assert converted(tmp_path, {"a": flax_array((2,), dtype, bytes(2 * size))}) == {"a": (name, (2,), bytes(2 * size))}


def test_chunks_become_one_array_again(tmp_path: Path) -> None:
    chunked = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 5, "1": 2},
        "chunks": {"0": flax_array((7,), "float32", floats(7)), "1": flax_array((3,), "float32", floats(3, 7))},
    }
    assert converted(tmp_path, {"a": chunked}) == {"a": ("F32", (5, 2), floats(10))}


@pytest.mark.parametrize(
    "change",
    [
        {"shape": {"0": 5, "1": 3}},
        {"shape": {"1": 10}},
        {"chunks": {}},
        {"chunks": {"0": 3}},
        {"chunks": {"0": flax_array((5,), "float32", bytes(20)), "1": flax_array((5,), "int32", bytes(20))}},
    ],
)
def test_chunks_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    chunked = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 10},
        "chunks": {"0": flax_array((10,), "float32", floats(10))},
    }
    assert "split array" in refusal(tmp_path, msgpack({"a": {**chunked, **change}}))


def test_a_type_without_a_counterpart_is_refused(tmp_path: Path) -> None:
    assert "complex64" in refusal(tmp_path, msgpack({"a": flax_array((1,), "complex128", bytes(16))}))


def test_a_wrong_size_is_refused(tmp_path: Path) -> None:
    assert "its shape needs" in refusal(tmp_path, msgpack({"a": flax_array((3,), "float32", bytes(8))}))


def test_an_unknown_extension_is_refused(tmp_path: Path) -> None:
    assert "extension" in refusal(tmp_path, msgpack({"a": Extension(9, b"x")}))


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    assert "nested" in refusal(tmp_path, b"\x81\xa1a" * 10_000 + b"\xc0")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = msgpack({"a": flax_array((2,), "float32", floats(2)), "b": {"c": "text"}})
    for length in range(len(data)):
        refusal(tmp_path, data[:length])


def test_bytes_behind_the_data_are_refused(tmp_path: Path) -> None:
    assert "follow" in refusal(tmp_path, msgpack({"a": flax_array((2,), "float32", floats(2))}) + b"\xc0")
