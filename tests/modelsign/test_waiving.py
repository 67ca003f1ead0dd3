from datetime import date
from pathlib import Path

import pytest

from modelsign import waiving
from modelsign.errors import UsageError
from modelsign.gate import Gate
from modelsign.waiving import accept
from scanners.findings import Report
from tests.builders.reports import COMMAND, UNKNOWN, file_report, finding, report

TODAY = date(2026, 11, 23)
DIGEST = "ab" * 32
GOOD = f"""
[[waiver]]
rule = "MS003"
sha256 = "{DIGEST}"
reason = "read the code: it only sets a seed"
owner = "ml-platform"
expires = 2026-12-24
"""


def waivers(tmp_path: Path, text: str, today: date = TODAY) -> tuple[waiving.Waiver, ...]:
    (tmp_path / "waivers.toml").write_text(text)
    return waiving.load(tmp_path / "waivers.toml", today=today)


def suspicious(digest: str = DIGEST) -> Report:
    return report(file_report("model.bin", finding(UNKNOWN), sha256=digest))


@pytest.mark.parametrize("rule", ["MS003", "pickle-unknown-callable"])
def test_a_waiver_opens_the_gate_for_one_rule_in_one_file(tmp_path: Path, rule: str) -> None:
    given = waivers(tmp_path, GOOD.replace("MS003", rule))
    accepted = accept([suspicious()], waivers=given, today=TODAY)
    assert not Gate(accepted=accepted.by_fingerprint).stopped_by(suspicious())
    [acceptance] = accepted.by_fingerprint.values()
    assert (acceptance.owner, acceptance.expires) == ("ml-platform", "2026-12-24")
    assert accepted.notices == ()


def test_another_file_or_rule_is_not_waived(tmp_path: Path) -> None:
    for text, digest in ((GOOD, "cd" * 32), (GOOD.replace("MS003", "MS004"), DIGEST)):
        accepted = accept([suspicious(digest)], waivers=waivers(tmp_path, text), today=TODAY)
        assert accepted.by_fingerprint == {}
        assert "matches nothing" in accepted.notices[0]


def test_an_expired_waiver_returns_the_finding_and_says_so(tmp_path: Path) -> None:
    given = waivers(tmp_path, GOOD)
    assert accept([suspicious()], waivers=given, today=date(2026, 12, 24)).by_fingerprint
    accepted = accept([suspicious()], waivers=given, today=date(2026, 12, 25))
    assert accepted.by_fingerprint == {}
    assert "expired on 2026-12-24" in accepted.notices[0]


def test_malicious_cannot_be_waived(tmp_path: Path) -> None:
    hostile = report(file_report("model.bin", finding(COMMAND), sha256=DIGEST))
    accepted = accept([hostile], waivers=waivers(tmp_path, GOOD.replace("MS003", "MS001")), today=TODAY)
    assert accepted.by_fingerprint == {}
    assert "cannot be waived" in accepted.notices[0]


def test_a_file_of_the_same_name_in_another_target_is_not_waived(tmp_path: Path) -> None:
    both = [suspicious(), suspicious("cd" * 32)]
    assert accept(both, waivers=waivers(tmp_path, GOOD), today=TODAY).by_fingerprint == {}


def test_a_baseline_lets_pass_what_was_there_but_nothing_malicious() -> None:
    old = report(file_report("model.bin", finding(UNKNOWN), finding(COMMAND)))
    new = report(file_report("model.bin", finding(UNKNOWN), finding(COMMAND), finding(UNKNOWN, evidence="other()")))
    accepted = accept([new], baseline=[old], today=TODAY)
    stopping = Gate(accepted=accepted.by_fingerprint).stopped_by(new)
    assert [one.evidence for one in stopping] == ["os.system('echo pwned')", "other()"]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (("2026-12-24", "2027-02-22"), "2027-02-21"),
        (("2026-12-24", '"2026-12-24"'), "without quotes"),
        (("2026-12-24", "2026-12-24T00:00:00"), "without quotes"),
        (("expires = 2026-12-24", ""), "expires is missing"),
        (("owner", "onwer"), "owner"),
        (('"ml-platform"', '" "'), "owner is a text"),
        (('"ml-platform"', "3"), "owner is a text"),
        (("ab", "AB"), "lower case"),
        (("[[waiver]]", "[waiver]"), "two brackets"),
        (("[[waiver]]", "[[waivers]]"), "did you mean 'waiver'"),
        (("[[waiver]]", "[[waiver"), "not valid TOML"),
    ],
)
def test_a_malformed_waiver_is_a_usage_error(tmp_path: Path, change: tuple[str, str], hint: str) -> None:
    with pytest.raises(UsageError, match=r"waivers\.toml") as caught:
        waivers(tmp_path, GOOD.replace(*change))
    assert hint in str(caught.value)


def test_ninety_days_are_allowed(tmp_path: Path) -> None:
    assert waivers(tmp_path, GOOD.replace("2026-12-24", "2027-02-21"))
