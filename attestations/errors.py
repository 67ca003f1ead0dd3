"""What can go wrong with claims and seals.

    AttestationError
    ├── ManifestError            files cannot be listed or hashed as the format asks
    │   ├── ContentChanged       a file changed while it was being hashed
    │   ├── NoFiles              there is nothing to hash
    │   └── NotRegular           a symbolic link, a pipe or a device lies where only regular files may
    │       └── LinkRefused      a symbolic link, and the caller did not say that links may be followed
    ├── EnvelopeError            a statement, envelope or bundle is malformed
    ├── SigningError             a signature could not be made
    ├── TrustError               trusted roots cannot be read, are expired or cannot be refreshed
    └── VerificationError        a signature was looked at and does not hold
        ├── SignatureInvalid
        ├── IdentityMismatch     signed, but not by whom the caller trusts
        │   ├── OtherKey
        │   └── OutsideItsTime
        ├── DigestMismatch       signed, but the content differs
        ├── LogProofInvalid      transparency log, certificate transparency or timestamp proof does not hold
        └── Unsupported          a legal format this version does not judge: neither valid nor invalid

Malformed input of any kind ends in one of these, never in a leaked `ValueError`.
"""


class AttestationError(Exception):
    """Root of the errors of this package."""


class ManifestError(AttestationError):
    """Files cannot be listed or hashed as the format asks."""


class ContentChanged(ManifestError):  # noqa: N818 - it says what happened
    """A file changed, came or went while the model was being hashed."""


class NoFiles(ManifestError):  # noqa: N818
    """A model without files, or with ignored ones only: a signature over nothing would say nothing."""


class NotRegular(ManifestError):  # noqa: N818
    """A symbolic link, a pipe, a socket or a device lies where only regular files may."""


class LinkRefused(NotRegular):
    """A symbolic link, and the caller did not say that links inside the model may be followed."""


class EnvelopeError(AttestationError):
    """A statement, an envelope or a bundle is malformed."""


class SigningError(AttestationError):
    """A signature could not be made."""


class TrustError(AttestationError):
    """Trusted roots or keys cannot be read, are expired, or cannot be refreshed."""


class VerificationError(AttestationError):
    """A signature was looked at and does not hold."""


class SignatureInvalid(VerificationError):  # noqa: N818 - names fixed by architecture.md; the parent says "error"
    """The bytes were not signed by the key or certificate that the bundle names."""


class IdentityMismatch(VerificationError):  # noqa: N818
    """Signed, but not by a key, identity or issuer the caller trusts."""


class OtherKey(IdentityMismatch):
    """Signed with another key than one that the caller trusts."""

    def __init__(self, key: str) -> None:
        super().__init__(f"signed with another key than {key}")
        self.key = key
        """what the caller calls the one that he trusts"""


class OutsideItsTime(IdentityMismatch):
    """Signed by whom the caller trusts, at a time at which that does not count, or that nobody trusted tells."""


class DigestMismatch(VerificationError):  # noqa: N818
    """Signed, but the content differs from what was signed."""


class LogProofInvalid(VerificationError):  # noqa: N818
    """A transparency log, certificate transparency or timestamp proof is missing or does not hold."""


class Unsupported(VerificationError):  # noqa: N818
    """A legal format that this version does not judge: not verified, and not called invalid."""
