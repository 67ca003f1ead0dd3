"""Write the table of docs/ordinary-files.md: `python -m tests.ordinary.table`, after `make peers-all`."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest

import modelsign
from tests.ordinary.libraries import LIBRARIES, Library
from tests.ordinary.making import make_files, versions

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ordinary-files.md"
HEAD = """# Ordinary files

Files made by the real libraries, each in an environment of its own, and what `modelsign scan` says of them. This page
is written by `python -m tests.ordinary.table`; the makers are in `tests/ordinary/makers/`.

| libraries | files | clean | suspicious | other |
|---|---|---|---|---|
"""
SHIPPED = "shipped_maker.py"
TAIL = """
`suspicious` stands where code really travels in the file (a function by value with dill, cloudpickle or numba, a Lambda
layer, the source of a traced module), where restoring the object runs source made of its state (graph layers of
torch_geometric) or a later call would start a program that the file names (Stan), and where another file says which of
several archives is loaded (`.distcp`). The report says which. *other* counts files no loader reads (`unsupported`) and
files that could not be read to the end.

Where a row begins with *shipped with*, the files are those that the distributions bring along themselves: models of
many of their versions and trained weights. `suspicious` are joblib's files from before 0.10, whose arrays lie beside
them, and one with classes of morfessor, a library that nobody reviewed.
"""


def main() -> None:
    """Make, scan, count, write."""
    rows = [row for library in LIBRARIES if (row := row_of(library)) is not None]
    PAGE.write_text(HEAD + "".join(rows) + TAIL, encoding="utf-8")


def row_of(library: Library) -> str | None:
    """Return a library's line of the table; None where it is not installed."""
    with tempfile.TemporaryDirectory() as directory:
        files = Path(directory) / "files"
        try:
            make_files(library, files)
        except pytest.skip.Exception as reason:
            print(reason)
            return None
        report = modelsign.scan(files)
    counts = Counter(file.verdict.value for file in report.files)
    clean, suspicious = counts.pop("clean", 0), counts.pop("suspicious", 0)
    other = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "-"
    shipped = "*shipped with* " if library.maker == SHIPPED else ""
    row = f"| {shipped}{versions(library)} | {len(report.files)} | {clean} | {suspicious} | {other} |\n"
    print(row, end="", flush=True)
    return row


if __name__ == "__main__":
    main()
