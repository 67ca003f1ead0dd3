"""What an X.509 certificate says about its holder: names, issuer, and Fulcio's claims.

Fulcio's extensions: sigstore/fulcio docs/oid-info.md. The ones up to .6 and .1 hold bare text, those from .8 on a DER
UTF8String.
"""

import warnings

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from attestations.errors import SignatureInvalid

_FULCIO = "1.3.6.1.4.1.57264.1"
_OTHER_NAME = x509.ObjectIdentifier(f"{_FULCIO}.7")
_ISSUER_V1 = x509.ObjectIdentifier(f"{_FULCIO}.1")
_ISSUER_V2 = x509.ObjectIdentifier(f"{_FULCIO}.8")

# What a policy may ask for; the names are ours, short where a policy writes them.
_CLAIMS = {
    9: "build_signer",
    10: "build_signer_digest",
    11: "runner",
    12: "repository",
    13: "digest",
    14: "ref",
    15: "repository_id",
    16: "owner",
    17: "owner_id",
    18: "build_config",
    19: "build_config_digest",
    20: "trigger",
    21: "run",
    22: "visibility",
}
_UTF8_STRING = 0x0C


def load_certificate(der: bytes) -> x509.Certificate:
    """Return the certificate in ``der``, with extensions that can be read.

    Raises:
        SignatureInvalid: it is malformed.
    """
    try:
        # Odd serial numbers and lengths, on which cryptography remarks, are for the rules of chains to judge.
        with warnings.catch_warnings(action="ignore"):
            certificate = x509.load_der_x509_certificate(der)
            _read_whole(certificate)
    except _MALFORMED as error:
        raise SignatureInvalid(f"a certificate of the bundle cannot be read: {error}") from error
    except UnsupportedAlgorithm as error:
        raise SignatureInvalid(f"a certificate of the bundle has an unknown kind of key: {error}") from error
    return certificate


def load_pem_certificates(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates in ``pem``, with parts that can be read.

    Raises:
        ValueError: there is none, or one is malformed; it says so in a sentence.
    """
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise ValueError("no certificate in PEM form in it")
    try:
        with warnings.catch_warnings(action="ignore"):
            found = x509.load_pem_x509_certificates(pem)
            for certificate in found:
                _read_whole(certificate)
    except (*_MALFORMED, UnsupportedAlgorithm) as error:
        # cryptography adds where its questions and answers are.
        raise ValueError(f"a certificate in it cannot be read: {str(error).partition('. See http')[0]}") from error
    return found


# What cryptography raises about a malformed certificate, now or when a part of it is first used.
_MALFORMED = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


def _read_whole(certificate: x509.Certificate) -> None:
    """Read every part of a certificate, each of which is parsed on its first use; malformed ones shall fail here."""
    certificate.extensions  # noqa: B018
    certificate.subject  # noqa: B018
    certificate.issuer  # noqa: B018
    certificate.not_valid_before_utc  # noqa: B018
    certificate.not_valid_after_utc  # noqa: B018
    certificate.public_key()


def subject_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the subject alternative names that identify somebody: e-mail, URI, DNS, and Fulcio's user name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found: list[str] = []
    for name in names:
        if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier | x509.DNSName):
            found.append(name.value)
        elif isinstance(name, x509.OtherName) and name.type_id == _OTHER_NAME:
            found.append(_utf8_string(name.value))
    return tuple(found)


def issuer_of(certificate: x509.Certificate) -> str | None:
    """Return the OIDC issuer that Fulcio wrote into a certificate; the newer extension wins."""
    newer = _extension(certificate, _ISSUER_V2)
    if newer is not None:
        return _utf8_string(newer)
    older = _extension(certificate, _ISSUER_V1)
    return None if older is None else _text(older)


def fulcio_claims(certificate: x509.Certificate) -> dict[str, str]:
    """Return what Fulcio says about a CI job: repository and owner with their ids, trigger, runner and more."""
    claims: dict[str, str] = {}
    for number, name in _CLAIMS.items():
        value = _extension(certificate, x509.ObjectIdentifier(f"{_FULCIO}.{number}"))
        if value is not None:
            claims[name] = _utf8_string(value)
    return claims


def _extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None


def _utf8_string(der: bytes) -> str:
    """Return a DER UTF8String of up to 65535 bytes, whole and canonical."""
    if len(der) >= 2 and der[0] == _UTF8_STRING:
        width = 0 if der[1] < 0x80 else der[1] & 0x7F
        content = der[2 + width :]
        length = der[1] if not width else int.from_bytes(der[2 : 2 + width])
        if width <= 2 and length == len(content):
            return _text(content)
    raise SignatureInvalid("a name in the certificate is malformed")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SignatureInvalid("a name in the certificate is not UTF-8 text") from error
