"""joblib's files: arrays lie between the opcodes, where a plain unpickler would trip over them."""

import struct
from pathlib import Path
from typing import Any

import pytest

from modelsign import convert
from modelsign.errors import ConversionError
from tests.builders.checkpoints import Name, Pickler, Raw, floats, numpy_dtype, pickled
from tests.modelsign.conversion.reading import read
from tests.peers import run_peer


def inline(data: bytes, shape: Any, dtype: Any = "f4", *, padding: int | None = 3, **changes: Any) -> Raw:
    """Return a wrapper and the array behind it, as joblib 1.5 writes them."""
    state = {
        "subclass": Name("numpy", "ndarray"),
        "shape": shape,
        "order": "C",
        "dtype": numpy_dtype(dtype) if isinstance(dtype, str) else dtype,
        "allow_mmap": True,
        "numpy_array_alignment_bytes": None if padding is None else 16,
        **changes,
    }
    pickler = Pickler(2)
    pickler.out.clear()
    pickler.memo = {0: 1000}  # its own range of the memo
    pickler.save(Name("joblib.numpy_pickle", "NumpyArrayWrapper"))
    pickler.out += b")\x81"
    pickler.save(state)
    pickler.out += b"b"
    fill = b"" if padding is None else bytes([padding]) + b"\xff" * padding
    return Raw(bytes(pickler.out) + fill + data)


def refusal(folder: Path, data: bytes) -> str:
    (folder / "m.joblib").write_bytes(data)
    with pytest.raises(ConversionError) as caught:
        convert(folder / "m.joblib")
    assert [entry.name for entry in folder.iterdir()] == ["m.joblib"]
    return str(caught.value)


@pytest.mark.parametrize("padding", [None, 0, 7])
def test_arrays_between_the_opcodes_arrive(tmp_path: Path, padding: int | None) -> None:
    value = {
        "a": inline(floats(6), (2, 3), padding=padding),
        "b": [inline(bytes(8), (1,), "i8", padding=padding)],
        "n": 1,
    }
    (tmp_path / "m.joblib").write_bytes(pickled(value))
    done = convert(tmp_path / "m.joblib")
    assert read(tmp_path / "m.safetensors").tensors == {"a": ("F32", (2, 3), floats(6)), "b.0": ("I64", (1,), bytes(8))}
    assert done.format == "joblib"


def test_fortran_order_is_gathered(tmp_path: Path) -> None:
    (tmp_path / "m.joblib").write_bytes(pickled({"a": inline(floats(6), (2, 3), order="F")}))
    convert(tmp_path / "m.joblib")
    assert struct.unpack("<6f", read(tmp_path / "m.safetensors").tensors["a"][2]) == (0, 2, 4, 1, 3, 5)


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    array = inline(pickled([1, 2]), (2,), dtype=numpy_dtype("O8", "|"), padding=None)
    assert "objects" in refusal(tmp_path, pickled({"a": array}))


@pytest.mark.parametrize(
    "wrapper",
    [
        inline(floats(2), (2,), order="X"),
        inline(floats(2), (2,), subclass=Name("numpy.rec", "recarray")),
        inline(floats(2), None),
        inline(floats(2), (-1,)),
        inline(floats(2), (2,), dtype=3),
        inline(floats(2), (3,)),
    ],
)
def test_a_wrapper_that_is_not_understood_is_refused(tmp_path: Path, wrapper: Raw) -> None:
    refusal(tmp_path, pickled({"a": wrapper}))


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = pickled({"a": inline(floats(6), (2, 3)), "n": 1})
    for length in range(0, len(data), 5):
        refusal(tmp_path, data[:length])


MAKE = """
import sys, joblib, numpy
joblib.dump({"a": numpy.arange(6, dtype="f4").reshape(2, 3), "b": [numpy.zeros(1, "i8")], "n": 1}, sys.argv[1])
"""


@pytest.mark.interop
def test_what_joblib_itself_writes_arrives(tmp_path: Path) -> None:
    run_peer("ordinary-core", "-c", MAKE, tmp_path / "m.joblib")
    convert(tmp_path / "m.joblib")
    assert read(tmp_path / "m.safetensors").tensors == {"a": ("F32", (2, 3), floats(6)), "b.0": ("I64", (1,), bytes(8))}
