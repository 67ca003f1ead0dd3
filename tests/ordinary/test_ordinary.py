"""No false alarms: files made here by the real libraries."""

import fnmatch
from pathlib import Path

import pytest

import modelsign
from modelsign import Verdict
from tests.ordinary.libraries import LIBRARIES, Library
from tests.ordinary.making import make_files

pytestmark = pytest.mark.ordinary

READ_BY_NOBODY = (Verdict.CLEAN, Verdict.UNSUPPORTED)


def allowed(library: Library, path: str) -> tuple[Verdict, ...]:
    return next(
        (expectation.verdicts for expectation in library.expected if fnmatch.fnmatch(path, expectation.pattern)),
        READ_BY_NOBODY,
    )


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_files_of_real_libraries_raise_no_alarm(library: Library, tmp_path: Path) -> None:
    made = make_files(library, tmp_path / "files")
    report = modelsign.scan(tmp_path / "files")
    assert len(report.files) == len(made)
    wrong = {
        file.path: (file.verdict.value, sorted({f"{f.rule.id} {f.evidence or f.message}" for f in file.findings}))
        for file in report.files
        if file.verdict not in allowed(library, file.path)
    }
    assert wrong == {}
