"""An RFC 3161 timestamp authority.

The answer is a CMS SignedData (RFC 5652 section 5) around a TSTInfo (RFC 3161 section 2.4.2), with the signing
certificate bound by ESSCertIDv2 (RFC 5816). It is built by hand, so that the clock can be wrong on purpose;
`openssl ts -verify` judges it in the tests.
"""

import hashlib
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.sigstore_stack import der
from tests.sigstore_stack.authority import key_usage, name, now, root
from tests.sigstore_stack.service import Refusal, Request, Response, Service

PATH = "/api/v1/timestamp"
_POLICY = der.identifier("1.3.6.1.4.1.57264.2")
_SHA256 = der.sequence(der.identifier("2.16.840.1.101.3.4.2.1"))
_ECDSA_SHA256 = der.sequence(der.identifier("1.2.840.10045.4.3.2"))
_SIGNED_DATA = der.identifier("1.2.840.113549.1.7.2")
_TST_INFO = der.identifier("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE = der.identifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.identifier("1.2.840.113549.1.9.4")
_SIGNING_TIME = der.identifier("1.2.840.113549.1.9.5")
_SIGNING_CERTIFICATE_V2 = der.identifier("1.2.840.113549.1.9.16.2.47")


class TimestampAuthority(Service):
    """Signs the hash and the time; `offset` makes its clock wrong."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.root = root("sigstore-tsa-root", path_length=0)
        self.leaf = self.root.issue(
            name("sigstore-tsa"),
            ec.SECP256R1(),
            [
                (key_usage(digital_signature=True), True),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
            ],
        )
        self.offset = timedelta()

    def _answer(self, request: Request) -> Response:
        if (request.method, request.path) != ("POST", PATH):
            raise Refusal(404, request.path)
        try:
            token = self.token(request.body)
        except ValueError as error:
            raise Refusal(400, f"malformed request: {error}") from error
        granted = der.sequence(der.integer(0))
        return Response(
            status=201,
            body=der.sequence(granted, token),
            headers={"Content-Type": "application/timestamp-reply"},
        )

    def token(self, query: bytes) -> bytes:
        """Return the time stamp token for an encoded TimeStampReq."""
        (_, _version), (_, imprint), *options = der.children(query)
        nonce = b"".join(part for tag, part in options if tag == der.INTEGER)
        wants_certificate = any(tag == der.BOOLEAN for tag, _ in options)
        moment = now() + self.offset
        info = der.sequence(
            der.integer(1),
            _POLICY,
            imprint,
            der.integer(x509.random_serial_number()),
            der.generalized_time(moment),
            der.sequence(der.integer(1)),  # accurate to one second
            nonce,
        )
        leaf = self.leaf.certificate.public_bytes(serialization.Encoding.DER)
        certificate_id = der.sequence(der.octets(hashlib.sha256(leaf).digest()))
        attributes = sorted(
            (
                _attribute(_CONTENT_TYPE, _TST_INFO),
                _attribute(_SIGNING_TIME, der.utc_time(moment)),
                _attribute(_MESSAGE_DIGEST, der.octets(hashlib.sha256(info).digest())),
                _attribute(_SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(certificate_id))),
            )
        )
        signer = der.sequence(
            der.integer(1),
            der.sequence(self.leaf.certificate.issuer.public_bytes(), der.integer(self.leaf.certificate.serial_number)),
            _SHA256,
            der.context(0, *attributes),
            _ECDSA_SHA256,
            der.octets(self.leaf.key.sign(der.set_of(*attributes), ec.ECDSA(hashes.SHA256()))),
        )
        signed_data = der.sequence(
            der.integer(3),
            der.set_of(_SHA256),
            der.sequence(_TST_INFO, der.context(0, der.octets(info))),
            der.context(0, leaf) if wants_certificate else b"",
            der.set_of(signer),
        )
        return der.sequence(_SIGNED_DATA, der.context(0, signed_data))


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence(kind, der.set_of(value))
