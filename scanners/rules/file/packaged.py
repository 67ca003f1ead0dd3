"""Archives that bring the code along which loads or serves the model (MS592)."""

from collections.abc import Iterator

from scanners.facts import Code
from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found

CARRIES_CODE = Rule(
    id="MS592",
    name="archive-carries-code",
    severity=Severity.MEDIUM,
    summary="The archive carries Python modules that loading or serving the model imports",
    fix="Read the modules before loading it, or take the weights alone (safetensors).",
    cwe="CWE-829",
)

RULES: tuple[Rule, ...] = (CARRIES_CODE,)


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Say that code travels along; what it does is judged where it is read."""
    for fact in facts.facts:
        if isinstance(fact, Code) and fact.action == "packaged":
            yield found(
                CARRIES_CODE,
                facts,
                fact.location,
                "loading this archive imports Python code from it",
                evidence=fact.text,
            )
