"""What signers have in common whose key lies elsewhere, on a token or in a cloud: from a signature to a bundle."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from attestations.algorithms import PublicKey, key_hint, public_der, verify
from attestations.bundle import Bundle
from attestations.envelope import Envelope, EnvelopeSignature, pae
from attestations.errors import SigningError, VerificationError
from attestations.signers.certificate import verifier_of_own
from attestations.signers.key import KeyVerifier
from attestations.statement import Statement
from attestations.timestamps import request_timestamp
from attestations.uris import PAYLOAD_TYPE
from attestations.verify import Verifier


def to_be_signed(statement: Statement) -> bytes:
    """Return the bytes that a signature of a statement covers."""
    return pae(PAYLOAD_TYPE, statement.payload)


def bundle_of(
    statement: Statement,
    signature: bytes,
    public: PublicKey,
    *,
    certificates: Sequence[x509.Certificate] = (),
    timestamp_url: str | None = None,
) -> Bundle:
    """Return a statement and its signature in a bundle; with ``certificates`` (leaf first) one of that method.

    Raises:
        SigningError: the signature does not hold, or the first certificate is not that of the key.
    """
    try:
        verify(public, signature, to_be_signed(statement))
    except VerificationError as error:
        raise SigningError(f"the service that keeps the key made a signature that does not hold: {error}") from error
    envelope = Envelope(
        payload=statement.payload, payload_type=PAYLOAD_TYPE, signatures=(EnvelopeSignature(signature=signature),)
    )
    if certificates and public_der(public) != _certified(certificates[0]):
        raise SigningError("the first certificate is not that of the signing key")
    stamps = [request_timestamp(timestamp_url, signature)] if timestamp_url else []
    if certificates:
        chain = [certificate.public_bytes(Encoding.DER) for certificate in certificates]
        return Bundle.of_chain(envelope, certificates=chain, timestamps=stamps)
    return Bundle.of_key(envelope, hint=key_hint(public), timestamps=stamps)


def verifier_of(public: PublicKey, certificates: tuple[x509.Certificate, ...]) -> Verifier:
    """Return a verifier for what a key signs that lies elsewhere."""
    return verifier_of_own(certificates) if certificates else KeyVerifier(key=public, name="the release key")


def _certified(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise SigningError("the certificate's key is neither ECDSA, Ed25519 nor RSA")
    return public_der(key)
