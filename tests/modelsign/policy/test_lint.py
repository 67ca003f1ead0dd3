from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelsign.policy.file import parse
from modelsign.policy.lint import lint
from tests.builders.signatures import write_key

NOW = datetime(2026, 11, 23, tzinfo=UTC)
GOOD = """
schema = 1
expires = 2027-11-23
[trust]
keys = { release = "release.pub", bot = "bot.pub" }
[identities]
release = { key = "release" }
bot = { key = "bot" }
[model]
formats = ["safetensors"]
[require.signature]
by = ["release"]
[require.scan]
by = ["bot"]
"""


def codes(text: str, directory: Path) -> list[str]:
    write_key(directory, "release")
    write_key(directory, "bot")
    return [remark.code for remark in lint(parse(text.encode(), directory / "p.toml"), now=NOW)]


def test_a_policy_without_doubts_has_no_remarks(tmp_path: Path) -> None:
    assert codes(GOOD, tmp_path) == []


WORKFLOW = 'issuer = "https://i.example", subject = "https://github.com/a/b/.github/workflows/r.yml@refs/tags/*"'


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("expires = 2027-11-23", "", "no-end"),
        ("2027-11-23", "2026-11-01", "expired"),
        ("2027-11-23", "2026-12-01", "expires-soon"),
        ("schema = 1", 'schema = 1\nmode = "warn"', "warns-only"),
        ('"bot.pub"', '"nowhere.pub"', "unusable-trust"),
        ('bot = { key = "bot" }', 'bot = { key = "bot" }\nother = { key = "bot" }', "unused-identity"),
        ('bot = "bot.pub"', 'bot = "bot.pub", spare = "bot.pub"', "unused-key"),
        ('by = ["bot"]', 'by = ["bot", "release"]', "scans-itself"),
        ('by = ["bot"]', 'by = ["bot"]\nmax_age = "7d"', "no-clock"),
        ('by = ["bot"]', 'by = ["bot"]\n[require.conversion]\nwhen = "model.converted"', "absence-passes"),
        ('"safetensors"', '"safetensor"', "unknown-format"),
        ('"safetensors"', '"pickle"', "pickles-allowed"),
        ('bot = { key = "bot" }', 'bot = { issuer = "https://i.example", subject = "*" }', "anybody"),
        ('bot = { key = "bot" }', f"bot = {{ {WORKFLOW} }}", "name-without-id"),
    ],
)
def test_what_was_probably_not_meant_is_remarked(tmp_path: Path, before: str, after: str, code: str) -> None:
    assert before in GOOD
    assert code in codes(GOOD.replace(before, after, 1), tmp_path)


def test_a_workflow_pinned_by_id_needs_no_remark(tmp_path: Path) -> None:
    pinned = GOOD.replace('bot = { key = "bot" }', f'bot = {{ {WORKFLOW}, repository_id = "42" }}')

    assert "name-without-id" not in codes(pinned, tmp_path)


def test_a_clock_can_be_a_timestamp_authority_or_not_asked_for(tmp_path: Path) -> None:
    aged = GOOD.replace('by = ["bot"]', 'by = ["bot"]\nmax_age = "7d"')

    assert "no-clock" not in codes(aged + "trusted_time = false\n", tmp_path)
    assert "no-clock" not in codes(aged.replace("[trust]", '[trust]\ntimestamps = ["tsa.pem"]'), tmp_path)
