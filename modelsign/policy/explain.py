"""A policy in plain sentences: what it asks, of whom, and what happens otherwise."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from modelsign.policy.decision import Level
from modelsign.policy.rules import ConversionRule, Mode, Policy, ScanRule, When


def explain(policy: Policy) -> Iterator[str]:
    """Return one sentence per thing that is asked, in the order in which a verification asks."""
    match policy.mode:
        case Mode.ENFORCE:
            yield f"Policy {policy.name} denies a model that breaks one of these rules."
        case Mode.WARN:
            yield f"Policy {policy.name} warns about a model that breaks one of these rules, and lets it pass."
        case _:
            assert_never(policy.mode)
    if policy.expires is not None:
        yield f"It holds until {policy.expires:%Y-%m-%d}; after that it denies everything."
    yield from _identities(policy)
    yield _signature(policy)
    yield from _model(policy)
    if policy.scan is not None:
        yield from _scan(policy.scan)
    else:
        yield "It asks for no signed scan; the model is scanned where it is verified, unless somebody says --no-scan."
    if policy.conversion is not None:
        yield _conversion(policy.conversion)


def _identities(policy: Policy) -> Iterator[str]:
    for name in sorted(policy.identities):
        yield f"{name} is {' or '.join(pattern.describe() for pattern in policy.identities[name])}."
    if not policy.identities:
        yield "It names nobody: whoever verifies has to say whom to trust."


def _signature(policy: Policy) -> str:
    rule = policy.signature
    count = "" if rule.threshold == 1 else f", by {rule.threshold} different signers"
    return f"The model must be signed by {_who(rule.by)}{count}, and every file must be what was signed."


def _model(policy: Policy) -> Iterator[str]:
    model = policy.model
    if model.formats is not None:
        yield f"Its files must be {_either(model.formats)}, beside configuration and text."
    if model.may_be_unsigned:
        yield f"{_either(model.may_be_unsigned)} may lie there unsigned; no other file may."
    else:
        yield f"A file that nobody signed {_does(model.unsigned_files)}."
    yield f"A model signed through symbolic links {_does(model.symlinks)}."
    if model.remote_code is not None:
        yield f"Code in the model, or a reference to code that a loader would run, {_does(model.remote_code)}."


def _scan(rule: ScanRule) -> Iterator[str]:
    count = "" if rule.threshold == 1 else f" ({rule.threshold} different ones)"
    complete = "complete " if rule.complete else ""
    yield (
        f"There must be a signed {complete}scan of every file by {_who(rule.by)}{count}, with no finding worse than "
        f"{rule.max_severity.value}."
    )
    if rule.max_age is not None:
        clock = "a clock that is not the signer's" if rule.trusted_time else "the signer's own clock"
        yield f"By {clock}, that scan may be {_days(rule.max_age.total_seconds())} old at most."
    for uri, versions in sorted(rule.scanner.items()):
        yield f"{uri} in version {versions} may have made it."
    if rule.ruleset_min is not None:
        yield f"It must be made with rule set {'.'.join(map(str, rule.ruleset_min))} or later."


def _conversion(rule: ConversionRule) -> str:
    when = "If claims say that it was converted, every" if rule.when is When.CONVERTED else "Every"
    return (
        f"{when} safetensors file must come from a conversion of build type {rule.build_type} that {_who(rule.by)} "
        "attested."
    )


def _who(names: Sequence[str]) -> str:
    return _either(names) if names else "anybody it names, or whom the caller trusts"


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _does(level: Level) -> str:
    return "denies" if level is Level.DENY else "is told and let pass"


def _days(seconds: float) -> str:
    minutes = int(seconds) // 60
    for size, unit in ((24 * 60, "days"), (60, "hours")):
        if minutes >= size and minutes % size == 0:
            return f"{minutes // size} {unit}"
    return f"{minutes} minutes"
