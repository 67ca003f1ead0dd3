"""An allowed decision as a signed verification summary (VSA), for gates that must not do all of it again.

Its signer is a gate. Somebody who made or signed the model cannot be one, because their summary would skip every
question about themselves: such a key is refused.
"""

from datetime import datetime

from attestations.bundle import Bundle
from attestations.predicates.verification_summary import VerificationSummary
from attestations.signers.key import KeySigner
from attestations.statement import Statement
from attestations.uris import BASE, VERIFICATION_SUMMARY_V1
from modelsign.claims.subjects import subjects_of
from modelsign.errors import UsageError
from modelsign.policy.decision import Decision
from modelsign.version import __version__

VERIFIER = f"{BASE}/verifiers/local-cli/v1"
_LEVEL_VERIFIED = "MODELSIGN_VERIFIED"
_LEVEL_SCANNED = "MODELSIGN_SCANNED"


def summary_bundle(
    decision: Decision, signer: KeySigner, *, resource: str, verified: datetime, verifier: str = VERIFIER
) -> Bundle:
    """Return the signed summary of an allowed decision.

    Args:
        decision: one that allows, made with a policy over measured content.
        signer: the gate's key, which no producer of the model may hold.
        resource: URI under which a consumer will ask for the model.
        verified: when it was verified.
        verifier: URI of the gate.

    Raises:
        UsageError: the decision cannot be summed up, or the signer signed the model or a claim about it.
        SigningError: no signature could be made.
    """
    policy, manifest = decision.policy, decision.manifest
    if not decision.allowed or manifest is None:
        raise UsageError("only an allowed decision has a summary")
    if policy is None or policy.mode != "enforce":
        raise UsageError("a summary says which policy was enforced: give --policy, in mode enforce")
    if decision.covered is None or decision.covered.claimed or decision.covered.unchecked:
        raise UsageError("a summary speaks about a whole model that was measured; leave out --partial and --manifest")
    ours = signer.verifier(name="the gate")
    producers = {producer.key for producer in (*decision.signers, *(claim.signer for claim in decision.claims))}
    if ours.fingerprint in producers:
        raise UsageError(
            "the key of the summary signed the model or a claim about it; a gate's key must be its own, or the "
            "summary would vouch for its own maker"
        )
    levels = (_LEVEL_VERIFIED,) if decision.scan is None else (_LEVEL_VERIFIED, _LEVEL_SCANNED)
    summary = VerificationSummary(
        verifier=verifier,
        verifier_version={"modelsign-suite": __version__},
        verified=verified,
        resource=resource,
        policy=f"urn:modelsign:policy:{policy.name}",
        policy_sha256=policy.sha256,
        inputs=tuple(digest.hex for digest in decision.inputs),
        passed=True,
        levels=levels,
    )
    statement = Statement.build(
        predicate_type=VERIFICATION_SUMMARY_V1, subjects=subjects_of(manifest), predicate=summary.to_predicate()
    )
    return signer.sign(statement)
