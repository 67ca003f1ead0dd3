"""Every form of one report, as it was last accepted: `pytest --update-golden` writes them anew; read the difference."""

from pathlib import Path

import pytest

from modelsign.gate import Acceptance, Gate
from modelsign.report import FORMS, Result, write
from tests.builders.reports import UNKNOWN, file_report, finding, mixed, report

GOLDEN = Path(__file__).with_name("golden")


def result() -> Result:
    accepted = finding(UNKNOWN, file="old.pkl", evidence="acme.load('x')", members=(), offset=12, length=None)
    second = report(file_report("old.pkl", accepted, formats=("pickle",), sha256="ab" * 32), target="other")
    acceptance = Acceptance(by="waiver", reason="read by hand", owner="ml-platform", expires="2026-12-24")
    return Result(
        reports=(mixed(), second),
        gate=Gate(accepted={accepted.fingerprint: acceptance}),
        notices=("the waiver of ml for MS009 in abababababab matches nothing here",),
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_form_is_the_accepted_one(form: str, update_golden: bool) -> None:
    text = write(result(), form)
    path = GOLDEN / f"report.{form}"
    if update_golden:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", FORMS)
def test_no_form_carries_active_characters(form: str) -> None:
    text = write(result(), form, verbose=True)
    assert text.endswith("\n")
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(text)
