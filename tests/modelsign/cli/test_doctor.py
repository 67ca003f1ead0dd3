import json

import pytest

from modelsign.cli.main import invoke


def test_human(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["doctor"]) == 0
    said = capsys.readouterr().out
    for word in ("Versions", "sigstore", "landlock", "seccomp", "--sandbox require", "public-good", "Settings"):
        assert word in said


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "modelsign.doctor/v1"
    assert [layer["name"] for layer in document["sandbox"]["layers"]] == ["process", "rlimits", "landlock", "seccomp"]


def test_what_is_not_confined_is_shouted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsign.doctor._try_the_sandbox", lambda: {"open a file": "possible"})
    assert invoke(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "NOT CONFINED: open a file (possible)" in said
    assert "--sandbox require is not met" in said
