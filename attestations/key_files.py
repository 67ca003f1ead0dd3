"""Key files: PEM in and out, private keys encrypted with scrypt.

cryptography writes encrypted PKCS#8 with PBKDF2 and 2048 rounds only, which a graphics card makes short work of. So the
outer structure (RFC 5958 EncryptedPrivateKeyInfo, RFC 8018 PBES2, RFC 7914 scrypt) is written here; OpenSSL and
cryptography read it.
"""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from attestations.algorithms import PrivateKey, PublicKey, problem
from attestations.envelope import encode
from attestations.errors import SigningError
from attestations.named_files import is_pipe, open_named, read_whole

MAX_BYTES = 64 * 1024
_MAX_PREAMBLE = 100
"""lines of text that other programs write above a key"""
_MAX_LINE = 1024

# 128 * N * r bytes are 16 MiB: OpenSSL refuses more than 32. With p = 5 this is one of OWASP's equivalent choices.
_N, _R, _P = 1 << 14, 8, 5

_OID_PBES2 = bytes.fromhex("2a864886f70d01050d")
_OID_SCRYPT = bytes.fromhex("2b06010401da47040b")
_OID_AES_256_CBC = bytes.fromhex("60864801650304012a")
_SEQUENCE, _INTEGER, _OCTET_STRING, _OID = 0x30, 0x02, 0x04, 0x06


def generate() -> ec.EllipticCurvePrivateKey:
    """Return a new ECDSA P-256 key, which every reader of model signatures verifies."""
    return ec.generate_private_key(ec.SECP256R1())


def read_key_file(path: Path, *, what: str = "key", limit: int = MAX_BYTES) -> bytes:
    """Return the content of a key file, or of another one of up to ``limit`` bytes, which messages call ``what``.

    Raises:
        SigningError: it cannot be read, or is too large to be a key.
    """
    try:
        return read_whole(path, limit)
    except OSError as error:
        raise SigningError(f"{path}: the {what} cannot be read: {error.strerror}") from error


def read_label(path: Path) -> str:
    """Return what a PEM file says it holds: ``ENCRYPTED PRIVATE KEY``. Nothing behind that line is read.

    Raises:
        SigningError: it cannot be read, or is no PEM file.
    """
    try:
        # Without a buffer, so that a private key does not come into memory with its label.
        with open(open_named(path), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
            if is_pipe(file.fileno()):
                raise SigningError(f"{path}: a pipe, which can be read only once; write the key to a file")
            for _ in range(_MAX_PREAMBLE):
                line = file.readline(_MAX_LINE).strip()
                if line.startswith(b"-----BEGIN ") and line.endswith(b"-----"):
                    return line[11:-5].decode("ascii", "replace")
    except OSError as error:
        raise SigningError(f"{path}: the key cannot be read: {error.strerror}") from error
    raise SigningError(f"{path}: not a private key in PEM form")


def is_encrypted(pem: bytes) -> bool:
    """Return whether a PEM private key needs a passphrase."""
    return b"ENCRYPTED" in pem


def load_private(pem: bytes, passphrase: bytes | None, name: str) -> PrivateKey:
    """Return the private key in ``pem``; ``name`` is what errors call it.

    Raises:
        SigningError: not a private key, a wrong or missing passphrase, or a kind that cannot sign models.
    """
    if is_encrypted(pem) and not passphrase:
        raise SigningError(f"{name}: the key is encrypted and needs its passphrase")
    try:
        key = serialization.load_pem_private_key(pem, passphrase if is_encrypted(pem) else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if is_encrypted(pem):
            raise SigningError(f"{name}: the key cannot be decrypted: is the passphrase right?") from error
        if b"PUBLIC KEY" in pem:
            raise SigningError(f"{name}: this is a public key; signing needs the private one") from error
        raise SigningError(f"{name}: not a private key in PEM form") from error
    wrong = problem(key)
    if wrong:
        raise SigningError(f"{name}: the key cannot be used: {wrong}")
    assert isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey)
    return key


def load_public(pem: bytes, name: str) -> PublicKey:
    """Return the public key in ``pem``; ``name`` is what errors call it.

    Raises:
        SigningError: not a public key, or of a kind that cannot be judged.
    """
    if b"PRIVATE KEY" in pem:
        raise SigningError(f"{name}: this is a private key; verifying needs the public one, and only that")
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if b"BEGIN CERTIFICATE" in pem:
            raise SigningError(f"{name}: this is a certificate, not a bare public key") from error
        raise SigningError(f"{name}: not a public key in PEM form") from error
    wrong = problem(key)
    if wrong:
        raise SigningError(f"{name}: the key cannot be used: {wrong}")
    assert isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey)
    return key


def private_pem(key: PrivateKey, passphrase: bytes | None) -> bytes:
    """Return a private key as PKCS#8 PEM, encrypted with scrypt and AES-256 when there is a passphrase."""
    encryption = serialization.NoEncryption()
    if not passphrase:
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    plain = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, encryption)
    return _pem("ENCRYPTED PRIVATE KEY", _encrypt(plain, passphrase))


def _encrypt(plain: bytes, passphrase: bytes) -> bytes:
    salt, vector = os.urandom(16), os.urandom(16)
    key = Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(passphrase)
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    encrypted = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    derivation = _tlv(
        _SEQUENCE,
        _tlv(_OID, _OID_SCRYPT),
        _tlv(_SEQUENCE, _tlv(_OCTET_STRING, salt), _integer(_N), _integer(_R), _integer(_P), _integer(32)),
    )
    cipher = _tlv(_SEQUENCE, _tlv(_OID, _OID_AES_256_CBC), _tlv(_OCTET_STRING, vector))
    scheme = _tlv(_SEQUENCE, _tlv(_OID, _OID_PBES2), _tlv(_SEQUENCE, derivation, cipher))
    return _tlv(_SEQUENCE, scheme, _tlv(_OCTET_STRING, encrypted))


def _tlv(tag: int, *contents: bytes) -> bytes:
    """Return a DER element: tag, length, contents."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    width = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | width)) + length.to_bytes(width) + content


def _integer(value: int) -> bytes:
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def _pem(label: str, der: bytes) -> bytes:
    text = encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode("ascii")
