"""Signatures with a key that an X.509 certificate names: OMS v1.0's "certificate" method.

The reader brings the roots (there are no default ones: the web's authorities certify web sites, not models) and says
whose certificate under them counts, because a company's authority certifies all of its teams. A certificate must be
valid now, or a timestamp that the reader trusts must say that it was when it signed.

Chains are built by `cryptography.x509.verification` (RFC 5280), with its rules for authorities; the rules for web
servers' own certificates are replaced by those for signing code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store
from cryptography.x509.verification import VerificationError as ChainError

from attestations.algorithms import PrivateKey, PublicKey, key_hint, problem, public_der
from attestations.bundle import Bundle, Material
from attestations.digest import sha256_of
from attestations.errors import (
    IdentityMismatch,
    LogProofInvalid,
    SignatureInvalid,
    SigningError,
    TrustError,
    Unsupported,
)
from attestations.key_files import load_private, read_key_file
from attestations.signers.certificate_names import load_certificate, load_pem_certificates, subject_names
from attestations.signers.key import check, seal
from attestations.statement import Statement
from attestations.timestamps import TimestampAuthority, proven_time, request_timestamp
from attestations.verify import Method, Proof, SignedBy, TimeSource

Accepts: TypeAlias = Callable[[SignedBy], bool]

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_MAX_CHAIN = 8
_CERTIFIES_SIGNERS = frozenset({ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_JUDGED_CONSTRAINTS = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)
"""kinds of names that `cryptography` holds against an authority's limits, or refuses a leaf for that has such"""
_MAX_FILE = 1024 * 1024
"""of certificates: a company has dozens of roots"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSigner:
    """Signs with a private key and says so with its certificate; `certificates` is leaf first."""

    key: PrivateKey
    certificates: tuple[x509.Certificate, ...]
    timestamp_url: str | None = None

    @classmethod
    def load(
        cls,
        key: Path,
        passphrase: bytes | None,
        certificate: Path,
        *,
        chain: Sequence[Path] = (),
        timestamp_url: str | None = None,
    ) -> "CertificateSigner":
        """Return a signer with keys and certificates of PEM files.

        Args:
            key: the private key.
            passphrase: of the key, when it is encrypted.
            certificate: the certificate of that key; further certificates in the file are its chain.
            chain: more certificates, from the issuer towards the root.
            timestamp_url: an RFC 3161 authority to ask for the time of each signature.

        Raises:
            SigningError: a file cannot be read or used, or key and certificate do not belong together.
        """
        private = load_private(read_key_file(key), passphrase, str(key))
        found = [*load_certificates(certificate), *(item for path in chain for item in load_certificates(path))]
        certificates = tuple(dict.fromkeys(found))
        if public_der(_public_key(certificates[0])) != public_der(private.public_key()):
            raise SigningError(f"{certificate}: the first certificate is not that of the key {key}")
        return cls(key=private, certificates=certificates, timestamp_url=timestamp_url)

    def sign(self, statement: Statement) -> Bundle:
        """Return the statement in a bundle with the certificates."""
        envelope = seal(statement, self.key)
        stamps = [request_timestamp(self.timestamp_url, envelope.signatures[0].signature)] if self.timestamp_url else []
        chain = [certificate.public_bytes(Encoding.DER) for certificate in self.certificates]
        return Bundle.of_chain(envelope, certificates=chain, timestamps=stamps)

    def verifier(self) -> "CertificateVerifier":
        """Return a verifier for what this signer signs."""
        return verifier_of_own(self.certificates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Whose certificate under the trusted roots counts; all that is given must fit.

    Attributes:
        subject: the whole subject as RFC 4514 writes it (``CN=release,O=Acme``), or its common name alone,
            which has no ``=``.
        name: one of the subject alternative names.
        spki: SHA-256 of the public key (DER), in hexadecimal.
    """

    subject: str | None = None
    name: str | None = None
    spki: str | None = None

    def __call__(self, signed_by: SignedBy) -> bool:
        """Return whether a signer fits."""
        claims = signed_by.claims
        # A common name may be any text, also that of somebody else's whole subject.
        kind = "subject" if self.subject is not None and "=" in self.subject else "common_name"
        return (
            (self.subject is None or self.subject == claims.get(kind))
            and (self.name is None or self.name in signed_by.names)
            and (self.spki is None or self.spki.lower().replace(":", "") == claims["spki"])
        )

    def describe(self) -> str:
        """Return the pin for messages."""
        parts = {"subject": self.subject, "name": self.name, "public key": self.spki}
        return ", ".join(f"{what} {value}" for what, value in parts.items() if value is not None) or "anybody"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateVerifier:
    """Accepts what was signed with a certificate below one of `roots`, by somebody whom `accepts` takes.

    Attributes:
        roots: whom to trust; a self-signed certificate may also sign itself.
        accepts: decides about a proven signer, for example a `Pin`.
        expected: how to call in messages whom `accepts` takes.
        authorities: whose timestamps count.
        now: the time to use where no timestamp counts; the clock's unless given.
    """

    roots: tuple[x509.Certificate, ...]
    accepts: Accepts
    expected: str
    authorities: tuple[TimestampAuthority, ...] = ()
    now: datetime | None = None

    def handles(self, bundle: Bundle) -> bool:
        if bundle.material is Material.CERTIFICATE:
            return not bundle.log_entries
        return bundle.material is Material.CERTIFICATE_CHAIN

    def verify(self, bundle: Bundle) -> Proof:
        if len(bundle.certificates) > _MAX_CHAIN:
            raise Unsupported(
                f"the bundle has {len(bundle.certificates)} certificates; at most {_MAX_CHAIN} are judged"
            )
        leaf, *others = (load_certificate(der) for der in bundle.certificates)
        key = leaf.public_key()
        wrong = problem(key)
        if wrong:
            raise Unsupported(f"the certificate's key cannot be judged: {wrong}")
        assert isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey)
        signature = bundle.envelope.signatures[0].signature
        check(bundle, key)
        stamped = proven_time(bundle.timestamps, signature, self.authorities)
        _check_validity(leaf, stamped, self.now or datetime.now(UTC))
        root = self._chain(leaf, others, stamped or self.now or datetime.now(UTC))
        check_usage(leaf, trusted=leaf == root)
        signed_by = _signed_by(leaf, root, key)
        if not self.accepts(signed_by):
            raise IdentityMismatch(
                f"signed by {signed_by.name} (subject {signed_by.claims['subject']}, issuer {signed_by.issuer}), "
                f"expected was {self.expected}"
            )
        return Proof(
            payload=bundle.envelope.payload,
            signed_by=signed_by,
            time=stamped,
            time_source=None if stamped is None else TimeSource.AUTHORITY,
        )

    def _chain(self, leaf: x509.Certificate, others: Sequence[x509.Certificate], time: datetime) -> x509.Certificate:
        """Return the trusted root that the leaf leads to."""
        # The defaults for authorities (RFC 5280: basicConstraints, keyCertSign, path length, name constraints) hold,
        # but for what an authority may certify: signers of code here, not clients of web servers.
        # An authority without a key usage is one all the same (section 6.1.4 (n)), as `openssl req -x509` makes it.
        authorities = (
            ExtensionPolicy.webpki_defaults_ca()
            .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _check_purposes)
            .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_certifies)
            .may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, _check_constraints)
        )
        verifier = (
            PolicyBuilder()
            .store(Store(list(self.roots)))
            .time(time)
            .max_chain_depth(_MAX_CHAIN)
            .extension_policies(ca_policy=authorities, ee_policy=ExtensionPolicy.permit_all())
            .build_client_verifier()
        )
        try:
            return verifier.verify(leaf, list(others)).chain[-1]
        except (ChainError, ValueError) as error:
            raise IdentityMismatch(
                f"the certificate of {_name(leaf)} does not lead to a trusted root: {_reason(error)}"
            ) from error


def verifier_of_own(certificates: tuple[x509.Certificate, ...]) -> CertificateVerifier:
    """Return a verifier for what is signed with the first of ``certificates``, under the last one of that chain."""
    leaf = certificates[0].public_bytes(Encoding.DER)
    return CertificateVerifier(
        roots=certificates[-1:],
        accepts=lambda signed_by: signed_by.certificate == leaf,
        expected=f"the certificate of {_name(certificates[0])}",
    )


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file, at least one.

    Raises:
        SigningError: it cannot be read, or holds no certificate.
    """
    pem = read_key_file(path, what="certificate", limit=_MAX_FILE)
    try:
        found = load_pem_certificates(pem)
    except ValueError as error:
        raise SigningError(f"{path}: {error}") from error
    return tuple(found)


def load_roots(paths: Sequence[Path]) -> tuple[x509.Certificate, ...]:
    """Return the certificates of PEM files, to be trusted as roots.

    Raises:
        TrustError: a file cannot be read, or holds no certificate.
    """
    try:
        return tuple(dict.fromkeys(certificate for path in paths for certificate in load_certificates(path)))
    except SigningError as error:
        raise TrustError(str(error)) from error


def _check_validity(leaf: x509.Certificate, stamped: datetime | None, now: datetime) -> None:
    time = stamped or now
    if time < leaf.not_valid_before_utc:
        raise LogProofInvalid(
            f"the certificate of {_name(leaf)} is valid from {leaf.not_valid_before_utc:%Y-%m-%d} on, not yet at "
            f"{time:%Y-%m-%d}"
        )
    if time > leaf.not_valid_after_utc:
        raise LogProofInvalid(
            f"the certificate of {_name(leaf)} expired on {leaf.not_valid_after_utc:%Y-%m-%d}, and "
            + ("it signed later" if stamped else "no timestamp of a trusted authority says that it signed before")
        )


def check_usage(leaf: x509.Certificate, *, trusted: bool) -> None:
    """Refuse certificates made for something else: raise `SignatureInvalid`.

    RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12, OMS v1.0 section 4.2. An authority below a trusted root certifies
    others; nobody has said that it speaks for models itself, although its key may be for signatures too (over OCSP
    answers, for example). It is none where its key usage lets it certify nobody (section 6.1.4 (n); model-signing's own
    samples are such), and one that is ``trusted`` itself may be (`openssl req -x509` makes nothing else).
    """
    usage = _extension(leaf, x509.KeyUsage)
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    constraints = _extension(leaf, x509.BasicConstraints)
    certifies = constraints is not None and constraints.ca and (usage is None or usage.key_cert_sign)
    if certifies and not trusted:
        raise SignatureInvalid(f"the certificate of {_name(leaf)} is that of an authority, which signs certificates")
    if usage is not None and not usage.digital_signature:
        raise SignatureInvalid(f"the certificate of {_name(leaf)} is not for signatures (key usage)")
    if purposes is not None and ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise SignatureInvalid(f"the certificate of {_name(leaf)} is not for signing code (extended key usage)")
    if usage is None and purposes is None:
        raise SignatureInvalid(f"the certificate of {_name(leaf)} does not say what it is for (no key usage)")


def _check_certifies(_policy: object, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its key usage lets it certify nobody")


def _check_purposes(_policy: object, _certificate: x509.Certificate, purposes: x509.ExtendedKeyUsage | None) -> None:
    # RFC 5280 does not say so, but OpenSSL, Go and the web's rules do: who may certify web servers only has not been
    # given the right to name those who sign code.
    if purposes is not None and _CERTIFIES_SIGNERS.isdisjoint(purposes):
        raise ValueError("its extended key usage does not let it certify who signs code")


def _check_constraints(_policy: object, _certificate: x509.Certificate, limits: x509.NameConstraints | None) -> None:
    # cryptography overlooks a limit of another kind where the extension is not critical; nobody may be let pass it.
    trees = [] if limits is None else [*(limits.permitted_subtrees or ()), *(limits.excluded_subtrees or ())]
    if not all(isinstance(tree, _JUDGED_CONSTRAINTS) for tree in trees):
        raise ValueError("its name constraints are of a kind that is not judged here")


def _extension(leaf: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return leaf.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _signed_by(leaf: x509.Certificate, root: x509.Certificate, key: PublicKey) -> SignedBy:
    names = subject_names(leaf)
    subject = leaf.subject.rfc4514_string()
    common = _common_name(leaf)
    claims = {"subject": subject, "spki": sha256_of(public_der(key)).hex}
    if common is not None:
        claims["common_name"] = common
    return SignedBy(
        method=Method.CERTIFICATE,
        name=_name(leaf),
        names=names,
        identity=names[0] if names else subject,
        issuer=root.subject.rfc4514_string(),
        key_hint=key_hint(key),
        certificate=leaf.public_bytes(Encoding.DER),
        claims=claims,
    )


def _name(leaf: x509.Certificate) -> str:
    names = subject_names(leaf)
    return names[0] if names else _common_name(leaf) or leaf.subject.rfc4514_string() or "nobody"


def _common_name(leaf: x509.Certificate) -> str | None:
    found = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else None


def _public_key(certificate: x509.Certificate) -> PublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise SigningError("the certificate's key is neither ECDSA, Ed25519 nor RSA")
    return key


def _reason(error: Exception) -> str:
    # "validation failed: candidates exhausted: …": the last part says why.
    if "Forbidden signature algorithm" in str(error):
        return "it or one on the way is signed with an algorithm that is not accepted, such as SHA-1"
    reason = str(error).partition("(encountered")[0].strip().rpartition(": ")[2]
    if "candidates exhausted" in reason:
        return "neither the trusted certificates nor those in the bundle have its issuer"
    return reason
