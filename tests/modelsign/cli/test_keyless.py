"""Keyless from the shell, both ways: sign with an identity and verify it, against the local Sigstore instance."""

import base64
import io
import json
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pytest_socket import disable_socket

from modelsign.cli.main import invoke
from tests.builders.signatures import write_key, write_model
from tests.sigstore_stack import client
from tests.sigstore_stack.stack import Fault
from tests.sigstore_stack.tuf_repository import TufRepository

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

DEVELOPER = "dev@example.com"
WORKFLOW = "https://github.com/example/model/.github/workflows/release.yml@refs/heads/main"
GITHUB = "https://token.actions.githubusercontent.com"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def sign(stack: "SigstoreStack", model: Path, monkeypatch: pytest.MonkeyPatch, token: str | None = None) -> int:
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", token or stack.token())
    return invoke(["sign", str(model), "--trust-config", str(stack.trust_config)])


@pytest.fixture
def signed(sigstore_stack: "SigstoreStack", model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert sign(sigstore_stack, model, monkeypatch) == 0
    return model


def verify(stack: "SigstoreStack", model: Path, *options: str) -> int:
    return invoke(["verify", str(model), "--no-scan", "--trusted-root", str(stack.trusted_root), *options])


def test_the_signer_is_allowed(sigstore_stack: "SigstoreStack", signed: Path) -> None:
    assert verify(sigstore_stack, signed, "--identity", DEVELOPER, "--issuer", sigstore_stack.issuer) == 0


def test_the_older_log_signs_as_well(
    sigstore_stack: "SigstoreStack", model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", sigstore_stack.token())
    assert invoke(["sign", str(model), "--trust-config", str(sigstore_stack.trust_config_v1)]) == 0
    assert verify(sigstore_stack, model, "--identity", DEVELOPER, "--issuer", sigstore_stack.issuer) == 0
    assert "transparency log" in capsys.readouterr().out
    assert verify(sigstore_stack, model, "--identity", "boss@example.com", "--issuer", sigstore_stack.issuer) == 12


def test_the_decision_names_the_signer(
    sigstore_stack: "SigstoreStack", signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert verify(sigstore_stack, signed, "--identity", DEVELOPER, "--issuer", sigstore_stack.issuer, "--json") == 0
    decision = json.loads(capsys.readouterr().out)
    assert decision["allowed"] is True
    assert DEVELOPER in json.dumps(decision["reasons"])


def test_names_of_cosigns_options_and_a_trust_configuration(sigstore_stack: "SigstoreStack", signed: Path) -> None:
    identity = ("--certificate-identity", DEVELOPER, "--certificate-oidc-issuer", sigstore_stack.issuer)
    trust = ("--trust-config", str(sigstore_stack.trust_config))
    assert invoke(["verify", str(signed), "--no-scan", *trust, *identity]) == 0


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        (("--identity", "*@example.com"), 0),
        (("--identity", "d*v@example.com"), 0),
        (("--identity-regexp", r"dev@example\.(com|org)"), 0),
        (("--identity", "boss@example.com"), 12),
        (("--identity", "*"), 12),
        (("--identity", "dev@example.co"), 12),
        (("--identity-regexp", r"dev@example"), 12),
        (("--identity-regexp", r"ev@example\.com"), 12),
    ],
)
def test_identities(sigstore_stack: "SigstoreStack", signed: Path, identity: tuple[str, str], code: int) -> None:
    assert verify(sigstore_stack, signed, *identity, "--issuer", sigstore_stack.issuer) == code


def test_wrong_identity_names_both(
    sigstore_stack: "SigstoreStack", signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert verify(sigstore_stack, signed, "--identity", "boss@example.com", "--issuer", sigstore_stack.issuer) == 12
    said = capsys.readouterr().out
    assert DEVELOPER in said
    assert "boss@example.com" in said


@pytest.mark.parametrize("issuer", ["https://accounts.google.com", "ISSUER/", "http://127.0.0.1"])
def test_wrong_issuer(sigstore_stack: "SigstoreStack", signed: Path, issuer: str) -> None:
    wrong = issuer.replace("ISSUER", sigstore_stack.issuer)
    assert verify(sigstore_stack, signed, "--identity", DEVELOPER, "--issuer", wrong) == 12


def test_another_instance_is_not_trusted(
    sigstore_stack: "SigstoreStack", other_sigstore_stack: "SigstoreStack", signed: Path
) -> None:
    code = verify(other_sigstore_stack, signed, "--identity", DEVELOPER, "--issuer", sigstore_stack.issuer)
    assert code == 12


def test_an_identity_without_an_issuer_is_a_usage_error(sigstore_stack: "SigstoreStack", signed: Path) -> None:
    assert verify(sigstore_stack, signed, "--identity", DEVELOPER) == 2


def test_nobody_is_trusted_by_default(sigstore_stack: "SigstoreStack", signed: Path) -> None:
    assert verify(sigstore_stack, signed) == 2


def test_a_key_is_not_an_identity(signed: Path, tmp_path: Path) -> None:
    _, public = write_key(tmp_path)
    assert invoke(["verify", str(signed), "--no-scan", "--key", str(public)]) == 12


def test_changed_content(sigstore_stack: "SigstoreStack", signed: Path) -> None:
    (signed / "config.json").write_text("[]")
    assert verify(sigstore_stack, signed, "--identity", DEVELOPER, "--issuer", sigstore_stack.issuer) == 13


def test_added_file(sigstore_stack: "SigstoreStack", signed: Path) -> None:
    (signed / "extra.py").write_text("")
    assert verify(sigstore_stack, signed, "--identity", DEVELOPER, "--issuer", sigstore_stack.issuer) == 13


def change_payload(bundle: Any) -> None:
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b"sha256", b"sha512", 1)).decode()


def drop_timestamp(bundle: Any) -> None:
    del bundle["verificationMaterial"]["timestampVerificationData"]


def drop_log_entry(bundle: Any) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = []


def change_root_hash(bundle: Any) -> None:
    proof = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["rootHash"] = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize("change", [change_payload, drop_timestamp, drop_log_entry, change_root_hash])
def test_tampered_bundle(sigstore_stack: "SigstoreStack", signed: Path, change: Any) -> None:
    bundle = json.loads((signed / "model.sig").read_bytes())
    change(bundle)
    (signed / "model.sig").write_text(json.dumps(bundle))
    assert verify(sigstore_stack, signed, "--identity", DEVELOPER, "--issuer", sigstore_stack.issuer) == 11


@pytest.mark.parametrize(
    "fault", [Fault.FULCIO_UNAVAILABLE, Fault.REKOR_UNAVAILABLE, Fault.TSA_UNAVAILABLE, Fault.REKOR_MALFORMED]
)
def test_a_failing_service_leaves_no_signature(
    sigstore_stack: "SigstoreStack",
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Fault,
) -> None:
    before = sorted(model.iterdir())
    with sigstore_stack.fault(fault):
        assert sign(sigstore_stack, model, monkeypatch) == 4
    assert sorted(model.iterdir()) == before
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("fault", [Fault.CHECKPOINT_BY_STRANGER, Fault.TSA_LATE])
def test_what_lying_services_signed_is_refused(
    sigstore_stack: "SigstoreStack", model: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    with sigstore_stack.fault(fault):
        code = sign(sigstore_stack, model, monkeypatch)
    if code == 0:
        code = verify(sigstore_stack, model, "--identity", DEVELOPER, "--issuer", sigstore_stack.issuer)
    assert code in {4, 11, 12}


def test_a_forged_token_signs_nothing(
    sigstore_stack: "SigstoreStack", model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sign(sigstore_stack, model, monkeypatch, sigstore_stack.oidc.forged_token(DEVELOPER)) == 4
    assert not (model / "model.sig").exists()


def test_the_token_is_never_shown(
    sigstore_stack: "SigstoreStack",
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = sigstore_stack.token()
    sign(sigstore_stack, model, monkeypatch, token)
    with sigstore_stack.fault(Fault.FULCIO_UNAVAILABLE):
        sign(sigstore_stack, model, monkeypatch, token)
    said = capsys.readouterr()
    secret = token.rpartition(".")[2]
    assert secret not in said.out + said.err + (model / "model.sig").read_text()


@pytest.fixture
def signed_by_workflow(sigstore_stack: "SigstoreStack", model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    environment = sigstore_stack.oidc.github_environment(
        WORKFLOW,
        repository_id="632596897",
        repository_owner_id="131804563",
        event_name="push",
        runner_environment="github-hosted",
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert invoke(["sign", str(model), "--keyless", "--trust-config", str(sigstore_stack.trust_config)]) == 0
    return model


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--identity", WORKFLOW), 0),
        (("--identity", WORKFLOW.replace("release.yml", "*")), 0),
        (("--identity", WORKFLOW.replace("heads/main", "tags/*")), 12),
        (("--identity", "https://github.com/*"), 12),  # a star crosses no slash
        (("--identity", WORKFLOW, "--pin", "repository_id=632596897", "--pin", "owner_id=131804563"), 0),
        (("--identity", WORKFLOW, "--pin", "trigger=push", "--pin", "runner=github-hosted"), 0),
        (("--identity", WORKFLOW, "--pin", "repository_id=1"), 12),
        (("--identity", WORKFLOW, "--pin", "trigger=pull_request"), 12),
    ],
)
def test_workflows_and_pins(
    sigstore_stack: "SigstoreStack", signed_by_workflow: Path, options: tuple[str, ...], code: int
) -> None:
    assert verify(sigstore_stack, signed_by_workflow, *options, "--issuer", GITHUB) == code


# sigstore 4.5.1 shuts the server of the browser flow down without closing its socket.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_browser(sigstore_stack: "SigstoreStack", model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", client.visit)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert invoke(["sign", str(model), "--keyless", "--yes", "--trust-config", str(sigstore_stack.trust_config)]) == 0
    assert verify(sigstore_stack, model, "--identity", DEVELOPER, "--issuer", sigstore_stack.issuer) == 0


@pytest.mark.parametrize("options", [(), ("--offline",)])
def test_verifying_opens_no_socket(
    sigstore_stack: "SigstoreStack", signed: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setattr(socket, "socket", socket.socket)  # put back what disable_socket replaces
    disable_socket()
    identity = ("--identity", DEVELOPER, "--issuer", sigstore_stack.issuer)
    assert verify(sigstore_stack, signed, *identity, *options) == 0


def test_release_signs_everything_with_one_identity(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(__file__).parents[3] / "examples" / "tiny-lm"
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", sigstore_stack.token())
    target = tmp_path / "released"
    trust = ("--trust-config", str(sigstore_stack.trust_config))
    assert invoke(["release", str(source), "-o", str(target), *trust]) == 0
    assert (target / "claims.jsonl").read_text().count("\n") >= 2
    identity = ("--identity", DEVELOPER, "--issuer", sigstore_stack.issuer)
    assert invoke(["verify", str(target), "--trusted-root", str(sigstore_stack.trusted_root), *identity]) == 0
    wrong = ("--identity", "boss@example.com", "--issuer", sigstore_stack.issuer)
    assert invoke(["verify", str(target), "--trusted-root", str(sigstore_stack.trusted_root), *wrong]) == 12


def test_release_of_a_workflow_verifies_itself(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate names the workflow, the token's subject something else."""
    source = Path(__file__).parents[3] / "examples" / "tiny-lm"
    for name, value in sigstore_stack.oidc.github_environment(WORKFLOW).items():
        monkeypatch.setenv(name, value)
    trust = ("--trust-config", str(sigstore_stack.trust_config))
    assert invoke(["release", str(source), "-o", str(tmp_path / "released"), *trust]) == 0


def test_a_pin_that_does_not_fit_is_named(
    sigstore_stack: "SigstoreStack", signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = ("--identity", DEVELOPER, "--issuer", sigstore_stack.issuer)
    assert verify(sigstore_stack, signed, *identity, "--pin", "repository_id=1") == 12
    assert "repository_id 1" in capsys.readouterr().out


# A private instance by the address of its TUF repository


def test_instance_by_address_signs_and_verifies(
    sigstore_stack: "SigstoreStack", model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", sigstore_stack.token())
    repository = TufRepository()
    repository.publish(sigstore_stack.trust_config_document())
    repository.start()
    trust = ["--identity", DEVELOPER, "--issuer", sigstore_stack.issuer, "--instance", repository.url, "--no-scan"]
    root = ["--instance-root", str(repository.write_root(tmp_path / "root.json"))]
    try:
        assert invoke(["verify", str(model), *trust]) == 10
        assert invoke(["sign", str(model), "--instance", repository.url, *root]) == 0
        assert invoke(["verify", str(model), *trust]) == 0
        assert invoke(["verify", str(model), *trust, "--offline"]) == 0
    finally:
        repository.stop()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--instance", "sigstore.acme.example"], "give the https address"),
        (["--instance-root", "root.json"], "goes with --instance"),
        (["--instance", "https://sigstore.acme.example", "--staging"], "exclude each other"),
    ],
)
@pytest.mark.parametrize("verb", [["sign"], ["verify", "--identity", DEVELOPER, "--issuer", "https://issuer"]])
def test_instance_that_makes_no_sense_is_refused(
    model: Path, verb: list[str], options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([*verb, str(model), *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["roots only", "no log of this version", "junk", "missing"])
def test_nothing_is_announced_that_cannot_be_signed(
    sigstore_stack: "SigstoreStack",
    model: Path,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "junk.json").write_text("{}")
    trust = {
        "roots only": [str(sigstore_stack.trusted_root)],
        "no log of this version": [str(sigstore_stack.trust_config_v1), "--rekor-version", "2"],
        "junk": [str(tmp_path / "junk.json")],
        "missing": [str(tmp_path / "none.json")],
    }
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", sigstore_stack.token())
    assert invoke(["sign", str(model), "--trust-config", *trust[kind]]) != 0
    assert "makes public" not in capsys.readouterr().err
    assert not (model / "model.sig").exists()


def test_root_of_an_instance_inside_of_the_model_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside = model / "root.json"
    inside.write_text("{}")
    options = ["--identity", DEVELOPER, "--issuer", "https://issuer", "--instance", "https://sigstore.acme.example"]
    assert invoke(["verify", str(model), *options, "--instance-root", str(inside)]) == 2
    assert "lies inside" in capsys.readouterr().err
