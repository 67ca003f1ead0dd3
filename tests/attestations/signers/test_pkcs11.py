"""Tokens: a real SoftHSM where it is installed, and URIs everywhere."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from attestations import algorithms
from attestations.errors import IdentityMismatch, SigningError
from attestations.key_files import load_public
from attestations.signers.certificate import CertificateVerifier, Pin
from attestations.signers.key import KeyVerifier
from attestations.signers.pkcs11 import TokenSigner, TokenUri
from attestations.statement import Statement
from attestations.verify import verify_bundle
from tests.builders.certificates import CODE_SIGNING, NOW, PublicOnly, issue
from tests.builders.signatures import oms_payload, resource
from tests.softhsm import PIN, configuration, configure, make_keys

STATEMENT = Statement.parse(oms_payload([resource("w")]))
KINDS = {
    "p256": "EC:prime256v1",
    "p384": "EC:secp384r1",
    "p521": "EC:secp521r1",
    "rsa": "rsa:2048",
    "ed": "EC:edwards25519",
}


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("", "not a PKCS#11 URI"),
        ("http://x", "not a PKCS#11 URI"),
        ("pkcs11:", "names no key"),
        ("pkcs11:token=x", "names no key"),
        ("pkcs11:object=a;object=b", "malformed"),
        ("pkcs11:object", "malformed"),
        ("pkcs11:object=a;slot-id=0?module-path=/m.so", "not known here: slot-id"),
        ("pkcs11:object=a?module-path=/m.so&pin-value=1234", "MODELSIGN_PKCS11_PIN"),
        ("pkcs11:object=a?module-path=m.so", "whole path"),
        ("pkcs11:object=a?module-name=nothing-like-this", "in the usual places"),
        ("pkcs11:object=a?module-name=../../tmp/evil", "in the usual places"),
        ("pkcs11:object=a", "MODELSIGN_PKCS11_MODULE"),
        ("pkcs11:object=%ff?module-path=/m.so", "not UTF-8"),
    ],
)
def test_uri_that_leads_to_no_key_is_explained(uri: str, problem: str) -> None:
    with pytest.raises(SigningError, match=problem):
        TokenUri.parse(uri)


def test_uri_is_read_in_all_its_parts() -> None:
    path = "pkcs11:token=my%20token;serial=42;object=release;id=%01%02;type=private"
    assert TokenUri.parse(f"{path}?module-path=/m.so&pin-source=file:/pin") == TokenUri(
        module=Path("/m.so"), token="my token", serial="42", label="release", id=b"\1\2", pin_source=Path("/pin")
    )


def test_module_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSIGN_PKCS11_MODULE", "/m.so")
    assert TokenUri.parse("pkcs11:object=a").module == Path("/m.so")


def test_file_that_is_no_module_is_a_signing_error(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11", reason="needs the extra package python-pkcs11")
    (tmp_path / "m.so").write_bytes(b"")
    uri = TokenUri(module=tmp_path / "m.so", label="a")
    with pytest.raises(SigningError, match="not a PKCS#11 module"):
        TokenSigner(uri=uri, pin=None).sign(STATEMENT)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A SoftHSM token with one key of each kind; gives the module and a directory with the public keys."""
    directory = tmp_path_factory.mktemp("softhsm")
    module = configure(directory)
    with pytest.MonkeyPatch.context() as patch:
        # The module reads its configuration once, when it is loaded into this process.
        patch.setenv("SOFTHSM2_CONF", str(configuration(directory)))
        make_keys(run, module, KINDS)
        yield module, directory


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def signer(token: tuple[str, Path], label: str, *, pin: str | None = PIN, **options: object) -> TokenSigner:
    uri = TokenUri.parse(f"pkcs11:token=lab;object={label}?module-path={token[0]}")
    return TokenSigner(uri=uri, pin=pin, **options)  # type: ignore[arg-type]  # options pass through


def public_key(token: tuple[str, Path], label: str) -> algorithms.PublicKey:
    """Read a public key from the token with OpenSC, not with the code under test."""
    der = token[1] / f"{label}.der"
    options = ["--read-object", "--type", "pubkey", "--label", label, "--output-file", str(der)]
    run("pkcs11-tool", "--module", token[0], "--token-label", "lab", *options)
    pem = subprocess.run(
        ["openssl", "pkey", "-pubin", "-inform", "DER", "-in", der], capture_output=True, check=True
    ).stdout
    return load_public(pem, label)


@pytest.mark.service
@pytest.mark.parametrize("label", ["p256", "p521", "rsa"])
def test_token_signs_and_the_key_verifies(token: tuple[str, Path], label: str) -> None:
    bundle = signer(token, label).sign(STATEMENT)
    verifier = KeyVerifier(key=public_key(token, label), name=label)
    assert verify_bundle(bundle, [verifier]).statement == STATEMENT
    assert bundle.key_hint == algorithms.key_hint(verifier.key)


@pytest.mark.service
@pytest.mark.parametrize("label", ["p384", "ed"])
def test_keys_that_opensc_does_not_export_sign_too(token: tuple[str, Path], label: str) -> None:
    # The signer itself refuses what does not verify under the key that the token shows.
    assert signer(token, label).sign(STATEMENT).key_hint


@pytest.mark.service
def test_signer_verifies_what_it_signs(token: tuple[str, Path]) -> None:
    own = signer(token, "p256")
    assert verify_bundle(own.sign(STATEMENT), [own.verifier()]).statement == STATEMENT
    with pytest.raises(IdentityMismatch, match="another key than the release key"):
        verify_bundle(signer(token, "p384").sign(STATEMENT), [own.verifier()])


@pytest.mark.service
def test_key_is_found_by_its_id(token: tuple[str, Path]) -> None:
    by_id = TokenUri.parse(f"pkcs11:token=lab;id=%01?module-path={token[0]}")
    assert TokenSigner(uri=by_id, pin=PIN).sign(STATEMENT).key_hint == signer(token, "p256").sign(STATEMENT).key_hint


@pytest.mark.service
@pytest.mark.parametrize(
    ("label", "pin", "problem"),
    [("p256", "0000", "PIN"), ("nothing", PIN, "has no such key$"), ("p256", None, "or hides it without a PIN")],
)
def test_wrong_pin_and_unknown_key_are_explained(
    token: tuple[str, Path], label: str, pin: str | None, problem: str
) -> None:
    with pytest.raises(SigningError, match=problem):
        signer(token, label, pin=pin).sign(STATEMENT)


@pytest.mark.service
def test_unknown_token_is_explained(token: tuple[str, Path]) -> None:
    uri = TokenUri.parse(f"pkcs11:token=other;object=p256?module-path={token[0]}")
    with pytest.raises(SigningError, match="no such token"):
        TokenSigner(uri=uri, pin=PIN).sign(STATEMENT)


ROOT = issue("Acme Root", ca=True)


@pytest.mark.service
def test_token_signs_with_a_certificate(token: tuple[str, Path]) -> None:
    key = public_key(token, "p256")
    leaf = issue("token", ROOT, key=PublicOnly(key), purposes=CODE_SIGNING)
    bundle = signer(token, "p256", certificates=(leaf.certificate,)).sign(STATEMENT)
    verifier = CertificateVerifier(roots=(ROOT.certificate,), accepts=Pin(subject="token"), expected="token", now=NOW)
    assert verify_bundle(bundle, [verifier]).signed_by.name == "token"


@pytest.mark.service
def test_certificate_of_another_key_is_noticed(token: tuple[str, Path]) -> None:
    with pytest.raises(SigningError, match="not that of the signing key"):
        signer(token, "p256", certificates=(ROOT.certificate,)).sign(STATEMENT)
