"""Certificates that are signed by a trusted authority and are wrong in themselves: one documented answer to each."""

import base64
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from attestations.bundle import Bundle
from attestations.errors import AttestationError, IdentityMismatch, SigningError, TrustError, Unsupported
from attestations.signers.certificate import CertificateVerifier, Pin, load_certificates, load_roots
from attestations.signers.key import seal
from attestations.signers.sigstore import SigstoreSigner, SigstoreTrust, SigstoreVerifier
from attestations.statement import Statement
from attestations.timestamps import load_authority
from attestations.verify import SignedBy, verify_bundle
from tests.builders.certificates import CODE_SIGNING, NOW, issue
from tests.builders.forged_certificates import FORGERIES, forged, ring
from tests.builders.signatures import oms_payload, resource

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

STATEMENT = Statement.parse(oms_payload([resource("w")]))
ROOT = issue("Acme Root", ca=True)
LEAF = issue("release", ROOT, purposes=CODE_SIGNING, names=(x509.RFC822Name("dev@example.com"),))
# Odd, but they say who signed as well as any.
HARMLESS = {
    "serial number zero",
    "unknown extension with nonsense",
    "an authority",
    "no name among the names",
    "two names",
    "ten thousand names",
    "name that is not ASCII",
    "name with a zero byte",
    "empty name",
    "name that is a directory name",
    "name that is an object identifier",
    "constraints on names",
}


def sealed(*certificates: bytes, key: ec.EllipticCurvePrivateKey = LEAF.key) -> Bundle:
    return Bundle.of_chain(seal(STATEMENT, key), certificates=certificates)


def judged(bundle: Bundle) -> SignedBy:
    pin = Pin(subject="release")
    verifier = CertificateVerifier(roots=(ROOT.certificate,), accepts=pin, expected=pin.describe(), now=NOW)
    return verify_bundle(bundle, [verifier]).signed_by


@pytest.mark.parametrize("wrong", FORGERIES)
def test_forged_certificate_ends_in_a_documented_error_or_names_its_holder(wrong: str) -> None:
    bundle = sealed(forged(LEAF.certificate, ROOT.key, FORGERIES[wrong]))
    if wrong in HARMLESS:
        assert judged(bundle).claims["common_name"] == "release"
    else:
        with pytest.raises(AttestationError):
            judged(bundle)


# Fulcio's own certificates have no subject.
@pytest.mark.parametrize("wrong", sorted(FORGERIES.keys() - {"no subject"}))
@pytest.mark.parametrize("insecure", [False, True])
def test_forged_keyless_certificate_ends_in_a_documented_error(
    sigstore_stack: "SigstoreStack", wrong: str, insecure: bool
) -> None:
    """Fulcio's own key signs them here. Even so its log has promised none of them."""
    key = ec.generate_private_key(ec.SECP256R1())
    good = sigstore_stack.fulcio.certificate(key.public_key(), {"iss": sigstore_stack.issuer, "sub": "dev@example.com"})
    der = forged(good, sigstore_stack.fulcio.intermediate.key, FORGERIES[wrong])
    trust = SigstoreTrust(source=sigstore_stack.trust_config)
    document: Any = json.loads(SigstoreSigner(token=sigstore_stack.token(), trust=trust).sign(STATEMENT).to_json())
    document["dsseEnvelope"] = json.loads(sealed(der, key=key).to_json())["dsseEnvelope"]
    material = document["verificationMaterial"]
    material["certificate"] = {"rawBytes": base64.b64encode(der).decode()}
    if insecure:
        material["tlogEntries"] = []
        del material["timestampVerificationData"]
    verifier = SigstoreVerifier(
        identity="dev@example.com",
        issuer=sigstore_stack.issuer,
        trust=trust,
        insecure_ignore_log=insecure,
        insecure_ignore_time=insecure,
    )
    with pytest.raises(AttestationError):
        verify_bundle(Bundle.parse(json.dumps(document).encode()), [verifier])


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_keyless_key_on_another_curve_is_unsupported_not_invalid(
    sigstore_stack: "SigstoreStack", curve: ec.EllipticCurve
) -> None:
    key = ec.generate_private_key(curve)
    claims: dict[str, object] = {"iss": sigstore_stack.issuer, "sub": "dev@example.com"}
    certificate = sigstore_stack.fulcio.certificate(key.public_key(), claims).public_bytes(Encoding.DER)
    document = json.loads(sealed(certificate, key=key).to_json())
    document["verificationMaterial"] |= {"tlogEntries": [{"kindVersion": {"kind": "dsse", "version": "0.0.1"}}]}
    document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"] = {}
    trust = SigstoreTrust(source=sigstore_stack.trusted_root)
    verifier = SigstoreVerifier(identity="dev@example.com", issuer=sigstore_stack.issuer, trust=trust)
    with pytest.raises(Unsupported, match="not an ECDSA P-256 key"):
        verify_bundle(Bundle.parse(json.dumps(document).encode()), [verifier])


def test_certificate_signed_with_a_weak_hash_is_refused_in_words() -> None:
    leaf = issue("release", ROOT, purposes=CODE_SIGNING, key=LEAF.key, algorithm=hashes.SHA224())
    with pytest.raises(IdentityMismatch, match="signed with an algorithm that is not accepted"):
        judged(sealed(leaf.certificate.public_bytes(Encoding.DER), key=leaf.key))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_authorities_that_certify_each_other_lead_nowhere_and_to_an_end(count: int) -> None:
    leaf, authorities = ring(count)
    chain = [one.public_bytes(Encoding.DER) for one in authorities[:7]]
    with pytest.raises(IdentityMismatch, match="does not lead to a trusted root"):
        judged(sealed(leaf.certificate.public_bytes(Encoding.DER), *chain, key=leaf.key))


@pytest.mark.parametrize("wrong", sorted(FORGERIES.keys() - HARMLESS))
def test_forged_certificate_in_a_file_of_the_user_ends_in_a_documented_error_at_most(
    wrong: str, tmp_path: Path
) -> None:
    path = tmp_path / "forged.pem"
    text = base64.encodebytes(forged(LEAF.certificate, ROOT.key, FORGERIES[wrong])).decode()
    path.write_text(f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n")
    for load, error in (
        (load_certificates, SigningError),
        (lambda path: load_roots([path]), TrustError),
        (load_authority, TrustError),
    ):
        with contextlib.suppress(error):
            load(path)
