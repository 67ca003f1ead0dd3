"""TorchScript that reaches outside the model (MS590, MS591)."""

from collections.abc import Iterator

from scanners.facts import Operator
from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found

FILE_ACCESS = Rule(
    id="MS590",
    name="torchscript-file-access",
    severity=Severity.HIGH,
    summary="TorchScript in the archive reads or writes files by itself",
    fix="Do not load it; ask for a model whose code only computes.",
    cwe="CWE-73",
)
CUSTOM_OPERATOR = Rule(
    id="MS591",
    name="torchscript-custom-operator",
    severity=Severity.LOW,
    summary="TorchScript in the archive calls operators of a library that torch does not bring along",
    fix="Load it only with a library of operators whose source you know.",
    cwe="CWE-829",
)

RULES: tuple[Rule, ...] = (FILE_ACCESS, CUSTOM_OPERATOR)

_WHILE_LOADING = frozenset({"__setstate__", "__init__"})


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge the operators; one finding per operator, function and member."""
    seen: set[tuple[str, str, tuple[str, ...]]] = set()
    for fact in facts.facts:
        if not isinstance(fact, Operator) or fact.framework != "torchscript":
            continue
        arguments = dict(fact.arguments)
        function = arguments.get("function", "")
        key = (fact.name, function, fact.location.members)
        if key in seen:
            continue
        seen.add(key)
        moment = "while the model is loaded" if function in _WHILE_LOADING else "when the model is used"
        rule = FILE_ACCESS if fact.domain == "file" else CUSTOM_OPERATOR
        yield found(
            rule,
            facts,
            fact.location,
            f"{function or 'module level'} calls {fact.name}, {moment}",
            evidence=arguments.get("call", ""),
        )
