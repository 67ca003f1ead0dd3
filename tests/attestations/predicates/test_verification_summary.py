from typing import Any

import pytest

from attestations.errors import EnvelopeError
from attestations.predicates.verification_summary import VerificationSummary
from tests.builders.statements import NOW

SUMMARY = VerificationSummary(
    verifier="https://example.org/gate",
    verifier_version={"modelsign-suite": "0.1.0"},
    verified=NOW,
    resource="hf://acme/tiny@v1",
    policy="urn:modelsign:policy:prod",
    policy_sha256="aa" * 32,
    inputs=("bb" * 32, "cc" * 32),
    passed=True,
    levels=("MODELSIGN_SCANNED", "MODELSIGN_VERIFIED"),
)


def test_reading_gives_back_what_was_written() -> None:
    assert VerificationSummary.parse(SUMMARY.to_predicate()) == SUMMARY


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verifier", {}),
        ("verifier", {"id": "x", "version": 1}),
        ("timeVerified", "now"),
        ("resourceUri", None),
        ("policy", {"uri": "x"}),
        ("inputAttestations", [{"uri": "x"}]),
        ("verificationResult", "OK"),
        ("verifiedLevels", "SLSA_BUILD_LEVEL_3"),
    ],
)
def test_a_malformed_summary_is_refused(key: str, value: Any) -> None:
    with pytest.raises(EnvelopeError):
        VerificationSummary.parse(SUMMARY.to_predicate() | {key: value})
