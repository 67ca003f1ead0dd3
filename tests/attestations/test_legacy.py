import json
from typing import Any

import pytest

from attestations import algorithms
from attestations.bundle import Bundle
from attestations.envelope import Envelope, EnvelopeSignature
from attestations.errors import EnvelopeError, IdentityMismatch, SignatureInvalid, Unsupported
from attestations.legacy import LegacyVerifier, legacy_manifest_of, legacy_pae
from attestations.manifest import measure_against
from attestations.signers.certificate import CertificateVerifier, Pin, load_roots
from attestations.statement import Statement
from attestations.uris import OMS_DIGESTS_V0_1, PAYLOAD_TYPE, STATEMENT_V1
from attestations.verify import verify_bundle
from tests.builders.certificates import NOW
from tests.builders.signatures import key, oms_payload, resource, sealed, verifier
from tests.vectors import VECTORS, needs_vectors

WHOLE = {"actual_hash_algorithm": "file-sha256"}


def payload(*subjects: Any) -> bytes:
    document = {"_type": STATEMENT_V1, "subject": subjects, "predicateType": OMS_DIGESTS_V0_1, "predicate": {}}
    return json.dumps(document).encode()


def subject(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": "00" * 32}, "annotations": WHOLE, **changes}


def sealed_the_old_way(data: bytes) -> Bundle:
    signature = algorithms.sign(key(), legacy_pae(PAYLOAD_TYPE, data))
    signatures = (EnvelopeSignature(signature=signature),)
    return Bundle.of_key(Envelope(payload=data, payload_type=PAYLOAD_TYPE, signatures=signatures), hint="")


OLD = LegacyVerifier(inner=verifier())


def test_old_signature_needs_the_old_verifier() -> None:
    bundle = sealed_the_old_way(payload(subject("w")))
    assert verify_bundle(bundle, [OLD]).statement.predicate_type == OMS_DIGESTS_V0_1
    with pytest.raises(SignatureInvalid):
        verify_bundle(bundle, [verifier()])


def test_todays_statement_signed_the_old_way_is_not_signed() -> None:
    bundle = sealed_the_old_way(oms_payload([resource("w")]))
    with pytest.raises(IdentityMismatch):
        verify_bundle(bundle, [OLD])
    with pytest.raises(SignatureInvalid):
        verify_bundle(bundle, [verifier(), OLD])


def test_old_statement_signed_todays_way_is_not_an_old_signature() -> None:
    with pytest.raises(SignatureInvalid):
        verify_bundle(sealed(payload(subject("w"))), [OLD])


@pytest.mark.parametrize(
    ("subjects", "error"),
    [
        ([], EnvelopeError),
        ([subject("w"), subject("w")], EnvelopeError),
        ([subject("../w")], EnvelopeError),
        ([subject("")], EnvelopeError),
        ([subject("w", annotations={})], Unsupported),
        ([subject("w", annotations={"actual_hash_algorithm": "file-blake2b"})], Unsupported),
        ([subject("w", digest={"sha512": "00" * 64})], Unsupported),
    ],
)
def test_old_statement_is_read_as_strictly(subjects: list[Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        legacy_manifest_of(Statement.parse(payload(*subjects)))


def test_todays_statement_is_no_old_one() -> None:
    with pytest.raises(Unsupported):
        legacy_manifest_of(Statement.parse(oms_payload([resource("w")])))


@needs_vectors
def test_signature_of_v0_2_0_verifies() -> None:
    samples = VECTORS / "oms" / "model-transparency"
    roots = load_roots([samples / "keys" / "certificate" / "ca-cert.pem"])
    inner = CertificateVerifier(roots=roots, accepts=Pin(subject="intermediate-ca"), expected="", now=NOW)
    sample = samples / "v0.2.0-certificate"
    proven = verify_bundle(Bundle.parse((sample / "model.sig").read_bytes()), [LegacyVerifier(inner=inner)])
    assert not measure_against(legacy_manifest_of(proven.statement), sample).differences
