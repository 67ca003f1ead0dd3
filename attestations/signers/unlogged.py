"""Keyless signatures judged without a transparency log, for those who have said aloud that they want that.

What remains is the certificate: it leads to the instance's authority, carries the promise of a certificate log (SCT),
was made for signing code, and was valid at a time that a trusted timestamp tells. Without a timestamp it is held
against the beginning of its own validity, which only says that it was once good: the key of a certificate that expired
years ago still signs. Nothing here shows that anybody but the signer ever saw the signature. A proof that is present
and does not hold is refused all the same.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store
from cryptography.x509.verification import VerificationError as ChainError

from attestations.bundle import Bundle
from attestations.errors import IdentityMismatch, LogProofInvalid, SignatureInvalid, Unsupported
from attestations.timestamps import TimestampAuthority, proven_time

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot


def judge_certificate(
    bundle: Bundle,
    certificate: x509.Certificate,
    *,
    root: "TrustedRoot",
    authorities: Sequence[TimestampAuthority],
    without_time: bool,
) -> datetime | None:
    """Return when the bundle was signed, after its certificate has been traced to the trusted root.

    Args:
        bundle: the bundle; its signature has been verified with the certificate's key.
        certificate: of the signer.
        root: the instance to believe.
        authorities: whose timestamps count.
        without_time: be content where nobody trusted says when it was signed; None is returned then.

    Raises:
        IdentityMismatch: the certificate is not of that instance.
        LogProofInvalid: no trusted time, a time outside of the certificate's, or no SCT that holds.
        SignatureInvalid: a certificate that is not for signing code.
        Unsupported: a certificate of a kind that cannot be judged.
    """
    stamped = proven_time(bundle.timestamps, bundle.envelope.signatures[0].signature, authorities)
    if stamped is None and bundle.timestamps:
        raise LogProofInvalid("no timestamp of the bundle is by an authority of the trusted Sigstore instance")
    if stamped is None and not without_time:
        raise LogProofInvalid("nobody trusted says when the signature was made")
    time = stamped or certificate.not_valid_before_utc
    if not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
        raise LogProofInvalid(f"the Sigstore certificate was not valid when it signed, {time:%Y-%m-%dT%H:%M:%SZ}")
    _check_certificate_log(certificate, _chain(certificate, root, time), root)
    _check_usage(certificate)
    return stamped


def check_issuer(certificate: x509.Certificate, root: "TrustedRoot") -> None:
    """Raise where a certificate is of another instance, whatever time it was used at.

    Raises:
        IdentityMismatch: so it is.
        Unsupported: a certificate of a kind that cannot be judged.
    """
    try:
        _chain(certificate, root, certificate.not_valid_before_utc)
    except IdentityMismatch as error:
        raise IdentityMismatch("signed with another Sigstore instance than the trusted one") from error


def _chain(certificate: x509.Certificate, root: "TrustedRoot", time: datetime) -> list[x509.Certificate]:
    """Return the authorities from the issuer to the trusted root."""
    # Fulcio's certificates are for signing code, and a client's would be asked for another purpose; looked at below.
    authorities, leaf = (
        policy.may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None)
        for policy in (ExtensionPolicy.webpki_defaults_ca(), ExtensionPolicy.webpki_defaults_ee())
    )
    try:
        verifier = (
            PolicyBuilder()
            .store(Store(root.get_fulcio_certs()))
            .time(time)
            .extension_policies(ca_policy=authorities, ee_policy=leaf)
            .build_client_verifier()
        )
        return verifier.verify(certificate, []).chain[1:]
    except x509.UnsupportedGeneralNameType as error:
        raise Unsupported(f"the identity in the Sigstore certificate is of a kind not judged here: {error}") from error
    except (ChainError, ValueError) as error:
        raise IdentityMismatch(
            "the certificate was not issued by the trusted Sigstore instance, or was not valid when it signed"
        ) from error


def _check_certificate_log(certificate: x509.Certificate, chain: list[x509.Certificate], root: "TrustedRoot") -> None:
    from sigstore import errors
    from sigstore._internal.sct import verify_sct  # it has no public name
    from sigstore._internal.trust import KeyringPurpose

    try:
        verify_sct(certificate, chain, root.ct_keyring(KeyringPurpose.VERIFY))
    except (errors.Error, ValueError, LookupError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise LogProofInvalid(
            f"the certificate log's promise in the Sigstore certificate does not hold: {error}"
        ) from error


def _check_usage(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise SignatureInvalid("the Sigstore certificate does not say what it is for") from error
    if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise SignatureInvalid("the Sigstore certificate is not for signing code")
