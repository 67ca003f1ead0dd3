import contextlib
import dataclasses
import json
import types
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsign.isolation import wire
from modelsign.isolation.workers import InvalidAnswerError
from scanners import facts as vocabulary
from scanners.engine import ScannedFile
from scanners.facts import Anomaly, Fact, Tensor
from scanners.findings import Confidence, Coverage, FileReport, Finding, Location, Severity, Verdict
from scanners.reading import FileFacts
from scanners.registry import ALL_RULES

FACTS = [
    kind for kind in vars(vocabulary).values() if isinstance(kind, type) and issubclass(kind, Fact) and kind is not Fact
]
TEXT = st.text(st.characters(codec=None, categories=None), max_size=20)  # lone surrogates too
COUNTS = st.integers(0, 1 << 62)
LOCATIONS = st.builds(
    Location,
    members=st.lists(TEXT, max_size=3).map(tuple),
    offset=st.none() | COUNTS,
    length=st.none() | COUNTS,
)


def values(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation is str:
        return TEXT
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.integers()
    arguments = get_args(annotation)
    if isinstance(annotation, types.UnionType):
        return st.one_of(*(st.none() if one is types.NoneType else values(one) for one in arguments))
    if arguments[1:] == (...,):
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    return st.tuples(*map(values, arguments))


def facts_of(kind: type[Fact]) -> st.SearchStrategy[Fact]:
    columns = {field.name: values(field.type) for field in dataclasses.fields(kind)[1:]}
    return st.builds(kind, location=LOCATIONS, **columns)


@st.composite
def scanned_files(draw: st.DrawFn) -> ScannedFile:
    parsed, inert, unread = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    path = draw(TEXT)
    formats = tuple(draw(st.lists(TEXT, max_size=2)))
    findings = st.builds(
        Finding,
        rule=st.sampled_from(ALL_RULES),
        file=st.just(path),
        location=LOCATIONS,
        severity=st.sampled_from(Severity),
        confidence=st.sampled_from(Confidence),
        message=TEXT,
        evidence=TEXT,
    )
    report = FileReport(
        path=path,
        size=parsed + inert + unread,
        formats=formats,
        verdict=draw(st.sampled_from(Verdict)),
        coverage=Coverage(parsed=parsed, inert=inert, unread=unread, reasons=tuple(draw(st.lists(TEXT, max_size=2)))),
        findings=tuple(draw(st.lists(findings, max_size=2))),
        sha256=draw(st.none() | st.just("0" * 64)),
    )
    facts = tuple(draw(st.lists(st.one_of(*map(facts_of, FACTS)), max_size=4)))
    tensors = draw(st.integers(0, 1000))
    return ScannedFile(report=report, facts=FileFacts(path=path, formats=formats, facts=facts, tensors=tensors))


@given(scanned_files())
def test_what_is_written_is_read_back(scanned: ScannedFile) -> None:
    report = scanned.report
    data = wire.encode(scanned)
    assert wire.decode(data, path=report.path, size=report.size, sha256=report.sha256) == scanned


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_every_kind_of_fact_can_leave_a_worker(kind: type[Fact]) -> None:
    assert kind.__name__ in wire._FACTS


def sample() -> ScannedFile:
    place = Location(members=("a", "b"), offset=1, length=2)
    fact = Anomaly(location=place, code="zip-duplicate-member", message="twice")
    tensor = Tensor(
        location=place, name="w", dtype="F32", shape=(2,), stride=(1,), storage="0", storage_offset=0, storage_bytes=8
    )
    finding = Finding(
        rule=ALL_RULES[0],
        file="f",
        location=place,
        severity=Severity.HIGH,
        confidence=Confidence.LOW,
        message="m",
        evidence="e",
    )
    report = FileReport(
        path="f",
        size=10,
        formats=("zip",),
        verdict=Verdict.MALICIOUS,
        coverage=Coverage(parsed=4, inert=5, unread=1, reasons=("r",)),
        findings=(finding,),
    )
    return ScannedFile(report=report, facts=FileFacts(path="f", formats=("zip",), facts=(fact, tensor)))


def refuse(data: bytes) -> None:
    with pytest.raises(InvalidAnswerError):
        wire.decode(data, path="f", size=10, sha256=None)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


ANSWER = json.loads(wire.encode(sample()))
FREE_TEXT = {("findings", 0, 6), ("findings", 0, 7), ("facts", 0, 4), ("facts", 0, 5)}


@pytest.mark.parametrize("place", places(ANSWER), ids=str)
@pytest.mark.parametrize("wrong", [-1, 1.5, True, {}, [[]], [None] * 9], ids=repr)
def test_a_value_of_another_type_is_refused(place: tuple[Any, ...], wrong: object) -> None:
    document = {"": json.loads(json.dumps(ANSWER))}
    holder: Any = document
    for key in ("", *place)[:-1]:
        holder = holder[key]
    last = ("", *place)[-1]
    tensor_number = place[:2] == ("facts", 1) and len(place) > 2 and isinstance(holder[last], int)
    if tensor_number and type(wrong) is int:
        return  # a negative stride is a fact that rules judge
    holder[last] = wrong
    refuse(json.dumps(document[""]).encode())


@pytest.mark.parametrize("place", places(ANSWER)[1:], ids=str)
def test_a_missing_value_is_refused(place: tuple[Any, ...]) -> None:
    document = json.loads(json.dumps(ANSWER))
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    if isinstance(holder, list) and place[:-1] in {
        ("formats",),
        ("findings",),
        ("facts",),
        ("coverage", 3),
        ("findings", 0, 1),
        ("facts", 0, 1),
        ("facts", 1, 1),
        ("facts", 1, 6),
        ("facts", 1, 7),
    }:
        return  # lists may be shorter
    del holder[place[-1]]
    refuse(json.dumps(document).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b"NaN",
        json.dumps({**ANSWER, "more": 1}).encode(),
        json.dumps({**ANSWER, "verdict": "fine"}).encode(),
        json.dumps({**ANSWER, "coverage": [10, 10, 10, []]}).encode(),
        json.dumps({**ANSWER, "facts": [["Fact", [], None, None]]}).encode(),
        json.dumps({**ANSWER, "facts": [["Location", [], None, None]]}).encode(),
        json.dumps({**ANSWER, "facts": [["__class__", [], None, None]]}).encode(),
        json.dumps({**ANSWER, "facts": [[]]}).encode(),
    ],
    ids=lambda data: data[:30].decode("latin-1"),
)
def test_other_answers_are_refused(data: bytes) -> None:
    refuse(data)


def test_an_unknown_rule_is_refused() -> None:
    document = json.loads(json.dumps(ANSWER))
    document["findings"][0][0] = "MS000"
    refuse(json.dumps(document).encode())


@given(st.binary(max_size=60), st.integers(0, len(json.dumps(ANSWER))))
def test_damaged_answers_end_in_the_one_error(noise: bytes, position: int) -> None:
    data = json.dumps(ANSWER).encode()
    damaged = data[:position] + noise + data[position + len(noise) :]
    with contextlib.suppress(InvalidAnswerError):
        wire.decode(damaged, path="f", size=10, sha256=None)
