"""Key services, through securesystemslib's real signers and stand-ins for the vendors' clients that sign alike."""

import base64
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature

from attestations import algorithms
from attestations.errors import IdentityMismatch, SigningError
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
SINCE, UNTIL = (datetime.now(UTC) + timedelta(days=days) for days in (-30, 30))
VAULT_KEY = ed25519.Ed25519PrivateKey.generate()


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


@pytest.mark.parametrize("certified", [False, True])
def test_signer_verifies_what_it_signs(service: Service, certified: bool) -> None:
    root = issue("Acme Root", ca=True, since=SINCE, until=UNTIL)
    leaf = issue("cloud", root, key=KEYS["p256"][0], purposes=CODE_SIGNING, since=SINCE, until=UNTIL)
    chain = (leaf.certificate, root.certificate) if certified else ()
    signer = KmsSigner(uri="awskms:p256", certificates=chain)
    assert verify_bundle(signer.sign(STATEMENT), [signer.verifier()]).statement == STATEMENT
    with pytest.raises(IdentityMismatch):
        verify_bundle(KmsSigner(uri="awskms:p384").sign(STATEMENT), [signer.verifier()])


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
    with pytest.raises(SigningError, match=r"awskms:p256: .* not installed: pip install 'modelsign-suite\[kms\]'"):
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


# Google


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Google's client, with the requests to sign that it gets."""
    gcp = pytest.importorskip("securesystemslib.signer._gcp_signer", reason="comes with sigstore")
    requests: list[dict[str, Any]] = []

    class Client:
        def get_public_key(self, request: dict[str, Any]) -> SimpleNamespace:
            assert request["public_key_format"] == "PEM"
            name = request["name"].rpartition("/")[2]
            if name not in KEYS:
                raise RefusedError(f"{request['name']} not found")
            data = algorithms.public_pem(KEYS[name][0].public_key())
            return SimpleNamespace(algorithm=name, public_key=SimpleNamespace(data=data))

        def asymmetric_sign(self, request: dict[str, Any]) -> SimpleNamespace:
            requests.append(request)
            ((hash_name, digest),) = request["digest"].items()
            hash_: Any = {"sha256": hashes.SHA256, "sha384": hashes.SHA384}[hash_name]()
            key = KEYS[request["name"].rpartition("/")[2]][0]
            return SimpleNamespace(signature=key.sign(digest, ec.ECDSA(Prehashed(hash_))))

    kinds = {"p256": ("ecdsa", "ecdsa-sha2-nistp256"), "p384": ("ecdsa", "ecdsa-sha2-nistp384")}
    pem = SimpleNamespace(PublicKeyFormat=SimpleNamespace(PEM="PEM"))
    monkeypatch.setattr(gcp, "GCP_IMPORT_ERROR", None)
    monkeypatch.setattr(gcp, "KEYTYPES_AND_SCHEMES", kinds, raising=False)
    monkeypatch.setattr(gcp, "kms", SimpleNamespace(KeyManagementServiceClient=Client, PublicKey=pem), raising=False)
    monkeypatch.setitem(sys.modules, "google.api_core.exceptions", SimpleNamespace(GoogleAPIError=RefusedError))
    return requests


@pytest.mark.parametrize(("name", "length"), [("p256", 32), ("p384", 48)])
def test_google_signs_a_digest_and_the_key_verifies(google: list[dict[str, Any]], name: str, length: int) -> None:
    path = f"projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/{name}"
    bundle = KmsSigner(uri=f"gcpkms:{path}").sign(STATEMENT)
    assert verify_bundle(bundle, [KeyVerifier(key=KEYS[name][0].public_key(), name=name)]).statement == STATEMENT
    assert [(request["name"], len(*request["digest"].values())) for request in google] == [(path, length)]


@pytest.mark.usefixtures("google")
@pytest.mark.parametrize(("name", "said"), [("nothing", "nothing not found"), ("p521", "not a supported signing")])
def test_google_refusing_is_quoted(name: str, said: str) -> None:
    with pytest.raises(SigningError, match=said):
        KmsSigner(uri=f"gcpkms:projects/p/{name}").sign(STATEMENT)


# Azure


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Azure's clients, with the keys and lengths of what they were asked to sign."""
    module = pytest.importorskip("securesystemslib.signer._azure_signer", reason="comes with sigstore")
    asked: list[tuple[str, int]] = []

    class KeyClient:
        def __init__(self, *, vault_url: str, credential: object) -> None:
            assert credential is not None
            self.url = vault_url

        def get_key(self, name: str) -> SimpleNamespace:
            if name not in KEYS:
                raise RefusedError(f"(KeyNotFound) {name}")
            public = KEYS[name][0].public_key()
            identifier = f"{self.url}keys/{name}/v2"
            if not isinstance(public, ec.EllipticCurvePublicKey):
                return SimpleNamespace(key=SimpleNamespace(kty="RSA", kid=identifier))
            size, numbers = (public.key_size + 7) // 8, public.public_numbers()
            x, y = (number.to_bytes(size, "big") for number in (numbers.x, numbers.y))
            return SimpleNamespace(key=SimpleNamespace(kty="EC", crv=name, x=x, y=y, kid=identifier))

    class CryptographyClient:
        def __init__(self, key: str, *, credential: object) -> None:
            assert credential is not None
            self.key = key

        def sign(self, algorithm: str, digest: bytes) -> SimpleNamespace:
            asked.append((self.key, len(digest)))
            private = KEYS[algorithm][0]
            kinds: dict[int, Any] = {32: hashes.SHA256, 48: hashes.SHA384, 64: hashes.SHA512}
            hash_ = kinds[len(digest)]()
            size = (private.curve.key_size + 7) // 8
            numbers = decode_dss_signature(private.sign(digest, ec.ECDSA(Prehashed(hash_))))
            return SimpleNamespace(signature=b"".join(number.to_bytes(size, "big") for number in numbers))

    curves = {name: f"ecdsa-sha2-nist{name}" for name in ("p256", "p384", "p521")}
    stand_ins = {
        "AZURE_IMPORT_ERROR": None,
        "HttpResponseError": RefusedError,
        "DefaultAzureCredential": object,
        "KeyClient": KeyClient,
        "CryptographyClient": CryptographyClient,
        "KeyCurveName": SimpleNamespace(p_256="p256", p_384="p384", p_521="p521"),
        "KEYTYPES_AND_SCHEMES": {name: ("ecdsa", scheme) for name, scheme in curves.items()},
        "SIGNATURE_ALGORITHMS": {scheme: name for name, scheme in curves.items()},
        "ec": ec,
        "encode_dss_signature": encode_dss_signature,
        "Encoding": serialization.Encoding,
        "PublicFormat": serialization.PublicFormat,
    }
    for name, value in stand_ins.items():
        monkeypatch.setattr(module, name, value, raising=False)
    monkeypatch.setitem(sys.modules, "azure.core.exceptions", SimpleNamespace(AzureError=RefusedError))
    return asked


@pytest.mark.parametrize("version", ["", "/v2"])
@pytest.mark.parametrize(("name", "length"), [("p256", 32), ("p384", 48), ("p521", 64)])
def test_azure_signs_a_digest_and_the_key_verifies(
    azure: list[tuple[str, int]], name: str, length: int, version: str
) -> None:
    bundle = KmsSigner(uri=f"azurekms://acme.vault.azure.net/keys/{name}{version}").sign(STATEMENT)
    assert verify_bundle(bundle, [KeyVerifier(key=KEYS[name][0].public_key(), name=name)]).statement == STATEMENT
    assert azure == [(f"https://acme.vault.azure.net/keys/{name}/v2", length)]


@pytest.mark.usefixtures("azure")
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing", "KeyNotFound"),
        ("rsa", "Unsupported key type RSA"),
        ("p256/v1", "newest version of the key only, and that is v2"),
    ],
)
def test_azure_refusing_is_quoted(path: str, said: str) -> None:
    with pytest.raises(SigningError, match=said):
        KmsSigner(uri=f"azurekms://acme.vault.azure.net/keys/{path}").sign(STATEMENT)


@pytest.mark.parametrize(
    "uri",
    [
        "azurekms://acme.vault.azure.cn/keys/release",
        "azurekms://acme.vault.azure.net.evil.example/keys/release",
        "azurekms://vault.azure.net/keys/release",
        "azurekms://acme.vault.azure.net/keys/release/v1/x",
    ],
)
def test_azure_uri_of_another_cloud_is_refused_not_changed(uri: str) -> None:
    with pytest.raises(SigningError, match="azurekms://VAULT"):
        KmsSigner(uri=uri).sign(STATEMENT)


# Vault


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Vault's client, with the keys and versions that it was asked to sign with."""
    module = pytest.importorskip("securesystemslib.signer._vault_signer", reason="comes with sigstore")
    asked: list[tuple[str, int]] = []
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw

    class Transit:
        def read_key(self, name: str) -> dict[str, Any]:
            if name == "nothing":
                raise RefusedError("permission denied")
            text = base64.b64encode(VAULT_KEY.public_key().public_bytes(*raw)).decode()
            keys = {"2": {"public_key": ""}, "10": {"public_key": "-----BEGIN" if name == "p256" else text}}
            return {"data": {"keys": keys}}

        def sign_data(self, name: str, *, hash_input: str, key_version: int) -> dict[str, Any]:
            asked.append((name, key_version))
            if name == "sealed":
                raise RefusedError("Vault is sealed")
            signature = base64.b64encode(VAULT_KEY.sign(base64.b64decode(hash_input))).decode()
            return {"data": {"signature": f"vault:v{key_version}:{signature}"}}

    client = SimpleNamespace(secrets=SimpleNamespace(transit=Transit()))
    monkeypatch.setattr(module, "VAULT_IMPORT_ERROR", None)
    monkeypatch.setattr(module, "hvac", SimpleNamespace(Client=lambda: client), raising=False)
    monkeypatch.setattr(module, "Ed25519PublicKey", ed25519.Ed25519PublicKey, raising=False)
    monkeypatch.setitem(sys.modules, "hvac.exceptions", SimpleNamespace(VaultError=RefusedError))
    return asked


@pytest.mark.parametrize("uri", ["hv:release", "hv:release/10"])
def test_vault_signs_with_the_newest_key_and_it_verifies(vault: list[tuple[str, int]], uri: str) -> None:
    bundle = KmsSigner(uri=uri).sign(STATEMENT)
    assert verify_bundle(bundle, [KeyVerifier(key=VAULT_KEY.public_key(), name="vault")]).statement == STATEMENT
    assert vault == [("release", 10)]


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("hv:nothing", "permission denied"),
        ("hv:sealed", "did not sign: Vault is sealed"),
        ("hv:p256", "cannot be used"),
        ("hv:release/2", "newest version of the key only, and that is 10"),
    ],
)
def test_vault_refusing_is_quoted(uri: str, said: str) -> None:
    with pytest.raises(SigningError, match=said):
        KmsSigner(uri=uri).sign(STATEMENT)


@pytest.mark.parametrize(
    ("module", "flag", "uri"),
    [
        ("_gcp_signer", "GCP_IMPORT_ERROR", "gcpkms:projects/p/k"),
        ("_azure_signer", "AZURE_IMPORT_ERROR", "azurekms://acme.vault.azure.net/keys/k"),
        ("_vault_signer", "VAULT_IMPORT_ERROR", "hv:k"),
    ],
)
def test_missing_library_of_any_vendor_says_so(
    module: str, flag: str, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = pytest.importorskip(f"securesystemslib.signer.{module}", reason="comes with sigstore")
    monkeypatch.setattr(signer, flag, "needs what is not there")
    with pytest.raises(SigningError, match=r"not installed: pip install 'modelsign-suite\[kms\]'"):
        KmsSigner(uri=uri).sign(STATEMENT)
