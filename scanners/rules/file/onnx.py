"""ONNX models that reach outside their own directory, or that need code of others."""

import re
from collections.abc import Iterator

from scanners.facts import Anomaly, Operator, Reference
from scanners.findings import Finding, Rule, Severity
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.found import found

ESCAPE = Rule(
    id="MS540",
    name="onnx-external-data-outside",
    severity=Severity.HIGH,
    summary="An ONNX model takes tensors or compiled parts from a file outside its own directory",
    fix="Do not load the model; external data lies beside it, under a plain name.",
    cwe="CWE-22",
)
KEYS = Rule(
    id="MS541",
    name="onnx-external-data-keys",
    severity=Severity.HIGH,
    summary="The external data of an ONNX tensor has keys that the format does not know, or ranges that are no numbers",
    fix="Write the model again with onnx.save; loaders have set attributes of their own objects from such keys.",
    cwe="CWE-915",
)
CODE = Rule(
    id="MS542",
    name="onnx-python-operator",
    severity=Severity.HIGH,
    summary="An ONNX model calls Python through an operator",
    fix="Export the model without Python operators.",
    cwe="CWE-94",
)
CUSTOM = Rule(
    id="MS543",
    name="onnx-custom-operator",
    severity=Severity.LOW,
    summary="An ONNX model needs operators that only a separate native library brings",
    fix="Know the library before you register it; the runtime refuses the model without it.",
    cwe="CWE-829",
)
REMOTE = Rule(
    id="MS544",
    name="onnx-remote-operator",
    severity=Severity.MEDIUM,
    summary="An ONNX model sends its inputs to a service on the network",
    fix="Know the service; a model that computes by itself needs none.",
    cwe="CWE-201",
)

RULES: tuple[Rule, ...] = (ESCAPE, KEYS, CODE, CUSTOM, REMOTE)

_OUTSIDE = late(
    # Runtimes in browsers fetch the path as a URL, where dots and slashes may be written in percent.
    r"^(?:/|\\|~|%2f|%5c|[a-z]:|[a-z][a-z0-9+.-]*://)|(?:^|[/\\]|%2f|%5c)(?:\.|%2e){2}(?:[/\\]|%2f|%5c|$)|\0|_ORT_MEM_ADDR_",
    re.IGNORECASE,
)
_PYTHON = frozenset({"PyOp", "PyCustomOp", "PythonOp", "PythonOpGrad"})
_RUNTIME = late(r"com\.microsoft(?:\.(?!extensions$).+)?|com\.ms\..+|org\.pytorch\..+|pkg\..+|onnxscript\..+")


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge external data and foreign operators."""
    for fact in facts.facts:
        match fact:
            case Reference(kind="external-data") if _OUTSIDE.search(fact.target) or not fact.target:
                message = f"external data of tensor {fact.context!r} is read from {fact.target!r}"
                yield found(ESCAPE, facts, fact.location, message, severity=Severity.HIGH, evidence=fact.target)
            case Reference(kind="compiled-context") if _OUTSIDE.search(fact.target):
                message = f"the compiled part {fact.context!r} is loaded from {fact.target!r}"
                yield found(ESCAPE, facts, fact.location, message, severity=Severity.HIGH, evidence=fact.target)
            case Anomaly(code="onnx-external-key" | "onnx-external-range"):
                severity = Severity.MEDIUM if fact.code == "onnx-external-range" else Severity.HIGH
                yield found(KEYS, facts, fact.location, fact.message, severity=severity)
            case Reference(kind="endpoint"):
                message = f"{fact.context} sends its inputs to {fact.target or 'a service'}"
                yield found(REMOTE, facts, fact.location, message, severity=Severity.MEDIUM, evidence=fact.target)
            case Operator(framework="onnx"):
                yield from _operator(facts, fact)
            case _:
                pass


def _operator(facts: FileFacts, fact: Operator) -> Iterator[Finding]:
    evidence = f"{fact.domain}::{fact.name}"
    if fact.name in _PYTHON:
        message = f"{evidence} calls Python code that the process has registered"
        yield found(CODE, facts, fact.location, message, severity=Severity.HIGH, evidence=evidence)
    elif not fact.arguments and not _RUNTIME.fullmatch(fact.domain):
        message = f"{evidence} comes from a library that has to be registered first"
        yield found(CUSTOM, facts, fact.location, message, severity=Severity.LOW, evidence=evidence)
