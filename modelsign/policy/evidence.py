"""What a policy may look at: proven statements that were held against the measured model, and what was seen here.

Nothing else reaches `evaluate`: a statement that was only parsed has another type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from attestations.manifest import Manifest
from attestations.verify import BoundStatement, VerifiedStatement
from modelsign.policy.decision import Signer
from modelsign.policy.identities import Pattern, principals
from scanners.records import dataclass

if TYPE_CHECKING:
    from scanners.findings import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedClaim:
    """A bound statement with its signer, as the policy and the caller know them."""

    bound: BoundStatement
    signer: Signer
    trusted_by_caller: bool = False
    """whether the caller's own keys or identities vouch for the signer, beside the policy's"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a policy decides on."""

    manifest: Manifest
    """as measured, SHA-256 per file"""
    signatures: tuple[SignedClaim, ...]
    """model signatures that cover exactly the measured content"""
    statements: tuple[SignedClaim, ...]
    unsigned: tuple[str, ...]
    report: "Report | None"
    """the local scan, None when none was made"""
    now: datetime


def signer_of(
    verified: VerifiedStatement,
    *,
    vouched: Sequence[str] = (),
    identities: Mapping[str, Sequence[Pattern]],
) -> Signer:
    """Return who signed ``verified``, with the names a policy gives to them.

    Args:
        verified: the proof.
        vouched: which keys and certificate identities of the policy have signed it, as they describe themselves.
        identities: the policy's identities.
    """
    by = verified.signed_by
    signer = Signer(
        method=by.method.value,
        name=by.name,
        identity=by.identity,
        issuer=by.issuer,
        key=by.key_hint,
        time=verified.time,
        time_source=None if verified.time_source is None else verified.time_source.value,
        claims=dict(sorted(by.claims.items())),
        vouched=tuple(vouched),
    )
    return replace(signer, principals=principals(signer, identities))
