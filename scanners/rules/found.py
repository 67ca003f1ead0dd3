"""How rules over one file write down what they found: one finding, or one for each anomaly a table names."""

from collections.abc import Iterator, Mapping

from scanners.facts import Anomaly
from scanners.findings import EVIDENCE_LIMIT, Confidence, Finding, Location, Rule, Severity
from scanners.reading import FileFacts

MESSAGE_LIMIT = 1000
"""names in messages come out of files, and may be as long as a path"""


def found(
    rule: Rule,
    facts: FileFacts,
    location: Location,
    message: str,
    *,
    severity: Severity | None = None,
    confidence: Confidence = Confidence.HIGH,
    evidence: str = "",
) -> Finding:
    """Return a finding in the file of ``facts``, with the rule's own severity unless another is given."""
    return Finding(
        rule=rule,
        file=facts.path,
        location=location,
        severity=rule.severity if severity is None else severity,
        confidence=confidence,
        message=message if len(message) <= MESSAGE_LIMIT else f"{message[:MESSAGE_LIMIT]}…",
        evidence=evidence[:EVIDENCE_LIMIT],
    )


def found_anomalies(facts: FileFacts, rules: Mapping[str, Rule]) -> Iterator[Finding]:
    """Yield a finding for each anomaly whose code has a rule, in the words of the anomaly."""
    for fact in facts.facts:
        if isinstance(fact, Anomaly) and fact.code in rules:
            yield found(rules[fact.code], facts, fact.location, fact.message)
