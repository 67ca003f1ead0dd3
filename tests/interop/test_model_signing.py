"""model-signing 1.1.1, the reference program, reads what we sign, and we read what it signs."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attestations.bundle import Bundle
from attestations.manifest import Differences, measure_against
from attestations.predicates.oms_signature import manifest_of
from attestations.signers.key import KeyVerifier
from attestations.signers.sigstore import SigstoreSigner, SigstoreTrust, SigstoreVerifier
from attestations.verify import Verifier, verify_bundle
from modelsign.signing import sign
from tests.builders.signatures import write_key, write_model
from tests.peers import run_peer

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

pytestmark = pytest.mark.interop

FILES = {
    "a/b.bin": b"b",
    "a.txt": b"text",
    "config.json": b"{}",
    "empty": b"",
    "w:1.bin": b"weights" * 5000,
    "name with spaces": b"1",
    "é.txt": b"e",
    ".hidden": b"h",
    ".github/workflows/x.yml": b"ignored by default",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", FILES)


def model_signing(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run_peer("model-signing", "-m", "model_signing", *arguments, check=check, timeout=120)


def theirs(model: Path, public: Path, signature: Path, *, check: bool = True) -> int:
    options: list[str | Path] = ["--signature", signature, "--public_key", public]
    return model_signing("verify", "key", model, *options, check=check).returncode


def ours(model: Path, signature: Path, *verifiers: Verifier, ignored: tuple[str, ...] = ()) -> Differences:
    proven = verify_bundle(Bundle.parse(signature.read_bytes()), verifiers)
    return measure_against(manifest_of(proven.statement), model, ignored=ignored, every=True).differences


def test_they_read_our_key_signature_before_and_after_claims(model: Path, tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    signature = sign(model, key=private).signature
    assert theirs(model, public, signature) == 0
    (model / "claims.jsonl").write_text("{}\n")
    assert theirs(model, public, signature) == 0


def test_they_refuse_our_signature_over_a_changed_model(model: Path, tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    signature = sign(model, key=private).signature
    write_model(model, {"a.txt": b"evil"})
    assert theirs(model, public, signature, check=False) == 1


def test_they_read_our_signature_with_ignored_names(model: Path, tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    signature = sign(model, key=private, ignore=["*.txt"], signature=model / "release.sig").signature
    assert theirs(model, public, signature) == 0


def test_they_read_our_signature_of_a_single_file(tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert theirs(tmp_path / "m.gguf", public, sign(tmp_path / "m.gguf", key=private).signature) == 0


def test_we_read_their_key_signature(model: Path, tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    signature = model / "model.sig"
    model_signing("sign", "key", model, "--private_key", private, "--signature", signature)
    assert not ours(model, signature, KeyVerifier.load(public))
    write_model(model, {"a.txt": b"evil", "new.py": b""})
    assert ours(model, signature, KeyVerifier.load(public)) == Differences(extra=("new.py",), changed=("a.txt",))


def test_we_read_their_signature_of_a_single_file(tmp_path: Path) -> None:
    private, public = write_key(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    signature = tmp_path / "m.sig"
    model_signing("sign", "key", tmp_path / "m.gguf", "--private_key", private, "--signature", signature)
    assert not ours(tmp_path / "m.gguf", signature, KeyVerifier.load(public))


def test_they_read_our_keyless_signature(model: Path, sigstore_stack: "SigstoreStack") -> None:
    trust = SigstoreTrust(source=sigstore_stack.trust_config)
    signature = sign(model, signer=SigstoreSigner(token=sigstore_stack.token(), trust=trust)).signature
    identity: list[str | Path] = ["--identity", "dev@example.com", "--identity_provider", sigstore_stack.issuer]
    options: list[str | Path] = ["--signature", signature, "--trust_config", sigstore_stack.trust_config]
    assert model_signing("verify", "sigstore", model, *identity, *options).returncode == 0
    (model / "claims.jsonl").write_text("{}\n")
    assert model_signing("verify", "sigstore", model, *identity, *options).returncode == 0


def test_we_read_their_keyless_signature(model: Path, sigstore_stack: "SigstoreStack") -> None:
    signature = model / "model.sig"
    options: list[str | Path] = [
        "--trust_config",
        sigstore_stack.trust_config,
        "--identity_token",
        sigstore_stack.token(),
    ]
    model_signing("sign", "sigstore", model, "--signature", signature, *options)
    trust = SigstoreTrust(source=sigstore_stack.trusted_root)
    verifier = SigstoreVerifier(identity="dev@example.com", issuer=sigstore_stack.issuer, trust=trust)
    assert not ours(model, signature, verifier)
