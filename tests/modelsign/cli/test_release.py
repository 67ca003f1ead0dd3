import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modelsign.cli.main import invoke
from modelsign.isolation import Sandbox, confinement
from modelsign.release import release
from tests.builders.certificates import CODE_SIGNING, issue
from tests.builders.models import CHECKPOINT, CONFIG, HOSTILE
from tests.builders.signatures import write_key, write_model

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack


releasing = sys.modules[release.__module__]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "source", {"pytorch_model.bin": CHECKPOINT, "config.json": CONFIG})


@pytest.fixture
def key(tmp_path: Path) -> str:
    return str(write_key(tmp_path)[0])


def test_a_release_shows_verdict_conversion_signature_and_decision(
    source: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = source.with_name("out")
    assert invoke(["release", str(source), "-o", str(target), "--key", key]) == 0
    said = capsys.readouterr()
    assert "clean" in said.out
    assert "pytorch_model.bin -> model.safetensors: 1 tensors, compared bit by bit, 1 tied" in said.out
    assert f"Signed     {target / 'model.sig'}" in said.out
    assert "out: allowed" in said.out
    assert said.out.endswith(f"Released {target}. Nothing was uploaded.\n")
    assert said.err == ""


def test_quiet_says_nothing(source: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["release", str(source), "-o", str(source.with_name("out")), "--key", key, "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_json_holds_everything(source: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["release", str(source), "-o", str(source.with_name("out")), "--key", key, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["published"]) == ("modelsign.released/v1", True)
    assert document["decision"]["allowed"] is True
    assert document["source"]["verdict"] == "clean"
    assert document["conversions"][0]["pickleExecuted"] is False
    assert document["copied"] == ["config.json"]


def test_a_hostile_source_is_refused_with_callable_place_and_way_out(
    source: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "pytorch_model.bin").write_bytes(HOSTILE)
    target = source.with_name("out")
    assert invoke(["release", str(source), "-o", str(target), "--key", key]) == 1
    said = capsys.readouterr().out
    assert "posix.system" in said
    assert "data.pkl" in said
    assert "byte" in said
    assert "nothing was written" in said
    assert not target.exists()


def test_a_hostile_source_is_told_in_json_too(source: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "pytorch_model.bin").write_bytes(HOSTILE)
    assert invoke(["release", str(source), "-o", str(source.with_name("out")), "--key", key, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["published"], document["decision"]) == (False, None)
    assert document["source"]["findings"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["SOURCE", "--key", "KEY"], 2),
        (["SOURCE", "-o", "TARGET"], 2),
        (["nowhere", "-o", "TARGET", "--key", "KEY"], 4),
        (["SOURCE", "-o", "SOURCE", "--key", "KEY"], 2),
        (["SOURCE", "-o", "SOURCE/inside", "--key", "KEY"], 2),
        (["SOURCE", "-o", "TARGET", "--key", "nowhere.key"], 4),
        (["SOURCE", "-o", "TARGET", "--key", "KEY", "--leave-out", "*"], 5),
    ],
)
def test_mistakes_end_in_one_line_and_a_code(
    source: Path, key: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    target = source.with_name("out")
    filled = [
        word.replace("SOURCE", str(source)).replace("TARGET", str(target)).replace("KEY", key) for word in arguments
    ]
    assert invoke(["release", *filled]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err
    assert "Traceback" not in said.err
    assert not target.exists()


def test_a_checkpoint_that_cannot_be_converted_is_refused(source: Path, key: str) -> None:
    (source / "pytorch_model.bin").write_bytes(CHECKPOINT[:-80])
    assert invoke(["release", str(source), "-o", str(source.with_name("out")), "--key", key]) in {1, 3, 6}
    assert not source.with_name("out").exists()


def test_a_keyless_release_verifies_itself_by_identity(
    source: Path,
    sigstore_stack: "SigstoreStack",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", sigstore_stack.token())
    target = source.with_name("out")
    assert invoke(["release", str(source), "-o", str(target), "--trust-config", str(sigstore_stack.trust_config)]) == 0
    said = capsys.readouterr()
    assert f"signed by  dev@example.com (issuer {sigstore_stack.issuer})" in said.out
    assert "makes public, for ever" in said.err
    trust = ["--identity", "dev@example.com", "--issuer", sigstore_stack.issuer]
    root = ["--trusted-root", str(sigstore_stack.trusted_root), "--offline"]
    assert invoke(["verify", str(target), *trust, *root]) == 0


@pytest.mark.parametrize("with_chain", [True, False])
def test_a_release_can_be_signed_with_a_certificate(source: Path, tmp_path: Path, with_chain: bool) -> None:
    since, until = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    root = issue("Acme Root", ca=True, since=since, until=until)
    leaf = issue("release", root, purposes=CODE_SIGNING, since=since, until=until)
    key, certificate = leaf.write(tmp_path, "leaf")
    _, anchor = root.write(tmp_path, "root")
    chain = ["--certificate-chain", str(anchor)] if with_chain else []
    signer = ["--key", str(key), "--signing-certificate", str(certificate), *chain]
    assert invoke(["release", str(source), "-o", str(tmp_path / "out"), *signer]) == 0
    trust = ["--certificate-chain", str(anchor), "--subject", "release"]
    assert invoke(["verify", str(tmp_path / "out"), *trust]) == 0
    policy = tmp_path / "policy.toml"
    policy.write_text(
        "schema = 1\n[trust]\ncertificates = { acme = 'root.pem' }\n"
        "[identities]\nrelease = { certificate = 'acme', subject = 'release' }\n"
        "[require.signature]\nby = ['release']\n[require.scan]\nby = ['release']\n"
    )
    policy.write_text(policy.read_text().replace("root.pem", anchor.name))
    assert invoke(["verify", str(tmp_path / "out"), "--policy", str(policy)]) == 0
    policy.write_text(policy.read_text().replace("subject = 'release'", "subject = 'other'"))
    assert invoke(["verify", str(tmp_path / "out"), "--policy", str(policy)]) == 12


@pytest.mark.parametrize(("name", "code"), [("missing.key", 4), ("release.pub", 4), ("locked.key", 2)])
def test_a_key_that_cannot_sign_is_refused_before_the_scan(
    source: Path, tmp_path: Path, key: str, name: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    del key
    write_key(tmp_path, "locked", b"secret")
    monkeypatch.delenv("MODELSIGN_KEY_PASSPHRASE", raising=False)
    monkeypatch.delattr(releasing, "scan")
    assert invoke(["release", str(source), "-o", str(tmp_path / "out"), "--key", str(tmp_path / name)]) == code


def test_an_encrypted_key_signs_a_release(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked, _ = write_key(tmp_path, "locked", b"secret")
    monkeypatch.setenv("MODELSIGN_KEY_PASSPHRASE", "secret")
    assert invoke(["release", str(source), "-o", str(tmp_path / "out"), "--key", str(locked)]) == 0
    monkeypatch.setenv("MODELSIGN_KEY_PASSPHRASE", "wrong")
    assert invoke(["release", str(source), "-o", str(tmp_path / "other"), "--key", str(locked)]) == 4
    assert not (tmp_path / "other").exists()


def test_every_verb_that_parses_hands_its_sandbox_on(
    source: Path, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sandbox] = []
    layers = confinement.active_layers

    def told(sandbox: Sandbox) -> Any:
        asked.append(sandbox)
        return layers(sandbox)

    monkeypatch.setattr("modelsign.isolation.workers.active_layers", told)
    out, public = str(tmp_path / "out"), key.replace(".key", ".pub")
    for arguments in (
        ["release", str(source), "-o", out, "--key", key],
        ["attest", out, "--scan", "--key", key],
        ["verify", out, "--key", public],
        ["convert", str(source / "pytorch_model.bin"), str(tmp_path / "m.safetensors")],
    ):
        asked.clear()
        assert invoke([*arguments, "--sandbox", "off"]) == 0
        assert asked
        assert set(asked) == {Sandbox.OFF}
