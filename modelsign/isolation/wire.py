"""What a worker says about a file, as JSON, and how little of it is believed.

The shape follows the dataclasses of `scanners.facts` and `scanners.findings`: a row per fact and per finding, its
values in the order of the fields. Reading checks every value against the field's type; it knows nothing but these
types, so an answer can be false but never be anything else. The path of the file, its size and its digest are the
parent's own knowledge and do not travel.
"""

import dataclasses
import json
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeAlias, TypeVar, get_args, get_origin

from modelsign.isolation.workers import InvalidAnswerError
from scanners import facts as vocabulary
from scanners import registry
from scanners.engine import ScannedFile
from scanners.facts import Fact
from scanners.findings import Confidence, Coverage, FileReport, Finding, Location, Severity, Verdict
from scanners.reading import FileFacts
from scanners.records import dataclass

E = TypeVar("E", bound=Enum)
Check: TypeAlias = Callable[[object], object]

_MAX_COUNT = 1 << 63
_LOCATION = 3
"""columns of a location: members, offset, length"""


def encode(scanned: ScannedFile) -> bytes:
    """Return what a worker found, for `decode`."""
    report = scanned.report
    coverage = report.coverage
    document = {
        "formats": report.formats,
        "verdict": report.verdict.value,
        "coverage": [coverage.parsed, coverage.inert, coverage.unread, coverage.reasons],
        "findings": [_finding_row(finding) for finding in report.findings],
        "facts": [_fact_row(fact) for fact in scanned.facts.facts],
        "tensors": scanned.facts.tensors,
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def decode(data: bytes, *, path: str, size: int, sha256: str | None) -> ScannedFile:
    """Read an answer about the file at ``path``.

    Raises:
        InvalidAnswerError: it breaks the schema.
    """
    try:
        return _scanned(json.loads(data), path, size, sha256)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise InvalidAnswerError(f"{type(error).__name__}: {str(error)[:200]}") from error


def _scanned(document: object, path: str, size: int, sha256: str | None) -> ScannedFile:
    formats, verdict, coverage, findings, facts, tensors = _object(
        document, "formats", "verdict", "coverage", "findings", "facts", "tensors"
    )
    parsed, inert, unread, reasons = _row(coverage, 4)
    report = FileReport(
        path=path,
        size=size,
        sha256=sha256,
        formats=_texts(formats),
        verdict=_member(Verdict, verdict),
        coverage=Coverage(
            parsed=_count(parsed),
            inert=_count(inert),
            unread=_count(unread),
            reasons=_texts(reasons),
        ),
        findings=tuple(_finding(row, path) for row in _list(findings)),
    )
    if report.coverage.parsed + report.coverage.inert + report.coverage.unread != size:
        raise ValueError("the coverage does not add up to the size of the file")
    return ScannedFile(
        report=report,
        facts=FileFacts(
            path=path,
            formats=report.formats,
            facts=tuple(_fact(row) for row in _list(facts)),
            tensors=_count(tensors),
        ),
    )


def _finding_row(finding: Finding) -> list[object]:
    return [
        finding.rule.id,
        *_location_row(finding.location),
        finding.severity.value,
        finding.confidence.value,
        finding.message,
        finding.evidence,
    ]


def _finding(value: object, path: str) -> Finding:
    rule, members, offset, length, severity, confidence, message, evidence = _row(value, 8)
    return Finding(
        rule=_RULES[_text(rule)],
        file=path,
        location=_location(members, offset, length),
        severity=_member(Severity, severity),
        confidence=_member(Confidence, confidence),
        message=_text(message),
        evidence=_text(evidence),
    )


def _fact_row(fact: Fact) -> list[object]:
    columns = _FACTS[type(fact).__name__].columns
    return [type(fact).__name__, *_location_row(fact.location), *(getattr(fact, name) for name, _ in columns)]


def _fact(value: object) -> Fact:
    row = _list(value)
    kind = _FACTS[_text(row[0])]
    values = row[1 + _LOCATION :]
    if len(values) != len(kind.columns):
        raise ValueError(f"a {kind.type.__name__} has {len(kind.columns)} values, not {len(values)}")
    fields = {name: check(value) for (name, check), value in zip(kind.columns, values, strict=True)}
    fact = kind.type(location=_location(*row[1 : 1 + _LOCATION]), **fields)
    assert isinstance(fact, Fact)
    return fact


def _location_row(location: Location) -> list[object]:
    return [location.members, location.offset, location.length]


def _location(members: object, offset: object, length: object) -> Location:
    return Location(
        members=_texts(members),
        offset=None if offset is None else _count(offset),
        length=None if length is None else _count(length),
    )


def _object(value: object, *keys: str) -> tuple[object, ...]:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise TypeError(f"an object with {', '.join(keys)} was expected")
    return tuple(value[key] for key in keys)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return value


def _row(value: object, length: int) -> list[object]:
    row = _list(value)
    if len(row) != length:
        raise ValueError(f"a row of {length} values was expected, not of {len(row)}")
    return row


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("a string was expected")
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(value))


def _integer(value: object) -> int:
    if type(value) is not int:
        raise TypeError("an integer was expected")
    return value


def _count(value: object) -> int:
    number = _integer(value)
    if not 0 <= number < _MAX_COUNT:
        raise ValueError("a count of bytes was expected")
    return number


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise TypeError("true or false was expected")
    return value


def _member(enum: type[E], value: object) -> E:
    return enum(_text(value))


def _check_of(annotation: object) -> Check:
    """Return what checks a value of a field's type; raises TypeError for a type that does not travel."""
    simple: dict[object, Check] = {str: _text, int: _integer, bool: _flag}
    if annotation in simple:
        return simple[annotation]
    arguments = get_args(annotation)
    if isinstance(annotation, types.UnionType) and len(arguments) == 2 and types.NoneType in arguments:
        inner = _check_of(next(one for one in arguments if one is not types.NoneType))
        return lambda value: None if value is None else inner(value)
    if get_origin(annotation) is tuple and arguments[1:] == (...,):
        each = _check_of(arguments[0])
        return lambda value: tuple(each(item) for item in _list(value))
    if get_origin(annotation) is tuple:
        checks = [_check_of(one) for one in arguments]
        return lambda value: tuple(check(item) for check, item in zip(checks, _row(value, len(checks)), strict=True))
    raise TypeError(f"a fact with a value of type {annotation} cannot leave a worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    type: Callable[..., Fact]
    columns: tuple[tuple[str, Check], ...]


def _kinds() -> Mapping[str, _Kind]:
    return {
        name: _Kind(
            type=value,
            columns=tuple((field.name, _check_of(field.type)) for field in dataclasses.fields(value)[1:]),
        )
        for name, value in sorted(vars(vocabulary).items())
        if isinstance(value, type) and issubclass(value, Fact) and value is not Fact
    }


_FACTS = _kinds()
_RULES = {rule.id: rule for rule in registry.ALL_RULES}
