"""Templates that would reach beyond the conversation they format.

Severity: current loaders (transformers, vLLM, llama-cpp-python >= 0.2.72) render chat templates in Jinja's sandbox,
which refuses these constructs or had holes for them; older and home-made servers run them. Hence medium: no gate lets
them pass by default, and the finding says under which loader it executes.
"""

from collections.abc import Iterator

from scanners.facts import Template
from scanners.findings import Confidence, Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found

ESCAPE = Rule(
    id="MS410",
    name="template-escape",
    severity=Severity.MEDIUM,
    summary="A template walks from a value to the Python interpreter or the surrounding program",
    fix="Remove the construct from the template, or take the template of the original model.",
    cwe="CWE-1336",
)
BUILT = Rule(
    id="MS411",
    name="template-assembled-name",
    severity=Severity.MEDIUM,
    summary="A template puts together the name of an attribute so that a reader does not see it",
    fix="Write the attribute's name out; if it cannot be written out honestly, do not use the template.",
    cwe="CWE-1336",
)
BOMB = Rule(
    id="MS412",
    name="template-endless-loop",
    severity=Severity.MEDIUM,
    summary="A template loops or repeats text by a constant that no server survives",
    fix="Remove the loop; loops over messages need no constant bound.",
    cwe="CWE-400",
)
INCLUSION = Rule(
    id="MS413",
    name="template-file-inclusion",
    severity=Severity.LOW,
    summary="A template asks its renderer for another file",
    fix="Put the text into the template: chat templates are rendered without a loader of files.",
    cwe="CWE-73",
)
UNPARSABLE = Rule(
    id="MS414",
    name="template-unparsable",
    severity=Severity.LOW,
    summary="A template is not valid Jinja, so what another renderer makes of it is unknown",
    fix="Correct the syntax the message names; custom tags need a reader of their own.",
    cwe="CWE-1286",
)

RULES: tuple[Rule, ...] = (ESCAPE, BUILT, BOMB, INCLUSION, UNPARSABLE)

_SANDBOX = (
    "runs on servers that render outside Jinja's sandbox"
    " (llama-cpp-python < 0.2.72, CVE-2024-34359; SGLang, CVE-2026-5760)"
)

_BY_CONSTRUCT = {
    "dunder-attribute": (ESCAPE, Confidence.HIGH, f"the template reaches for Python's internals; {_SANDBOX}"),
    "python-function": (ESCAPE, Confidence.HIGH, f"the template calls a function of Python itself; {_SANDBOX}"),
    "escape-object": (ESCAPE, Confidence.MEDIUM, "the template reaches into an object of the program that renders it"),
    "string-building": (BUILT, Confidence.HIGH, "the template assembles the name of an internal attribute from pieces"),
    "attr-filter": (BUILT, Confidence.MEDIUM, "the template looks up an attribute whose name is computed (`|attr`)"),
    "loop-bomb": (BOMB, Confidence.HIGH, "rendering the template would not end, or would fill the memory"),
    "file-inclusion-outside": (INCLUSION, Confidence.MEDIUM, "the template includes a file outside its own directory"),
    "file-inclusion": (INCLUSION, Confidence.MEDIUM, "the template includes another file"),
    "unparsable": (UNPARSABLE, Confidence.HIGH, "the template could not be parsed"),
}


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Report every construct once per place."""
    for fact in facts.facts:
        if isinstance(fact, Template):
            rule, confidence, message = _BY_CONSTRUCT.get(fact.construct, _BY_CONSTRUCT["escape-object"])
            severity = Severity.MEDIUM if fact.construct == "file-inclusion-outside" else rule.severity
            yield found(
                rule, facts, fact.location, message, severity=severity, confidence=confidence, evidence=fact.text
            )
