import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from attestations import algorithms
from attestations.algorithms import PrivateKey
from attestations.bundle import Bundle
from attestations.errors import IdentityMismatch, SignatureInvalid, SigningError
from attestations.signers.key import KeySigner, KeyVerifier
from attestations.statement import Statement
from attestations.verify import verify_bundle
from tests.builders.signatures import altered, key, oms_payload, resource, sealed, verifier, write_key
from tests.vectors import VECTORS, needs_vectors

STATEMENT = Statement.parse(oms_payload([resource("w")]))
BUNDLE = sealed(STATEMENT.payload)
PUBLIC = key().public_key()


@pytest.mark.parametrize(
    "private",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 3072),
    ],
    ids=algorithms.describe,
)
def test_what_is_signed_verifies(private: PrivateKey) -> None:
    bundle = KeySigner(key=private).sign(STATEMENT)
    proven = verify_bundle(Bundle.parse(bundle.to_json()), [KeyVerifier(key=private.public_key(), name="me")])
    assert (proven.statement, proven.signed_by.name) == (STATEMENT, "me")


def test_hint_is_the_one_that_model_signing_computes() -> None:
    assert BUNDLE.key_hint == hashlib.sha256(algorithms.public_pem(PUBLIC)).hexdigest()


def test_key_pair_on_disk_signs_and_verifies(tmp_path: Path) -> None:
    private, public = write_key(tmp_path, passphrase=b"open sesame")
    bundle = KeySigner.load(private, b"open sesame").sign(STATEMENT)
    assert verify_bundle(bundle, [KeyVerifier.load(public)]).signed_by.name == "release.pub"


def test_missing_key_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match=r"none\.key: the key cannot be read"):
        KeySigner.load(tmp_path / "none.key", None)


DER = algorithms.public_der(PUBLIC)
PEM = algorithms.public_pem(PUBLIC)


@pytest.mark.parametrize(
    "material",
    [
        {},
        {"hint": ""},
        {"hint": None},
        {"hint": "my release key"},
        {"hint": hashlib.sha256(DER).hexdigest()},
        {"hint": base64.b64encode(hashlib.sha256(DER).digest()).decode()},
        {"rawBytes": base64.b64encode(DER).decode()},
        {"rawBytes": base64.b64encode(PEM).decode(), "keyDetails": "PKIX_ECDSA_P256_SHA_256"},
    ],
)
def test_every_way_to_name_the_key_is_read(material: dict[str, Any]) -> None:
    bundle = Bundle.parse(altered(BUNDLE, **{"verificationMaterial.publicKey": material}))
    assert verify_bundle(bundle, [verifier()]).signed_by.name == "release"


@pytest.mark.parametrize("material", [{"hint": "00" * 32}, {"rawBytes": base64.b64encode(b"other").decode()}])
def test_bundle_that_names_another_key_is_not_trusted(material: dict[str, Any]) -> None:
    bundle = Bundle.parse(altered(BUNDLE, **{"verificationMaterial.publicKey": material}))
    with pytest.raises(IdentityMismatch, match="another key than release"):
        verify_bundle(bundle, [verifier()])


def test_key_in_the_bundle_is_no_reason_to_trust_it() -> None:
    own = {"rawBytes": base64.b64encode(algorithms.public_der(key("stranger").public_key())).decode()}
    theirs = sealed(STATEMENT.payload, name="stranger")
    bundle = Bundle.parse(altered(theirs, **{"verificationMaterial.publicKey": own}))
    with pytest.raises(IdentityMismatch):
        verify_bundle(bundle, [verifier()])


@pytest.mark.parametrize(
    "stranger",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=algorithms.describe,
)
def test_key_of_another_kind_is_another_key(stranger: PrivateKey) -> None:
    reader = KeyVerifier(key=stranger.public_key(), name="theirs")
    with pytest.raises(IdentityMismatch, match="another key than theirs"):
        verify_bundle(BUNDLE, [reader])
    unnamed = Bundle.parse(altered(BUNDLE, **{"verificationMaterial.publicKey": {}}))
    with pytest.raises(SignatureInvalid, match="changed, or another key made it"):
        verify_bundle(unnamed, [reader])
    assert verify_bundle(unnamed, [reader, verifier()]).signed_by.name == "release"


def test_wrong_key_without_a_hint_says_what_it_may_be() -> None:
    bundle = Bundle.parse(altered(sealed(STATEMENT.payload, name="x"), **{"verificationMaterial.publicKey": {}}))
    with pytest.raises(SignatureInvalid, match="changed, or another key made it"):
        verify_bundle(bundle, [verifier()])


@pytest.mark.parametrize("bit", range(0, 8 * len(STATEMENT.payload), 101))
def test_one_flipped_bit_of_the_payload_is_noticed(bit: int) -> None:
    payload = bytearray(STATEMENT.payload)
    payload[bit // 8] ^= 1 << bit % 8
    bundle = Bundle.parse(altered(BUNDLE, **{"dsseEnvelope.payload": base64.b64encode(payload).decode()}))
    with pytest.raises(SignatureInvalid):
        verify_bundle(bundle, [verifier()])


@needs_vectors
@pytest.mark.parametrize("version", ["v0.3.1", "v1.0.0", "v1.0.1", "v1.1.0"])
def test_signatures_of_model_signing_releases_verify(version: str) -> None:
    samples = VECTORS / "oms" / "model-transparency"
    trusted = KeyVerifier.load(samples / "keys" / "certificate" / "signing-key-pub.pem")
    bundle = Bundle.parse((samples / f"{version}-elliptic-key" / "model.sig").read_bytes())
    assert verify_bundle(bundle, [trusted]).signed_by.name == "signing-key-pub.pem"
