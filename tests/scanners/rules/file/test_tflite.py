from scanners.findings import Verdict
from tests.builders.flatbuffers import tflite
from tests.scanners.rules.examples import Example, scan_files


def _twins(bad: bytes) -> Example:
    return Example(bad=lambda: {"m.tflite": bad}, good=lambda: {"m.tflite": tflite()})


def _custom(name: str) -> bytes:
    return tflite(codes=[{0: ("b", 32), 1: name}])


EXAMPLES = {
    "MS530": _twins(_custom("MyOp")),
    "MS531": _twins(_custom("FlexWriteFile")),
    "MS532": _twins(tflite(inputs=(99,))),
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
