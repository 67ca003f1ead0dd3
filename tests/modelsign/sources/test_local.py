import os
from pathlib import Path

import pytest

from modelsign.errors import SourceError
from modelsign.sources import source_of
from modelsign.sources.local import LocalSource


def test_a_directory_replaced_by_a_link_on_the_way_is_not_entered(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.json").write_text("{}")
    model = tmp_path / "model"
    (model / "inner").mkdir(parents=True)
    (model / "inner" / "a.json").write_text("{}")
    source = LocalSource(str(model))
    entries = source.entries()
    (model / "inner" / "a.json").unlink()
    (model / "inner").rmdir()
    (model / "inner").symlink_to(outside)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        source.open(entries[0])


def test_a_file_replaced_by_a_link_or_a_pipe_is_not_opened(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    source = LocalSource(str(tmp_path))
    entries = source.entries()
    for name in ("a.json", "b.json"):
        (tmp_path / name).unlink()
    (tmp_path / "a.json").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "b.json")
    for entry in entries:
        with pytest.raises(OSError, match=r"symbolic links|not a regular file"):
            source.open(entry)


@pytest.mark.parametrize("name", ["model", "model/", "./model", "model/../model", "link", "link/"])
def test_the_name_of_a_target_is_its_last_component(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    monkeypatch.chdir(tmp_path)
    assert source_of(name).name == ("link" if name.startswith("link") else "model")


def test_the_root_directory_has_a_name() -> None:
    assert LocalSource("/").name == "/"


@pytest.mark.parametrize("name", ["nothing", "file/below", "pipe", "circle", "nul\0"])
def test_what_is_no_target_is_a_source_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError):
        LocalSource(f"{tmp_path}/{name}")
