"""A scan once more as in-toto's `test-result/v0.1`, for gates that know that predicate and not ours.

It carries no tool, no rule set and no time (in-toto/attestation, spec/predicates/test-result.md), so our own verifier
never asks for it; cosign, AMPEL or Conforma can.
"""

from collections.abc import Mapping

from attestations.predicates.model_scan import ModelScan, Outcome, Result
from attestations.strict_json import Json

_FAILED = frozenset({Outcome.MALICIOUS})
_WARNED = frozenset({Outcome.SUSPICIOUS, Outcome.ERROR, Outcome.INCOMPLETE})


def result_of(scan: ModelScan) -> Mapping[str, Json]:
    """Return the predicate: files as tests, the report as the configuration."""
    configuration: dict[str, Json] = {
        "name": scan.report_name,
        "mediaType": scan.report_media_type,
        "digest": {"sha256": scan.report_sha256},
    }
    return {
        "result": scan.result.value,
        "configuration": [configuration],
        "passedTests": _files(scan, Result.PASSED),
        "warnedTests": _files(scan, Result.WARNED),
        "failedTests": _files(scan, Result.FAILED),
    }


def _files(scan: ModelScan, result: Result) -> list[Json]:
    return [*sorted(file.name for file in scan.files if _result(file.outcome) is result)]


def _result(outcome: Outcome) -> Result:
    if outcome in _FAILED:
        return Result.FAILED
    return Result.WARNED if outcome in _WARNED else Result.PASSED
