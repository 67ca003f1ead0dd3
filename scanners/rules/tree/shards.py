"""An index of weights against the files beside it."""

from collections.abc import Iterator, Sequence
from posixpath import dirname, join, normpath

from scanners.facts import Reference
from scanners.findings import Finding, Rule, Severity
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.found import found

OUTSIDE = Rule(
    id="MS440",
    name="index-shard-outside",
    severity=Severity.HIGH,
    summary="An index of weights names a file outside its directory",
    fix="Do not load the model; the files of an index lie beside it.",
    cwe="CWE-22",
)
MISMATCH = Rule(
    id="MS441",
    name="index-shard-mismatch",
    severity=Severity.LOW,
    summary="An index of weights and the files beside it disagree",
    fix="Download the model again; if it stays so, ask its publisher which of them is right.",
    cwe="CWE-353",
)

RULES: tuple[Rule, ...] = (OUTSIDE, MISMATCH)

_NUMBERED = late(r"(.*-)\d{5}-of-(\d{5}\.[a-z0-9]+)")


def judge(files: Sequence[FileFacts]) -> Iterator[Finding]:
    """Compare every index with its neighbours."""
    present = {file.path: file for file in files}
    for file in files:
        shards = [fact for fact in file.facts if isinstance(fact, Reference) and fact.kind == "shard"]
        named: set[str] = set()
        for shard in shards:
            path = normpath(join(dirname(file.path), shard.target.replace("\\", "/")))
            if path.startswith(("../", "/")) or path == ".." or ":" in shard.target or "\0" in shard.target:
                yield _finding(file, OUTSIDE, shard, f"the index takes weights from {shard.target!r}")
                continue
            if shard.location.members:
                continue  # the index of an archive: its files lie in the archive
            named.add(path)
            yield from _compared(file, shard, present.get(path), path, alone=len(files) == 1)
        if named:
            yield from _extra(file, named, present)


def _compared(
    file: FileFacts, shard: Reference, found: FileFacts | None, path: str, *, alone: bool
) -> Iterator[Finding]:
    if found is None:
        if not alone:
            yield _finding(file, MISMATCH, shard, f"{path} is in the index, but not among the files")
        return
    expected = int(shard.context.split(" ", 1)[0])
    if found.tensors and found.tensors != expected:
        yield _finding(file, MISMATCH, shard, f"{path} holds {found.tensors} tensors, the index expects {expected}")


def _extra(file: FileFacts, named: set[str], present: dict[str, FileFacts]) -> Iterator[Finding]:
    """Report files numbered like the index's own that it does not name: a loader without the index takes them."""
    series = {match.groups() for path in named if (match := _NUMBERED.fullmatch(path))}
    for path in sorted(present):
        match = _NUMBERED.fullmatch(path)
        if match and match.groups() in series and path not in named:
            location = next(fact.location for fact in file.facts if isinstance(fact, Reference))
            yield found(
                MISMATCH, file, location, f"{path} is numbered like the files of the index, which does not name it"
            )


def _finding(file: FileFacts, rule: Rule, shard: Reference, message: str) -> Finding:
    return found(rule, file, shard.location, message, evidence=f"weight_map -> {shard.target}")
