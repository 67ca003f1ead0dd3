import xml.dom.minidom
from xml.dom.minidom import Element

from modelsign.gate import FailOn, Gate
from modelsign.report import Result, write
from tests.builders.reports import mixed


def cases(gate: Gate) -> dict[str, Element]:
    document = xml.dom.minidom.parseString(write(Result(reports=(mixed(),), gate=gate), "junit"))
    return {case.getAttribute("name"): case for case in document.getElementsByTagName("testcase")}


def test_every_file_is_a_case_and_the_counts_agree() -> None:
    document = xml.dom.minidom.parseString(write(Result(reports=(mixed(),), gate=Gate()), "junit"))
    [suite] = document.getElementsByTagName("testsuite")
    for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.getAttribute(attribute)) == len(suite.getElementsByTagName(tag))


def test_what_closes_the_gate_fails_and_what_was_not_read_is_an_error() -> None:
    found = cases(Gate())
    assert found["model.bin"].getElementsByTagName("failure")
    assert found["half.zip"].getElementsByTagName("error")
    assert found["README.md"].getElementsByTagName("skipped")
    assert not found["config.json"].hasChildNodes()


def test_the_gate_decides_what_fails() -> None:
    found = cases(Gate(fail_on=FailOn.NEVER, allow_incomplete=True))
    assert not any(case.getElementsByTagName("failure") for case in found.values())
    assert not any(case.getElementsByTagName("error") for case in found.values())
    assert "os.system" in found["model.bin"].getElementsByTagName("system-out")[0].firstChild.data  # type: ignore[union-attr]  # a text
