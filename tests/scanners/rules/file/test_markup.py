from scanners.findings import Verdict
from tests.scanners.rules.examples import Example, scan_files

GOOD = b'<?xml version="1.0"?><PMML version="4.4"><Header/></PMML>'


def _twins(bad: bytes) -> Example:
    return Example(bad=lambda: {"m.pmml": bad}, good=lambda: {"m.pmml": GOOD})


EXAMPLES = {
    "MS560": _twins(b'<!DOCTYPE PMML [<!ENTITY e SYSTEM "file:///etc/passwd">]><PMML>&e;</PMML>'),
    "MS561": _twins(b'<!DOCTYPE PMML [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><PMML>&b;</PMML>'),
    "MS562": _twins(b"<PMML><Apply function='com.evil.Run'/></PMML>"),
}


def test_pmml_external_entity() -> None:
    assert scan_files({"m.pmml": EXAMPLES["MS560"].bad()["m.pmml"]}).verdict is Verdict.MALICIOUS


def test_openvino_external_entity() -> None:
    content = b'<!DOCTYPE net [<!ENTITY e SYSTEM "http://198.51.100.7/">]><net name="&e;"/>'
    assert scan_files({"model.xml": content}).verdict is Verdict.MALICIOUS


def test_a_kernel_outside_the_model_is_malicious() -> None:
    content = b"<CustomLayer><Kernel><Source filename='/tmp/x.cl'/></Kernel></CustomLayer>"
    assert scan_files({"kernels.xml": content}).verdict is Verdict.MALICIOUS
