"""numpy itself writes the files; what it reads back is what must come out."""

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelsign import convert
from modelsign.errors import ConversionError
from tests.builders.checkpoints import Call, Name, numpy_array, numpy_dtype, pickled
from tests.builders.zips import archive
from tests.modelsign.conversion.reading import read

DTYPES = {
    "f8": "F64",
    "f4": "F32",
    "f2": "F16",
    "i8": "I64",
    "i4": "I32",
    "i2": "I16",
    "i1": "I8",
    "u8": "U64",
    "u4": "U32",
    "u2": "U16",
    "u1": "U8",
    "?": "BOOL",
    "c8": "C64",
}


def array(dtype: str, shape: tuple[int, ...] = (4, 3)) -> Any:
    made = np.arange(np.prod(shape)).reshape(shape)
    return made.astype(dtype)


def expect(folder: Path, arrays: dict[str, Any]) -> None:
    tensors = read(folder / "m.safetensors").tensors
    assert tensors.keys() == arrays.keys()
    for name, made in arrays.items():
        little = made.astype(made.dtype.newbyteorder("<"))
        assert tensors[name] == (DTYPES[made.dtype.str[1:].replace("b1", "?")], made.shape, little.tobytes("C"))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_npy_file_arrives(tmp_path: Path, dtype: str, order: str) -> None:
    made = array(order + dtype if dtype != "?" else dtype)
    np.save(tmp_path / "m.npy", made)
    convert(tmp_path / "m.npy")
    expect(tmp_path, {"tensor": made})


@pytest.mark.parametrize("shape", [(0,), (5,), (3, 0, 2), (2, 3, 4)])
def test_fortran_order_is_gathered(tmp_path: Path, shape: tuple[int, ...]) -> None:
    made = np.asfortranarray(array("f4", shape))
    np.save(tmp_path / "m.npy", made)
    convert(tmp_path / "m.npy")
    expect(tmp_path, {"tensor": made})


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_file_arrives(tmp_path: Path, save: Any) -> None:
    arrays = {"a": array("f4"), "b/c": np.asfortranarray(array(">i2")), "d": array("?")}
    save(tmp_path / "m.npz", **arrays)
    convert(tmp_path / "m.npz")
    expect(tmp_path, arrays)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("size", [3, 50_000])
def test_a_pickle_of_arrays_arrives(tmp_path: Path, protocol: int, size: int) -> None:
    shared = np.random.default_rng(0).integers(0, 256, size, dtype="u1")
    arrays = {
        "bytes": shared,
        "fortran": np.asfortranarray(array("f4")),
        "big": array(">f8"),
        "empty": array("f4", (0, 2)),
        "frozen": array("i4"),
    }
    arrays["frozen"].flags.writeable = False
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({**arrays, "step": 3}, protocol=protocol))
    done = convert(tmp_path / "m.pkl")
    expect(tmp_path, arrays)
    assert done.format == "numpy-pickle"
    assert [item.path for item in done.left_out] == ["step"]


def test_a_shared_array_is_tied(tmp_path: Path) -> None:
    shared = array("f4")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"a": shared, "b": shared}))
    assert convert(tmp_path / "m.pkl").aliases == (("b", "a"),)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_both_names_of_numpys_module_are_known(tmp_path: Path, module: str) -> None:
    call = Call(
        Name(module, "_reconstruct"),
        (Name("numpy", "ndarray"), (0,), b"b"),
        state=(1, (2,), numpy_dtype("f4"), False, struct.pack("<2f", 1, 2)),
    )
    (tmp_path / "m.pkl").write_bytes(pickled({"a": call}))
    convert(tmp_path / "m.pkl")
    assert read(tmp_path / "m.safetensors").tensors["a"] == ("F32", (2,), struct.pack("<2f", 1, 2))


@pytest.mark.parametrize(
    "kind", [Name("numpy", "memmap"), Name("numpy", "matrix"), Name("numpy.matrixlib.defmatrix", "matrix")]
)
def test_mapped_files_and_matrices_are_arrays(tmp_path: Path, kind: Name) -> None:
    call = numpy_array(struct.pack("<2f", 1, 2), (1, 2), "f4")
    call = Call(call.function, (kind, *call.arguments[1:]), state=call.state)
    (tmp_path / "m.pkl").write_bytes(pickled({"a": call}))
    convert(tmp_path / "m.pkl")
    assert read(tmp_path / "m.safetensors").tensors["a"] == ("F32", (1, 2), struct.pack("<2f", 1, 2))


def refusal(folder: Path, data: bytes, name: str) -> str:
    (folder / name).write_bytes(data)
    with pytest.raises(ConversionError) as caught:
        convert(folder / name)
    assert [entry.name for entry in folder.iterdir()] == [name]
    return str(caught.value)


def python2_text(made: np.ndarray[Any, Any]) -> bytes:
    """Write the array as `pickle.dumps` of Python 2 does by default (protocol 0)."""
    quoted = repr(made.tobytes())[1:].encode()
    shape = b"".join(b"I%d\n" % length for length in made.shape)
    data: bytes = (
        b"(dp0\nS'a'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\nRp7\n"
        b"(I1\n("
        + shape
        + b"tp8\ncnumpy\ndtype\np9\n(S'"
        + made.dtype.str[1:].encode()
        + b"'\np10\nI0\nI1\ntp11\nRp12\n"
        b"(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\nS" + quoted + b"\np15\ntp16\nbs."
    )
    return data


@pytest.mark.parametrize("size", [3, 257, 300_000])
def test_what_python_2_writes_by_default_arrives(tmp_path: Path, size: int) -> None:
    made = np.random.default_rng(1).integers(0, 256, size, dtype="u1")
    data = python2_text(made)
    assert pickle.loads(data, encoding="latin1")["a"].tobytes() == made.tobytes()
    (tmp_path / "m.pkl").write_bytes(data)
    convert(tmp_path / "m.pkl")
    expect(tmp_path, {"a": made})


def test_an_escape_that_python_2_does_not_write_is_refused(tmp_path: Path) -> None:
    data = python2_text(np.full(5000, 1, "u1")).replace(rb"\x01", rb"\q\q", 1)
    assert "escape" in refusal(tmp_path, data, "m.pkl")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_end_behind_the_pickle_is_no_content(tmp_path: Path, end: bytes) -> None:
    made = array("f4")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"a": made}, protocol=2) + end)
    convert(tmp_path / "m.pkl")
    expect(tmp_path, {"a": made})


def test_anything_else_behind_the_pickle_is_refused(tmp_path: Path) -> None:
    assert "follow the pickle" in refusal(tmp_path, pickle.dumps({"a": array("f4")}) + b"..", "m.pkl")


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (np.zeros(2, "c16"), "complex64"),
        (np.zeros(2, "g"), "extended precision"),
        (np.array(["a", "b"]), "text"),
        (np.array([b"a"]), "text"),
        (np.zeros(2, [("a", "f4")]), "records"),
        (np.zeros(2, "M8[s]"), "safetensors does not have"),
    ],
)
def test_types_without_a_counterpart_are_refused(tmp_path: Path, made: Any, word: str) -> None:
    buffer = io.BytesIO()
    np.save(buffer, made)
    assert word in refusal(tmp_path, buffer.getvalue(), "m.npy")
    (tmp_path / "m.npy").unlink()
    assert word in refusal(tmp_path, pickle.dumps({"a": made}), "m.pkl")


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    made = np.array([{}, []], dtype=object)
    buffer = io.BytesIO()
    np.save(buffer, made, allow_pickle=True)
    assert "object" in refusal(tmp_path, buffer.getvalue(), "m.npy")


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
        b"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': [2], }",
        b"{'descr': '<f4', 'shape': (2,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        b"__import__('os')",
        b"(" * 500,
        b"",
    ],
)
def test_a_broken_header_is_refused(tmp_path: Path, header: bytes) -> None:
    refusal(tmp_path, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8), "m.npy")


def test_a_header_of_python_2_is_read(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }"
    (tmp_path / "m.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8))
    convert(tmp_path / "m.npy")
    assert read(tmp_path / "m.safetensors").tensors["tensor"] == ("F32", (2,), bytes(8))


def test_members_that_are_no_arrays_are_left_out(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array("f4"))
    (tmp_path / "m.npz").write_bytes(archive(("a.npy", buffer.getvalue()), ("notes.txt", b"hello")))
    done = convert(tmp_path / "m.npz")
    assert [(item.path, item.kind) for item in done.left_out] == [("notes.txt", "file")]


@pytest.mark.parametrize(
    "array_call",
    [
        numpy_array(bytes(7), (2,), "f4"),
        numpy_array(bytes(8), (-2,), "f4"),
        numpy_array(bytes(8), (1 << 62, 1 << 62), "f4"),
        Call(Name("numpy.core.multiarray", "_reconstruct"), (Name("numpy.rec", "recarray"), (0,), b"b"), state=None),
        Call(Name("numpy.core.multiarray", "_reconstruct"), (Name("numpy", "ndarray"), (0,), b"b"), state=None),
        Call(Name("numpy.core.numeric", "_frombuffer"), (bytes(8), numpy_dtype("f4"), (2,), "X")),
        Call(Name("numpy.core.numeric", "_frombuffer"), (None, numpy_dtype("f4"), (2,), "C")),
        Call(Name("numpy.core.numeric", "_frombuffer"), (bytes(8), "f4", (2,), "C")),
    ],
)
def test_a_malformed_array_is_refused(tmp_path: Path, array_call: Call) -> None:
    assert "array 'a'" in refusal(tmp_path, pickled({"a": array_call}), "m.pkl")


def test_an_estimator_without_tensors_is_refused(tmp_path: Path) -> None:
    estimator = Call(
        Name("sklearn.linear_model._base", "LinearRegression"), (), state={"fit_intercept": True}, new=True
    )
    assert "no tensors" in refusal(tmp_path, pickled(estimator), "m.pkl")


def test_bytes_after_a_pickle_are_refused(tmp_path: Path) -> None:
    refusal(tmp_path, pickled({"a": numpy_array(bytes(8), (2,), "f4")}) + pickled(1), "m.pkl")
