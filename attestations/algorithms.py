"""Signature algorithms by kind of key: one fixed choice per kind, so that a signature cannot choose a weaker one.

OMS v1.0 section 4.2: ECDSA on P-256, P-384, P-521 with the SHA-2 of the same strength. Ed25519 and RSA-PSS are read and
written too; model-signing 1.1.1 reads neither. Signatures come as DER, and from some services as the bare two numbers
(IEEE P1363), whose length says so.
"""

from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from attestations.digest import sha256_of
from attestations.errors import SignatureInvalid, SigningError, Unsupported

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

MIN_RSA_BITS = 2048

_P = 2**255 - 19
# The y coordinates of Ed25519's points of order 8 and less, with two that are not in canonical form. A "key" of these
# needs no private half: signatures hold for any text (RFC 8032 section 8.4 leaves them to whoever takes in keys).
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _P - 1,
        _P,
        _P + 1,
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
    }
)

_Hash: TypeAlias = hashes.SHA256 | hashes.SHA384 | hashes.SHA512

_CURVE_HASHES: dict[str, type[_Hash]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}


def problem(key: object) -> str | None:
    """Return why a key cannot be used, None for one that can."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        if key.curve.name in _CURVE_HASHES:
            return None
        return f"its curve is {key.curve.name}, not P-256, P-384 or P-521"
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return None if key.key_size >= MIN_RSA_BITS else f"RSA with {key.key_size} bits is too weak"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ed25519.Ed25519PublicKey):
        # The highest bit is the sign of x.
        y = int.from_bytes(key.public_bytes_raw(), "little") & (2**255 - 1)
        return "anybody can sign with it (a point of small order)" if y in _SMALL_ORDER else None
    return "it is neither ECDSA, Ed25519 nor RSA"


def describe(key: PrivateKey | PublicKey) -> str:
    """Return the name of a key's algorithm: ``ECDSA P-256``."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return f"ECDSA P-{key.curve.key_size}"
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return f"RSA-PSS {key.key_size}"
    return "Ed25519"


def sign(key: PrivateKey, data: bytes) -> bytes:
    """Return a signature over ``data``; ECDSA as DER.

    Raises:
        SigningError: the key is of no kind that readers verify.
    """
    wrong = problem(key)
    if wrong:
        raise SigningError(f"the key cannot be used to sign: {wrong}")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(_CURVE_HASHES[key.curve.name]()))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, _pss(padding.PSS.DIGEST_LENGTH), hashes.SHA256())
    return key.sign(data)


def verify(key: PublicKey, signature: bytes, data: bytes, *, always_sha256: bool = False) -> None:
    """Return when ``signature`` over ``data`` was made with the private half of ``key``.

    Args:
        key: the public key.
        signature: DER, or the bare two numbers of ECDSA.
        data: what was signed.
        always_sha256: expect SHA-256 whatever the curve, as model-signing v0.2.0 did.

    Raises:
        SignatureInvalid: it was not.
        Unsupported: the key is of no kind that this program verifies.
    """
    wrong = problem(key)
    if wrong:
        raise Unsupported(f"the signing key cannot be judged: {wrong}")
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            _verify_ecdsa(key, signature, data, hashes.SHA256 if always_sha256 else _CURVE_HASHES[key.curve.name])
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, _pss(padding.PSS.AUTO), hashes.SHA256())
        else:
            key.verify(signature, data)
    except InvalidSignature as error:
        raise SignatureInvalid("the signature does not hold for the signed statement") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureInvalid(f"the signature cannot be read: {error}") from error


def _verify_ecdsa(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes, hash_: type[_Hash]) -> None:
    algorithm = ec.ECDSA(hash_())
    width = (key.curve.key_size + 7) // 8
    try:
        key.verify(signature, data, algorithm)
    except InvalidSignature:
        if len(signature) != 2 * width:
            raise
        # Bare r and s. A DER signature of just this length is possible but has been tried above.
        numbers = int.from_bytes(signature[:width]), int.from_bytes(signature[width:])
        key.verify(encode_dss_signature(*numbers), data, algorithm)


def _pss(salt: object) -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)  # type: ignore[arg-type]  # private types


def public_pem(key: PublicKey) -> bytes:
    """Return a public key as PEM (SubjectPublicKeyInfo)."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_der(key: PublicKey) -> bytes:
    """Return a public key as DER (SubjectPublicKeyInfo)."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_hint(key: PublicKey) -> str:
    """Return the hint that model-signing writes: SHA-256 of the PEM text, not of the DER."""
    return sha256_of(public_pem(key)).hex
