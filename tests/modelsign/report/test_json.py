import json
import re
from dataclasses import replace
from importlib.resources import files

import jsonschema
import pytest

from modelsign.errors import UsageError
from modelsign.gate import Acceptance, Gate
from modelsign.report import Result, write
from modelsign.report.json import parse
from tests.builders.reports import UNKNOWN, file_report, finding, mixed, report

SCHEMA = json.loads(files("modelsign.report").joinpath("schemas/report-v1.json").read_text())


def valid(text: str) -> dict[str, object]:
    value: dict[str, object] = json.loads(text)
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    return value


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_report_validates_and_comes_back_the_same() -> None:
    text = write(Result(reports=(mixed(),), gate=Gate()), "json")
    assert valid(text)["verdict"] == "malicious"
    assert parse(text.encode()) == (mixed(),)


def test_several_reports_are_one_document() -> None:
    text = write(Result(reports=(mixed(), report(file_report())), gate=Gate()), "json")
    assert valid(text)["verdict"] == "malicious"
    assert len(parse(text.encode())) == 2


def test_a_path_that_is_not_unicode_keeps_its_bytes() -> None:
    odd = "odd\udcff.pkl"
    one = report(file_report(odd, finding(file=odd)))
    text = write(Result(reports=(one,), gate=Gate()), "json")
    value = valid(text)
    assert value["files"][0]["path_b64"] == "b2Rk/y5wa2w="  # type: ignore[index]  # JSON
    assert parse(text.encode()) == (one,)


def test_the_text_is_ascii_and_carries_no_control_characters() -> None:
    text = write(Result(reports=(mixed(),), gate=Gate()), "json")
    assert text.isascii()
    assert "\x1b" not in text


def test_an_accepted_finding_is_still_listed_and_the_verdict_stays() -> None:
    one = finding(UNKNOWN)
    gate = Gate(
        accepted={one.fingerprint: Acceptance(by="waiver", reason="looked at", owner="ml", expires="2027-01-01")}
    )
    value = valid(write(Result(reports=(report(file_report("model.bin", one)),), gate=gate), "json"))
    assert value["verdict"] == "suspicious"
    assert value["findings"][0]["accepted"]["owner"] == "ml"  # type: ignore[index]  # JSON


@pytest.mark.parametrize(
    "break_it",
    [
        lambda value: value.update(schema="modelsign.report/v9"),
        lambda value: value.update(verdict="clean"),
        lambda value: value.update(complete=True),
        lambda value: value.pop("files"),
        lambda value: value["findings"][0].update(rule="MS000"),
        lambda value: value["findings"][0].update(file="not listed"),
        lambda value: value["files"][0].update(size=-1),
        lambda value: value["files"][0].update(verdict="fine"),
        lambda value: value.update(findings={}),
    ],
)
def test_a_report_that_contradicts_itself_is_refused(break_it: object) -> None:
    value = json.loads(write(Result(reports=(mixed(),), gate=Gate()), "json"))
    break_it(value)  # type: ignore[operator]  # one of the functions above
    with pytest.raises(UsageError):
        parse(json.dumps(value).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"schema": 1}'])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(UsageError):
        parse(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"schema":', "no JSON from line 1, column 11 on"),
        (b"\xff", "no JSON, which is text"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "an object was expected, not a list"),
        (b"{}", "no 'schema' where one was expected"),
    ],
)
def test_why_a_file_is_no_report_is_said_in_words(data: bytes, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"({why})")):
        parse(data)


@pytest.mark.parametrize("size", [None, -1, True, 1.5, "1"])
def test_a_size_is_a_count(size: object) -> None:
    value = json.loads(write(Result(reports=(report(file_report()),), gate=Gate()), "json"))
    value["files"][0]["size"] = size
    with pytest.raises(UsageError, match="a count was expected"):
        parse(json.dumps(value).encode())


def test_formats_and_reasons_are_kept() -> None:
    one = replace(file_report(unread=3, reasons=("a", "b")), formats=("zip", "pickle"))
    text = write(Result(reports=(report(one),), gate=Gate()), "json")
    assert parse(text.encode()) == (report(one),)
