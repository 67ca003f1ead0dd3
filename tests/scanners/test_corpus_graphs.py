"""Files that other scanners are tested with: templates, Keras and TensorFlow."""

from pathlib import Path

import pytest

from scanners.engine import finish, scan_blob
from scanners.findings import Verdict
from scanners.reader import BytesReader
from tests.scanners.corpus import SCAN, cases
from tests.vectors import needs_vectors

KINDS = {"json", "h5", "template", "malicious_pyfunc", "malicious"}
EXPECTED = {"unsafe": Verdict.MALICIOUS, "suspicious": Verdict.SUSPICIOUS, "safe": Verdict.CLEAN}


def files_of(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


@needs_vectors
@pytest.mark.parametrize(("path", "expected"), cases(KINDS))
def test_gets_its_expected_verdict(path: str, expected: str) -> None:
    target = SCAN / path
    scanned = [scan_blob(BytesReader(file.read_bytes()), file.name) for file in files_of(target)]
    assert finish(target.name, scanned, tool_version="0").verdict is EXPECTED[expected]
