import pytest

from modelsign.gate import Acceptance, FailOn, Gate
from tests.builders.reports import COMMAND, NOTE, UNKNOWN, file_report, finding, report


@pytest.mark.parametrize(
    ("fail_on", "stopping"),
    [
        (FailOn.MALICIOUS, {"MS001"}),
        (FailOn.SUSPICIOUS, {"MS001", "MS003"}),
        (FailOn.ANY, {"MS001", "MS003", "MS008"}),
        (FailOn.NEVER, set()),
    ],
)
def test_the_gate_closes_from_the_level_on(fail_on: FailOn, stopping: set[str]) -> None:
    one = report(file_report("model.bin", finding(COMMAND), finding(UNKNOWN), finding(NOTE)))
    assert {found.rule.id for found in Gate(fail_on=fail_on).stopped_by(one)} == stopping


def test_an_accepted_finding_does_not_close_the_gate() -> None:
    one = finding(UNKNOWN)
    gate = Gate(accepted={one.fingerprint: Acceptance(by="baseline", reason="")})
    assert not gate.stopped_by(report(file_report("model.bin", one)))


def test_a_malicious_finding_cannot_be_accepted() -> None:
    one = finding(COMMAND)
    gate = Gate(accepted={one.fingerprint: Acceptance(by="waiver", reason="")})
    assert gate.stopped_by(report(file_report("model.bin", one))) == (one,)
    assert gate.acceptance_of(one) is None


def test_what_was_not_analysed_closes_the_gate_unless_allowed() -> None:
    one = report(file_report(unread=1))
    assert Gate().misses(one)
    assert not Gate(allow_incomplete=True).misses(one)
    assert Gate(fail_on=FailOn.NEVER).misses(one)
