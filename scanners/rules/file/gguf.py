"""GGUF headers whose numbers a C reader would get wrong, or that describe more than the file holds."""

from collections.abc import Iterator

from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found_anomalies

OVERFLOW = Rule(
    id="MS550",
    name="gguf-integer-overflow",
    severity=Severity.HIGH,
    summary="Counts or sizes in a GGUF header overflow the integers of C readers and corrupt their memory",
    fix="Do not load the file; take it again from its publisher. No writer makes such numbers.",
    cwe="CWE-190",
)
OUTSIDE = Rule(
    id="MS551",
    name="gguf-tensor-outside-file",
    severity=Severity.MEDIUM,
    summary="A GGUF tensor lies outside the file, or shares bytes with another",
    fix="Download the file again; if it stays so, do not load it.",
    cwe="CWE-125",
)
STRUCTURE = Rule(
    id="MS552",
    name="gguf-structure",
    severity=Severity.LOW,
    summary="A GGUF file bends its format: holes, trailing bytes, odd alignment, rows that are not whole blocks",
    fix="Write the file again with the tool that made it, or ask where the extra bytes come from.",
    cwe="CWE-1286",
)
AMBIGUOUS = Rule(
    id="MS553",
    name="gguf-duplicate-name",
    severity=Severity.MEDIUM,
    summary="A GGUF header names a key or a tensor twice, so readers differ in which one they use",
    fix="Do not load the file; take it again from its publisher.",
    cwe="CWE-694",
)

RULES: tuple[Rule, ...] = (OVERFLOW, OUTSIDE, STRUCTURE, AMBIGUOUS)

_BY_CODE = {
    "gguf-overflow": OVERFLOW,
    "gguf-count": OVERFLOW,
    "gguf-string": OVERFLOW,
    "gguf-dimensions": OVERFLOW,
    "gguf-alignment-value": OVERFLOW,
    "gguf-outside": OUTSIDE,
    "gguf-overlap": OUTSIDE,
    "gguf-hole": STRUCTURE,
    "gguf-trailing": STRUCTURE,
    "gguf-alignment": STRUCTURE,
    "gguf-block": STRUCTURE,
    "gguf-duplicate-key": AMBIGUOUS,
    "gguf-duplicate-tensor": AMBIGUOUS,
}


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Report the anomalies of GGUF headers."""
    yield from found_anomalies(facts, _BY_CODE)
