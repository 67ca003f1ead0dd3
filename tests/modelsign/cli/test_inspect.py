import json
import zipfile
from pathlib import Path

import pytest

from modelsign.cli.main import invoke
from modelsign.inspection import _heard
from modelsign.isolation import WorkerError


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


def test_a_pickle_shows_its_calls_and_the_opcodes_around_a_finding(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R.")
    assert invoke(["inspect", str(tmp_path / "a.pkl")]) == 0
    text = capfd.readouterr().out
    assert "os.system('echo')  [byte 23]" in text
    assert " >       23  REDUCE" in text


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"null",
        b'{"members": [[1, 2, [], true]], "excerpts": [], "stopped": null}',
        b'{"members": [[["a"], "2", [], true]], "excerpts": [], "stopped": null}',
        b'{"members": [[["a"], 2, [], 1]], "excerpts": [], "stopped": null}',
        b'{"members": [], "excerpts": [[[1, "STOP", ""]]], "stopped": null}',
        b'{"members": [], "excerpts": [], "stopped": 1}',
        b'{"members": []}',
    ],
)
def test_a_worker_that_answers_nonsense_is_not_believed(answer: bytes) -> None:
    with pytest.raises(WorkerError):
        _heard(answer, [])
