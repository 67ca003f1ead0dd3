"""The predicate SLSA verification summary v1 (VSA): somebody verified a model against a policy, and this came of it.

It stands in for everything that was looked at, so whoever accepts it must trust its signer as a gate, never as a maker
of models. Source: SLSA spec v1.2, verification_summary.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from attestations.errors import EnvelopeError
from attestations.predicates import fields
from attestations.strict_json import Json

SLSA_VERSION = "1.1"
_RESULTS = ("PASSED", "FAILED")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationSummary:
    """The content of a verification summary."""

    verifier: str
    """URI of whoever verified"""
    verifier_version: Mapping[str, str]
    verified: datetime
    resource: str
    """URI of what was verified, as a consumer will ask for it"""
    policy: str
    """URI of the policy"""
    policy_sha256: str
    inputs: tuple[str, ...]
    """SHA-256 of every attestation that was used"""
    passed: bool
    levels: tuple[str, ...]

    def to_predicate(self) -> dict[str, Json]:
        """Return the predicate as JSON values."""
        return {
            "verifier": {"id": self.verifier, "version": dict(sorted(self.verifier_version.items()))},
            "timeVerified": fields.rfc3339(self.verified),
            "resourceUri": self.resource,
            "policy": {"uri": self.policy, "digest": {"sha256": self.policy_sha256}},
            "inputAttestations": [{"digest": {"sha256": digest}} for digest in sorted(self.inputs)],
            "verificationResult": _RESULTS[0] if self.passed else _RESULTS[1],
            "verifiedLevels": [*sorted(self.levels)],
            "slsaVersion": SLSA_VERSION,
        }

    @classmethod
    def parse(cls, predicate: Mapping[str, Json]) -> Self:
        """Read a predicate; what the specification leaves optional must be there in one of ours.

        Raises:
            EnvelopeError: a field is missing or mistyped.
        """
        verifier = fields.member(predicate, "verifier", "predicate")
        version = verifier.get("version")
        policy = fields.member(predicate, "policy", "predicate")
        result = fields.text(predicate, "verificationResult", "predicate")
        if result not in _RESULTS:
            raise EnvelopeError(f"predicate.verificationResult: {result!r} is none of {', '.join(_RESULTS)}")
        return cls(
            verifier=fields.text(verifier, "id", "predicate.verifier"),
            verifier_version={}
            if version is None
            else {
                name: fields.text(fields.mapping(version, "predicate.verifier.version"), name, "predicate.verifier")
                for name in fields.mapping(version, "predicate.verifier.version")
            },
            verified=fields.time(predicate, "timeVerified", "predicate"),
            resource=fields.text(predicate, "resourceUri", "predicate"),
            policy=fields.text(policy, "uri", "predicate.policy"),
            policy_sha256=fields.sha256(policy, "digest", "predicate.policy"),
            inputs=tuple(
                fields.sha256(
                    fields.mapping(value, "predicate.inputAttestations[]"), "digest", "predicate.inputAttestations[]"
                )
                for value in fields.sequence(predicate, "inputAttestations", "predicate")
            ),
            passed=result == _RESULTS[0],
            levels=fields.texts(predicate, "verifiedLevels", "predicate"),
        )
