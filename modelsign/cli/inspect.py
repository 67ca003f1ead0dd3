"""`modelsign inspect`: show what is inside a file."""

import json
from collections.abc import Iterable, Iterator

import click

from modelsign.cli.options import TARGET, Verb, common, reporting, sandbox_option
from modelsign.cli.output import Output, Style
from modelsign.escape import plain
from modelsign.inspection import Inspection
from modelsign.inspection import inspect as inspect_target
from modelsign.isolation import Sandbox
from modelsign.report.json import file_value, finding_value, text
from scanners.facts import Call, Code, Import, Operator, Reference, Stored, Tensor
from scanners.findings import Location

_SHOWN = 50
"""lines of one kind in the human form; the JSON form has all"""


@click.command(cls=Verb)
@click.argument("file", type=TARGET)
@reporting("human", "json")
@click.option("--all", "everything", is_flag=True, help="Show every line; otherwise 50 of a kind.")
@sandbox_option
@common
def inspect(*, file: str, everything: bool, sandbox: str, output: Output) -> None:
    """Show what is inside FILE: members, imports, calls, tensors, references, and opcodes around findings.

    Nothing is executed, and nothing is judged beyond what `modelsign scan` says.
    """
    inspection = inspect_target(file, sandbox=Sandbox(sandbox))

    def render(form: str, style: Style) -> str:
        del style
        if form == "json":
            return json.dumps(_document(inspection), indent=2, ensure_ascii=True) + "\n"
        return "".join(f"{line}\n" for line in _lines(inspection, None if everything else _SHOWN))

    output.publish(render)


def _lines(inspection: Inspection, limit: int | None) -> Iterator[str]:
    report = inspection.report
    formats = ", ".join(map(plain, report.formats)) or "no format known here"
    coverage = report.coverage
    yield f"{plain(report.path)}: {report.verdict.value} ({formats}; {report.size} bytes)"
    yield f"bytes: {coverage.parsed} parsed, {coverage.inert} inert, {coverage.unread} unread"
    facts = inspection.facts
    sections = {
        "members": [
            f"{member.size:>12}  {' -> '.join(map(plain, member.path))}"
            + (f"  ({', '.join(member.formats)})" if member.formats else "")
            for member in inspection.members
        ],
        "imports": sorted({plain(fact.dotted) for fact in facts if isinstance(fact, Import)}),
        "calls": [f"{plain(fact.text)}  [{_place(fact.location)}]" for fact in facts if isinstance(fact, Call)],
        "stored callables": [
            f"{plain(fact.text)}  ({plain(fact.where)})  [{_place(fact.location)}]"
            for fact in facts
            if isinstance(fact, Stored)
        ],
        "tensors": [
            f"{plain(fact.name) or '(unnamed)'}  {plain(fact.dtype)}  {list(fact.shape)}  in {plain(fact.storage)}"
            for fact in facts
            if isinstance(fact, Tensor)
        ],
        "references": [
            f"{plain(fact.kind)}: {plain(fact.target)}  ({plain(fact.context)})"
            for fact in facts
            if isinstance(fact, Reference)
        ],
        "operators": [
            f"{plain(fact.framework)}: {plain(fact.name)}  {plain(', '.join(f'{k}={v}' for k, v in fact.arguments))}"
            for fact in facts
            if isinstance(fact, Operator)
        ],
        "code": [
            f"{plain(fact.language)}, {plain(fact.action)} at {plain(fact.runs)}: {plain(fact.text)}"
            for fact in facts
            if isinstance(fact, Code)
        ],
    }
    for title, lines in sections.items():
        yield from _section(title, lines, limit)
    if inspection.stopped:
        yield f"the list of members ends early: {plain(inspection.stopped)}"
    for place, instructions in inspection.excerpts:
        yield ""
        yield f"opcodes at {_place(place)}"
        for instruction in instructions:
            mark = ">" if instruction.offset == place.offset else " "
            yield f" {mark} {instruction.offset:>8}  {instruction.name:16} {plain(instruction.argument)}".rstrip()
    if report.findings:
        yield ""
        yield "findings"
        for finding in report.findings:
            spot = _place(finding.location)
            yield f"  {finding.severity.value:8}  {finding.rule.id}  {plain(finding.message)}  [{spot}]"


def _section(title: str, lines: Iterable[str], limit: int | None) -> Iterator[str]:
    listed = list(lines)
    if not listed:
        return
    yield ""
    yield f"{title} ({len(listed)})"
    for line in listed[:limit]:
        yield f"  {line}"
    if limit is not None and len(listed) > limit:
        yield f"  and {len(listed) - limit} more (--all shows them)"


def _place(location: Location) -> str:
    parts = [plain(member) for member in location.members]
    if location.offset is not None:
        parts.append(f"byte {location.offset}")
    return ", ".join(parts) or "the file"


def _document(inspection: Inspection) -> dict[str, object]:
    return {
        "schema": "modelsign.inspection/v1",
        "file": file_value(inspection.report),
        "members": [
            {
                "path": [text(part) for part in member.path],
                "size": member.size,
                "formats": list(member.formats),
                "stored": member.stored,
            }
            for member in inspection.members
        ],
        "members_complete": inspection.stopped is None,
        "facts": [_fact(fact) for fact in inspection.facts],
        "opcodes": [
            {
                "members": [text(member) for member in place.members],
                "offset": place.offset,
                "lines": [
                    {"offset": one.offset, "opcode": one.name, "argument": text(one.argument)} for one in instructions
                ],
            }
            for place, instructions in inspection.excerpts
        ],
        "findings": [finding_value(finding, None) for finding in inspection.report.findings],
    }


def _fact(fact: object) -> dict[str, object]:
    from dataclasses import asdict

    return {"fact": type(fact).__name__.lower(), **_jsonable(asdict(fact))}  # type: ignore[call-overload]  # every fact is a dataclass


def _jsonable(value: dict[str, object]) -> dict[str, object]:
    return {key: _plain_value(item) for key, item in value.items()}


def _plain_value(value: object) -> object:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {str(key): _plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(item) for item in value]
    return value
