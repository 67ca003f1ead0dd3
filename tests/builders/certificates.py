"""Certificate authorities and certificates, good and bad, for tests."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from attestations.key_files import private_pem

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CODE_SIGNING = (ExtendedKeyUsageOID.CODE_SIGNING,)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A certificate with its key."""

    key: Any
    certificate: x509.Certificate

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write key and certificate and return their paths."""
        key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
        key.write_bytes(private_pem(self.key, None))
        certificate.write_bytes(self.pem())
        return key, certificate


@dataclass(frozen=True)
class PublicOnly:
    """A public key in the place of a key pair whose private half lies elsewhere."""

    key: Any

    def public_key(self) -> Any:
        return self.key


def usage(*, sign: bool = True, certify: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certify,
        crl_sign=certify,
        encipher_only=False,
        decipher_only=False,
    )


def issue(
    name: str,
    issuer: Holder | None = None,
    *,
    ca: bool = False,
    key: Any = None,
    since: datetime = NOW - timedelta(days=30),
    until: datetime = NOW + timedelta(days=30),
    names: tuple[x509.GeneralName, ...] = (),
    purposes: tuple[x509.ObjectIdentifier, ...] | None = None,
    key_usage: x509.KeyUsage | None = None,
    with_usage: bool = True,
    path_length: int | None = None,
    extra: tuple[x509.ExtensionType, ...] = (),
    extra_critical: bool = True,
    algorithm: hashes.SHA224 | hashes.SHA256 | None = None,
) -> Holder:
    """Return a new certificate, self-signed without ``issuer``."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme")]
    )
    by = issuer.certificate.subject if issuer else subject
    by_key = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), critical=False)
    )
    if with_usage:
        builder = builder.add_extension(key_usage or usage(sign=not ca, certify=ca), critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extra:
        builder = builder.add_extension(extension, critical=extra_critical)
    return Holder(key=key, certificate=builder.sign(by_key, algorithm or hashes.SHA256()))
