import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from attestations import algorithms
from attestations.algorithms import PrivateKey
from attestations.errors import SigningError
from attestations.key_files import generate, is_encrypted, load_private, load_public, private_pem, read_key_file

PASSPHRASE = b"correct horse"
KEY = generate()
ENCRYPTED = private_pem(KEY, PASSPHRASE)
PUBLIC = algorithms.public_pem(KEY.public_key())


def number(key: PrivateKey) -> int:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value


def test_encrypted_key_is_read_back() -> None:
    assert number(load_private(ENCRYPTED, PASSPHRASE, "k")) == number(KEY)


def test_key_without_passphrase_is_read_back() -> None:
    assert number(load_private(private_pem(KEY, None), None, "k")) == number(KEY)


def test_passphrase_for_a_key_without_one_does_no_harm() -> None:
    assert number(load_private(private_pem(KEY, None), b"whatever", "k")) == number(KEY)


def test_encrypted_key_says_so_and_hides_the_key() -> None:
    assert is_encrypted(ENCRYPTED)
    assert not is_encrypted(private_pem(KEY, None))


def test_same_key_is_never_encrypted_to_the_same_bytes() -> None:
    assert private_pem(KEY, PASSPHRASE) != ENCRYPTED


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
@pytest.mark.parametrize("key", [KEY, ed25519.Ed25519PrivateKey.generate()])
def test_openssl_reads_the_encrypted_key_and_sees_scrypt(key: PrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "k.pem"
    path.write_bytes(private_pem(key, PASSPHRASE))
    command = ["openssl", "pkey", "-in", str(path), "-passin", "pass:correct horse", "-pubout"]
    read = subprocess.run(command, capture_output=True, check=True)
    assert read.stdout == algorithms.public_pem(key.public_key())
    shown = subprocess.run(["openssl", "asn1parse", "-in", path], capture_output=True, check=True).stdout
    assert b":scrypt" in shown
    assert b":aes-256-cbc" in shown


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_encrypted_key_of_openssl_is_read(tmp_path: Path) -> None:
    plain = tmp_path / "plain.pem"
    plain.write_bytes(private_pem(KEY, None))
    command = ["openssl", "pkcs8", "-topk8", "-scrypt", "-in", str(plain), "-passout", "pass:correct horse"]
    encrypted = subprocess.run(command, capture_output=True, check=True).stdout
    assert number(load_private(encrypted, PASSPHRASE, "k")) == number(KEY)


@pytest.mark.parametrize(
    ("pem", "passphrase", "problem"),
    [
        (ENCRYPTED, None, "needs its passphrase"),
        (ENCRYPTED, b"", "needs its passphrase"),
        (ENCRYPTED, b"wrong", "is the passphrase right"),
        (PUBLIC, None, "this is a public key"),
        (b"", None, "not a private key"),
        (b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", None, "not a private key"),
        (private_pem(ec.generate_private_key(ec.SECP256K1()), None), None, "secp256k1"),
    ],
)
def test_what_is_no_private_key_is_refused(pem: bytes, passphrase: bytes | None, problem: str) -> None:
    with pytest.raises(SigningError, match=problem):
        load_private(pem, passphrase, "release.key")


def test_wrong_kind_of_public_key_is_refused() -> None:
    pem = (
        x25519.X25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(SigningError, match="neither ECDSA, Ed25519 nor RSA"):
        load_public(pem, "k")


def test_private_key_is_not_taken_for_a_public_one() -> None:
    with pytest.raises(SigningError, match="this is a private key"):
        load_public(private_pem(KEY, None), "k")


def test_every_truncation_of_a_key_is_refused() -> None:
    for end in range(0, len(ENCRYPTED) - 2, 13):
        with pytest.raises(SigningError):
            load_private(ENCRYPTED[:end], PASSPHRASE, "k")


def test_missing_and_huge_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="cannot be read"):
        read_key_file(tmp_path / "none")
    (tmp_path / "huge").write_bytes(bytes(65 * 1024))
    with pytest.raises(SigningError, match="larger than"):
        read_key_file(tmp_path / "huge")
