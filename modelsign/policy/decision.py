"""The answer of a verification: allowed or not, and every reason with a stable code.

Codes are part of the interface (`modelsign.decision/v1`): they are never renamed and never change their meaning. The
table in `modelsign/cli/exits.py` gives each an exit code.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import Enum

from attestations.digest import Digest
from attestations.manifest import Manifest
from scanners.records import dataclass


class Code(Enum):
    """What a reason is about. `Reason.passed` says how it ended."""

    SIGNATURE_FOUND = "signature-found"
    SIGNATURE_VALID = "signature-valid"
    SIGNATURE_SUPPORTED = "signature-supported"
    LOG_PROOF = "log-proof"
    SIGNER_TRUSTED = "signer-trusted"
    SIGNER_THRESHOLD = "signer-threshold"
    TRUST_USABLE = "trust-usable"
    CONTENT = "content"
    CONTENT_STABLE = "content-stable"
    FILE_MISSING = "file-missing"
    FILE_CHANGED = "file-changed"
    FILE_UNSIGNED = "file-unsigned"
    DIGESTS_MEASURED = "digests-measured"
    SYMLINKS = "symlinks"
    LOCAL_SCAN = "local-scan"
    LOCAL_SCAN_COMPLETE = "local-scan-complete"
    POLICY_CURRENT = "policy-current"
    FORMATS = "formats"
    REMOTE_CODE = "remote-code"
    SCAN_ATTESTED = "scan-attested"
    SCAN_AGREES = "scan-agrees"
    CONVERSION_ATTESTED = "conversion-attested"


class Level(Enum):
    """Whether a reason that did not pass denies."""

    DENY = "deny"
    WARN = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One question that was asked, and its answer."""

    code: Code
    message: str
    """one sentence, with the way out where it did not pass; raw text, escaped by whoever shows it"""
    passed: bool
    subject: str | None = None
    """the file, signer or statement it is about; None for the model as a whole"""
    level: Level = Level.DENY

    @property
    def denies(self) -> bool:
        """Whether this reason alone forbids the model."""
        return not self.passed and self.level is Level.DENY


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed, as the verifier established it."""

    method: str
    """`key`, `certificate`, `sigstore`"""
    name: str
    """what to show to a person"""
    identity: str | None
    issuer: str | None
    key: str
    """SHA-256 of the public key's PEM text, the hint that model signatures carry"""
    time: datetime | None
    """when, by a clock that is not the signer's; None when nobody vouches for a time"""
    time_source: str | None
    claims: Mapping[str, str] = field(default_factory=dict)
    """what a Fulcio certificate says besides, by the names of its documentation"""
    vouched: tuple[str, ...] = ()
    """which keys and certificate identities of the policy are this signer, as they describe themselves"""
    principals: tuple[str, ...] = ()
    """names under which the policy knows this signer"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """What the answer speaks about."""

    root: Digest
    files: int
    """files that were measured and are signed"""
    size: int
    """bytes of these files"""
    ignored: tuple[str, ...] = ()
    """paths the signature leaves out"""
    unsigned: tuple[str, ...] = ()
    """files that lie in the model and nobody signed"""
    unchecked: tuple[str, ...] = ()
    """files that a partial verification did not look at, signed or not"""
    claimed: bool = False
    """whether the digests came from somebody else and were not measured here"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A signed statement that was found and accepted as evidence."""

    predicate_type: str
    summary: str
    signer: Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalScan:
    """What the scan of this verification came to."""

    verdict: str
    complete: bool
    findings: int
    ruleset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPolicy:
    """Which policy was asked."""

    name: str
    sha256: str
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a model may be loaded, and why."""

    target: str
    """name of the target, without the directories above it"""
    reasons: tuple[Reason, ...]
    signers: tuple[Signer, ...] = ()
    covered: Covered | None = None
    """None when no signature could be trusted, so that nothing is covered"""
    claims: tuple[Claim, ...] = ()
    policy: AppliedPolicy | None = None
    scan: LocalScan | None = None
    """None when none was made"""
    notes: tuple[str, ...] = ()
    """what a person should know and no rule asks"""
    manifest: Manifest | None = None
    """the model as measured, whole files with SHA-256; None where it did not come to that"""
    inputs: tuple[Digest, ...] = ()
    """digests of the bundles that were taken as evidence"""

    @property
    def allowed(self) -> bool:
        """Whether no reason denies. A decision without reasons allows nothing: nothing was established."""
        return bool(self.reasons) and not any(reason.denies for reason in self.reasons)
