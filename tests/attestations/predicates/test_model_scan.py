from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from attestations.errors import EnvelopeError
from attestations.predicates.model_scan import ModelScan, Result, Severity
from tests.builders.statements import NOW, finding, manifest, scan

MODEL = manifest({"config.json": b"{}", "model.safetensors": b"weights"})


def test_reading_gives_back_what_was_written() -> None:
    written = scan(MODEL, result=Result.WARNED, findings=(finding(Severity.MEDIUM),))

    assert ModelScan.parse(written.to_predicate()) == written


def test_files_and_findings_are_written_in_one_order() -> None:
    one = scan(MODEL)
    other = scan(MODEL, files=tuple(reversed(one.files)))

    assert one.to_predicate() == other.to_predicate()


def test_unknown_fields_are_passed_over() -> None:
    predicate = scan(MODEL).to_predicate() | {"later": {"a": 1}}

    assert ModelScan.parse(predicate) == scan(MODEL)


def _without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda predicate: predicate.pop(key)


@pytest.mark.parametrize(
    "spoil",
    [
        *(
            pytest.param(_without(key), id=f"missing-{key}")
            for key in ("scanner", "result", "complete", "coverage", "files", "findings", "metadata", "report")
        ),
        pytest.param(lambda it: it.update(result="OK"), id="unknown-result"),
        pytest.param(lambda it: it.update(complete=1), id="complete-is-a-number"),
        pytest.param(lambda it: it["coverage"].update(files=-1), id="negative-count"),
        pytest.param(lambda it: it["coverage"].update(files=True), id="count-is-a-boolean"),
        pytest.param(lambda it: it["coverage"].update(files=1), id="count-differs-from-the-list"),
        pytest.param(lambda it: it["files"].append(it["files"][0]), id="file-named-twice"),
        pytest.param(lambda it: it["files"][0].update(digest={"sha256": "AB" * 32}), id="upper-case-digest"),
        pytest.param(lambda it: it["files"][0].update(digest={"sha1": "ab" * 20}), id="digest-of-another-kind"),
        pytest.param(lambda it: it["files"][0].update(outcome="fine"), id="unknown-outcome"),
        pytest.param(lambda it: it["metadata"].update(scanFinishedOn="2026-11-23"), id="date-without-time"),
        pytest.param(lambda it: it["metadata"].update(scanFinishedOn="2026-13-40T00:00:00Z"), id="no-such-day"),
        pytest.param(lambda it: it["metadata"].update(scanFinishedOn="0001-01-01T00:00:00+14:00"), id="before-time"),
        pytest.param(lambda it: it.update(files={}), id="files-are-an-object"),
        pytest.param(lambda it: it.update(scanner="us"), id="scanner-is-a-string"),
    ],
)
def test_a_malformed_predicate_is_refused(spoil: Callable[[dict[str, Any]], None]) -> None:
    predicate: dict[str, Any] = scan(MODEL).to_predicate()
    spoil(predicate)

    with pytest.raises(EnvelopeError):
        ModelScan.parse(predicate)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda it: it["coverage"].update(unread=1), id="unread-bytes"),
        pytest.param(lambda it: it["files"][0].update(outcome="incomplete"), id="file-left-out"),
        pytest.param(lambda it: it["files"][0].update(outcome="error"), id="crashed-file"),
    ],
)
def test_complete_cannot_stand_beside_what_was_left_out(spoil: Callable[[dict[str, Any]], None]) -> None:
    predicate: dict[str, Any] = scan(MODEL).to_predicate()
    spoil(predicate)

    with pytest.raises(EnvelopeError, match="complete is true"):
        ModelScan.parse(predicate)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"complete": False}, id="incomplete"),
        pytest.param({"findings": (finding(Severity.MEDIUM),)}, id="medium-finding"),
        pytest.param({"findings": (finding(Severity.CRITICAL),)}, id="critical-finding"),
    ],
)
def test_passed_cannot_stand_beside_what_does_not_pass(changes: dict[str, object]) -> None:
    with pytest.raises(EnvelopeError, match="PASSED"):
        ModelScan.parse(scan(MODEL, **changes).to_predicate())


def test_a_scan_cannot_finish_before_it_starts() -> None:
    with pytest.raises(EnvelopeError, match="before it started"):
        ModelScan.parse(scan(MODEL, finished=NOW - timedelta(seconds=1)).to_predicate())


def test_times_are_read_in_any_zone() -> None:
    predicate: dict[str, Any] = scan(MODEL).to_predicate()
    predicate["metadata"]["scanFinishedOn"] = "2026-11-23T14:00:00.25+02:00"

    assert ModelScan.parse(predicate).finished == NOW + timedelta(milliseconds=250)
