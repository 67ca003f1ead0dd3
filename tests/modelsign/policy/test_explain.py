from pathlib import Path

import pytest

from modelsign.policy.explain import explain
from modelsign.policy.file import parse
from tests.modelsign.policy.test_file import EVERYTHING


def test_every_rule_has_a_sentence() -> None:
    text = "\n".join(explain(parse(EVERYTHING.encode(), Path("p.toml"))))

    for words in (
        "denies a model that breaks",
        "holds until 2027-06-30",
        "approvers is ann@acme.example (issuer https://accounts.google.com) or key release.",
        "signed by release-ci or approvers, by 2 different signers",
        "safetensors, gguf or onnx",
        "README.md may lie there unsigned",
        "symbolic links denies",
        "is told and let pass",
        "signed complete scan of every file by scan-bot, with no finding worse than low",
        "7 days old at most",
        "pkg:pypi/modelsign-suite in version >=0.3.0",
        "rule set 2026.11.0 or later",
        "If claims say that it was converted",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("age", "words"), [("90m", "90 minutes"), ("36h", "36 hours"), ("48h", "2 days"), ("2w", "14 days")]
)
def test_ages_are_told_in_their_largest_unit(age: str, words: str) -> None:
    policy = parse(f"schema = 1\n[require.scan]\nmax_age = '{age}'".encode(), Path("p.toml"))

    assert any(words in sentence for sentence in explain(policy))


def test_a_warning_policy_says_that_it_lets_pass() -> None:
    assert "lets it pass" in next(explain(parse(b"schema = 1\nmode = 'warn'", Path("p.toml"))))
