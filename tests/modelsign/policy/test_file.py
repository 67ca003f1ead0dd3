from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from attestations.predicates.model_scan import Severity
from attestations.signers import certificate_names
from attestations.uris import CONVERT_BUILD_TYPE_V1
from modelsign.errors import PolicyError, SourceError
from modelsign.policy.decision import Level
from modelsign.policy.file import load, parse
from modelsign.policy.identities import CLAIMS
from modelsign.policy.rules import Mode, Policy, When

EVERYTHING = """
schema = 1
name = "acme-prod-models"
expires = 2027-06-30
mode = "enforce"

[trust]
sigstore = "public-good"
keys = { release = "keys/release.pub", old = { file = "keys/old.pub", not_after = 2026-12-31 } }

[identities.release-ci]
issuer = "https://token.actions.githubusercontent.com"
subject = "https://github.com/acme/models/.github/workflows/release.yml@refs/tags/*"
[identities.scan-bot]
issuer = "https://token.actions.githubusercontent.com"
subject_regex = 'https://github\\.com/acme/scan/\\.github/workflows/[^@/]+@refs/heads/main'
repository_id = "42"
[identities.approvers]
any = [{ issuer = "https://accounts.google.com", subject = "ann@acme.example" }, { key = "release" }]

[model]
formats = ["safetensors", "gguf", "onnx"]
unsigned_files = ["README.md"]
symlinks = "deny"
remote_code = "warn"

[require.signature]
by = ["release-ci", "approvers"]
threshold = 2

[require.scan]
by = ["scan-bot"]
max_age = "7d"
trusted_time = true
clock_skew = "10m"
scanner = { "pkg:pypi/modelsign-suite" = ">=0.3.0" }
ruleset_min = "2026.11"
max_severity = "low"
complete = true
cover = "all-files"

[require.conversion]
by = ["release-ci"]
when = "model.converted"
"""


def policy(text: str) -> Policy:
    return parse(text.encode(), Path("/etc/models/prod.toml"))


def test_everything_a_policy_may_say_is_read() -> None:
    read = policy(EVERYTHING)

    assert read.name == "acme-prod-models"
    assert read.expires == datetime(2027, 6, 30, 23, 59, 59, 999999, UTC)
    assert read.mode is Mode.ENFORCE
    assert [(key.name, key.path) for key in read.trust.keys] == [
        ("old", Path("/etc/models/keys/old.pub")),
        ("release", Path("/etc/models/keys/release.pub")),
    ]
    assert read.trust.sigstore == "public-good"
    assert [len(read.patterns([name])) for name in ("approvers", "release-ci", "scan-bot")] == [2, 1, 1]
    assert read.model.formats == ("safetensors", "gguf", "onnx")
    assert read.model.may_be_unsigned == ("README.md",)
    assert read.model.remote_code is Level.WARN
    assert read.signature.threshold == 2
    assert read.scan is not None
    assert read.scan.max_age == timedelta(days=7)
    assert read.scan.clock_skew == timedelta(minutes=10)
    assert read.scan.ruleset_min == (2026, 11, 0)
    assert read.scan.max_severity is Severity.LOW
    assert read.conversion is not None
    assert (read.conversion.build_type, read.conversion.when) == (CONVERT_BUILD_TYPE_V1, When.CONVERTED)


def test_a_policy_needs_only_its_schema() -> None:
    read = policy("schema = 1\n")

    assert (read.name, read.mode, read.scan, read.conversion) == ("prod", Mode.ENFORCE, None, None)
    assert read.model.unsigned_files is Level.DENY


def test_requiring_a_scan_without_saying_how_asks_for_a_complete_clean_one() -> None:
    rule = policy("schema = 1\n[require.scan]\n").scan

    assert rule is not None
    assert rule.complete
    assert rule.max_severity is Severity.LOW


def test_a_certificate_is_pinned_by_the_names_its_reader_uses() -> None:
    assert sorted(certificate_names._CLAIMS.values()) == sorted(CLAIMS)


def test_a_trusted_root_lies_beside_the_policy() -> None:
    trust = policy('schema = 1\n[trust]\nsigstore = "root.json"\n').trust
    assert (trust.sigstore, trust.sigstore_file) == (None, Path("/etc/models/root.json"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "schema: is missing"),
        ("schema = 2", "schema: must be 1"),
        ("schema = true", "schema: must be a whole number"),
        ("schema = 1\nnmae = 'x'", "nmae: unknown key; did you mean 'name'?"),
        ("schema = 1\n[modell]", "modell: unknown key; did you mean 'model'?"),
        ("schema = 1\n[model]\nformat = []", "model.format: unknown key; did you mean 'formats'?"),
        ("schema = 1\n[model]\nformats = 'gguf'", "model.formats: must be a list"),
        ("schema = 1\n[model]\nunsigned_files = ['../x']", "model.unsigned_files: the name '../x' has a '.' or '..'"),
        ("schema = 1\n[model]\nformats = [1]", "model.formats: must be a list of strings"),
        ("schema = 1\n[model]\nremote_code = 'no'", "model.remote_code: must be one of 'deny', 'warn', not 'no'"),
        ("schema = 1\n[require]\nscans = {}", "require.scans: unknown key; did you mean 'scan'?"),
        ("schema = 1\n[require.scan]\nmax_agee = '7d'", "require.scan.max_agee: unknown key; did you mean 'max_age'?"),
        ("schema = 1\n[require.scan]\nmax_age = '7 days'", "require.scan.max_age: '7 days' is no duration"),
        ("schema = 1\n[require.scan]\nmax_age = 7", "require.scan.max_age: must be a string"),
        ("schema = 1\n[require.scan]\nmax_age = '0d'", "no duration"),
        ("schema = 1\n[require.scan]\ncover = 'some'", "require.scan.cover: must be all-files"),
        ("schema = 1\n[require.scan]\nmax_severity = 'high'", "require.scan.max_severity: must be info, low or medium"),
        ("schema = 1\n[require.scan]\nruleset_min = 'new'", "require.scan.ruleset_min: 'new' is no rule set version"),
        ("schema = 1\n[require.scan]\nscanner = { a = 'x' }", "require.scan.scanner.a: is no version specifier"),
        ("schema = 1\n[require.scan]\nby = ['ann']", "require.scan.by: there is no 'ann' in [identities]"),
        ("schema = 1\n[require.scan]\nby = []", "require.scan.by: is empty"),
        ("schema = 1\n[require.signature]\nthreshold = 0", "threshold: must be at least 1"),
        ("schema = 1\n[require.signature]\nthreshold = 2", "threshold: asks for 2 different signers, but only 0"),
        ("schema = 1\n[identities]\na = { subject = 'x' }", "identities.a.issuer: is missing"),
        ("schema = 1\n[identities]\na = { issuer = 'x' }", "identities.a: needs either subject"),
        ("schema = 1\n[identities]\na = { issuer = 'x', subject = 'y', subject_regex = 'z' }", "needs either subject"),
        ("schema = 1\n[identities]\na = { issuer = 'x', subject_regex = '(' }", "is no regular expression"),
        ("schema = 1\n[identities]\na = { issuer = 'x', subject = 'y', repo = '1' }", "identities.a.repo: unknown key"),
        ("schema = 1\n[identities]\na = { key = 'k' }", "there is no key 'k' in [trust] keys"),
        ("schema = 1\n[identities]\na = { any = [] }", "identities.a.any: must list at least one"),
        ("schema = 1\n[identities]\na = { any = ['x'] }", "identities.a.any: must be a list of tables"),
        ("schema = 1\n[identities]\na = 'ann'", "identities.a: must be a table"),
        ("schema = 1\n[trust]\nkeys = { a = 1 }", "trust.keys.a: must be a string"),
        ("schema = 1\n[trust]\nkeys = { a = { path = 'x' } }", "trust.keys.a.file: is missing"),
        (
            "schema = 1\n[trust]\nkeys = { a = { file = 'x', not_before = 2026-02-01, not_after = 2026-01-31 } }",
            "trust.keys.a.not_after: lies before not_before",
        ),
        ("schema = 1\nexpires = 'soon'", "expires: must be a date"),
        ("schema = 1\nmode = 'off'", "mode: must be one of 'enforce', 'warn'"),
        ("schema = ", "not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_key(text: str, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(text)

    assert str(caught.value).startswith("/etc/models/prod.toml: ")
    assert says in str(caught.value)


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(PolicyError, match="not UTF-8"):
        parse(b"schema = 1\nname = '\xff'", Path("p.toml"))


def test_an_overlong_regular_expression_is_refused() -> None:
    with pytest.raises(PolicyError, match="longer than"):
        policy(f"schema = 1\n[identities]\na = {{ issuer = 'x', subject_regex = '{'a' * 1001}' }}")


def test_a_policy_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.toml"):
        load(tmp_path / "gone.toml")
