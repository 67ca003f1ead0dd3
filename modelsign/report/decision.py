"""`modelsign.decision/v1`: the answer of a verification as JSON, and for a person.

`schemas/decision-v1.json` is its JSON Schema. Times are those of signatures; the document says nothing of the machine
or the moment of the verification, so the same question has the same answer byte for byte.
"""

import json
from collections.abc import Iterator

import click

from attestations.predicates.fields import rfc3339
from modelsign.escape import plain
from modelsign.policy.decision import Claim, Covered, Decision, Level, Reason, Signer
from modelsign.sizes import human_size

SCHEMA = "modelsign.decision/v1"
_LISTED = 20
"""reasons of one kind that the human form shows one by one"""

Json = dict[str, object]


def text(value: str) -> str:
    """Return ``value`` with lone surrogates spelled out, which JSON cannot carry."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def document(decision: Decision) -> Json:
    """Return a decision as JSON values."""
    policy = decision.policy
    scan = decision.scan
    return {
        "schema": SCHEMA,
        "target": text(decision.target),
        "allowed": decision.allowed,
        "reasons": [_reason(reason) for reason in decision.reasons],
        "signers": [_signer(signer) for signer in decision.signers],
        "covered": None if decision.covered is None else _covered(decision.covered),
        "claims": [_claim(claim) for claim in decision.claims],
        "policy": None if policy is None else {"name": policy.name, "sha256": policy.sha256, "mode": policy.mode},
        "scan": None
        if scan is None
        else {
            "verdict": scan.verdict,
            "complete": scan.complete,
            "findings": scan.findings,
            "ruleset": scan.ruleset,
        },
        "notes": [text(note) for note in decision.notes],
    }


def write_json(decision: Decision) -> str:
    """Return a decision as a JSON document."""
    return json.dumps(document(decision), indent=2, ensure_ascii=True) + "\n"


def _reason(reason: Reason) -> Json:
    return {
        "code": reason.code.value,
        "passed": reason.passed,
        "level": reason.level.value,
        "message": text(reason.message),
        "subject": None if reason.subject is None else text(reason.subject),
    }


def _signer(signer: Signer) -> Json:
    return {
        "method": signer.method,
        "name": text(signer.name),
        "identity": signer.identity,
        "issuer": signer.issuer,
        "key": signer.key,
        "time": None if signer.time is None else rfc3339(signer.time),
        "time_source": signer.time_source,
        "certificate_claims": dict(signer.claims),
        "principals": list(signer.principals),
    }


def _covered(covered: Covered) -> Json:
    return {
        "root": {covered.root.algorithm: covered.root.hex},
        "files": covered.files,
        "bytes": covered.size,
        "measured": not covered.claimed,
        "ignored": [text(name) for name in covered.ignored],
        "unsigned": [text(name) for name in covered.unsigned],
        "unchecked": [text(name) for name in covered.unchecked],
    }


def _claim(claim: Claim) -> Json:
    return {
        "type": claim.predicate_type,
        "summary": text(claim.summary),
        "signer": _signer(claim.signer),
    }


def write_human(decision: Decision, *, color: bool = False, quiet: bool = False) -> str:
    """Return a decision for a person: the answer first, then what denies, then what was covered."""
    lines = list(_answer(decision, color=color))
    if quiet and decision.allowed:
        return "".join(f"{line}\n" for line in lines[1:])
    if not quiet:
        lines += _told(decision)
    return "".join(f"{line}\n" for line in lines)


def _answer(decision: Decision, *, color: bool) -> Iterator[str]:
    word = "allowed" if decision.allowed else "DENIED"
    shown = click.style(word, fg="green" if decision.allowed else "red", bold=True) if color else word
    yield f"{plain(decision.target)}: {shown}"
    denying = [reason for reason in decision.reasons if reason.denies]
    warning = [reason for reason in decision.reasons if not reason.passed and reason.level is Level.WARN]
    yield from _listed("  denied     ", denying)
    yield from _listed("  warning    ", warning)


def _listed(label: str, reasons: list[Reason]) -> Iterator[str]:
    for reason in reasons[:_LISTED]:
        yield f"{label}{plain(reason.message)}  [{reason.code.value}]"
    if len(reasons) > _LISTED:
        yield f"{label}and {len(reasons) - _LISTED} more; --json lists them all"


def _told(decision: Decision) -> Iterator[str]:
    for signer in decision.signers:
        yield f"  signed by  {plain(_who(signer))}"
    if decision.covered is not None:
        yield from _coverage(decision.covered)
    for claim in decision.claims:
        yield f"  claim      {plain(claim.summary)} (by {plain(claim.signer.name)})"
    if decision.scan is not None:
        yield f"  scanned    here, with rule set {decision.scan.ruleset}: {decision.scan.verdict}"
    for reason in decision.reasons:
        if reason.passed and reason.code.value in _WORTH_TELLING:
            yield f"  {_WORTH_TELLING[reason.code.value]:<10} {plain(reason.message)}"
    if decision.policy is not None:
        yield f"  policy     {plain(decision.policy.name)} (mode {decision.policy.mode})"
    for note in decision.notes:
        yield f"  note       {plain(note)}"


_WORTH_TELLING = {"scan-agrees": "compared"}


def _who(signer: Signer) -> str:
    parts = [f"{signer.name}," if signer.issuer is None else signer.name]
    if signer.issuer is not None:
        parts.append(f"(issuer {signer.issuer}),")
    if signer.principals:
        parts.append(f"known as {', '.join(signer.principals)},")
    parts.append(f"method {signer.method},")
    if signer.time is None:
        parts.append("at a time nobody else vouches for")
    else:
        parts.append(f"at {rfc3339(signer.time)} by the {signer.time_source}")
    return " ".join(parts)


def _coverage(covered: Covered) -> Iterator[str]:
    how = "digests claimed by others" if covered.claimed else "measured here"
    files = f"{covered.files} file{'' if covered.files == 1 else 's'}"
    yield f"  covered    {files}, {human_size(covered.size)}, {how}; root {covered.root}"
    for label, names in (
        ("ignored", covered.ignored),
        ("unsigned", covered.unsigned),
        ("unchecked", covered.unchecked),
    ):
        if names:
            shown = ", ".join(plain(name) for name in names[:8])
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            yield f"  {label:<10} {shown}{more}"
