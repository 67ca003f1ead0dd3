"""What a signed statement says, in one line for a person."""

from attestations.errors import AttestationError
from attestations.predicates.fields import text
from attestations.predicates.model_scan import ModelScan
from attestations.uris import MODEL_SCAN_V0_1, OMS_SIGNATURE_V1, SLSA_PROVENANCE_V1, TEST_RESULT_V0_1
from attestations.verify import BoundStatement

_MAX_LENGTH = 500


def summary_of(bound: BoundStatement) -> str:
    """Return the claim in a few words, and how much of the model it is about."""
    try:
        said = _said(bound)
    except AttestationError as error:
        said = f"malformed: {error}"
    if len(said) > _MAX_LENGTH:
        said = f"{said[:_MAX_LENGTH]}…"
    return said if bound.covers_all else f"{said}; about {len(bound.files)} of {len(bound.manifest.files())} files"


def _said(bound: BoundStatement) -> str:
    statement = bound.verified.statement
    kind = statement.predicate_type
    if kind == MODEL_SCAN_V0_1:
        scan = ModelScan.parse(statement.predicate)
        complete = "complete" if scan.complete else "incomplete"
        return f"scan {scan.result.value}, {complete}, rule set {scan.scanner.ruleset}, {scan.coverage.files} files"
    if kind == SLSA_PROVENANCE_V1:
        from attestations.predicates.provenance import Provenance
        from modelsign.claims.conversion import converted_files

        provenance = Provenance.parse(statement.predicate)
        sources = ", ".join(resource.name for resource in provenance.dependencies) or "unnamed sources"
        return f"conversion of {sources} to {', '.join(sorted(converted_files(provenance)))}"
    if kind == TEST_RESULT_V0_1:
        return f"test result {text(statement.predicate, 'result', 'predicate')}"
    if kind == OMS_SIGNATURE_V1:
        return "another signature of the model"
    return "a statement of a type that is not judged here"
