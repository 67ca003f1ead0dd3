import json
import zipfile
from pathlib import Path

import pytest

from modelsign.cli.main import invoke


def test_members_are_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner/config.json", "{}")
        archive.writestr("evil\x1b[31m.txt", "x")
    assert invoke(["inspect", str(tmp_path / "a.zip")]) == 0
    text = capfd.readouterr().out
    assert "inner/config.json  (json)" in text
    assert "evil\\x1b[31m.txt" in text
    assert "\x1b" not in text


def test_json_has_everything(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner/config.json", "{}")
    assert invoke(["inspect", "--json", str(tmp_path / "a.zip")]) == 0
    value = json.loads(capfd.readouterr().out)
    assert value["schema"] == "modelsign.inspection/v1"
    assert value["members"] == [{"path": ["inner/config.json"], "size": 2, "formats": ["json"], "stored": True}]
    assert value["members_complete"] is True


def test_a_directory_is_refused_with_the_way_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert invoke(["inspect", str(tmp_path)]) == 4
    assert "name one file" in capfd.readouterr().err


def test_a_directory_with_one_file_of_its_own_name_is_still_a_directory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / tmp_path.name).write_text("{}")
    assert invoke(["inspect", str(tmp_path)]) == 4
    capfd.readouterr()
