import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestations.bundle import Bundle, Material
from attestations.digest import sha256_of
from attestations.errors import AttestationError, EnvelopeError, Unsupported
from attestations.verify import verify_bundle
from tests.builders.signatures import altered, oms_payload, resource, sealed, verifier

BUNDLE = sealed(oms_payload([resource("w.bin")]))


def test_what_is_written_is_read_back() -> None:
    assert Bundle.parse(BUNDLE.to_json()) == BUNDLE


def test_bundle_is_one_line() -> None:
    assert b"\n" not in BUNDLE.to_json()


def test_key_bundle_has_the_empty_list_of_log_entries_that_other_readers_need() -> None:
    assert json.loads(BUNDLE.to_json())["verificationMaterial"]["tlogEntries"] == []


def test_unknown_fields_are_kept() -> None:
    read = Bundle.parse(altered(BUNDLE, **{"verificationMaterial.new": {"x": 1}}))
    assert json.loads(read.to_json())["verificationMaterial"]["new"] == {"x": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"verificationMaterial.payload": ""},
        {"dsseEnvelope.payload": "AA-_", "verificationMaterial.payload": ""},
        {"dsseEnvelope.payload": "AA"},
        {"dsseEnvelope.payload": "AB=="},
        {"dsseEnvelope.payload": ""},
        {"dsseEnvelope.payload": "AAAA" * 50_000},
    ],
)
def test_payload_and_what_looks_like_one_are_written_back_as_they_were(changes: dict[str, Any]) -> None:
    document = altered(BUNDLE, **changes)
    read = Bundle.parse(document)
    assert json.loads(read.to_json()) == json.loads(document)
    assert read.digest() == sha256_of(read.to_json())


def test_missing_log_entries_are_none() -> None:
    assert Bundle.parse(altered(BUNDLE, **{"verificationMaterial.tlogEntries": ...})).log_entries == ()


def test_key_given_as_bytes_is_read() -> None:
    read = Bundle.parse(altered(BUNDLE, **{"verificationMaterial.publicKey": {"rawBytes": "AAAA"}}))
    assert (read.material, read.key_hint, read.key_bytes) == (Material.PUBLIC_KEY, "", b"\0\0\0")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
    ],
)
def test_every_spelling_of_the_media_type_is_read(media_type: str) -> None:
    assert Bundle.parse(altered(BUNDLE, mediaType=media_type)).version in media_type


def test_later_version_is_unsupported_not_malformed() -> None:
    with pytest.raises(Unsupported, match=r"v0\.9"):
        Bundle.parse(altered(BUNDLE, mediaType="application/vnd.dev.sigstore.bundle.v0.9+json"))


def test_bare_signature_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="bare bytes"):
        Bundle.parse(altered(BUNDLE, dsseEnvelope=..., messageSignature={}))


def test_statement_beside_a_bare_signature_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="two contents"):
        Bundle.parse(altered(BUNDLE, messageSignature={}))
    assert Bundle.parse(altered(BUNDLE, messageSignature=None)).envelope == BUNDLE.envelope


@pytest.mark.parametrize(
    "changes",
    [
        {"mediaType": ...},
        {"mediaType": "text/plain"},
        {"mediaType": 3},
        {"dsseEnvelope": ...},
        {"dsseEnvelope": []},
        {"verificationMaterial": ...},
        {"verificationMaterial": []},
        {"verificationMaterial.publicKey": ...},
        {"verificationMaterial.certificate": {"rawBytes": "AAAA"}},
        {"verificationMaterial.publicKey": 3},
        {"verificationMaterial.publicKey.hint": 3},
        {"verificationMaterial.tlogEntries": {}},
        {"verificationMaterial.timestampVerificationData": []},
        {"verificationMaterial.timestampVerificationData": {"rfc3161Timestamps": 3}},
        {"verificationMaterial.timestampVerificationData": {"rfc3161Timestamps": [{}]}},
        {"verificationMaterial.timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "AA=="}] * 33}},
    ],
)
def test_what_is_no_bundle_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EnvelopeError):
        Bundle.parse(altered(BUNDLE, **changes))


@pytest.mark.parametrize("certificates", [[], [{}], [{"rawBytes": 1}], {}, [{"rawBytes": "AAAA"}] * 33])
def test_chain_that_is_none_is_refused(certificates: Any) -> None:
    material = {"x509CertificateChain": {"certificates": certificates}}
    with pytest.raises(EnvelopeError):
        Bundle.parse(altered(BUNDLE, verificationMaterial=material))


@pytest.mark.parametrize("end", range(0, len(BUNDLE.to_json()), 37))
def test_truncated_bundle_is_refused(end: int) -> None:
    with pytest.raises(EnvelopeError):
        Bundle.parse(BUNDLE.to_json()[:end])


@given(st.data())
def test_damaged_bundle_ends_in_our_errors_or_means_the_same(data: st.DataObject) -> None:
    """Bytes replaced, removed or doubled anywhere: nothing else than what was signed is ever taken for signed."""
    raw = bytearray(BUNDLE.to_json())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                raw[at] = data.draw(st.integers(0, 255))
            case 1:
                del raw[at : at + data.draw(st.integers(1, 30))]
            case _:
                raw[at:at] = raw[at : at + data.draw(st.integers(1, 30))]
    try:
        proven = verify_bundle(Bundle.parse(bytes(raw)), [verifier()])
    except AttestationError:
        return
    assert proven.statement.payload == BUNDLE.envelope.payload


def test_a_bundle_of_countless_values_is_refused_unparsed() -> None:
    with pytest.raises(EnvelopeError, match="values"):
        Bundle.parse(b'{"a":[' + b"{}," * 200_000 + b"{}]}")
