"""Fulcio: short-lived code signing certificates for identity tokens, logged by a certificate transparency key.

The certificate profile is https://github.com/sigstore/fulcio/blob/main/docs/certificate-specification.md, the
extensions https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md, the embedded SCT RFC 6962 section 3.2.
"""

import base64
import hashlib
import struct
import time
from datetime import timedelta

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.sigstore_stack import der
from tests.sigstore_stack.authority import ca_extensions, certificate_builder, key_usage, name, now, root
from tests.sigstore_stack.oidc import AUDIENCE, BUILDKITE, GITHUB, GITLAB, GOOGLE, IdentityProvider, spki
from tests.sigstore_stack.service import Refusal, Request, Response, Service, answer_json

LIFETIME = timedelta(minutes=10)
_ARC = "1.3.6.1.4.1.57264.1"
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")

# Claims of a GitHub Actions token -> last number of the extension. 1 to 6 hold the bare text, 8 and up a UTF8String.
_GITHUB_BARE = {"event_name": 2, "sha": 3, "workflow": 4, "repository": 5, "ref": 6}
_GITHUB_TEXT = {
    "job_workflow_ref": 9,
    "job_workflow_sha": 10,
    "runner_environment": 11,
    "repository_url": 12,
    "sha": 13,
    "ref": 14,
    "repository_id": 15,
    "repository_owner_url": 16,
    "repository_owner_id": 17,
    "workflow_ref": 18,
    "workflow_sha": 19,
    "event_name": 20,
    "run_url": 21,
    "repository_visibility": 22,
}
_GITHUB_PREFIX = {"job_workflow_ref": "https://github.com/", "workflow_ref": "https://github.com/"}


class Fulcio(Service):
    """The certificate authority, with a root and an intermediate, and the key of its certificate log."""

    def __init__(self, provider: IdentityProvider) -> None:
        super().__init__(self._answer)
        self._provider = provider
        self.root = root("sigstore")
        self.intermediate = self.root.issue(
            name("sigstore-intermediate"),
            ec.SECP384R1(),
            [*ca_extensions(0), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)],
        )
        self.log_key = ec.generate_private_key(ec.SECP256R1())
        self.stranger_log_key = ec.generate_private_key(ec.SECP256R1())
        self.sct_by_stranger = False
        """sign SCTs with `stranger_log_key`, under the id of `log_key`"""
        self.short_chain = False
        """answer with the leaf alone"""

    def issuers(self) -> frozenset[str]:
        return frozenset({self._provider.url, GITHUB, GITLAB, BUILDKITE, GOOGLE, "https://oauth2.sigstore.dev/auth"})

    def _answer(self, request: Request) -> Response:
        match request.method, request.path:
            case "POST", "/api/v2/signingCert":
                return self._sign(request)
            case "GET", "/api/v2/trustBundle":
                chain = [_pem(self.intermediate.certificate), _pem(self.root.certificate)]
                return answer_json({"chains": [{"certificates": chain}]})
            case _:
                raise Refusal(404, request.path)

    def _sign(self, request: Request) -> Response:
        document = request.document()
        credentials = document.get("credentials", {}).get("oidcIdentityToken", "")
        claims = self._claims(request.headers.get("authorization", "").removeprefix("Bearer ") or credentials)
        key = _requested_key(document, str(claims["sub"]))
        leaf = self.certificate(key, claims)
        chain = [_pem(leaf)]
        if not self.short_chain:
            chain += [_pem(self.intermediate.certificate), _pem(self.root.certificate)]
        return answer_json({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}})

    def _claims(self, token: str) -> dict[str, object]:
        try:
            claims: dict[str, object] = jwt.decode(
                token, self._provider.public_key, algorithms=["ES256"], audience=AUDIENCE, leeway=5
            )
        except jwt.InvalidTokenError as error:
            raise Refusal(401, f"There was an error processing the identity token: {error}") from error
        if claims.get("iss") not in self.issuers():
            raise Refusal(400, "unsupported issuer")
        return claims

    def certificate(self, key: ec.EllipticCurvePublicKey, claims: dict[str, object]) -> x509.Certificate:
        """Return the leaf for ``claims``: signed once without its SCT (the precertificate), then with it."""
        builder = (
            certificate_builder(x509.Name([]), key, self.intermediate, start=now(), lifetime=LIFETIME)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_subject(claims)]), critical=True)
        )
        for number, value in _extensions(claims):
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{_ARC}.{number}"), value)
            builder = builder.add_extension(extension, critical=False)
        precertificate = builder.sign(self.intermediate.key, hashes.SHA384())
        scts = x509.UnrecognizedExtension(_SCT_LIST, der.octets(self._sct_list(precertificate)))
        return builder.add_extension(scts, critical=False).sign(self.intermediate.key, hashes.SHA384())

    def _sct_list(self, precertificate: x509.Certificate) -> bytes:
        tbs = precertificate.tbs_certificate_bytes
        timestamp = int(time.time() * 1000)
        issuer_key_hash = hashlib.sha256(spki(self.intermediate.key.public_key())).digest()
        # digitally-signed struct: v1, certificate_timestamp, time, precert_entry, issuer, TBS with 24-bit length
        signed = (
            struct.pack("!BBQH", 0, 0, timestamp, 1) + issuer_key_hash + len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
        )
        signer = self.stranger_log_key if self.sct_by_stranger else self.log_key
        signature = signer.sign(signed, ec.ECDSA(hashes.SHA256()))
        log_id = hashlib.sha256(spki(self.log_key.public_key())).digest()
        # version, log, time, no extensions, SHA-256 with ECDSA
        sct = (
            struct.pack("!B32sQH", 0, log_id, timestamp, 0)
            + b"\x04\x03"
            + struct.pack("!H", len(signature))
            + signature
        )
        return struct.pack("!HH", len(sct) + 2, len(sct)) + sct


def _requested_key(document: dict[str, object], subject: str) -> ec.EllipticCurvePublicKey:
    match document:
        case {"certificateSigningRequest": str(encoded)}:
            request = x509.load_pem_x509_csr(base64.b64decode(encoded))
            if not request.is_signature_valid:
                raise Refusal(400, "the certificate signing request is not signed by its key")
            key: object = request.public_key()
        case {"publicKeyRequest": {"publicKey": {"content": str(pem)}, "proofOfPossession": str(proof)}}:
            key = serialization.load_pem_public_key(pem.encode())
            if isinstance(key, ec.EllipticCurvePublicKey):
                try:
                    key.verify(base64.b64decode(proof), subject.encode(), ec.ECDSA(hashes.SHA256()))
                except InvalidSignature as error:
                    raise Refusal(400, "no proof of possession") from error
        case _:
            raise Refusal(400, "neither certificateSigningRequest nor publicKeyRequest")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Refusal(400, "only elliptic curve keys")
    return key


def _subject(claims: dict[str, object]) -> x509.GeneralName:
    """Return what the certificate is for: workflows are named by claims of their own, people by their address."""
    identity = str(claims["sub"])
    match claims:
        case {"iss": issuer, "job_workflow_ref": str(workflow)} if issuer == GITHUB:
            identity = f"https://github.com/{workflow}"
        case {"iss": issuer, "ci_config_ref_uri": str(configuration)} if issuer == GITLAB:
            identity = f"https://{configuration}"
        case {"iss": issuer, "organization_slug": str(organization), "pipeline_slug": str(pipeline)} if (
            issuer == BUILDKITE
        ):
            identity = f"https://buildkite.com/{organization}/{pipeline}"
        case _:
            pass
    if "://" in identity:
        return x509.UniformResourceIdentifier(identity)
    return x509.RFC822Name(identity)


def _extensions(claims: dict[str, object]) -> list[tuple[int, bytes]]:
    issuer = str(claims["iss"])
    extensions = [(1, issuer.encode()), (8, asn1.encode_der(issuer))]
    if issuer == GITHUB:
        extensions += [(number, str(claims[c]).encode()) for c, number in _GITHUB_BARE.items() if c in claims]
        extensions += [
            (number, asn1.encode_der(_GITHUB_PREFIX.get(c, "") + str(claims[c])))
            for c, number in _GITHUB_TEXT.items()
            if c in claims
        ]
    return sorted(extensions)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
