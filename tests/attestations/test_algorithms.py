import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from attestations import algorithms
from attestations.algorithms import PrivateKey
from attestations.errors import SignatureInvalid, SigningError, Unsupported

KEYS: dict[str, PrivateKey] = {
    "ECDSA P-256": ec.generate_private_key(ec.SECP256R1()),
    "ECDSA P-384": ec.generate_private_key(ec.SECP384R1()),
    "ECDSA P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA-PSS 2048": rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("name", KEYS)
def test_what_is_signed_verifies(name: str) -> None:
    key = KEYS[name]
    algorithms.verify(key.public_key(), algorithms.sign(key, b"data"), b"data")
    assert algorithms.describe(key) == algorithms.describe(key.public_key()) == name


@pytest.mark.parametrize("name", KEYS)
def test_other_data_does_not(name: str) -> None:
    key = KEYS[name]
    with pytest.raises(SignatureInvalid, match="does not hold"):
        algorithms.verify(key.public_key(), algorithms.sign(key, b"data"), b"date")


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("signature", [b"", b"\x30", b"\x30\x06\x02\x01\x00\x02\x01\x00", bytes(64), bytes(256)])
def test_what_is_no_signature_does_not(name: str, signature: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        algorithms.verify(KEYS[name].public_key(), signature, b"data")


@pytest.mark.parametrize("name", [name for name in KEYS if name.startswith("ECDSA")])
def test_bare_numbers_are_read_as_a_signature(name: str) -> None:
    key = KEYS[name]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    width = (key.key_size + 7) // 8
    r, s = decode_dss_signature(algorithms.sign(key, b"data"))
    bare = r.to_bytes(width) + s.to_bytes(width)
    algorithms.verify(key.public_key(), bare, b"data")
    with pytest.raises(SignatureInvalid):
        algorithms.verify(key.public_key(), bare, b"date")


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 1024),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ],
)
def test_other_kinds_of_keys_neither_sign_nor_verify(key: PrivateKey) -> None:
    with pytest.raises(SigningError, match="cannot be used"):
        algorithms.sign(key, b"data")
    with pytest.raises(Unsupported, match="cannot be judged"):
        algorithms.verify(key.public_key(), b"", b"data")
