"""joblib files: arrays between the opcodes are stepped over, and what a plain unpickler would make of them is seen."""

import struct
import zlib

import pytest

from scanners.engine import scan_blob
from scanners.findings import FileReport, Verdict
from scanners.reader import BytesReader
from tests.builders import pickles as p


def wrapper(data: bytes, shape: tuple[int, ...] = (2,), dtype: str = "f8", *, padded: bool = True) -> p.Raw:
    """Return a wrapper object with the array that follows it."""
    state: dict[str, object] = {
        "subclass": p.Global("numpy", "ndarray"),
        "shape": shape,
        "order": "C",
        "dtype": p.Raw(p.value(p.call("numpy", "dtype", dtype, False, True))),
        "allow_mmap": True,
    }
    if padded:
        state["numpy_array_alignment_bytes"] = 16
        data = b"\x03\xff\xff\xff" + data
    return p.Raw(p.value(p.new("joblib.numpy_pickle", "NumpyArrayWrapper", state=state)) + data)


def scan(content: bytes) -> FileReport:
    return scan_blob(BytesReader(content), "model.joblib").report


def rules(content: bytes) -> set[str]:
    return {finding.rule.id for finding in scan(content).findings}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("dtype", ["f8", "<i8", "u8", "c8", "M8"])
def test_an_inline_array_is_stepped_over(dtype: str, padded: bool) -> None:
    content = p.dump({"coef": wrapper(bytes(range(200, 216)), dtype=dtype, padded=padded), "n": 1}, 3)

    report = scan(content)

    assert (report.verdict, report.findings) == (Verdict.CLEAN, ())
    assert "joblib" in report.formats


def test_a_payload_behind_an_inline_array_is_found() -> None:
    content = p.dump({"coef": wrapper(b"\xff" * 16), "x": p.call("os", "system", "echo x")}, 3)

    assert scan(content).verdict is Verdict.MALICIOUS


def test_the_pickle_of_an_inline_object_array_is_read() -> None:
    content = p.dump({"coef": wrapper(p.system(), dtype="O8", padded=False), "n": 1}, 3)

    assert scan(content).verdict is Verdict.MALICIOUS


def test_a_harmless_inline_object_array_is_clean() -> None:
    content = p.dump({"coef": wrapper(p.dump(["a", "b"]), dtype="O8", padded=False), "n": 1}, 3)

    assert scan(content).verdict is Verdict.CLEAN


def test_array_bytes_that_are_opcodes_to_a_plain_unpickler_are_seen() -> None:
    payload = p.value(p.call("os", "system", "echo x"))
    payload += p.POP + p.NONE * (-len(payload) % 8 + 7)
    content = p.dump({"coef": wrapper(payload, shape=(len(payload) // 8,), padded=False)}, 3)

    assert scan(content).verdict is Verdict.MALICIOUS


def test_an_array_behind_its_frame_is_found_there() -> None:
    state: dict[str, object] = {"shape": (2,), "order": "C", "dtype": p.call("numpy", "dtype", "f8", False, True)}
    framed = p.frame(p.value(p.new("joblib.numpy_pickle", "NumpyArrayWrapper", state=state)))
    rest = p.frame(p.value(p.call("os", "system", "echo x")) + p.STOP)

    assert scan(p.proto(4) + framed + b"\xfe" * 16 + rest).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize("shape", [(-1,), (10**9,), ("a",)])
def test_an_array_that_does_not_fit_is_not_clean(shape: tuple[object, ...]) -> None:
    content = p.dump({"coef": wrapper(b"\xff" * 16, shape=shape), "n": 1}, 3)  # type: ignore[arg-type]  # hostile

    assert scan(content).verdict is Verdict.SUSPICIOUS


def test_cve_2024_34997_a_wrapper_of_the_old_format_names_the_other_file() -> None:
    content = p.dump(p.new("joblib.numpy_pickle", "NDArrayWrapper", state={"filename": "../evil.npy"}))

    finding = next(finding for finding in scan(content).findings if finding.rule.id == "MS113")
    assert finding.evidence == "../evil.npy"


def zf(data: bytes, *, length: int | None = None, wide: bool = False) -> bytes:
    header = b"ZF" + hex(len(data) if length is None else length).encode().ljust(19)
    return header + (b" " if wide else b"") + zlib.compress(data)


@pytest.mark.parametrize("wide", [True, False])
def test_the_old_compressed_format_is_read(wide: bool) -> None:
    assert scan(zf(p.system(), wide=wide)).verdict is Verdict.MALICIOUS
    assert scan(zf(p.dump({"a": 1}), wide=wide)).verdict is Verdict.CLEAN


@pytest.mark.parametrize("length", [b"1d", b"0X1D", b" 1_d", b"+0x1d"])
def test_every_length_that_joblib_understands_makes_a_zf_file(length: bytes) -> None:
    content = b"ZF" + length.ljust(19) + zlib.compress(p.system())

    assert scan_blob(BytesReader(content), "weights").report.verdict is Verdict.MALICIOUS


ARRAY_NAME = "model.pkl_01.npy.z"


def scan_array(content: bytes, name: str = ARRAY_NAME) -> FileReport:
    return scan_blob(BytesReader(content), name).report


@pytest.mark.parametrize("data", [bytes(80), struct.pack("<4d", 1, 2, 3, 4), b"\xff" * 9])
def test_an_array_beside_a_pickle_is_no_pickle(data: bytes) -> None:
    assert scan_array(zf(data)).verdict is Verdict.CLEAN
    assert scan_array(zf(data), "model.pkl").verdict is Verdict.SUSPICIOUS


@pytest.mark.parametrize("data", [p.system(), p.system()[:-1], p.system()[:-1] + b"\xff", p.dump(1) + p.system()])
def test_a_pickle_that_is_called_an_array_is_read(data: bytes) -> None:
    assert scan_array(zf(data)).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize("content", [zf(b"")[:-3], b"ZF0xzz" + b" " * 15, zf(p.dump(1))[:30]])
def test_a_damaged_file_of_the_old_format_is_not_clean(content: bytes) -> None:
    assert scan(content).verdict not in {Verdict.CLEAN, Verdict.ERROR}


PAYLOAD = p.value(p.call("os", "system", "echo x")) + p.POP
SWALLOW = b"B" + len(PAYLOAD + b"N0" + p.NONE).to_bytes(4, "little")
"""five bytes that joblib takes for an array, and that make a constant of the payload for who does not step over them"""
WRAPPER = p.Global("joblib.numpy_pickle", "NumpyArrayWrapper")


def five_bytes(made: bytes, dtype: p.Raw, *rest: bytes) -> bytes:
    """Return a pickle with an array of five bytes behind a wrapper that is made in some way."""
    state = {"subclass": p.Global("numpy", "ndarray"), "shape": (5,), "order": "C", "dtype": dtype, "allow_mmap": True}
    return p.proto(4) + made + p.value(state) + p.BUILD + b"".join(rest) + p.STOP


@pytest.mark.parametrize(
    "made",
    [
        p.call("copyreg", "__newobj__", WRAPPER).code,
        p.call("copyreg", "__newobj_ex__", WRAPPER, (), {}).code,
        p.call("copyreg", "_reconstructor", WRAPPER, p.Global("builtins", "object"), None).code,
        p.apply(p.call("functools", "partial", WRAPPER)).code,
        p.apply(p.call("builtins", "type", p.new("joblib.numpy_pickle", "NumpyArrayWrapper"))).code,
        p.call("torch._tensor", "_rebuild_from_type_v2", WRAPPER, p.Global("builtins", "object"), (), {}).code,
        p.call("sklearn.neighbors._kd_tree", "newObj", WRAPPER).code,
        p.call("joblib.numpy_pickle", "NumpyArrayWrapper", 1, 2, 3, 4, 5, 16).code,
    ],
)
def test_a_payload_behind_a_wrapper_made_in_a_roundabout_way_is_not_clean(made: bytes) -> None:
    content = five_bytes(made, p.call("numpy", "dtype", "i1", False, True), SWALLOW, b"N0", PAYLOAD, p.NONE)

    assert scan(content).verdict.rank >= Verdict.SUSPICIOUS.rank


@pytest.mark.parametrize(
    ("dtype", "state"),
    [
        ("f8", (3, "<", None, None, None, 200, -1, 0)),
        ("O8", (3, "|", None, None, None, -1, -1, 0)),
        ("i8", (3, "<", None, None, None, -1, -1, 1)),
        ("V8", (2, "|", None, ("a",), {"a": (p.call("numpy", "dtype", "O8"), 0)}, 8, 1)),
    ],
    ids=["size of a number", "objects without their flag", "a number with objects' flag", "state of an old version"],
)
def test_a_dtype_whose_state_misleads_about_its_size_is_not_clean(dtype: str, state: tuple[object, ...]) -> None:
    made = p.Raw(p.value(p.call("numpy", "dtype", dtype, False, True)) + p.value(state) + p.BUILD)
    content = five_bytes(p.new("joblib.numpy_pickle", "NumpyArrayWrapper").code, made, bytes(40), PAYLOAD, bytes(2000))

    assert scan(content).verdict.rank >= Verdict.SUSPICIOUS.rank


def test_a_wrapper_with_a_second_state_is_not_clean() -> None:
    """By then joblib has put the array in its place, and reads no second one."""
    again = p.value((1, (5,), p.call("numpy", "dtype", "i1", False, True), False, bytes(5))) + p.BUILD
    made = p.new("joblib.numpy_pickle", "NumpyArrayWrapper").code
    content = five_bytes(made, p.call("numpy", "dtype", "i1", False, True), b"\xff" * 5, again, SWALLOW, PAYLOAD)

    assert scan(content).verdict.rank >= Verdict.SUSPICIOUS.rank


def test_a_wrapper_that_is_given_a_list_crashes_nothing() -> None:
    made = p.call("joblib.numpy_pickle", "NumpyArrayWrapper", [1]).code
    content = five_bytes(made, p.call("numpy", "dtype", "i1", False, True), PAYLOAD, p.NONE)

    assert scan(content).verdict is Verdict.MALICIOUS


def test_characters_have_a_byte_each() -> None:
    made = p.new("joblib.numpy_pickle", "NumpyArrayWrapper").code
    content = five_bytes(made, p.call("numpy", "dtype", "c", False, True), SWALLOW, b"N0", PAYLOAD, p.NONE)

    assert scan(content).verdict is Verdict.MALICIOUS
