"""The raw pickles that other scanners are tested with get the verdict they must get."""

import pytest

from scanners.findings import Verdict
from tests.scanners.corpus import SCAN, cases
from tests.scanners.rules.examples import scan_files
from tests.vectors import needs_vectors

_KINDS = frozenset({"pickle", "pkl"})

_ACCEPTED = {
    "unsafe": {Verdict.MALICIOUS},
    "suspicious": {Verdict.SUSPICIOUS, Verdict.MALICIOUS},
    "safe": {Verdict.CLEAN},
}

ARGUED = {
    # The hidden pickle calls print: it shows that something ran, and does no harm. The default gate stops it.
    "malicious/modelaudit/samples_pickles/decode_exec_chain.pkl": Verdict.SUSPICIOUS,
    "malicious/modelaudit/samples_pickles/malicious_model_realistic.pkl": Verdict.SUSPICIOUS,
}


@needs_vectors
@pytest.mark.parametrize(("path", "expected"), cases(_KINDS))
def test_verdict(path: str, expected: str) -> None:
    report = scan_files({path.rsplit("/", 1)[-1]: (SCAN / path).read_bytes()})

    accepted = {ARGUED[path]} if path in ARGUED else _ACCEPTED[expected]
    assert report.verdict in accepted, [finding.message for finding in report.findings]


@needs_vectors
def test_every_argued_file_is_in_the_corpus() -> None:
    assert set(ARGUED) <= {path for path, _ in cases(_KINDS)}
