import json
from pathlib import Path

import pytest

from attestations.uris import MODEL_SCAN_V0_1, SLSA_PROVENANCE_V1, TEST_RESULT_V0_1
from modelsign.cli.main import invoke
from tests.builders.models import CHECKPOINT, CONFIG, model
from tests.builders.signatures import write_key


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return model(tmp_path / "model")


@pytest.fixture
def key(tmp_path: Path) -> str:
    return str(write_key(tmp_path)[0])


def test_the_result_says_what_was_attested(place: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["attest", str(place), "--key", key, "--scan"]) == 0
    said = capsys.readouterr()
    assert "1 statement about 3 files" in said.out
    assert MODEL_SCAN_V0_1 in said.out
    assert "PASSED, complete" in said.out
    assert said.err == ""


def test_quiet_says_nothing_about_a_clean_model(place: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["attest", str(place), "--key", key, "--scan", "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_json_carries_the_statements(place: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["attest", str(place), "--key", key, "--scan", "--compat", "test-result", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "modelsign.attested/v1"
    assert [one["type"] for one in document["statements"]] == [MODEL_SCAN_V0_1, TEST_RESULT_V0_1]


def test_scan_convert_and_attest_work_together(
    place: Path, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(CHECKPOINT)
    record, report = str(tmp_path / "record.json"), str(tmp_path / "report.json")
    target = str(place / "weights" / "converted.safetensors")
    assert invoke(["convert", str(tmp_path / "pytorch_model.bin"), target, "--record", record]) == 0
    assert invoke(["scan", str(place), "--digest", "--json", "-o", report]) == 0
    assert invoke(["sign", str(place), "--key", key]) == 0
    capsys.readouterr()

    assert invoke(["attest", str(place), "--key", key, "--report", report, "--conversion", record, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["type"] for one in document["statements"]] == [MODEL_SCAN_V0_1, SLSA_PROVENANCE_V1]
    assert invoke(["verify", str(place), "--key", key.replace(".key", ".pub")]) == 0


def test_a_malicious_model_is_attested_as_one_and_the_gate_says_no(
    place: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "evil.pkl").write_bytes(b"cos\nsystem\n(S'echo hi'\ntR.")
    assert invoke(["attest", str(place), "--key", key, "--scan", "-q"]) == 1
    said = capsys.readouterr().out
    assert "FAILED" in said
    assert "evil.pkl" in said
    assert (place / "claims.jsonl").exists()


def test_an_incomplete_scan_has_its_own_code(place: Path, key: str) -> None:
    (place / "model.bin").write_bytes(bytes(range(1, 200)) * 3)
    assert invoke(["attest", str(place), "--key", key, "--scan", "-q"]) == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["MODEL", "--key", "KEY"], 2),
        (["MODEL", "--scan"], 2),
        (["MODEL", "--key", "KEY", "--scan", "--report", "x"], 2),
        (["MODEL", "--key", "KEY", "--compat", "test-result", "--conversion", "x"], 2),
        (["nowhere", "--key", "KEY", "--scan"], 4),
        (["MODEL", "--key", "KEY", "--report", "nowhere.json"], 4),
        (["MODEL", "--key", "KEY", "--conversion", "nowhere.json"], 4),
        (["MODEL", "--key", "KEY", "--scan", "--claims", "no/where/claims.jsonl"], 4),
    ],
)
def test_mistakes_end_in_one_line_and_a_code(
    place: Path, key: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    filled = [word.replace("MODEL", str(place)).replace("KEY", key) for word in arguments]
    assert invoke(["attest", *filled]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err
    assert "Traceback" not in said.err
    assert not (place / "claims.jsonl").exists()


def test_a_model_that_changed_since_it_was_signed_is_not_attested(
    place: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["sign", str(place), "--key", key, "-q"]) == 0
    (place / "config.json").write_bytes(CONFIG + b" ")
    assert invoke(["attest", str(place), "--key", key, "--scan"]) == 13
    assert "config.json" in capsys.readouterr().err


def test_claims_may_go_to_another_file(place: Path, key: str, tmp_path: Path) -> None:
    claims = str(tmp_path / "elsewhere.jsonl")
    assert invoke(["sign", str(place), "--key", key, "-q"]) == 0
    assert invoke(["attest", str(place), "--key", key, "--scan", "--claims", claims]) == 0
    assert not (place / "claims.jsonl").exists()
    policy = tmp_path / "policy.toml"
    policy.write_text(
        "schema = 1\n[trust]\nkeys = { k = 'release.pub' }\n[identities]\nk = { key = 'k' }\n[require.scan]\n"
    )
    assert invoke(["verify", str(place), "--policy", str(policy)]) == 14
    assert invoke(["verify", str(place), "--policy", str(policy), "--claims", claims]) == 0


def test_a_report_that_calls_the_model_malicious_is_no_success(
    place: Path, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["scan", str(place), "--digest", "--json"]) == 0
    report = tmp_path / "report.json"
    report.write_text(capsys.readouterr().out.replace('"verdict": "clean"', '"verdict": "malicious"'))
    assert invoke(["attest", str(place), "--key", key, "--report", str(report)]) == 1
    assert "FAILED" in capsys.readouterr().out
