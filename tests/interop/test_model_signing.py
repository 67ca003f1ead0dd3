"""model-signing 1.1.1, the reference program, reads what we sign, and we read what it signs."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from attestations.algorithms import public_pem
from attestations.bundle import Bundle
from attestations.key_files import private_pem
from attestations.manifest import Differences, measure_against
from attestations.predicates.oms_signature import manifest_of
from attestations.signers.certificate import CertificateSigner, CertificateVerifier, Pin, load_roots
from attestations.signers.key import KeyVerifier
from attestations.signers.sigstore import SigstoreSigner, SigstoreTrust, SigstoreVerifier
from attestations.verify import Verifier, verify_bundle
from modelsign.signing import sign
from tests.builders.certificates import CODE_SIGNING, issue
from tests.builders.signatures import write_key, write_model
from tests.interop.test_sigstore_js import verify_with_node
from tests.peers import run_peer

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

pytestmark = pytest.mark.interop

NOW = datetime.now(UTC)
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
    return run_peer("model-signing", "-m", "model_signing", *arguments, check=check, timeout=300)


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


@pytest.fixture(params=["Rekor v1", "Rekor v2"])
def trust_config(request: pytest.FixtureRequest, sigstore_stack: "SigstoreStack") -> Path:
    """Both kinds of log."""
    return sigstore_stack.trust_config_v1 if request.param == "Rekor v1" else sigstore_stack.trust_config


def test_they_read_our_keyless_signature(model: Path, sigstore_stack: "SigstoreStack", trust_config: Path) -> None:
    trust = SigstoreTrust(source=trust_config)
    signature = sign(model, signer=SigstoreSigner(token=sigstore_stack.token(), trust=trust)).signature
    identity: list[str | Path] = ["--identity", "dev@example.com", "--identity_provider", sigstore_stack.issuer]
    options: list[str | Path] = ["--signature", signature, "--trust_config", trust_config]
    assert model_signing("verify", "sigstore", model, *identity, *options).returncode == 0
    (model / "claims.jsonl").write_text("{}\n")
    assert model_signing("verify", "sigstore", model, *identity, *options).returncode == 0


def test_we_read_their_keyless_signature(model: Path, sigstore_stack: "SigstoreStack", trust_config: Path) -> None:
    signature = model / "model.sig"
    options: list[str | Path] = ["--trust_config", trust_config, "--identity_token", sigstore_stack.token()]
    model_signing("sign", "sigstore", model, "--signature", signature, *options)
    trust = SigstoreTrust(source=sigstore_stack.trusted_root)
    verifier = SigstoreVerifier(identity="dev@example.com", issuer=sigstore_stack.issuer, trust=trust)
    assert not ours(model, signature, verifier)


# Certificates

ROOT = issue("Acme Root", ca=True, since=NOW - timedelta(days=30), until=NOW + timedelta(days=30))
MIDDLE = issue("Acme Signing", ROOT, ca=True, since=NOW - timedelta(days=30), until=NOW + timedelta(days=30))
LEAF = issue("release", MIDDLE, purposes=CODE_SIGNING, since=NOW - timedelta(days=30), until=NOW + timedelta(days=30))


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, Path]:
    key, leaf = LEAF.write(tmp_path, "leaf")
    _, middle = MIDDLE.write(tmp_path, "middle")
    _, root = ROOT.write(tmp_path, "root")
    return {"key": key, "leaf": leaf, "middle": middle, "root": root}


def test_they_read_our_certificate_signature(model: Path, certificates: dict[str, Path]) -> None:
    signer = CertificateSigner.load(certificates["key"], None, certificates["leaf"], chain=[certificates["middle"]])
    signature = sign(model, signer=signer).signature
    options: list[str | Path] = ["--signature", signature, "--certificate_chain", certificates["root"]]
    assert model_signing("verify", "certificate", model, *options).returncode == 0
    write_model(model, {"a.txt": b"evil"})
    assert model_signing("verify", "certificate", model, *options, check=False).returncode == 1


def test_we_read_their_certificate_signature(model: Path, certificates: dict[str, Path]) -> None:
    signature = model / "model.sig"
    options: list[str | Path] = ["--private_key", certificates["key"], "--signing_certificate", certificates["leaf"]]
    options += ["--certificate_chain", certificates["middle"], "--signature", signature]
    model_signing("sign", "certificate", model, *options)
    verifier = CertificateVerifier(
        roots=load_roots([certificates["root"]]), accepts=Pin(subject="release"), expected="release"
    )
    assert not ours(model, signature, verifier)
    write_model(model, {"a.txt": b"evil"})
    assert ours(model, signature, verifier).changed == ("a.txt",)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_larger_curves_go_both_ways(model: Path, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    private, public = tmp_path / "k.key", tmp_path / "k.pub"
    private.write_bytes(private_pem(key, None))
    public.write_bytes(public_pem(key.public_key()))
    assert theirs(model, public, sign(model, key=private).signature) == 0
    signature = model / "model.sig"
    model_signing("sign", "key", model, "--private_key", private, "--signature", signature)
    assert not ours(model, signature, KeyVerifier.load(public))


def test_sigstore_python_reads_our_keyless_signature(
    model: Path, sigstore_stack: "SigstoreStack", trust_config: Path
) -> None:
    from sigstore.models import Bundle as TheirBundle
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier as TheirVerifier
    from sigstore.verify import policy

    trust = SigstoreTrust(source=trust_config)
    signed = sign(model, signer=SigstoreSigner(token=sigstore_stack.token(), trust=trust))
    verifier = TheirVerifier(trusted_root=TrustedRoot.from_file(str(sigstore_stack.trusted_root)))
    identity = policy.Identity(identity="dev@example.com", issuer=sigstore_stack.issuer)
    kind, payload = verifier.verify_dsse(TheirBundle.from_json(signed.signature.read_bytes()), identity)
    assert (kind, payload) == ("application/vnd.in-toto+json", signed.bundle.envelope.payload)


def test_javascript_reads_our_keyless_signature(model: Path, sigstore_stack: "SigstoreStack") -> None:
    trust = SigstoreTrust(source=sigstore_stack.trust_config)
    signed = sign(model, signer=SigstoreSigner(token=sigstore_stack.token(), trust=trust))
    root, issuer = sigstore_stack.trusted_root, sigstore_stack.issuer
    assert verify_with_node(root, signed.signature, "dev@example.com", issuer) == ""
    assert verify_with_node(root, signed.signature, "boss@example.com", issuer)
