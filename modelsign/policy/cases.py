"""Golden cases of a policy: models, and what the policy must answer about them, so that an edit shows what it changes.

[[case]]
name = "our release"
target = "models/good"            # relative to this file
allowed = true

[[case]]
name = "without its scan"
target = "models/no-scan"
allowed = false
codes = ["scan-attested"]         # exactly the reasons that deny
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attestations.errors import AttestationError
from attestations.named_files import read_whole
from modelsign.errors import ModelsignError, NothingToDo, SourceError, UsageError
from modelsign.policy.decision import Code
from modelsign.policy.rules import Policy

_KEYS = frozenset({"name", "target", "allowed", "codes"})
_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model and the answer that is expected."""

    name: str
    target: Path
    allowed: bool
    codes: tuple[str, ...] | None
    """the reasons that deny; None where they are not asked"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a case."""

    case: Case
    problem: str | None
    """how the answer differs from the expected one; None where it does not"""


def load_cases(path: Path) -> tuple[Case, ...]:
    """Read a file of cases.

    Raises:
        SourceError: it cannot be read.
        UsageError: it is malformed.
        NothingToDo: it holds no case.
    """
    try:
        document = tomllib.loads(read_whole(path, _MAX_BYTES).decode("utf-8"))
    except OSError as error:
        raise SourceError(f"{path}: the cases cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    tables = document.get("case", [])
    if document.keys() - {"case"} or not isinstance(tables, list):
        raise UsageError(f"{path}: cases stand in [[case]] tables and nothing else does")
    if not tables:
        raise NothingToDo(f"{path}: there is no [[case]] in it")
    return tuple(_case(table, path, number) for number, table in enumerate(tables, start=1))


def _case(table: object, path: Path, number: int) -> Case:
    where = f"{path}: case {number}"
    if not isinstance(table, dict):
        raise UsageError(f"{where}: must be a table")
    unknown = sorted(table.keys() - _KEYS)
    if unknown:
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; a case has {', '.join(sorted(_KEYS))}")
    target, allowed, codes = table.get("target"), table.get("allowed"), table.get("codes")
    if not isinstance(target, str) or not isinstance(allowed, bool):
        raise UsageError(f"{where}: needs target (a path) and allowed (true or false)")
    known = {code.value for code in Code}
    if codes is not None and not (isinstance(codes, list) and known.issuperset(map(str, codes))):
        raise UsageError(f"{where}: codes is a list of the codes in docs/verifying.md")
    return Case(
        name=str(table.get("name", target)),
        target=path.parent / target,
        allowed=allowed,
        codes=None if codes is None else tuple(sorted(map(str, codes))),
    )


def run(policy: Policy, cases: tuple[Case, ...], *, offline: bool) -> Iterator[Outcome]:
    """Verify each case's model with ``policy`` and compare the answers."""
    for case in cases:
        yield Outcome(case=case, problem=_problem(policy, case, offline=offline))


def _problem(policy: Policy, case: Case, *, offline: bool) -> str | None:
    from modelsign.verification import verify

    try:
        decision = verify(case.target, policy=policy, every=True, offline=offline)
    except (AttestationError, ModelsignError) as error:
        return f"could not be verified: {error}"
    denying = [reason for reason in decision.reasons if reason.denies]
    if decision.allowed is not case.allowed:
        said = "; ".join(reason.message for reason in denying)
        return f"expected to be {'allowed' if case.allowed else 'denied'}{f', but {said}' if said else ''}"
    codes = tuple(sorted({reason.code.value for reason in denying}))
    if case.codes is not None and codes != case.codes:
        return f"denied for {', '.join(codes) or 'nothing'}, expected was {', '.join(case.codes) or 'nothing'}"
    return None
