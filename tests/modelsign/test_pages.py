"""The pages on policies, verifying and attestations say what the program does."""

import json
import re
from pathlib import Path

from attestations.predicates.model_scan import ModelScan
from modelsign.cli.exits import _REASONS
from modelsign.policy.decision import Code
from modelsign.policy.file import parse
from modelsign.policy.identities import CLAIMS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def block(page: str, language: str) -> str:
    """Return the first block of code in a language."""
    found = re.search(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_with_every_key_is_a_policy() -> None:
    text = block("policy.md", "toml")
    policy = parse(text.encode(), Path("policy.toml"))

    assert set(policy.identities) == {"release-ci", "scan-bot", "approvers"}
    assert policy.scan is not None
    assert policy.conversion is not None


def test_every_reason_is_listed_with_its_exit_code() -> None:
    rows = dict(
        re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| ([0-9]+|warns) \|", (DOCS / "verifying.md").read_text(), re.MULTILINE)
    )

    assert set(rows) == {code.value for code in Code}
    for code, shown in rows.items():
        assert shown in {str(int(_REASONS[code])), "warns"}
    assert [code for code, shown in rows.items() if shown == "warns"] == ["scan-agrees"]


def test_the_example_of_a_scan_is_one() -> None:
    predicate = json.loads(block("attestations.md", "json"))
    scan = ModelScan.parse(predicate)

    assert scan.to_predicate() == predicate


def test_the_claims_that_can_be_pinned_are_named() -> None:
    text = (DOCS / "policy.md").read_text()

    assert {"repository_id", "owner_id", "trigger", "runner"} <= {name for name in CLAIMS if f"`{name}`" in text}
