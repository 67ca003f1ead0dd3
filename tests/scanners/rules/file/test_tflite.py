import io
import zipfile

import pytest

from scanners.findings import Verdict
from tests.builders.flatbuffers import Table, build, tflite
from tests.scanners.rules.examples import Example, scan_files


def _twins(bad: bytes) -> Example:
    return Example(bad=lambda: {"m.tflite": bad}, good=lambda: {"m.tflite": tflite()})


def _custom(name: str) -> bytes:
    return tflite(codes=[{0: ("b", 32), 1: name}])


def _external(name: str, *, group: int = 0) -> bytes:
    """A model whose weights lie in another file."""
    buffer = Table({0: ("I", 1 << 31), 1: ("I", group), 3: ("Q", 8)})
    return build(Table({0: ("I", 3), 4: [Table({0: b""})], 8: [Table({0: name})], 9: [buffer]}))


EXAMPLES = {
    "MS530": _twins(_custom("MyOp")),
    "MS531": _twins(_custom("FlexWriteFile")),
    "MS532": _twins(tflite(inputs=(99,))),
    "MS533": Example(
        bad=lambda: {"m.tflite": _external("../../etc/passwd")}, good=lambda: {"m.tflite": _external("w.bin")}
    ),
}


def verdict(content: bytes) -> Verdict:
    return scan_files({"m.tflite": content}).verdict


def test_flex_operators_that_compute_are_quiet() -> None:
    assert scan_files({"m.tflite": _custom("FlexErf")}).findings == ()
    assert scan_files({"m.tflite": _custom("TFLite_Detection_PostProcess")}).findings == ()


def test_flex_operators_that_act_are_not() -> None:
    assert verdict(_custom("FlexReadFile")) is Verdict.MALICIOUS
    assert verdict(_custom("FlexPyFunc")) is Verdict.MALICIOUS


def test_cve_2026_42627_tflite_index_outside_its_table() -> None:
    assert verdict(tflite(inputs=(1 << 30,))) is Verdict.MALICIOUS


@pytest.mark.parametrize("name", ["/etc/passwd", "a/../../b", "..\\w", "C:\\w", "~/w", "https://h/w"])
def test_external_buffers_outside_the_model_are_malicious(name: str) -> None:
    assert verdict(_external(name)) is Verdict.MALICIOUS


@pytest.mark.parametrize("name", ["", "w.bin", "weights/w..bin"])
def test_external_buffers_beside_the_model_are_quiet(name: str) -> None:
    assert scan_files({"m.tflite": _external(name)}).findings == ()


def test_an_external_buffer_of_no_group_is_malicious() -> None:
    assert verdict(_external("w.bin", group=7)) is Verdict.MALICIOUS


def _packed(**files: bytes) -> bytes:
    """A model with the files that belong to it, as TensorFlow Lite's metadata tools append them."""
    content = io.BytesIO(tflite())
    with zipfile.ZipFile(content, "a") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def test_files_packed_into_a_model_are_quiet() -> None:
    model = _packed(labels=b"cat\ndog\n")
    assert scan_files({"m.tflite": model}).findings == ()
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("hand_detector.tflite", model)
    assert scan_files({"hands.task": bundle.getvalue()}).findings == ()


def test_files_packed_into_a_model_are_scanned() -> None:
    assert verdict(_packed(labels=b"cos\nsystem\n(S'id'\ntR.")) is Verdict.MALICIOUS


def test_a_checkpoint_behind_a_model_is_a_polyglot() -> None:
    checkpoint = io.BytesIO(tflite())
    with zipfile.ZipFile(checkpoint, "a") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/version", b"3\n")
    assert "MS209" in {one.rule.id for one in scan_files({"m.tflite": checkpoint.getvalue()}).findings}
