"""From an error of `attestations` to the reason that denies."""

from attestations.errors import (
    AttestationError,
    ContentChanged,
    IdentityMismatch,
    LogProofInvalid,
    NotRegular,
    TrustError,
    Unsupported,
)
from modelsign.policy.decision import Code, Reason


def reason_of(error: AttestationError) -> Reason:
    """Return the reason that an error comes to."""
    kinds: tuple[tuple[type[AttestationError], Code], ...] = (
        (Unsupported, Code.SIGNATURE_SUPPORTED),
        (IdentityMismatch, Code.SIGNER_TRUSTED),
        (LogProofInvalid, Code.LOG_PROOF),
        (TrustError, Code.TRUST_USABLE),
        (ContentChanged, Code.CONTENT_STABLE),
        (NotRegular, Code.CONTENT),
    )
    code = next((code for kind, code in kinds if isinstance(error, kind)), Code.SIGNATURE_VALID)
    return Reason(code=code, message=str(error), passed=False)
