"""Signatures of other programs are not supported, which is neither valid nor invalid."""

import base64
import json
from typing import Any

import pytest

from attestations import algorithms
from attestations.bundle import Bundle
from attestations.errors import EnvelopeError, Unsupported
from tests.builders.signatures import key, oms_payload, resource, sealed

SIGNATURE = algorithms.sign(key(), b"weights")
ENVELOPE = json.loads(sealed(oms_payload([resource("w")])).to_json())["dsseEnvelope"]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"-----BEGIN PGP SIGNATURE-----\n\niHUEABYKAB0WIQ\n-----END PGP SIGNATURE-----\n", "an OpenPGP signature"),
        (b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n", "an OpenPGP signature"),
        (b"untrusted comment: signature from minisign secret key\nRUQ\n", "a minisign or signify signature"),
        (b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n", "an SSH signature"),
        (b"-----BEGIN PKCS7-----\nMII\n", "a PKCS #7 signature"),
        pytest.param(base64.b64encode(SIGNATURE) + b"\n", "a bare signature", id="base64"),
        pytest.param(SIGNATURE, "a bare signature", id="DER"),
        (json.dumps({"base64Signature": "MEUC", "cert": "", "rekorBundle": {}}).encode(), "a bundle of cosign's older"),
        (json.dumps(ENVELOPE).encode(), "a bare DSSE envelope"),
        (b'{"signatures": [], "signed": {}}', "a file of TUF or in-toto"),
    ],
)
def test_signature_of_another_program_is_named(data: bytes, name: str) -> None:
    with pytest.raises(Unsupported, match=f"^this is {name}"):
        Bundle.parse(data)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"{", b"MEUC", b"\x00\x01", b"PK\x03\x04", b"{}", b'{"payload": ""}', b"[]"]
)
def test_what_nobody_knows_is_malformed(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        Bundle.parse(data)


def test_bundle_that_is_one_is_never_taken_for_something_else() -> None:
    bundle = sealed(oms_payload([resource("w")]))
    document: dict[str, Any] = json.loads(bundle.to_json())
    document |= {"base64Signature": "", "signed": {}, "signatures": []}
    assert Bundle.parse(json.dumps(document).encode()).envelope == bundle.envelope
