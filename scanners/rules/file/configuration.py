"""Configuration that makes a loader import or fetch code (MS401)."""

from collections.abc import Iterator

from scanners.facts import Reference
from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found

CONFIGURED_CODE = Rule(
    id="MS401",
    name="configuration-runs-code",
    severity=Severity.MEDIUM,
    summary="A configuration file names code that a loader imports, from beside it or from another repository",
    fix="Read the code it names and pin its revision, or use a model that the library itself implements.",
    cwe="CWE-829",
)

RULES: tuple[Rule, ...] = (CONFIGURED_CODE,)

_KERNELS = "kernels-community/"
"""the kernels that the transformers library itself points to"""
_MESSAGES = {
    "code": "names code that is imported from beside it (with trust_remote_code): {target}",
    "repository": "names code of another repository, which can change at any time: {target}",
    "package": "names a package that is imported while loading: {target}",
    "kernel": "names a kernel (native code) of another repository, which the loader fetches and runs: {target}",
    "unasked-kernel": "makes transformers 4.56 to 5.2 fetch and run code of another repository, without"
    " trust_remote_code (CVE-2026-4372): {target}",
    "switch": "sets {context} to {target}",
}


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge what JSON configuration refers to."""
    for fact in facts.facts:
        if not isinstance(fact, Reference) or fact.kind not in _MESSAGES:
            continue
        # A switch that lets a loader trust code does nothing without a reference to code. Code beside the file is
        # imported only with trust_remote_code, and is judged itself, or missed by a rule over neighbours (MS443).
        switch = fact.kind == "switch" and fact.context.rsplit(".", 1)[-1] != "custom_pipeline"
        harmless = switch or fact.kind == "code" or fact.target.rsplit("|", 1)[-1].startswith(_KERNELS)
        worst = Severity.HIGH if fact.kind == "unasked-kernel" else CONFIGURED_CODE.severity
        yield found(
            CONFIGURED_CODE,
            facts,
            fact.location,
            _MESSAGES[fact.kind].format(target=fact.target, context=fact.context),
            severity=Severity.LOW if harmless else worst,
            evidence=f"{fact.context} = {fact.target}",
        )
