"""Write the table of docs/ordinary-files.md: `python -m tests.ordinary.table`, after `make peers-all`."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest

import modelsign
from tests.ordinary.libraries import LIBRARIES
from tests.ordinary.making import make_files, versions

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ordinary-files.md"
HEAD = """# Ordinary files

Files made by the real libraries, each in an environment of its own, and what `modelsign scan` says of them. This page
is written by `python -m tests.ordinary.table`; the makers are in `tests/ordinary/makers/`.

| libraries | files | clean | suspicious | other |
|---|---|---|---|---|
"""
TAIL = """
`suspicious` stands where code really travels in the file (a function pickled by value with dill or cloudpickle), and
the report says so. *other* counts files no loader reads (`unsupported`) and files that could not be read to the end.
"""


def main() -> None:
    """Make, scan, count, write."""
    rows = []
    for library in LIBRARIES:
        with tempfile.TemporaryDirectory() as directory:
            files = Path(directory) / "files"
            try:
                make_files(library, files)
            except pytest.skip.Exception as reason:
                print(reason)
                continue
            report = modelsign.scan(files)
        counts = Counter(file.verdict.value for file in report.files)
        clean, suspicious = counts.pop("clean", 0), counts.pop("suspicious", 0)
        other = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "-"
        rows.append(f"| {versions(library)} | {len(report.files)} | {clean} | {suspicious} | {other} |\n")
    PAGE.write_text(HEAD + "".join(rows) + TAIL, encoding="utf-8")


if __name__ == "__main__":
    main()
