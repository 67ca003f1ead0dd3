"""Judgement of pickles: what is reported, how badly, and with which evidence."""

import pytest

from scanners.engine import scan_blob
from scanners.findings import Finding, Severity, Verdict
from scanners.reader import BytesReader
from tests.builders import pickles as p
from tests.scanners.rules.examples import Example

ORDINARY = p.dump(
    p.Raw(p.value(p.call("collections", "OrderedDict")) + p.MARK + p.value("a") + p.value(1) + p.SETITEMS)
)


def one(content: bytes) -> dict[str, bytes]:
    return {"model.pkl": content}


EXAMPLES = {
    "MS101": Example(bad=lambda: one(p.system()), good=lambda: one(ORDINARY)),
    "MS102": Example(bad=lambda: one(p.dump(p.call("mycompany.models", "restore", 1))), good=lambda: one(ORDINARY)),
    "MS103": Example(
        bad=lambda: one(p.dump({"hook": p.Global("mycompany.models", "hook")})),
        good=lambda: one(p.dump({"hook": p.Global("collections", "OrderedDict")})),
    ),
    "MS104": Example(
        bad=lambda: one(p.dump({"hook": p.Global("os", "system")})),
        good=lambda: one(p.dump({"hook": p.Global("collections", "OrderedDict")})),
    ),
    "MS105": Example(bad=lambda: one(ORDINARY[:-1]), good=lambda: one(ORDINARY)),
    "MS106": Example(bad=lambda: one(ORDINARY + b"\xffpayload"), good=lambda: one(ORDINARY + bytes(16))),
    "MS107": Example(bad=lambda: one(ORDINARY + ORDINARY), good=lambda: one(ORDINARY)),
    "MS108": Example(
        bad=lambda: one(p.dump(_computed())),
        good=lambda: one(
            p.dump(p.apply(p.call("builtins", "getattr", p.Global("datetime", "date"), "__call__"), 1, 1, 1))
        ),
    ),
    "MS109": Example(
        bad=lambda: one(p.dump(p.Raw(p.stack_global("sys", "modules") + p.value("os") + p.value(1) + p.SETITEM))),
        good=lambda: one(ORDINARY),
    ),
    "MS110": Example(
        bad=lambda: one(p.dump(p.call("cloudpickle.cloudpickle", "_make_empty_cell"))), good=lambda: one(ORDINARY)
    ),
    "MS111": Example(
        bad=lambda: one(p.dump({"weights": p.system()})), good=lambda: one(p.dump({"weights": b"\x80\x02 not one"}))
    ),
    "MS112": Example(
        bad=lambda: one(p.proto(2) + b"F 1.5\n0" + p.value(1) + p.STOP), good=lambda: one(b"F1.5\n0I1\nI2\n\x86.")
    ),
    "MS113": Example(
        bad=lambda: one(p.dump(p.new("joblib.numpy_pickle", "NDArrayWrapper", state={"filename": "x_01.npy"}))),
        good=lambda: one(ORDINARY),
    ),
    "MS114": Example(
        bad=lambda: one(p.dump(p.call("builtins", "list", p.call("builtins", "range", 1 << 31)))),
        good=lambda: one(p.dump({"steps": p.call("builtins", "range", 1 << 31)})),
    ),
}


def _computed() -> p.Raw:
    """A call of what a call returned."""
    return p.apply(p.call("collections", "Counter.get", "f"), "echo")


def scan(content: bytes) -> tuple[Verdict, tuple[Finding, ...]]:
    report = scan_blob(BytesReader(content), "model.pkl").report
    return report.verdict, report.findings


def test_evidence_shows_the_call_with_its_arguments_and_its_place() -> None:
    payload = p.system("echo x")

    _, findings = scan(payload)

    assert findings[0].evidence == "os.system('echo x')"
    assert findings[0].location.offset == payload.index(p.REDUCE + p.STOP)


def test_an_ordinary_pickle_is_clean() -> None:
    assert scan(ORDINARY) == (Verdict.CLEAN, ())


def test_a_callable_that_is_called_is_reported_once() -> None:
    _, findings = scan(p.system())

    assert [finding.rule.id for finding in findings] == ["MS101"]


def test_what_ran_before_an_error_counts() -> None:
    verdict, findings = scan(p.proto(4) + p.value(p.call("os", "system", "echo x")) + b"\xff")

    assert verdict is Verdict.MALICIOUS
    assert {finding.rule.id for finding in findings} == {"MS101", "MS105"}


def test_code_of_the_file_that_is_called_is_critical() -> None:
    function = p.call("cloudpickle.cloudpickle", "_make_function", 1)

    _, findings = scan(p.dump(p.apply(function, "echo")))

    assert findings[0].severity is Severity.CRITICAL
    assert findings[0].rule.id == "MS108"


@pytest.mark.parametrize("protocol", range(6))
def test_python_2_names_are_judged_under_todays_name(protocol: int) -> None:
    payload = p.proto(protocol) + p.global_("__builtin__", "eval") + p.value(("1",)) + p.REDUCE + p.STOP

    verdict, _ = scan(payload)

    assert verdict is Verdict.MALICIOUS


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("operator", "mul", ("a", 1 << 40)),
        ("_operator", "pow", (9, 1 << 40)),
        ("math", "log", (2,)),
        ("re", "_compile.match", (1, "a")),
    ],
)
def test_arithmetic_and_matching_are_for_later(module: str, name: str, arguments: tuple[object, ...]) -> None:
    """Libraries keep such functions; a loader that calls one computes for as long as the file wants."""
    assert {finding.rule.id for finding in scan(p.dump(p.call(module, name, *arguments)))[1]} == {"MS102"}
    assert not scan(p.dump({"activation": p.Global(module, name)}))[1]


def _dtype(name: str, state: tuple[object, ...]) -> p.Raw:
    return p.Raw(p.value(p.call("numpy", "dtype", name, False, True)) + p.value(state) + p.BUILD)


OBJECTS = _dtype("O8", (3, "|", None, None, None, -1, -1, 63))


@pytest.mark.parametrize(
    "dtype",
    [
        _dtype("O8", (3, "|", None, None, None, -1, -1, 0)),
        p.Raw(p.call("numpy.dtypes", "ObjectDType").code + p.value((3, "|", None, None, None, -1, -1, 0)) + p.BUILD),
        _dtype("V8", (3, "|", None, ("a",), {"a": (OBJECTS, 0)}, 8, 1, 0)),
        _dtype("V8", (3, "|", (OBJECTS, (1,)), None, None, 8, 1, 0)),
        _dtype("V8", (3, "|", None, ("a",), {"a": (p.call("numpy", "dtype", "f8"), 1 << 30)}, 8, 1, 0)),
        _dtype("V8", (2, "|", None, ("a",), {"a": (OBJECTS, 0)}, 8, 1)),
    ],
    ids=["objects", "class of objects", "field of objects", "part of objects", "field outside", "old version"],
)
def test_dtypes_that_take_bytes_for_addresses_are_malicious(dtype: p.Raw) -> None:
    verdict, found = scan(p.dump(dtype))

    assert verdict is Verdict.MALICIOUS
    assert "numpy.dtype" in found[0].evidence


@pytest.mark.parametrize(
    "dtype",
    [
        OBJECTS,
        _dtype("f8", (3, "<", None, None, None, -1, -1, 0)),
        _dtype("M8", (4, "<", None, None, None, -1, -1, 0, ({}, (b"ns", 1, 1, 1)))),
        _dtype(
            "V16", (3, "|", None, ("a", "b"), {"a": (OBJECTS, 0), "b": (p.call("numpy", "dtype", "f8"), 8)}, 16, 1, 27)
        ),
    ],
)
def test_dtypes_that_numpy_writes_are_clean(dtype: p.Raw) -> None:
    assert scan(p.dump(dtype)) == (Verdict.CLEAN, ())
