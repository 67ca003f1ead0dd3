"""RFC 3161 timestamps: a third party's word that a signature existed at some time.

Spec: RFC 3161, and the Sigstore bundle's ``rfc3161Timestamps``, which cover the bytes of the signature. A timestamp is
what lets a signature outlive its certificate; only one by an authority that the caller trusts counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from attestations.causes import cause_of
from attestations.errors import LogProofInvalid, SigningError, TrustError
from attestations.named_files import read_whole
from attestations.records import dataclass

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

_TIMEOUT = 30
_GRANTED = frozenset({0, 1})
"""of PKIStatus, RFC 3161 section 2.4.2: granted, and granted with modifications"""
_MAX_RESPONSE = 64 * 1024
_MAX_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampAuthority:
    """Whom the caller trusts to tell the time.

    Attributes:
        leaf: the certificate that signs timestamps; None to take the one in the timestamp, below one of the roots.
        intermediates: between leaf and root.
        roots: at least one.
        valid_from: when its timestamps begin to count.
        valid_until: when they cease to.
    """

    roots: tuple["Certificate", ...]
    leaf: "Certificate | None" = None
    intermediates: tuple["Certificate", ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None


def load_authority(path: Path) -> TimestampAuthority:
    """Return the authority whose certificates lie in a PEM file, in any order.

    Raises:
        TrustError: the file cannot be read, or has no self-signed certificate to serve as root.
    """
    from attestations.signers.certificate_names import load_pem_certificates

    try:
        found = load_pem_certificates(read_whole(path, _MAX_FILE))
    except OSError as error:
        raise TrustError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TrustError(f"{path}: {error}") from error
    roots = tuple(item for item in found if item.subject == item.issuer)
    leaves = [item for item in found if _stamps(item)]
    if not roots or len(leaves) > 1:
        raise TrustError(f"{path}: give one timestamp authority with its root, not {len(leaves)} with {len(roots)}")
    rest = tuple(item for item in found if item not in roots and item not in leaves)
    return TimestampAuthority(roots=roots, leaf=leaves[0] if leaves else None, intermediates=rest)


def _stamps(certificate: "Certificate") -> bool:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.TIME_STAMPING in purposes and not constraints.ca


def proven_time(
    responses: Sequence[bytes], signature: bytes, authorities: Sequence[TimestampAuthority]
) -> datetime | None:
    """Return the earliest time that a trusted authority vouches for, None when there is none.

    Raises:
        LogProofInvalid: a timestamp that is not one, or two that are the same.
    """
    if not authorities:
        return None
    if len(set(responses)) != len(responses):
        raise LogProofInvalid("the bundle has the same timestamp twice")
    times = [time for response in responses if (time := _time_of(_decode(response), signature, authorities))]
    return min(times, default=None)


def request_timestamp(url: str, signature: bytes) -> bytes:
    """Return a timestamp over ``signature`` from the authority at ``url``.

    Whether the authority counts is for readers to say; that it answered what was asked is seen here.

    Raises:
        SigningError: the authority cannot be reached, or its answer is no timestamp.
    """
    import requests
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    query = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=True).build()
    try:
        with requests.post(
            url,
            data=query.as_bytes(),
            headers={"Content-Type": "application/timestamp-query"},
            timeout=_TIMEOUT,
            stream=True,
        ) as answer:
            answer.raise_for_status()
            content = b"".join(_first(answer.iter_content(_MAX_RESPONSE), _MAX_RESPONSE))
    except requests.RequestException as error:
        raise SigningError(f"the timestamp authority {url} did not answer: {cause_of(error)}") from error
    if len(content) > _MAX_RESPONSE:
        raise SigningError(f"the timestamp authority {url} answered more than {_MAX_RESPONSE} bytes")
    try:
        answered = _decode(content)
        if answered.status not in _GRANTED:
            reasons = "; ".join(answered.status_string)
            raise SigningError(f"the timestamp authority {url} gives no timestamp{reasons and f' ({reasons})'}")
        info = answered.tst_info
        imprint = (info.message_imprint.hash_algorithm, info.message_imprint.message)
    except (LogProofInvalid, ValueError) as error:
        raise SigningError(f"the timestamp authority {url} did not answer with a timestamp: {error}") from error
    asked = query.message_imprint
    if imprint != (asked.hash_algorithm, asked.message) or info.nonce != query.nonce:
        raise SigningError(f"the timestamp authority {url} answered with a timestamp of something else")
    return content


def _first(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Yield chunks until they have more than ``count`` bytes."""
    for chunk in chunks:
        yield chunk
        count -= len(chunk)
        if count < 0:
            return


def _decode(response: bytes) -> "TimeStampResponse":
    from rfc3161_client import decode_timestamp_response

    try:
        return decode_timestamp_response(response)
    except ValueError as error:
        raise LogProofInvalid(f"the bundle's timestamp cannot be read: {error}") from error


def _time_of(
    response: "TimeStampResponse", signature: bytes, authorities: Sequence[TimestampAuthority]
) -> datetime | None:
    from cryptography import x509
    from rfc3161_client import VerificationError, VerifierBuilder

    for authority in authorities:
        verifier = VerifierBuilder(
            tsa_certificate=authority.leaf,
            intermediates=list(authority.intermediates),
            roots=list(authority.roots),
        ).build()
        try:
            verifier.verify_message(response, signature)
            time: datetime = response.tst_info.gen_time
        except (VerificationError, ValueError, x509.InvalidVersion):
            continue
        after_start = authority.valid_from is None or authority.valid_from <= time
        if after_start and (authority.valid_until is None or time < authority.valid_until):
            return time
    return None
