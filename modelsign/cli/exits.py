"""The one table from outcomes and errors to exit codes (docs: "Exit codes")."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from attestations import errors as attestation_errors
from modelsign import errors

if TYPE_CHECKING:
    from modelsign.policy.decision import Decision


class Exit(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    DENIED = 1
    USAGE = 2
    INCOMPLETE = 3
    SOURCE = 4
    NOTHING = 5
    REFUSED = 6
    NO_SIGNATURE = 10
    SIGNATURE_INVALID = 11
    NOT_TRUSTED = 12
    CONTENT_DIFFERS = 13
    ATTESTATION_MISSING = 14
    TRUST_EXPIRED = 15
    UNSUPPORTED = 16
    INTERNAL = 70
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: dict[Exit, str] = {
    Exit.OK: "pass",
    Exit.DENIED: "the gate said no: findings at or above --fail-on, or the policy denies",
    Exit.USAGE: "usage or configuration error",
    Exit.INCOMPLETE: "incomplete or error: something could not be scanned and the gate forbids that",
    Exit.SOURCE: "source, network, or I/O error",
    Exit.NOTHING: "nothing matched, nothing to do",
    Exit.REFUSED: "input refused: a checkpoint that cannot be converted safely",
    Exit.NO_SIGNATURE: "no signature found",
    Exit.SIGNATURE_INVALID: "signature invalid",
    Exit.NOT_TRUSTED: "identity, issuer or key not trusted",
    Exit.CONTENT_DIFFERS: "content differs from what was signed (missing, extra, changed)",
    Exit.ATTESTATION_MISSING: "required attestation missing or not acceptable",
    Exit.TRUST_EXPIRED: "trust root or policy expired or unusable",
    Exit.UNSUPPORTED: "signature or log format not supported: not verified, not called invalid",
    Exit.INTERNAL: "internal error (a bug)",
    Exit.INTERRUPTED: "interrupted; a partial report is still valid",
    Exit.TERMINATED: "terminated; a partial report is still valid",
}

_PRECEDENCE = (
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.USAGE,
    Exit.SOURCE,
    Exit.INTERNAL,
    Exit.REFUSED,
    Exit.NOTHING,
    Exit.SIGNATURE_INVALID,
    Exit.CONTENT_DIFFERS,
    Exit.NOT_TRUSTED,
    Exit.NO_SIGNATURE,
    Exit.UNSUPPORTED,
    Exit.TRUST_EXPIRED,
    Exit.ATTESTATION_MISSING,
    Exit.DENIED,
    Exit.INCOMPLETE,
    Exit.OK,
)


def worst(codes: Iterable[Exit]) -> Exit:
    """Return the code to exit with when several apply; `Exit.OK` for none."""
    return min(codes, key=_PRECEDENCE.index, default=Exit.OK)


_ERRORS: tuple[tuple[type[Exception], Exit], ...] = (
    (errors.UsageError, Exit.USAGE),
    (errors.SourceError, Exit.SOURCE),
    (errors.NothingToDo, Exit.NOTHING),
    (errors.ConversionError, Exit.REFUSED),
    (errors.PolicyError, Exit.TRUST_EXPIRED),
    (attestation_errors.SignatureInvalid, Exit.SIGNATURE_INVALID),
    (attestation_errors.LogProofInvalid, Exit.SIGNATURE_INVALID),
    (attestation_errors.IdentityMismatch, Exit.NOT_TRUSTED),
    (attestation_errors.DigestMismatch, Exit.CONTENT_DIFFERS),
    (attestation_errors.Unsupported, Exit.UNSUPPORTED),
    (attestation_errors.EnvelopeError, Exit.SIGNATURE_INVALID),
    (attestation_errors.TrustError, Exit.TRUST_EXPIRED),
    (attestation_errors.ContentChanged, Exit.CONTENT_DIFFERS),
    (attestation_errors.NoFiles, Exit.NOTHING),
    (attestation_errors.ManifestError, Exit.SOURCE),
    (attestation_errors.TrustError, Exit.TRUST_EXPIRED),
    (attestation_errors.SigningError, Exit.SOURCE),
    (OSError, Exit.SOURCE),
)


def exit_of(error: Exception) -> Exit | None:
    """Return the exit code of a documented error, None for a bug. The first matching row wins."""
    return next((code for kind, code in _ERRORS if isinstance(error, kind)), None)


# What each reason of a decision comes to when it denies (docs/verifying.md lists the codes).
# By the code's value, because most verbs need no policy and should not pay for it.
_REASONS: Mapping[str, Exit] = {
    "signature-found": Exit.NO_SIGNATURE,
    "signature-valid": Exit.SIGNATURE_INVALID,
    "signature-supported": Exit.UNSUPPORTED,
    "log-proof": Exit.SIGNATURE_INVALID,
    "signer-trusted": Exit.NOT_TRUSTED,
    "signer-threshold": Exit.NOT_TRUSTED,
    "trust-usable": Exit.TRUST_EXPIRED,
    "content": Exit.CONTENT_DIFFERS,
    "content-stable": Exit.CONTENT_DIFFERS,
    "file-missing": Exit.CONTENT_DIFFERS,
    "file-changed": Exit.CONTENT_DIFFERS,
    "file-unsigned": Exit.CONTENT_DIFFERS,
    "digests-measured": Exit.INCOMPLETE,
    "symlinks": Exit.DENIED,
    "local-scan": Exit.DENIED,
    "local-scan-complete": Exit.INCOMPLETE,
    "policy-current": Exit.TRUST_EXPIRED,
    "formats": Exit.DENIED,
    "remote-code": Exit.DENIED,
    "scan-attested": Exit.ATTESTATION_MISSING,
    "scan-agrees": Exit.DENIED,
    "conversion-attested": Exit.ATTESTATION_MISSING,
}


def exit_of_decision(decision: "Decision") -> Exit:
    """Return what a verification exits with: 0 where it allows, else the worst of what denies."""
    if decision.allowed:
        return Exit.OK
    return worst(_REASONS[reason.code.value] for reason in decision.reasons if reason.denies)
