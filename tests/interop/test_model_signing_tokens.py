"""model-signing 1.1.1 and we read each other's signatures by a key on a PKCS#11 token (SoftHSM)."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from attestations.bundle import Bundle, Material
from attestations.key_files import load_public
from modelsign.cli.main import invoke
from tests.builders.certificates import CODE_SIGNING, PublicOnly, issue
from tests.builders.signatures import write_model
from tests.peers import peer_python
from tests.softhsm import PIN, configuration, configure, make_keys

pytestmark = [pytest.mark.interop, pytest.mark.service]

CURVES = {"p256": "EC:prime256v1", "p521": "EC:secp521r1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token whose programs each run in a process of their own: the module reads its configuration once."""

    directory: Path
    module: str

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "SOFTHSM2_CONF": str(configuration(self.directory)),
            "MODELSIGN_PKCS11_PIN": PIN,
        }
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, check=False, env=environment, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def uri(self, label: str) -> str:
        return f"pkcs11:token=lab;object={label}?module-path={self.module}"

    def public_key(self, label: str) -> Path:
        """Return the file of a public key, read from the token with OpenSC."""
        der, pem = self.directory / f"{label}.der", self.directory / f"{label}.pub"
        tool = ["pkcs11-tool", "--module", self.module, "--token-label", "lab"]
        self.run(*tool, "--read-object", "--type", "pubkey", "--label", label, "--output-file", der)
        key = serialization.load_der_public_key(der.read_bytes())
        pem.write_bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        return pem

    def sign(self, model: Path, label: str, *options: str | Path) -> Path:
        """Sign with our program."""
        signature = model / "model.sig"
        self.run(sys.executable, "-m", "modelsign", "sign", model, "--pkcs11-uri", self.uri(label), *options)
        return signature


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    directory = tmp_path_factory.mktemp("softhsm")
    token = Token(directory=directory, module=configure(directory))
    make_keys(token.run, token.module, CURVES)
    return token


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def model_signing() -> list[str | Path]:
    """Return the command that runs their program; skip where it cannot speak to tokens."""
    python = peer_python("model-signing")
    if subprocess.run([python, "-c", "import PyKCS11"], capture_output=True, check=False).returncode:
        pytest.skip("the peer 'model-signing' has no pykcs11; remove its directory and run `make peers`")
    return [python, "-m", "model_signing"]


@pytest.mark.parametrize("label", CURVES)
def test_they_read_our_signature_by_a_token(token: Token, model: Path, label: str) -> None:
    theirs = model_signing()
    signature = token.sign(model, label)
    public = token.public_key(label)
    assert invoke(["verify", str(model), "--no-scan", "--key", str(public)]) == 0
    token.run(*theirs, "verify", "key", model, "--signature", signature, "--public_key", public)


def test_token_signs_all_of_a_release(token: Token, tmp_path: Path) -> None:
    source, released = Path(__file__).parents[2] / "examples" / "tiny-lm", tmp_path / "released"
    token.run(sys.executable, "-m", "modelsign", "release", source, "-o", released, "--pkcs11-uri", token.uri("p256"))
    assert invoke(["verify", str(released), "--key", str(token.public_key("p256"))]) == 0


@pytest.mark.parametrize("label", CURVES)
def test_we_read_their_signature_by_a_token(token: Token, model: Path, label: str) -> None:
    uri = f"{token.uri(label)}&pin-value={PIN}"
    signature = model / "model.sig"
    token.run(*model_signing(), "sign", "pkcs11-key", model, "--pkcs11_uri", uri, "--signature", signature)
    public = token.public_key(label)
    assert invoke(["verify", str(model), "--no-scan", "--key", str(public)]) == 0
    (model / "a.txt").write_text("evil")
    assert invoke(["verify", str(model), "--no-scan", "--key", str(public)]) == 13


def test_both_say_the_same_about_the_key(token: Token, model: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other")
    uri = f"{token.uri('p256')}&pin-value={PIN}"
    token.run(*model_signing(), "sign", "pkcs11-key", other, "--pkcs11_uri", uri, "--signature", other / "model.sig")
    theirs, ours = (Bundle.parse(path.read_bytes()) for path in (other / "model.sig", token.sign(model, "p256")))
    assert (ours.material, ours.key_hint) == (Material.PUBLIC_KEY, theirs.key_hint)


def test_they_read_our_signature_by_a_token_with_a_certificate(token: Token, model: Path, tmp_path: Path) -> None:
    # The other way does not exist: their `pkcs11-certificate` ends in an error of its own (no field `tlogEntries`).
    theirs = model_signing()
    root = issue("Acme Root", ca=True)
    key = load_public(token.public_key("p256").read_bytes(), "p256")
    leaf = issue("token", root, key=PublicOnly(key), purposes=CODE_SIGNING)
    files = {"root": root.certificate, "leaf": leaf.certificate}
    for name, certificate in files.items():
        (tmp_path / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain = tmp_path / "root.pem"
    signature = token.sign(model, "p256", "--signing-certificate", tmp_path / "leaf.pem", "--certificate-chain", chain)
    token.run(*theirs, "verify", "certificate", model, "--signature", signature, "--certificate_chain", chain)
