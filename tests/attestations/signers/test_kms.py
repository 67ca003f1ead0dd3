"""Key services, through securesystemslib's real client code and a stand-in for AWS that signs digests as AWS does."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from attestations.errors import SigningError
from attestations.signers.certificate import CertificateVerifier, Pin
from attestations.signers.key import KeyVerifier
from attestations.signers.kms import KmsSigner
from attestations.statement import Statement
from attestations.verify import verify_bundle
from tests.builders.certificates import CODE_SIGNING, NOW, issue
from tests.builders.signatures import oms_payload, resource

STATEMENT = Statement.parse(oms_payload([resource("w")]))
KEYS: dict[str, Any] = {
    "p256": (ec.generate_private_key(ec.SECP256R1()), ["ECDSA_SHA_256"]),
    "p384": (ec.generate_private_key(ec.SECP384R1()), ["ECDSA_SHA_384"]),
    "rsa": (rsa.generate_private_key(65537, 2048), ["RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256"]),
    "pkcs1": (rsa.generate_private_key(65537, 2048), ["RSASSA_PKCS1_V1_5_SHA_256"]),
    "p521": (ec.generate_private_key(ec.SECP521R1()), ["ECDSA_SHA_512"]),
}


class RefusedError(Exception):
    """What the stand-in raises, in the place of botocore's errors."""


class Service:
    """AWS KMS as far as a signer sees it."""

    def __init__(self) -> None:
        self.lies = False
        self.seen: list[bytes] = []

    def get_public_key(self, *, KeyId: str) -> dict[str, Any]:  # noqa: N803 - AWS's names
        if KeyId not in KEYS:
            raise RefusedError(f"Invalid keyId {KeyId}")
        key, algorithms = KEYS[KeyId]
        der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return {"PublicKey": der, "SigningAlgorithms": algorithms}

    def sign(self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, bytes]:  # noqa: N803
        assert MessageType == "DIGEST"
        self.seen.append(Message)
        digest = bytes(len(Message)) if self.lies else Message
        hash_: Any = {32: hashes.SHA256, 48: hashes.SHA384}[len(Message)]()
        key = KEYS[KeyId][0]
        if SigningAlgorithm.startswith("ECDSA"):
            return {"Signature": key.sign(digest, ec.ECDSA(Prehashed(hash_)))}
        pss = padding.PSS(mgf=padding.MGF1(hash_), salt_length=padding.PSS.DIGEST_LENGTH)
        return {"Signature": key.sign(digest, pss, Prehashed(hash_))}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    aws = pytest.importorskip("securesystemslib.signer._aws_signer", reason="comes with sigstore")
    standing_in = Service()
    monkeypatch.setattr(aws, "AWS_IMPORT_ERROR", None)
    monkeypatch.setattr(aws, "boto3", SimpleNamespace(client=lambda _: standing_in), raising=False)
    monkeypatch.setattr(aws, "serialization", serialization, raising=False)
    monkeypatch.setattr(aws, "BotoCoreError", RefusedError, raising=False)
    monkeypatch.setattr(aws, "ClientError", RefusedError, raising=False)
    errors = SimpleNamespace(BotoCoreError=RefusedError, ClientError=RefusedError)
    monkeypatch.setitem(sys.modules, "botocore.exceptions", errors)
    return standing_in


@pytest.mark.parametrize("name", ["p256", "p384", "rsa"])
def test_service_signs_and_the_key_verifies(service: Service, name: str) -> None:
    bundle = KmsSigner(uri=f"awskms:{name}").sign(STATEMENT)
    verifier = KeyVerifier(key=KEYS[name][0].public_key(), name=name)
    assert verify_bundle(bundle, [verifier]).statement == STATEMENT
    assert [len(digest) for digest in service.seen] == [48 if name == "p384" else 32]


def test_service_signs_with_a_certificate(service: Service) -> None:
    root = issue("Acme Root", ca=True)
    leaf = issue("cloud", root, key=KEYS["p256"][0], purposes=CODE_SIGNING)
    bundle = KmsSigner(uri="awskms:p256", certificates=(leaf.certificate,)).sign(STATEMENT)
    verifier = CertificateVerifier(roots=(root.certificate,), accepts=Pin(subject="cloud"), expected="", now=NOW)
    assert verify_bundle(bundle, [verifier]).signed_by.name == "cloud"
    with pytest.raises(SigningError, match="not that of the signing key"):
        KmsSigner(uri="awskms:p256", certificates=(root.certificate,)).sign(STATEMENT)


def test_signature_that_does_not_hold_is_not_published(service: Service) -> None:
    service.lies = True
    with pytest.raises(SigningError, match="does not hold"):
        KmsSigner(uri="awskms:p256").sign(STATEMENT)


def test_service_that_refuses_is_quoted(service: Service) -> None:
    with pytest.raises(SigningError, match="Invalid keyId nothing"):
        KmsSigner(uri="awskms:nothing").sign(STATEMENT)


@pytest.mark.parametrize("name", ["pkcs1", "p521"])
def test_key_that_readers_do_not_verify_is_refused(service: Service, name: str) -> None:
    with pytest.raises(SigningError, match=r"do not verify|cannot be used"):
        KmsSigner(uri=f"awskms:{name}").sign(STATEMENT)


@pytest.mark.parametrize("uri", ["", "key.pem", "file:key.pem", "gnupg:x", "awskmsx:1"])
def test_uri_of_no_service_is_refused(uri: str) -> None:
    with pytest.raises(SigningError, match="names no key service"):
        KmsSigner(uri=uri).sign(STATEMENT)


def test_missing_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = pytest.importorskip("securesystemslib.signer._aws_signer", reason="comes with sigstore")
    monkeypatch.setattr(aws, "AWS_IMPORT_ERROR", "Signing with AWS KMS requires aws-kms and cryptography.")
    with pytest.raises(SigningError, match="requires aws-kms"):
        KmsSigner(uri="awskms:p256").sign(STATEMENT)


def azure_names(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[str, ...]]:
    from securesystemslib.signer._azure_signer import AzureSigner

    asked: list[tuple[str, ...]] = []

    def remember(*names: str) -> None:
        asked.append(names)
        raise ValueError("enough")

    monkeypatch.setattr(AzureSigner, "import_", remember)

    def names(uri: str) -> tuple[str, ...]:
        with pytest.raises(SigningError):
            KmsSigner(uri=uri).sign(STATEMENT)
        return asked[-1] if asked else ()

    return names


def test_azure_uri_gives_vault_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    names = azure_names(monkeypatch)
    assert names("azurekms://acme.vault.azure.net/keys/release") == ("acme", "release")


def test_malformed_azure_uri_is_refused() -> None:
    with pytest.raises(SigningError, match="azurekms://VAULT"):
        KmsSigner(uri="azurekms://acme/secrets/x").sign(STATEMENT)
