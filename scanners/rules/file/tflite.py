"""TensorFlow Lite models that need code of others, or whose indices leave their tables."""

from collections.abc import Iterator

from scanners.facts import Anomaly, Operator, Reference
from scanners.findings import Finding, Rule, Severity
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.file import tensorflow
from scanners.rules.found import found

CUSTOM = Rule(
    id="MS530",
    name="tflite-custom-operator",
    severity=Severity.LOW,
    summary="A TensorFlow Lite model needs operators that the application has to bring",
    fix="Know the library that brings them; the interpreter refuses the model without it.",
    cwe="CWE-829",
)
FLEX = Rule(
    id="MS531",
    name="tflite-flex-operator-acts",
    severity=Severity.HIGH,
    summary="A TensorFlow Lite model calls TensorFlow operators that touch files, Python or the network",
    fix="Convert the model again without SELECT_TF_OPS, or without the operator.",
    cwe="CWE-73",
)
MEMORY = Rule(
    id="MS532",
    name="tflite-index-outside",
    severity=Severity.HIGH,
    summary="Indices, shapes or buffers of a TensorFlow Lite model lead outside, and interpreters read foreign memory",
    fix="Do not load the model; convert it again from its source.",
    cwe="CWE-125",
)
OUTSIDE = Rule(
    id="MS533",
    name="tflite-external-buffers-outside",
    severity=Severity.HIGH,
    summary="A TensorFlow Lite model takes its weights from a file outside its own directory",
    fix="Do not load the model; external buffers lie beside it, under a plain name.",
    cwe="CWE-22",
)

RULES: tuple[Rule, ...] = (CUSTOM, FLEX, MEMORY, OUTSIDE)

_LEAVES = late(r"^(?:[/\\~]|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://)|(?:^|[/\\])\.\.(?:[/\\]|$)|\0")

_CODES = frozenset({"tflite-index", "tflite-buffer-outside", "tflite-shape"})
_ACTING = (
    tensorflow.SAVING_OPERATORS
    | tensorflow.WRITING_OPERATORS
    | tensorflow.PYTHON_OPERATORS
    | tensorflow.DEBUG_OPERATORS
    | tensorflow.NETWORK_OPERATORS
    | tensorflow.BY_CALLER_OPERATORS
)


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge operators and anomalies."""
    for fact in facts.facts:
        if isinstance(fact, Anomaly) and fact.code in _CODES:
            severity = Severity.MEDIUM if fact.code != "tflite-index" else MEMORY.severity
            yield found(MEMORY, facts, fact.location, fact.message, severity=severity)
        elif isinstance(fact, Reference) and fact.kind == "external-buffers" and _LEAVES.search(fact.target):
            message = f"external buffers are read from {fact.target!r}"
            yield found(OUTSIDE, facts, fact.location, message, evidence=fact.target)
        elif isinstance(fact, Operator) and fact.framework == "tflite":
            inner = fact.name.removeprefix("Flex")
            if fact.name.startswith("Flex") and inner in _ACTING:
                yield found(
                    FLEX, facts, fact.location, f"the flex delegate runs TensorFlow's {inner}", evidence=fact.name
                )
            elif not fact.name.startswith(("Flex", "TFLite_")):
                yield found(CUSTOM, facts, fact.location, f"{fact.name} is a custom operator", evidence=fact.name)
