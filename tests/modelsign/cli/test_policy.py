import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from modelsign.cli.main import invoke
from modelsign.policy.file import load
from tests.builders.models import model, released
from tests.builders.signatures import write_key
from tests.sigstore_stack.tsa import PATH

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack


def test_the_policy_it_begins_with_allows_what_the_key_released(tmp_path: Path) -> None:
    place, _, public = released(tmp_path)
    policy = tmp_path / "policy.toml"
    assert invoke(["policy", "init", "--key", str(public), "-o", str(policy)]) == 0
    assert invoke(["verify", str(place), "--policy", str(policy)]) == 0
    (place / "claims.jsonl").unlink()
    assert invoke(["verify", str(place), "--policy", str(policy)]) == 14


def test_a_policy_to_fill_in_is_shown_and_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["policy", "init", "--name", 'a "quoted" ü name']) == 0
    path = tmp_path / "policy.toml"
    path.write_text(capsys.readouterr().out)
    assert load(path).name == 'a "quoted" ü name'


def test_a_keyless_policy_names_identity_issuer_and_instance(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    trust = ["--identity", "*@acme.example", "--issuer", "https://issuer.example"]
    assert invoke(["policy", "init", "-o", str(path), *trust]) == 0
    policy = load(path)
    assert policy.trust.sigstore == "public-good"
    assert policy.patterns(["ci"])[0].describe() == "*@acme.example (issuer https://issuer.example)"
    assert policy.scan is not None
    assert policy.scan.max_age is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--identity", "a@b.example"],
        ["--issuer", "https://issuer.example"],
        ["--key", "nowhere.pub"],
    ],
)
def test_half_of_a_trust_is_a_usage_error(arguments: list[str]) -> None:
    assert invoke(["policy", "init", *arguments]) == 2


def test_an_existing_policy_is_not_replaced_without_force(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("mine")
    assert invoke(["policy", "init", "-o", str(path)]) == 2
    assert path.read_text() == "mine"
    assert invoke(["policy", "init", "-o", str(path), "--force", "-q"]) == 0


def test_lint_tells_what_was_probably_not_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, public = write_key(tmp_path)
    path = tmp_path / "policy.toml"
    invoke(["policy", "init", "--key", str(public), "-o", str(path), "-q"])
    assert invoke(["policy", "lint", str(path)]) == 1
    assert "[scans-itself]" in capsys.readouterr().out
    assert invoke(["policy", "lint", str(path), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [remark["code"] for remark in document["remarks"]] == ["scans-itself"]


def test_lint_and_explain_name_the_mistake_of_a_malformed_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("schema = 1\nmodes = 'warn'\n")
    for verb in ("lint", "explain"):
        assert invoke(["policy", verb, str(path)]) == 15
        assert "did you mean 'mode'?" in capsys.readouterr().err


def test_explain_speaks_in_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("schema = 1\nname = 'a\\u001b[2Jb'\n[require.scan]\n")
    assert invoke(["policy", "explain", str(path)]) == 0
    said = capsys.readouterr().out
    assert "signed complete scan of every file" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("window", "authorities", "code"),
    [
        ("not_after = 2999-01-01", 'timestamps = ["tsa.pem"]', 0),
        ("not_before = 2020-01-01", 'timestamps = ["tsa.pem"]', 0),
        ("not_after = 2020-01-01", 'timestamps = ["tsa.pem"]', 12),
        ("not_before = 2999-01-01", 'timestamps = ["tsa.pem"]', 12),
        ("not_after = 2999-01-01", "", 12),
    ],
)
def test_a_key_counts_in_its_time_as_a_timestamp_authority_tells_it(
    sigstore_stack: "SigstoreStack", tmp_path: Path, window: str, authorities: str, code: int
) -> None:
    place = model(tmp_path / "model")
    private, _ = write_key(tmp_path)
    holders = (sigstore_stack.tsa.root, sigstore_stack.tsa.leaf)
    certificates = b"".join(holder.certificate.public_bytes(Encoding.PEM) for holder in holders)
    (tmp_path / "tsa.pem").write_bytes(certificates)
    stamp = ["--key", str(private), "--timestamp-url", f"{sigstore_stack.tsa.url}{PATH}", "-q"]
    assert invoke(["sign", str(place), *stamp]) == 0
    assert invoke(["attest", str(place), "--scan", *stamp]) == 0
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f"""
schema = 1
[trust]
keys = {{ release = {{ file = "release.pub", {window} }} }}
{authorities}
[identities]
release = {{ key = "release" }}
[require.signature]
by = ["release"]
[require.scan]
by = ["release"]
max_age = "1d"
"""
    )
    assert invoke(["verify", str(place), "--policy", str(policy)]) == code
