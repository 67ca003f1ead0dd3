"""`@sigstore/verify`, the JavaScript implementation, judges bundles made against the local stack as Python does."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from attestations.signers.sigstore import SigstoreSigner, SigstoreTrust
from modelsign.signing import sign
from tests.builders.signatures import write_model
from tests.peers import peer
from tests.sigstore_stack import client
from tests.sigstore_stack.stack import SigstoreStack
from tests.vectors import VECTORS, needs_vectors

pytestmark = pytest.mark.interop

SCRIPT = Path(__file__).with_name("verify_sigstore.cjs")


def verify_with_node(trusted_root: Path, bundle: Path, identity: str, issuer: str, artifact: Path | None = None) -> str:
    """Return "" when the bundle holds, else the reason."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    arguments = [str(trusted_root), str(bundle), identity, issuer, *([str(artifact)] if artifact else [])]
    done = subprocess.run(
        [node, str(SCRIPT), *arguments],
        env=os.environ | {"NODE_PATH": str(peer("sigstore-js") / "node_modules")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode == 0) == (not done.stderr), done.stderr
    return done.stderr.strip()


@pytest.fixture
def statement(sigstore_stack: SigstoreStack, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.json"
    path.write_text(client.sign_statement(sigstore_stack).to_json())
    return path


def test_accepts_a_statement(sigstore_stack: SigstoreStack, statement: Path) -> None:
    root = sigstore_stack.trusted_root
    assert not verify_with_node(root, statement, "dev@example.com", sigstore_stack.issuer)


def test_accepts_an_artifact(sigstore_stack: SigstoreStack, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"weights")
    (tmp_path / "bundle").write_text(client.sign_artifact(sigstore_stack, b"weights").to_json())
    root = sigstore_stack.trusted_root
    identity = ("dev@example.com", sigstore_stack.issuer)
    assert not verify_with_node(root, tmp_path / "bundle", *identity, tmp_path / "weights")
    (tmp_path / "weights").write_bytes(b"others")
    assert "SIGNATURE_ERROR" in verify_with_node(root, tmp_path / "bundle", *identity, tmp_path / "weights")


def test_refuses_another_identity(sigstore_stack: SigstoreStack, statement: Path) -> None:
    root = sigstore_stack.trusted_root
    assert "UNTRUSTED_SIGNER" in verify_with_node(root, statement, "boss@example.com", sigstore_stack.issuer)


def test_refuses_another_issuer(sigstore_stack: SigstoreStack, statement: Path) -> None:
    root = sigstore_stack.trusted_root
    assert "UNTRUSTED_SIGNER" in verify_with_node(root, statement, "dev@example.com", "https://accounts.google.com")


def test_refuses_another_root(
    sigstore_stack: SigstoreStack, other_sigstore_stack: SigstoreStack, statement: Path
) -> None:
    root = other_sigstore_stack.trusted_root
    assert verify_with_node(root, statement, "dev@example.com", sigstore_stack.issuer)


def test_refuses_a_changed_statement(sigstore_stack: SigstoreStack, statement: Path) -> None:
    document = json.loads(statement.read_bytes())
    payload = base64.b64decode(document["dsseEnvelope"]["payload"]).replace(b"hello", b"jello")
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    statement.write_text(json.dumps(document))
    assert verify_with_node(sigstore_stack.trusted_root, statement, "dev@example.com", sigstore_stack.issuer)


@pytest.mark.parametrize("log", ["Rekor v1", "Rekor v2"])
def test_accepts_a_model_that_we_signed_until_it_is_changed(
    sigstore_stack: SigstoreStack, tmp_path: Path, log: str
) -> None:
    model = write_model(tmp_path / "model")
    config = sigstore_stack.trust_config_v1 if log == "Rekor v1" else sigstore_stack.trust_config
    signer = SigstoreSigner(token=sigstore_stack.token(), trust=SigstoreTrust(source=config))
    signature = sign(model, signer=signer).signature
    identity = ("dev@example.com", sigstore_stack.issuer)
    assert not verify_with_node(sigstore_stack.trusted_root, signature, *identity)
    document = json.loads(signature.read_bytes())
    payload = base64.b64decode(document["dsseEnvelope"]["payload"]).replace(b"w.bin", b"x.bin")
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    signature.write_text(json.dumps(document))
    assert verify_with_node(sigstore_stack.trusted_root, signature, *identity)


@needs_vectors
def test_accepts_the_real_staging_bundle() -> None:
    root = VECTORS / "oms" / "trusted-roots" / "sigstage.dev" / "trusted_root.json"
    bundle = VECTORS / "oms" / "sigstore-python" / "a.dsse.staging-rekor-v2.txt.sigstore.json"
    identity = (
        "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/"
        "extremely-dangerous-oidc-beacon.yml@refs/heads/main"
    )
    assert not verify_with_node(root, bundle, identity, "https://token.actions.githubusercontent.com")
