"""sigstore-python's own client signs against the local stack and verifies what it got."""

import base64
import json
import shutil
import ssl
import subprocess
import urllib.request
import webbrowser
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore import oidc
from sigstore._internal.fulcio.client import FulcioClientError
from sigstore._internal.rekor import RekorClientError
from sigstore.errors import VerificationError
from sigstore.models import ClientTrustConfig
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from tests.sigstore_stack import client, rekor, tsa
from tests.sigstore_stack.oidc import GITHUB
from tests.sigstore_stack.stack import Fault, SigstoreStack

MESSAGE = b"weights"

# sigstore 4.5.1 shuts the server of the browser flow down without closing its socket.
unclosed_redirect_server = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def test_artifact(sigstore_stack: SigstoreStack) -> None:
    bundle = client.sign_artifact(sigstore_stack, MESSAGE)
    client.verifier(sigstore_stack).verify_artifact(MESSAGE, bundle, client.developer(sigstore_stack))


def test_statement(sigstore_stack: SigstoreStack) -> None:
    bundle = client.sign_statement(sigstore_stack)
    payload_type, payload = client.verifier(sigstore_stack).verify_dsse(bundle, client.developer(sigstore_stack))
    assert payload_type == "application/vnd.in-toto+json"
    assert json.loads(payload)["predicate"] == client.PREDICATE


def test_each_of_many_entries_has_a_valid_proof(sigstore_stack: SigstoreStack) -> None:
    bundles = [client.sign_artifact(sigstore_stack, MESSAGE) for _ in range(9)]
    for bundle in bundles:
        client.verifier(sigstore_stack).verify_artifact(MESSAGE, bundle, client.developer(sigstore_stack))


@pytest.mark.parametrize("timestamps", [False, True])
def test_the_older_log(sigstore_stack: SigstoreStack, timestamps: bool) -> None:
    config = sigstore_stack.trust_config_document(rekor=1, timestamps=timestamps)
    bundles = [client.sign_artifact(sigstore_stack, MESSAGE, config=config) for _ in range(5)]
    for bundle in bundles:
        client.verifier(sigstore_stack).verify_artifact(MESSAGE, bundle, client.developer(sigstore_stack))
    statement = client.sign_statement(sigstore_stack, config=config)
    client.verifier(sigstore_stack).verify_dsse(statement, client.developer(sigstore_stack))


def test_workflow_identity_and_claims(sigstore_stack: SigstoreStack) -> None:
    workflow = "https://github.com/example/model/.github/workflows/release.yml@refs/heads/main"
    token = sigstore_stack.token(
        workflow,
        issuer="https://token.actions.githubusercontent.com",
        repository="example/model",
        ref="refs/heads/main",
        event_name="push",
        repository_owner_id="42",
        repository_url="https://github.com/example/model",
    )
    bundle = client.sign_artifact(sigstore_stack, MESSAGE, token)
    expected = policy.AllOf(
        [
            policy.Identity(identity=workflow, issuer="https://token.actions.githubusercontent.com"),
            policy.GitHubWorkflowRepository("example/model"),
            policy.GitHubWorkflowRef("refs/heads/main"),
            policy.OIDCIssuerV2("https://token.actions.githubusercontent.com"),
            policy.OIDCSourceRepositoryURI("https://github.com/example/model"),
            policy.OIDCSourceRepositoryOwnerIdentifier("42"),
            policy.OIDCBuildTrigger("push"),
        ]
    )
    client.verifier(sigstore_stack).verify_artifact(MESSAGE, bundle, expected)


@unclosed_redirect_server
def test_browser_flow(sigstore_stack: SigstoreStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", client.visit)
    token = oidc.Issuer(sigstore_stack.issuer).identity_token()
    assert (token.identity, token.issuer) == ("dev@example.com", sigstore_stack.issuer)
    bundle = client.sign_artifact(sigstore_stack, MESSAGE, str(token))
    client.verifier(sigstore_stack).verify_artifact(MESSAGE, bundle, client.developer(sigstore_stack))


@unclosed_redirect_server
def test_browser_flow_denied(sigstore_stack: SigstoreStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", client.visit)
    issuer = oidc.Issuer(sigstore_stack.issuer)
    with sigstore_stack.fault(Fault.OIDC_DENIES), pytest.raises(oidc.IdentityError, match="access_denied"):
        issuer.identity_token()


@unclosed_redirect_server
def test_out_of_band_flow(
    sigstore_stack: SigstoreStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def type_code(_prompt: str) -> str:
        link = capsys.readouterr().err.split()[-1]
        with urllib.request.urlopen(link) as answer:
            return str(answer.read().decode())

    monkeypatch.setattr("builtins.input", type_code)
    token = oidc.Issuer(sigstore_stack.issuer).identity_token(force_oob=True)
    assert token.identity == "dev@example.com"


def test_ambient_github_credential(sigstore_stack: SigstoreStack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sigstore_stack.oidc.github_environment("https://github.com/a/b/w.yml@main").items():
        monkeypatch.setenv(name, value)
    credential = oidc.detect_credential()
    assert credential is not None
    assert oidc.IdentityToken(credential).identity == "repo:a/b:ref:main"
    bundle = client.sign_artifact(sigstore_stack, MESSAGE, credential)
    expected = policy.Identity(identity="https://github.com/a/b/w.yml@main", issuer=GITHUB)
    client.verifier(sigstore_stack).verify_artifact(MESSAGE, bundle, expected)


def test_trust_config_names_the_stack(sigstore_stack: SigstoreStack) -> None:
    config = ClientTrustConfig.from_json(sigstore_stack.trust_config.read_text())
    assert config.signing_config.get_oidc_url() == sigstore_stack.issuer
    SigningContext.from_trust_config(config)
    Verifier(trusted_root=config.trusted_root)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.FULCIO_UNAVAILABLE, FulcioClientError),
        (Fault.FULCIO_SHORT_CHAIN, FulcioClientError),
        (Fault.SCT_BY_STRANGER, VerificationError),
        (Fault.REKOR_UNAVAILABLE, RekorClientError),
        (Fault.REKOR_MALFORMED, ValueError),
    ],
)
def test_a_faulty_service_stops_the_signer(sigstore_stack: SigstoreStack, fault: Fault, error: type[Exception]) -> None:
    with sigstore_stack.fault(fault), pytest.raises(error):
        client.sign_artifact(sigstore_stack, MESSAGE)
    client.sign_artifact(sigstore_stack, MESSAGE)


def test_log_refuses_a_signature_over_another_digest(sigstore_stack: SigstoreStack) -> None:
    entry = client.bundle_document(client.sign_artifact(sigstore_stack, MESSAGE))["verificationMaterial"]["tlogEntries"]
    record = json.loads(base64.b64decode(entry[0]["canonicalizedBody"]))["spec"]["hashedRekordV002"]
    request = {"digest": record["data"]["digest"], "signature": record["signature"]}
    url = f"{sigstore_stack.rekor.url}/api/v2/log/entries"
    assert client.post(url, json.dumps({"hashedRekordRequestV002": request}).encode())[0] == 201
    request["digest"] = base64.b64encode(bytes(32)).decode()
    assert client.post(url, json.dumps({"hashedRekordRequestV002": request}).encode())[0] == 400


def test_older_log_refuses_a_signature_over_another_statement(sigstore_stack: SigstoreStack) -> None:
    config = sigstore_stack.trust_config_document(rekor=1)
    document = client.bundle_document(client.sign_statement(sigstore_stack, config=config))
    envelope = document["dsseEnvelope"]
    pem = ssl.DER_cert_to_PEM_cert(base64.b64decode(document["verificationMaterial"]["certificate"]["rawBytes"]))

    def ask() -> int:
        verifier = base64.b64encode(pem.encode()).decode()
        spec = {"proposedContent": {"envelope": json.dumps(envelope), "verifiers": [verifier]}}
        entry = json.dumps({"kind": "dsse", "apiVersion": "0.0.1", "spec": spec}).encode()
        return client.post(f"{sigstore_stack.rekor_v1.url}/api/v1/log/entries", entry)[0]

    assert ask() == 201
    assert ask() == 409
    envelope["payload"] = base64.b64encode(b"{}").decode()
    assert ask() == 400


def test_log_tiles_add_up_to_the_checkpoint(sigstore_stack: SigstoreStack) -> None:
    client.sign_artifact(sigstore_stack, MESSAGE)
    base = f"{sigstore_stack.rekor.url}/api/v2"
    origin, size, root, *_ = client.get(f"{base}/checkpoint").decode().split("\n")
    hashes = client.get(f"{base}/tile/0/000.p/{size}")
    leaves = [hashes[start : start + 32] for start in range(0, len(hashes), 32)]
    assert origin == sigstore_stack.rekor.origin
    assert base64.b64encode(rekor.tree_hash(leaves)).decode() == root


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, the independent judge, is not installed")
def test_openssl_accepts_the_timestamp(sigstore_stack: SigstoreStack, tmp_path: Path) -> None:
    def openssl(*arguments: str) -> str:
        done = subprocess.run(["openssl", "ts", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    (tmp_path / "data").write_bytes(MESSAGE)
    openssl("-query", "-data", "data", "-sha256", "-cert", "-out", "query")
    status, answer = client.post(sigstore_stack.tsa.url + tsa.PATH, (tmp_path / "query").read_bytes())
    assert status == 201
    (tmp_path / "answer").write_bytes(answer)
    (tmp_path / "root.pem").write_bytes(sigstore_stack.tsa.root.certificate.public_bytes(Encoding.PEM))
    assert "Verification: OK" in openssl("-verify", "-queryfile", "query", "-in", "answer", "-CAfile", "root.pem")


def test_a_malformed_timestamp_query_is_refused(sigstore_stack: SigstoreStack) -> None:
    assert client.post(sigstore_stack.tsa.url + tsa.PATH, b"\x30\x05ab")[0] == 400
