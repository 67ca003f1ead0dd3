"""npy files: the header is parsed as a literal, and an array of objects is a pickle."""

import struct

import pytest

from scanners.engine import scan_blob
from scanners.facts import Tensor
from scanners.findings import FileReport, Verdict
from scanners.formats.numpy import element_of
from scanners.reader import BytesReader
from tests.builders import pickles as p


def npy(descr: str, shape: str, data: bytes, version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-len(header) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def scan(content: bytes) -> FileReport:
    return scan_blob(BytesReader(content), "x.npy").report


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_array_of_numbers_is_clean(version: int) -> None:
    content = npy("'<f8'", "(2, 3)", bytes(48), version)

    report = scan(content)

    assert (report.verdict, report.formats, report.coverage.inert) == (Verdict.CLEAN, ("npy",), 48)


def test_says_what_tensor_it_holds() -> None:
    facts = scan_blob(BytesReader(npy("'<f4'", "(2,)", bytes(8))), "weights.npy").facts.facts

    (tensor,) = [fact for fact in facts if isinstance(fact, Tensor)]
    assert (tensor.name, tensor.dtype, tensor.shape) == ("weights", "F32", (2,))


def test_the_pickle_of_an_object_array_is_read() -> None:
    assert scan(npy("'|O'", "(1,)", p.system())).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize("descr", ["'O,O'", "'object'", "'(2,)O'", "{'names': ['a'], 'formats': ['O']}"])
def test_the_pickle_behind_a_dtype_that_numpy_does_not_write_is_read(descr: str) -> None:
    assert scan(npy(descr, "(1,)", p.system())).verdict is Verdict.MALICIOUS


def test_a_harmless_object_array_is_clean() -> None:
    assert scan(npy("'|O'", "(2,)", p.dump(["a", "b"]))).verdict is Verdict.CLEAN


def test_an_object_field_of_a_record_is_a_pickle_as_well() -> None:
    assert scan(npy("[('a', '<f8'), ('b', 'O')]", "(1,)", p.system())).verdict is Verdict.MALICIOUS


def test_a_pickle_behind_the_numbers_is_found() -> None:
    assert scan(npy("'<f8'", "(1,)", bytes(8) + p.system())).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize(
    "content",
    [
        npy("'<f8'", "(1000000,)", b""),
        npy("'<f8'", "(-1,)", b""),
        npy("'<f8'", "3", bytes(24)),
        npy("'<f8'", "(1.5,)", bytes(24)),
        npy("'zz'", "(1,)", bytes(24)),
        npy("__import__('os').system('x')", "(1,)", bytes(24)),
        npy("'<f8'", "(" * 5000 + ")" * 5000, b""),
        npy("'<f8'", "(99999999999999999999,)", b""),
        b"\x93NUMPY\x01\x00\xff\xff{}",
        b"\x93NUMPY\x09\x00\x10\x00{}",
        b"\x93NUMPY",
    ],
)
def test_a_header_that_makes_no_sense_is_not_clean(content: bytes) -> None:
    assert scan(content).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize("cut", range(6, 107, 5))
def test_no_truncation_is_clean_or_a_crash(cut: int) -> None:
    assert scan(npy("'<f8'", "(4,)", bytes(32))[:cut]).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    ("descr", "element"),
    [
        ("<f8", (8, False)),
        ("|O", (8, True)),
        ("<U10", (40, False)),
        ("|S3", (3, False)),
        ([("a", "<f4"), ("b", "<i2", (3,))], (10, False)),
        (("<f4", (2, 2)), (16, False)),
        ([("a", [("b", "|O")])], (8, True)),
        ("<M8[ns]", (8, False)),
        (5, None),
        ([1], None),
    ],
)
def test_elements_of_dtypes(descr: object, element: tuple[int, bool] | None) -> None:
    assert element_of(descr) == element
