"""Certificate authorities: a root, and what it issues."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ORGANIZATION = "sigstore.test"
LIFETIME = timedelta(days=3650)
Extension = tuple[x509.ExtensionType, bool]


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(
        self,
        subject: x509.Name,
        curve: ec.EllipticCurve,
        extensions: Sequence[Extension],
        *,
        start: datetime | None = None,
    ) -> "Holder":
        key = ec.generate_private_key(curve)
        builder = certificate_builder(subject, key.public_key(), self, start=start)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return Holder(certificate=builder.sign(self.key, hashes.SHA384()), key=key)


def certificate_builder(
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer: Holder,
    *,
    start: datetime | None = None,
    lifetime: timedelta = LIFETIME,
) -> x509.CertificateBuilder:
    start = now() - timedelta(days=1) if start is None else start
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )


def key_usage(*, digital_signature: bool = False, certificate_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificate_sign,
        crl_sign=certificate_sign,
        encipher_only=False,
        decipher_only=False,
    )


def ca_extensions(path_length: int) -> list[Extension]:
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (key_usage(certificate_sign=True), True),
    ]


def root(common_name: str, *, path_length: int = 1) -> Holder:
    key = ec.generate_private_key(ec.SECP384R1())
    subject = name(common_name)
    start = now() - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            critical=False,
        )
    )
    for extension, critical in ca_extensions(path_length):
        builder = builder.add_extension(extension, critical=critical)
    return Holder(certificate=builder.sign(key, hashes.SHA384()), key=key)
