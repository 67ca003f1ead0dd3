"""XML that makes its parser open files or addresses, grow without bound, or that carries code."""

from collections.abc import Iterator

from scanners.facts import Anomaly, Operator, Reference
from scanners.findings import Finding, Rule, Severity
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.found import found

ENTITY = Rule(
    id="MS560",
    name="xml-external-entity",
    severity=Severity.HIGH,
    summary="An XML file makes its parser open another file or address",
    fix="Remove the declaration; models need no entities and no document type.",
    cwe="CWE-611",
)
BOMB = Rule(
    id="MS561",
    name="xml-entity-expansion",
    severity=Severity.MEDIUM,
    summary="An XML file declares entities made of entities, which grow when they are resolved",
    fix="Remove the declarations; models need no entities.",
    cwe="CWE-776",
)
CODE = Rule(
    id="MS562",
    name="xml-carries-code",
    severity=Severity.MEDIUM,
    summary="An XML model names code: scripts, Java classes, kernels or extension libraries",
    fix="Export the model without extensions that run; PMML and OpenVINO models are data.",
    cwe="CWE-94",
)

RULES: tuple[Rule, ...] = (ENTITY, BOMB, CODE)

_OUTSIDE = late(r"^(?:/|\\|~|[A-Za-z]:|[a-z][a-z0-9+.-]*://)|(?:^|[/\\])\.\.(?:[/\\]|$)")


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge declarations, references and code."""
    for fact in facts.facts:
        match fact:
            case Anomaly(code="xml-external-entity"):
                yield found(ENTITY, facts, fact.location, fact.message[:400], severity=Severity.HIGH)
            case Anomaly(code="xml-external-dtd"):
                yield found(ENTITY, facts, fact.location, fact.message[:400], severity=Severity.MEDIUM)
            case Anomaly(code="xml-entity-bomb"):
                yield found(BOMB, facts, fact.location, fact.message[:400], severity=Severity.MEDIUM)
            case Anomaly(code="xml-entity"):
                yield found(BOMB, facts, fact.location, fact.message[:400], severity=Severity.LOW)
            case Reference(kind="xml-reference"):
                severity = Severity.HIGH if _OUTSIDE.search(fact.target) else Severity.MEDIUM
                message = f"{fact.context} names {fact.target!r}"
                yield found(CODE, facts, fact.location, message[:400], severity=severity)
            case Operator(framework="pmml" | "openvino" | "xml"):
                text = next((value for _, value in fact.arguments), "")
                severity = Severity.LOW if fact.name == "layer" else Severity.MEDIUM
                yield found(CODE, facts, fact.location, f"{fact.name}: {text}"[:400], severity=severity)
            case _:
                pass
