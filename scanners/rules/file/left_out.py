"""Files of a target that were not opened at all, and links that were read under a second name (MS907, MS908)."""

from collections.abc import Iterator

from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found_anomalies

FILE_LEFT_OUT = Rule(
    id="MS907",
    name="file-left-out",
    severity=Severity.LOW,
    summary="A file of the target was not opened, so nothing is known about it",
    fix="Remove the file from the model, put a regular file in its place, or make it readable, and scan again.",
)
SYMBOLIC_LINK = Rule(
    id="MS908",
    name="symbolic-link",
    severity=Severity.INFO,
    summary="A symbolic link gives a file of the target a second name",
    fix="Nothing needs to be done; a copy in its place would make the model independent of links.",
)

RULES: tuple[Rule, ...] = (FILE_LEFT_OUT, SYMBOLIC_LINK)

_BY_CODE = {"left-out": FILE_LEFT_OUT, "symbolic-link": SYMBOLIC_LINK}


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Turn what the walk over the target could not, or would not, open into findings."""
    yield from found_anomalies(facts, _BY_CODE)
