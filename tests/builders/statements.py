"""Statements about small models, proven without any cryptography: a verifier that believes what the test says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from attestations.bundle import Bundle
from attestations.digest import sha256_of
from attestations.envelope import Envelope, EnvelopeSignature
from attestations.manifest import Manifest, ManifestEntry
from attestations.predicates.model_scan import (
    ModelScan,
    Outcome,
    Result,
    ScanFinding,
    ScannedBytes,
    ScannedFile,
    Scanner,
    Severity,
)
from attestations.predicates.oms_signature import manifest_statement
from attestations.statement import Statement
from attestations.uris import MODEL_SCAN_V0_1, PAYLOAD_TYPE
from attestations.verify import Method, Proof, SignedBy, TimeSource, VerifiedStatement, bind, verify_bundle
from modelsign.claims.subjects import subjects_of
from modelsign.policy.evidence import Evidence, SignedClaim, signer_of
from modelsign.policy.rules import Policy
from scanners.findings import Report

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ISSUER = "https://token.actions.githubusercontent.com"


def manifest(files: Mapping[str, bytes]) -> Manifest:
    """Return what measuring a directory with these files gives."""
    entries = tuple(
        ManifestEntry(name=name, digest=sha256_of(data), size=len(data)) for name, data in sorted(files.items())
    )
    return Manifest(name="model", entries=entries)


@dataclass(frozen=True, kw_only=True)
class Says:
    """A verifier that finds every bundle signed by one identity at one time."""

    identity: str | None = None
    issuer: str | None = ISSUER
    key: str = "00" * 32
    name: str = ""
    time: datetime | None = NOW
    claims: Mapping[str, str] = field(default_factory=dict)

    def handles(self, bundle: Bundle) -> bool:
        return bool(bundle.envelope.signatures)

    def verify(self, bundle: Bundle) -> Proof:
        keyed = self.identity is None
        return Proof(
            payload=bundle.envelope.payload,
            signed_by=SignedBy(
                method=Method.KEY if keyed else Method.SIGSTORE,
                name=self.name or self.identity or "key",
                # A keyless signer has a new key each time, and nobody else's.
                key_hint=self.key if self.identity is None else sha256_of(self.identity.encode()).hex,
                identity=self.identity,
                issuer=None if keyed else self.issuer,
                certificate=None if keyed else b"certificate",
                claims=self.claims,
            ),
            time=self.time,
            time_source=None if self.time is None else TimeSource.LOG,
        )


def proven(statement: Statement, by: Says) -> VerifiedStatement:
    """Return ``statement`` as proven by ``by``."""
    envelope = Envelope(
        payload=statement.payload, payload_type=PAYLOAD_TYPE, signatures=(EnvelopeSignature(signature=b"sealed"),)
    )
    return verify_bundle(Bundle.of_key(envelope, hint=""), [by])


def claimed(
    policy: Policy,
    statement: Statement,
    model: Manifest,
    by: Says,
) -> SignedClaim:
    """Return a proven statement, bound to a model, as a policy sees it."""
    verified = proven(statement, by)
    signer = signer_of(verified, identities=policy.identities)
    return SignedClaim(bound=bind(verified, model), signer=signer)


def scan(model: Manifest, **changes: object) -> ModelScan:
    """Return a clean scan of every file of ``model``, with some fields replaced."""
    files = tuple(
        ScannedFile(name=model.file_name(entry), sha256=entry.digest.hex, outcome=Outcome.CLEAN, analyzers=("json",))
        for entry in model.entries
    )
    values: dict[str, object] = {
        "scanner": Scanner(
            uri="pkg:pypi/modelsign-suite", version="0.3.1", ruleset="2026.11.0", ruleset_sha256="ab" * 32
        ),
        "result": Result.PASSED,
        "complete": True,
        "coverage": ScannedBytes(files=len(files), size=10, parsed=10, inert=0, unread=0),
        "files": files,
        "findings": (),
        "started": NOW,
        "finished": NOW,
        "report_name": "model",
        "report_media_type": "application/json",
        "report_sha256": "cd" * 32,
    }
    return ModelScan(**values | changes)  # type: ignore[arg-type]  # a test replaces fields by name


def finding(severity: Severity) -> ScanFinding:
    """Return a finding of some severity."""
    return ScanFinding(
        rule="MS101",
        name="pickle-os-command",
        severity=severity,
        confidence="high",
        file="config.json",
        members=(),
        offset=None,
        message="something",
        fingerprint="ef" * 16,
    )


def scan_statement(model: Manifest, **changes: object) -> Statement:
    """Return a scan of ``model`` as a statement over all its files."""
    return Statement.build(
        predicate_type=MODEL_SCAN_V0_1,
        subjects=subjects_of(model),
        predicate=scan(model, **changes).to_predicate(),
    )


def evidence(
    policy: Policy,
    model: Manifest,
    *,
    by: Says,
    statements: Sequence[SignedClaim] = (),
    unsigned: tuple[str, ...] = (),
    report: Report | None = None,
    now: datetime = NOW,
) -> Evidence:
    """Return the evidence of a model that ``by`` signed."""
    return Evidence(
        manifest=model,
        signatures=(claimed(policy, manifest_statement(model), model, by),),
        statements=tuple(statements),
        unsigned=unsigned,
        report=report,
        now=now,
    )
