import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attestations.errors import DigestMismatch, EnvelopeError
from attestations.predicates.model_scan import ModelScan, Result
from attestations.predicates.provenance import Provenance
from attestations.statement import Statement
from attestations.uris import CONVERT_BUILD_TYPE_V1, MODEL_SCAN_V0_1, SLSA_PROVENANCE_V1, TEST_RESULT_V0_1
from modelsign.attesting import attest
from modelsign.claims import store
from modelsign.claims.conversion import converted_files
from modelsign.conversion import Conversion, convert
from modelsign.errors import SourceError, UsageError
from modelsign.gate import Gate
from modelsign.policy.decision import Code
from modelsign.report import Result as Rendered
from modelsign.report import json as json_report
from modelsign.scanning import scan
from modelsign.signing import sign
from modelsign.verification import verify
from tests.builders.models import CHECKPOINT, CONFIG, model
from tests.builders.signatures import sealed, write_key


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_key(tmp_path)[0]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return model(tmp_path / "model")


def claims(path: Path) -> list[Statement]:
    lines = store.read(path / "claims.jsonl")
    return [Statement.parse(line.bundle.envelope.payload) for line in lines if line.bundle is not None]


def write_report(path: Path, target: Path, *, digest: bool = True) -> Path:
    rendered = Rendered(reports=(scan(target, digest=digest),), gate=Gate())
    path.write_text(json_report.write(rendered))
    return path


def test_a_scan_names_the_root_and_every_file(place: Path, key: Path) -> None:
    attest(place, key=key, scan=True)
    (statement,) = claims(place)

    assert statement.predicate_type == MODEL_SCAN_V0_1
    assert [subject.name for subject in statement.subjects] == [
        "model",
        "README.md",
        "config.json",
        "weights/model.safetensors",
    ]
    scanned = ModelScan.parse(statement.predicate)
    assert (scanned.result, scanned.complete) == (Result.PASSED, True)
    assert [(file.name, file.outcome.value, file.analyzers) for file in scanned.files] == [
        ("README.md", "unsupported", ()),
        ("config.json", "clean", ("json",)),
        ("weights/model.safetensors", "clean", ("safetensors",)),
    ]
    assert scanned.scanner.uri == "pkg:pypi/modelsign-suite"


def test_the_claims_file_does_not_break_the_signature(place: Path, key: Path) -> None:
    sign(place, key=key)
    attest(place, key=key, scan=True)
    attest(place, key=key, scan=True)

    assert verify(place, keys=[write_key(key.parent)[1]]).allowed
    assert len(claims(place)) == 2


def test_a_report_is_attested_like_a_scan(place: Path, key: Path, tmp_path: Path) -> None:
    attest(place, key=key, report=write_report(tmp_path / "report.json", place))
    attest(place, key=key, scan=True)
    reported, scanned = (ModelScan.parse(statement.predicate) for statement in claims(place))

    assert (reported.report_sha256, reported.files) == (scanned.report_sha256, scanned.files)


def test_a_report_without_digests_is_refused(place: Path, key: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no digest"):
        attest(place, key=key, report=write_report(tmp_path / "report.json", place, digest=False))


def test_a_report_about_other_bytes_is_refused(place: Path, key: Path, tmp_path: Path) -> None:
    report = write_report(tmp_path / "report.json", place)
    (place / "config.json").write_bytes(CONFIG + b" ")

    with pytest.raises(UsageError, match=r"other bytes of config\.json"):
        attest(place, key=key, report=report)
    assert not (place / "claims.jsonl").exists()


def test_a_report_that_leaves_a_file_out_is_refused(place: Path, key: Path, tmp_path: Path) -> None:
    report = write_report(tmp_path / "report.json", place)
    (place / "new.json").write_bytes(b"{}")

    with pytest.raises(UsageError, match=r"nothing about new\.json"):
        attest(place, key=key, report=report)


def test_a_scan_of_a_model_with_a_linked_directory_speaks_about_the_files_behind_it(
    place: Path, key: Path, tmp_path: Path
) -> None:
    (place / "real").mkdir()
    (place / "real" / "odd.py").write_text("import os\nos.system('ls')\n")
    (place / "link").symlink_to("real")
    sign(place, key=key, allow_symlinks=True)

    attested = attest(place, key=key, scan=True)
    assert attested.scan is not None
    outcomes = {file.name: file.outcome for file in attested.scan.files}
    assert outcomes["link/odd.py"] is outcomes["real/odd.py"]
    assert set(outcomes) == set(attested.manifest.files())
    assert ModelScan.parse(claims(place)[0].predicate) == ModelScan.parse(attested.scan.to_predicate())
    decision = verify(place, keys=[tmp_path / "release.pub"], allow_symlinks=True)
    (agrees,) = [reason for reason in decision.reasons if reason.code is Code.SCAN_AGREES]
    assert "have the same digest" in agrees.message


def test_a_linked_file_of_another_name_is_part_of_the_scan(place: Path, key: Path) -> None:
    (place / "other.md").symlink_to("README.md")
    sign(place, key=key, allow_symlinks=True)
    attested = attest(place, key=key, scan=True)
    assert attested.scan is not None
    assert "other.md" in {file.name for file in attested.scan.files}


def test_a_report_by_other_rules_is_refused(place: Path, key: Path, tmp_path: Path) -> None:
    report = write_report(tmp_path / "report.json", place)
    document = json.loads(report.read_text())
    document["tool"]["ruleset"] = "2020.1.0"
    report.write_text(json.dumps(document))

    with pytest.raises(UsageError, match=r"2020\.1\.0"):
        attest(place, key=key, report=report)


def test_a_model_that_is_not_what_was_signed_is_not_attested(place: Path, key: Path) -> None:
    sign(place, key=key)
    (place / "config.json").write_bytes(CONFIG + b" ")

    with pytest.raises(DigestMismatch, match="Sign it again"):
        attest(place, key=key, scan=True)
    assert not (place / "claims.jsonl").exists()


def test_what_the_signature_leaves_out_is_left_out_of_statements_too(place: Path, key: Path) -> None:
    sign(place, key=key, ignore=["README.md"])
    attest(place, key=key, scan=True)
    (statement,) = claims(place)

    assert "README.md" not in [subject.name for subject in statement.subjects]


def converted(place: Path, tmp_path: Path) -> Conversion:
    source = tmp_path / "pytorch_model.bin"
    source.write_bytes(CHECKPOINT)
    return convert(source, place / "weights" / "converted.safetensors", digest=True)


def test_a_conversion_names_source_target_and_how(place: Path, key: Path, tmp_path: Path) -> None:
    done = converted(place, tmp_path)
    record = tmp_path / "record.json"
    record.write_bytes(done.to_json())
    attest(place, key=key, conversions=[record])
    (statement,) = claims(place)

    assert statement.predicate_type == SLSA_PROVENANCE_V1
    provenance = Provenance.parse(statement.predicate)
    assert provenance.build_type == CONVERT_BUILD_TYPE_V1
    assert converted_files(provenance) == {"weights/converted.safetensors": done.target.sha256}
    assert [(one.name, one.sha256) for one in provenance.dependencies] == [("pytorch_model.bin", done.source.sha256)]
    assert provenance.internal_parameters["pickleExecuted"] is False
    assert provenance.internal_parameters["tensorEquality"] == "bitwise"


def test_a_conversion_of_a_file_that_is_not_in_the_model_is_refused(place: Path, key: Path, tmp_path: Path) -> None:
    done = converted(place, tmp_path)
    (place / "weights" / "converted.safetensors").unlink()

    with pytest.raises(UsageError, match="no file of the model has that"):
        attest(place, key=key, conversions=[done])


def test_a_conversion_without_digests_is_refused(place: Path, key: Path, tmp_path: Path) -> None:
    source = tmp_path / "pytorch_model.bin"
    source.write_bytes(CHECKPOINT)
    done = convert(source, place / "converted.safetensors", verify=True)

    with pytest.raises(UsageError, match="SHA-256"):
        attest(place, key=key, conversions=[done])


def test_a_scan_can_be_told_a_second_time_as_a_test_result(place: Path, key: Path) -> None:
    attest(place, key=key, scan=True, test_result=True)
    _, second = claims(place)

    assert second.predicate_type == TEST_RESULT_V0_1
    assert second.predicate["result"] == "PASSED"
    assert second.predicate["passedTests"] == ["README.md", "config.json", "weights/model.safetensors"]


@pytest.mark.parametrize(
    "options",
    [{}, {"scan": True, "report": "report.json"}, {"test_result": True}],
)
def test_what_makes_no_sense_is_refused_first(place: Path, key: Path, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        attest(place, key=key, **options)  # type: ignore[arg-type]  # wrong on purpose


def test_a_missing_target_is_a_source_error(tmp_path: Path, key: Path) -> None:
    with pytest.raises(SourceError):
        attest(tmp_path / "nowhere", key=key, scan=True)


def test_an_incomplete_scan_is_attested_as_what_it_is(place: Path, key: Path) -> None:
    (place / "model.bin").write_bytes(bytes(range(1, 200)) * 3)
    attested = attest(place, key=key, scan=True)

    assert attested.scan is not None
    assert (attested.scan.result, attested.scan.complete) == (Result.WARNED, False)


@pytest.mark.parametrize("after", [0.05, 0.3, 0.6])
def test_a_killed_attest_leaves_the_claims_old_or_new(place: Path, key: Path, after: float) -> None:
    attest(place, key=key, scan=True)
    before = (place / "claims.jsonl").read_bytes()
    script = (
        "from modelsign.attesting import attest\nprint('begun', flush=True)\n"
        f"while True: attest({str(place)!r}, key={str(key)!r}, scan=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    now = (place / "claims.jsonl").read_bytes()

    assert now.startswith(before)
    assert now.endswith(b"\n")
    assert all(line.bundle is not None for line in store.read(place / "claims.jsonl"))
    attest(place, key=key, scan=True)
    assert sorted(path.name for path in place.iterdir()) == ["README.md", "claims.jsonl", "config.json", "weights"]


def test_a_report_dated_beyond_the_calendar_is_refused(
    place: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_report(tmp_path / "report.json", place)
    stat = Path.stat

    def far(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = stat(self, follow_symlinks=follow_symlinks)
        # Not every file system keeps such a time; tmpfs does.
        return os.stat_result((*found[:8], 10**15, found[9])) if self == path else found

    monkeypatch.setattr(Path, "stat", far)
    with pytest.raises(SourceError, match="when it was written"):
        attest(place, key=key, report=path)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [(b" " * (16 << 20), "too long"), (b"[" + b"0," * 500_000 + b"0]", "countless"), (b"{}", "_type")],
)
def test_a_list_that_the_model_cannot_have_is_not_parsed(place: Path, key: Path, payload: bytes, problem: str) -> None:
    (place / "model.sig").write_bytes(sealed(payload).to_json())
    with pytest.raises(EnvelopeError, match=problem):
        attest(place, key=key, scan=True)
