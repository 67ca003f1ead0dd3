import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

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


@pytest.mark.parametrize("signer", KEYS)
@pytest.mark.parametrize("reader", KEYS)
def test_signature_of_one_kind_of_key_is_none_of_another(signer: str, reader: str) -> None:
    if signer == reader:
        return
    with pytest.raises(SignatureInvalid):
        algorithms.verify(KEYS[reader].public_key(), algorithms.sign(KEYS[signer], b"data"), b"data")


# All points of order 8 and less, and other spellings of them (https://eprint.iacr.org/2020/1244, table 1).
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_key_with_which_anybody_signs_is_none(point: str) -> None:
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(point))
    base_point = bytes.fromhex("58" + "66" * 31)
    # Of one such key the second of these signatures holds for every text, of the others for one in up to eight.
    for signature in (bytes(64), base_point + (1).to_bytes(32, "little")):
        for text in (b"%d" % number for number in range(64)):
            with pytest.raises(Unsupported, match="anybody can sign with it"):
                algorithms.verify(key, signature, text)


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("number", [0, 1, ORDER - 1, ORDER, ORDER + 1, (1 << 256) - 1])
def test_numbers_at_the_edges_are_no_signature(number: int, bare: bool) -> None:
    """CVE-2022-21449 took zeros for a signature over anything."""
    public = KEYS["ECDSA P-256"].public_key()
    for pair in ((number, number), (number, 1), (1, number)):
        made = b"".join(part.to_bytes(32) for part in pair) if bare else encode_dss_signature(*pair)
        with pytest.raises(SignatureInvalid):
            algorithms.verify(public, made, b"data")


def test_numbers_below_zero_and_beyond_their_bytes_are_no_signature() -> None:
    key = KEYS["ECDSA P-256"]
    good = algorithms.sign(key, b"data")
    r, s = decode_dss_signature(good)
    # As DER; the number with a byte too few is negative then, or another one.
    padded = b"\x02\x22\0\0" + r.to_bytes(32) + b"\x02\x22\0\0" + s.to_bytes(32)
    for made in (good + b"\0", b"\x30" + bytes((len(padded),)) + padded, good[:-1], encode_dss_signature(r + ORDER, s)):
        with pytest.raises(SignatureInvalid):
            algorithms.verify(key.public_key(), made, b"data")


def test_ed25519_signature_is_not_malleable() -> None:
    """S and S plus the group's order sign the same where a library does not look (RFC 8032 section 5.1.7)."""
    order = 2**252 + 27742317777372353535851937790883648493
    key = KEYS["Ed25519"]
    good = algorithms.sign(key, b"data")
    other = good[:32] + (int.from_bytes(good[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(SignatureInvalid):
        algorithms.verify(key.public_key(), other, b"data")


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
