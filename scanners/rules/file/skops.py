"""Types and functions that a skops file names."""

from collections.abc import Iterator

from scanners.facts import Reference
from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.file.references import dangerous, harmless
from scanners.rules.found import found

DANGEROUS = Rule(
    id="MS582",
    name="skops-dangerous-type",
    severity=Severity.HIGH,
    summary="A skops file names a class or function that acts on processes, files, the network or the interpreter",
    fix="Do not add the name to `trusted`; no estimator consists of it.",
    cwe="CWE-502",
)
DISGUISED = Rule(
    id="MS583",
    name="skops-disguised-node",
    severity=Severity.HIGH,
    summary="A node of a skops file makes something else than the type it declares",
    fix="Do not load the file with skops < 0.12, which checked only what was declared.",
    cwe="CWE-351",
)
UNTRUSTED = Rule(
    id="MS584",
    name="skops-unknown-type",
    severity=Severity.LOW,
    summary="A skops file names types that skops loads only when its caller trusts them",
    fix="Look at each name before adding it to `trusted`.",
)

RULES: tuple[Rule, ...] = (DANGEROUS, DISGUISED, UNTRUSTED)

_OPERATORS = frozenset({"operator", "_operator"})


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge every name."""
    for fact in facts.facts:
        if isinstance(fact, Reference) and fact.kind == "skops":
            judged = _judged(fact)
            if judged is not None:
                rule, message = judged
                yield found(rule, facts, fact.location, message, evidence=f"{fact.context}: {fact.target}")


def _judged(fact: Reference) -> tuple[Rule, str] | None:
    kind, _, declared = fact.context.partition(" of ")
    if kind == "MethodNode" and declared:
        owner, _, method = fact.target.rpartition(".")
        if owner != declared or method.startswith("__"):
            return DISGUISED, f"declared as {declared}, but makes {fact.target} (CVE-2025-54413)"
        return None
    if kind == "OperatorFuncNode":
        if declared:
            if "__" in fact.target:
                return DISGUISED, f"{declared} is asked for {fact.target} (CVE-2025-54412)"
            return None
        if fact.target.split(".", 1)[0] not in _OPERATORS:
            return DISGUISED, f"{fact.target} is no operator, but its node makes one (CVE-2025-54412)"
        return None
    if dangerous(fact.target):
        return DANGEROUS, f"names {fact.target}"
    if harmless(fact.target) or fact.target.startswith(("sklearn.", "numpy.", "scipy.", "builtins.")):
        return None
    return UNTRUSTED, f"names {fact.target}"
