import json
import shutil
from pathlib import Path

import pytest

from modelsign.cli.main import invoke
from tests.builders.models import released

GOOD = """
[[case]]
name = "as released"
target = "model"
allowed = true

[[case]]
name = "without its scan"
target = "bare"
allowed = false
codes = ["scan-attested"]
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    place, _, public = released(tmp_path)
    shutil.copytree(place, tmp_path / "bare", ignore=shutil.ignore_patterns("claims.jsonl"))
    path = tmp_path / "policy.toml"
    assert invoke(["policy", "init", "--key", str(public), "-o", str(path), "-q"]) == 0
    return str(path)


def cases(policy: str, text: str) -> str:
    path = Path(policy).with_name("cases.toml")
    path.write_text(text)
    return str(path)


def test_expected_answers_pass(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["policy", "test", policy, cases(policy, GOOD)]) == 0
    assert capsys.readouterr().out == "ok      as released\nok      without its scan\n"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("allowed = true", "allowed = false", "expected to be denied"),
        ('allowed = false\ncodes = ["scan-attested"]', "allowed = true", "no signed scan by release"),
        ('"scan-attested"', '"content"', "denied for scan-attested, expected was content"),
        ('"bare"', '"nowhere"', "could not be verified"),
    ],
)
def test_another_answer_fails(
    policy: str, before: str, after: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert before in GOOD
    assert invoke(["policy", "test", policy, cases(policy, GOOD.replace(before, after)), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    (failed,) = [case for case in document["cases"] if not case["passed"]]
    assert says in failed["problem"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 5),
        ("[[case]]\n", 2),
        ("[[case]]\ntarget = 'x'\n", 2),
        ("[[case]]\ntarget = 'x'\nallowed = 1\n", 2),
        ("[[case]]\ntarget = 'x'\nallowed = true\ncode = []\n", 2),
        ("[[case]]\ntarget = 'x'\nallowed = false\ncodes = ['nothing']\n", 2),
        ("[case]\ntarget = 'x'\n", 2),
        ("case = ['x']\n", 2),
        ("other = 1\n", 2),
        ("[[case", 2),
    ],
)
def test_a_malformed_file_is_refused(policy: str, text: str, code: int) -> None:
    assert invoke(["policy", "test", policy, cases(policy, text)]) == code


def test_a_missing_file_is_a_source_error(policy: str) -> None:
    assert invoke(["policy", "test", policy, "nowhere.toml"]) == 4
