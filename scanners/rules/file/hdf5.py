"""HDF5 files that make their reader open other files, or allocate what the file does not hold."""

from collections.abc import Iterator

from scanners.facts import Anomaly, Reference
from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found

LINK = Rule(
    id="MS510",
    name="hdf5-external-link",
    severity=Severity.HIGH,
    summary="An HDF5 file links to an object in another file",
    fix="Copy the object into the file (h5repack, h5copy); weights need no link.",
    cwe="CWE-73",
)
STORAGE = Rule(
    id="MS511",
    name="hdf5-external-storage",
    severity=Severity.HIGH,
    summary="An HDF5 dataset keeps its data in another file, any file",
    fix="Copy the data into the file (h5repack); weights need no external storage.",
    cwe="CWE-73",
)
VIRTUAL = Rule(
    id="MS512",
    name="hdf5-virtual-dataset",
    severity=Severity.MEDIUM,
    summary="An HDF5 dataset is put together from datasets of other files",
    fix="Copy the data into the file (h5repack).",
    cwe="CWE-73",
)
BOMB = Rule(
    id="MS513",
    name="hdf5-shape-bomb",
    severity=Severity.MEDIUM,
    summary="An HDF5 dataset promises far more data than the file can hold",
    fix="Do not load the file; reading the dataset allocates what its shape says.",
    cwe="CWE-789",
)

RULES: tuple[Rule, ...] = (LINK, STORAGE, VIRTUAL, BOMB)


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge references and anomalies."""
    for fact in facts.facts:
        match fact:
            case Reference(kind="hdf5-external-link"):
                message = f"{fact.context} lies in the file {fact.target!r} (CVE-2026-1669)"
                yield found(LINK, facts, fact.location, message)
            case Reference(kind="hdf5-external-storage"):
                message = f"the data of {fact.context} are the bytes of {fact.target!r} (CVE-2026-1669)"
                yield found(STORAGE, facts, fact.location, message)
            case Reference(kind="hdf5-virtual-dataset"):
                severity = Severity.LOW if fact.target == "." else VIRTUAL.severity
                message = f"{fact.context} is put together from {fact.target!r}"
                yield found(VIRTUAL, facts, fact.location, message, severity=severity)
            case Anomaly(code="hdf5-shape-bomb" | "hdf5-outside"):
                yield found(BOMB, facts, fact.location, fact.message)
            case _:
                pass
