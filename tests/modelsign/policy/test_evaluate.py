from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from attestations.manifest import Manifest
from attestations.predicates.model_scan import Outcome, Result, ScannedFile, Scanner, Severity
from attestations.predicates.provenance import Provenance, Resource
from attestations.statement import Statement
from attestations.uris import CONVERT_BUILD_TYPE_V1, MODEL_SCAN_V0_1, SLSA_PROVENANCE_V1
from modelsign.claims.subjects import subjects_of
from modelsign.policy.decision import Code, Level, Reason
from modelsign.policy.evaluate import evaluate
from modelsign.policy.file import parse
from modelsign.policy.rules import Policy
from tests.builders.statements import (
    ISSUER,
    NOW,
    Says,
    claimed,
    evidence,
    finding,
    manifest,
    scan,
    scan_statement,
)

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
MODEL = manifest(FILES)
RELEASE = Says(identity="https://ci.example/release@v1")
BOT = Says(identity="https://ci.example/scan@main")
OTHER_BOT = Says(identity="https://ci.example/second@main")
STRANGER = Says(identity="https://elsewhere.example/scan@main")

IDENTITIES = f"""
schema = 1
[identities]
release = {{ issuer = "{ISSUER}", subject = "https://ci.example/release@*" }}
bots = {{ any = [
  {{ issuer = "{ISSUER}", subject = "https://ci.example/scan@main" }},
  {{ issuer = "{ISSUER}", subject = "https://ci.example/second@main" }},
] }}
[require.signature]
by = ["release"]
"""


def policy(more: str = "") -> Policy:
    return parse((IDENTITIES + more).encode(), Path("p.toml"))


SCANNED = '[require.scan]\nby = ["bots"]\n'
CONVERTED = '[require.conversion]\nby = ["release"]\n'


def asked(
    rules: Policy, statements: Sequence[Statement | tuple[Statement, Says]] = (), *, by: Says = RELEASE, **more: object
) -> list[Reason]:
    """Return the reasons that did not pass for MODEL with these statements (by the bot unless said)."""
    said = [one if isinstance(one, tuple) else (one, BOT) for one in statements]
    heard = [claimed(rules, statement, MODEL, speaker) for statement, speaker in said]
    reasons = evaluate(rules, evidence(rules, MODEL, by=by, statements=heard, **more))  # type: ignore[arg-type]
    return [reason for reason in reasons if not reason.passed]


def codes(reasons: Sequence[Reason]) -> list[Code]:
    return [reason.code for reason in reasons]


def test_a_model_signed_as_wanted_passes() -> None:
    assert asked(policy()) == []


def test_a_signer_the_policy_does_not_name_is_not_trusted() -> None:
    (reason,) = asked(policy(), by=BOT)

    assert reason.code is Code.SIGNER_TRUSTED
    assert "release" in reason.message
    assert "https://ci.example/scan@main" in reason.message


def test_an_expired_policy_denies_even_in_warn_mode() -> None:
    rules = parse(b"schema = 1\nmode = 'warn'\nexpires = 2026-11-22", Path("p.toml"))
    reasons = asked(rules, by=RELEASE)

    assert [reason.code for reason in reasons if reason.denies] == [Code.POLICY_CURRENT]


def test_a_policy_holds_to_the_end_of_its_last_day() -> None:
    rules = parse(IDENTITIES.replace("schema = 1", "schema = 1\nexpires = 2026-11-23").encode(), Path("p.toml"))

    assert asked(rules) == []
    assert codes(asked(rules, now=NOW + timedelta(hours=12))) == [Code.POLICY_CURRENT]


def test_warn_mode_tells_and_does_not_deny() -> None:
    rules = parse(IDENTITIES.replace("schema = 1", "schema = 1\nmode = 'warn'").encode(), Path("p.toml"))
    (reason,) = asked(rules, by=STRANGER)

    assert (reason.passed, reason.level, reason.denies) == (False, Level.WARN, False)


def test_unsigned_files_deny_unless_listed() -> None:
    assert codes(asked(policy(), unsigned=("x.py",))) == [Code.FILE_UNSIGNED]
    assert asked(policy('[model]\nunsigned_files = ["README.md"]\n'), unsigned=("README.md",)) == []
    assert codes(asked(policy('[model]\nunsigned_files = ["README.md"]\n'), unsigned=("x.py",))) == [Code.FILE_UNSIGNED]


def test_a_required_threshold_counts_different_signers() -> None:
    rules = policy().signature
    assert rules.threshold == 1
    two = parse((IDENTITIES.replace('by = ["release"]', 'by = ["bots"]\nthreshold = 2')).encode(), Path("p.toml"))

    assert codes(asked(two, by=BOT)) == [Code.SIGNER_THRESHOLD]


def test_a_clean_complete_scan_by_the_bot_is_accepted() -> None:
    assert asked(policy(SCANNED), [scan_statement(MODEL)]) == []


def test_without_a_scan_the_required_attestation_is_missing() -> None:
    (reason,) = asked(policy(SCANNED))

    assert reason.code is Code.SCAN_ATTESTED
    assert "bots" in reason.message


def test_a_scan_by_a_stranger_counts_for_nothing() -> None:
    (reason,) = asked(policy(SCANNED), [(scan_statement(MODEL), STRANGER)])

    assert "1 by others" in reason.message


def test_a_scan_of_another_model_counts_for_nothing() -> None:
    other = manifest({**FILES, "model.safetensors": b"other weights"})

    assert codes(asked(policy(SCANNED), [scan_statement(other)])) == [Code.SCAN_ATTESTED]


def test_a_scan_of_config_json_does_not_bless_the_model() -> None:
    part = manifest({"config.json": FILES["config.json"]})
    (reason,) = asked(policy(SCANNED), [scan_statement(part)])

    assert "does not cover model.safetensors" in reason.message


def test_subjects_alone_are_no_scan_every_file_must_be_listed_as_looked_at() -> None:
    one = scan(manifest({"config.json": FILES["config.json"]}))
    statement = Statement.build(
        predicate_type=MODEL_SCAN_V0_1, subjects=subjects_of(MODEL), predicate=one.to_predicate()
    )
    (reason,) = asked(policy(SCANNED), [statement])

    assert "does not list model.safetensors" in reason.message


def test_a_listed_file_counts_only_with_its_digest() -> None:
    files = tuple(
        ScannedFile(name=name, sha256="00" * 32, outcome=Outcome.CLEAN, analyzers=()) for name in sorted(FILES)
    )

    assert codes(asked(policy(SCANNED), [scan_statement(MODEL, files=files)])) == [Code.SCAN_ATTESTED]


def test_a_renamed_file_is_not_the_file_that_was_scanned() -> None:
    renamed = manifest({"config.json": FILES["config.json"], "modeling.py": FILES["model.safetensors"]})
    assert renamed.root == MODEL.root

    assert codes(asked(policy(SCANNED), [scan_statement(renamed)])) == [Code.SCAN_ATTESTED]


def scanner(*, version: str = "0.3.1", ruleset: str = "2026.11.0") -> Scanner:
    return Scanner(uri="pkg:pypi/modelsign-suite", version=version, ruleset=ruleset, ruleset_sha256="ab" * 32)


@pytest.mark.parametrize(
    ("rule", "changes", "says"),
    [
        ("", {"result": Result.FAILED, "findings": (finding(Severity.HIGH),)}, "FAILED"),
        ("", {"result": Result.WARNED, "findings": (finding(Severity.MEDIUM),)}, "severity medium"),
        ("", {"result": Result.WARNED, "complete": False}, "not complete"),
        ('max_severity = "info"', {"findings": (finding(Severity.LOW),)}, "severity low"),
        ('ruleset_min = "2026.12"', {}, "rule set 2026.11.0"),
        ('ruleset_min = "2026.11"', {"scanner": scanner(ruleset="2026.11." + "9" * 5000)}, "rule set 2026"),
        (
            'scanner = { "pkg:pypi/modelsign-suite" = ">=0.3" }',
            {"scanner": scanner(version="9" * 5000)},
            "of the scanner",
        ),
        ('scanner = { "pkg:pypi/other" = ">=1" }', {}, "pkg:pypi/other"),
        ('scanner = { "pkg:pypi/modelsign-suite" = ">=0.10" }', {}, "version 0.3.1"),
        ('max_age = "7d"', {"finished": NOW - timedelta(days=8), "started": NOW - timedelta(days=8)}, "older than 7"),
    ],
)
def test_a_scan_that_does_not_satisfy_the_rule_is_refused(rule: str, changes: dict[str, object], says: str) -> None:
    (reason,) = asked(policy(SCANNED + rule), [scan_statement(MODEL, **changes)])

    assert reason.code is Code.SCAN_ATTESTED
    assert says in reason.message


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ('max_severity = "medium"', {"result": Result.WARNED, "findings": (finding(Severity.MEDIUM),)}),
        ("complete = false", {"result": Result.WARNED, "complete": False}),
        ('ruleset_min = "2026.11"', {}),
        ('ruleset_min = "2026.9"', {}),
        ('max_age = "7d"\nclock_skew = "999999w"', {}),
        ('scanner = { "pkg:pypi/modelsign-suite" = ">=0.3,<0.10" }', {}),
        ('max_age = "7d"', {"finished": NOW - timedelta(days=6), "started": NOW - timedelta(days=6)}),
    ],
)
def test_a_scan_that_satisfies_the_rule_is_accepted(rule: str, changes: dict[str, object]) -> None:
    assert asked(policy(SCANNED + rule), [scan_statement(MODEL, **changes)]) == []


def test_the_age_of_a_scan_needs_a_clock_that_is_not_the_signers() -> None:
    unclocked = (scan_statement(MODEL), Says(identity=BOT.identity, time=None))

    (reason,) = asked(policy(SCANNED + 'max_age = "7d"'), [unclocked])
    assert "no trusted time" in reason.message
    assert asked(policy(SCANNED + 'max_age = "7d"\ntrusted_time = false'), [unclocked]) == []


@pytest.mark.parametrize("ahead", [timedelta(minutes=4), timedelta(minutes=6)])
def test_a_scan_from_the_future_is_refused_beyond_the_clock_skew(ahead: timedelta) -> None:
    rules = policy(SCANNED + 'max_age = "7d"')
    early = evaluate(
        rules,
        evidence(
            rules, MODEL, by=RELEASE, statements=[claimed(rules, scan_statement(MODEL), MODEL, BOT)], now=NOW - ahead
        ),
    )

    assert any(not reason.passed for reason in early) is (ahead > timedelta(minutes=5))


def test_a_later_failed_scan_by_the_same_signer_is_not_outvoted() -> None:
    passed = scan_statement(MODEL)
    failed = scan_statement(
        MODEL, result=Result.FAILED, findings=(finding(Severity.HIGH),), finished=NOW + timedelta(seconds=60)
    )

    assert codes(asked(policy(SCANNED), [failed, passed])) == [Code.SCAN_ATTESTED]
    assert codes(asked(policy(SCANNED), [passed, failed])) == [Code.SCAN_ATTESTED]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "worse",
    [
        {"result": Result.FAILED, "findings": (finding(Severity.HIGH),)},
        {"result": Result.WARNED, "complete": False},
        {"findings": (finding(Severity.MEDIUM),), "result": Result.WARNED},
    ],
)
def test_of_two_scans_in_one_second_the_worse_counts_in_any_order(worse: dict[str, object], turned: bool) -> None:
    both = [scan_statement(MODEL), scan_statement(MODEL, **worse)]
    assert codes(asked(policy(SCANNED), both[::-1] if turned else both)) == [Code.SCAN_ATTESTED]


def test_a_later_passed_scan_replaces_an_earlier_failed_one() -> None:
    failed = scan_statement(MODEL, result=Result.FAILED, findings=(finding(Severity.HIGH),))
    passed = scan_statement(MODEL, finished=NOW + timedelta(seconds=60))

    assert asked(policy(SCANNED), [passed, failed]) == []


def test_a_threshold_of_scanners_counts_them_once_each() -> None:
    rules = policy(SCANNED + "threshold = 2")
    statement = scan_statement(MODEL)

    assert codes(asked(rules, [statement, statement])) == [Code.SCAN_ATTESTED]
    assert asked(rules, [statement, (statement, OTHER_BOT)]) == []


def test_a_malformed_scan_beside_a_good_one_takes_nothing_away() -> None:
    malformed = Statement.build(predicate_type=MODEL_SCAN_V0_1, subjects=subjects_of(MODEL), predicate={})

    assert asked(policy(SCANNED), [malformed, (scan_statement(MODEL), OTHER_BOT)]) == []
    (reason,) = asked(policy(SCANNED), [malformed])
    assert "malformed" in reason.message


def provenance(model: Manifest = MODEL, **changes: object) -> Statement:
    values: dict[str, object] = {
        "build_type": CONVERT_BUILD_TYPE_V1,
        "external_parameters": {
            "sources": ["pytorch_model.bin"],
            "targets": [
                {"name": entry.name, "digest": {"sha256": entry.digest.hex}}
                for entry in model.entries
                if entry.name.endswith(".safetensors")
            ],
            "wrapper": None,
        },
        "internal_parameters": {"pickleExecuted": False, "tensorEquality": "bitwise"},
        "dependencies": (Resource(name="pytorch_model.bin", sha256="aa" * 32),),
        "builder": "https://example.org/builder",
        "builder_version": {},
    }
    made = Provenance(**values | changes)  # type: ignore[arg-type]  # a test replaces fields by name
    return Statement.build(
        predicate_type=SLSA_PROVENANCE_V1, subjects=subjects_of(model), predicate=made.to_predicate()
    )


def test_an_attested_conversion_of_every_tensor_file_is_accepted() -> None:
    assert asked(policy(CONVERTED), [(provenance(), RELEASE)]) == []


def test_a_conversion_by_somebody_else_is_missing() -> None:
    (reason,) = asked(policy(CONVERTED), [(provenance(), BOT)])

    assert (reason.code, reason.subject) == (Code.CONVERSION_ATTESTED, "model.safetensors")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"build_type": "https://example.org/other"}, "build type https://example.org/other"),
        ({"internal_parameters": {}}, "no pickle was executed"),
        ({"internal_parameters": {"pickleExecuted": True, "tensorEquality": "bitwise"}}, "no pickle was executed"),
        ({"internal_parameters": {"pickleExecuted": False, "tensorEquality": "unverified"}}, "bit by bit"),
        ({"external_parameters": {"targets": []}}, "names no file"),
        ({"external_parameters": {"targets": [], "script": "x"}}, "does not know: 'script'"),
        ({"external_parameters": {"targets": ["model.safetensors"]}}, "not an object"),
    ],
)
def test_a_conversion_that_does_not_say_enough_is_refused(changes: dict[str, object], says: str) -> None:
    (reason,) = asked(policy(CONVERTED), [(provenance(MODEL, **changes), RELEASE)])

    assert says in reason.message


def test_a_conversion_of_one_file_does_not_speak_for_another() -> None:
    both = manifest({**FILES, "extra.safetensors": b"unknown origin"})
    rules = policy(CONVERTED)
    said = claimed(rules, provenance(MODEL), both, RELEASE)
    reasons = evaluate(rules, evidence(rules, both, by=RELEASE, statements=[said]))

    assert [reason.subject for reason in reasons if not reason.passed] == ["extra.safetensors"]


def test_another_build_type_may_be_asked_for() -> None:
    rules = policy(CONVERTED + 'build_type = "https://example.org/other"')

    assert asked(rules, [(provenance(build_type="https://example.org/other"), RELEASE)]) == []
