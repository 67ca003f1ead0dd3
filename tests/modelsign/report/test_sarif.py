import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema

from modelsign.gate import Acceptance, Gate
from modelsign.report import Result, write
from scanners.findings import Report
from tests.builders.reports import UNKNOWN, file_report, finding, mixed, report

# The part of SARIF 2.1.0 that is written here, closed: what it does not name must not appear.
SUBSET = json.loads(Path(__file__).with_name("sarif-subset.json").read_text())


def run(*reports: Report, gate: Gate | None = None) -> Any:
    log = json.loads(write(Result(reports=reports, gate=gate or Gate()), "sarif"))
    jsonschema.Draft202012Validator(SUBSET).validate(log)
    return log["runs"][0]


def test_every_result_has_a_file_a_line_a_rule_and_a_fingerprint() -> None:
    log = run(mixed())
    for result in log["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert (
            log["artifacts"][place["artifactLocation"]["index"]]["location"]["uri"] == place["artifactLocation"]["uri"]
        )
        assert place["region"]["startLine"] == 1
        assert log["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert len(result["partialFingerprints"]["modelsign/v1"]) == 32


def test_a_place_in_a_member_is_a_nested_artifact_with_its_byte_offset() -> None:
    log = run(report(file_report("a/model.bin", finding(file="a/model.bin"))))
    inner = log["results"][0]["relatedLocations"][0]["physicalLocation"]
    artifact = log["artifacts"][inner["artifactLocation"]["index"]]
    assert inner["region"] == {"byteOffset": 83, "byteLength": 1}
    assert artifact["location"]["uri"] == "archive/data.pkl"
    assert log["artifacts"][artifact["parentIndex"]]["location"]["uri"] == "a/model.bin"
    assert log["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a/model.bin"


def test_a_place_in_the_file_itself_has_its_byte_offset() -> None:
    log = run(report(file_report("m.pkl", finding(file="m.pkl", members=(), offset=7, length=None))))
    region = log["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 1, "byteOffset": 7}


def test_names_become_relative_references() -> None:
    for name in ("a b.pkl", "c:d.pkl", "//host/x", "é\udcff.bin", "?#%"):
        log = run(report(file_report(name, finding(file=name))))
        uri = urlsplit(log["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        assert not uri.scheme
        assert not uri.netloc
        assert not uri.query
        assert not uri.fragment


def test_severity_becomes_level_and_score() -> None:
    log = run(mixed())
    assert [result["level"] for result in log["results"]] == ["error", "warning"]
    scores = [rule["properties"]["security-severity"] for rule in log["tool"]["driver"]["rules"]]
    assert scores == ["9.5", "5.5"]


def test_an_incomplete_scan_was_not_successful_and_says_why() -> None:
    invocation = run(mixed())["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "a.bin: encrypted"


def test_what_is_accepted_is_suppressed_not_dropped() -> None:
    one = finding(UNKNOWN)
    gate = Gate(accepted={one.fingerprint: Acceptance(by="baseline", reason="was there before")})
    result = run(report(file_report("model.bin", one)), gate=gate)["results"][0]
    assert result["suppressions"][0]["justification"] == "was there before"
