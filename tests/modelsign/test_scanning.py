import hashlib
import os
import socket
import sys
from pathlib import Path

import pytest

import modelsign
from modelsign.errors import NothingToDo, SourceError, UsageError
from modelsign.ignoring import parse
from modelsign.sources import Links
from scanners.findings import FileReport, Report, Verdict


def by_path(report: Report) -> dict[str, FileReport]:
    return {file.path: file for file in report.files}


def test_a_directory_is_scanned_in_one_pass_sorted_by_path(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "b" / "c").mkdir(parents=True)
    (model / "b" / "c" / "config.json").write_text("{}")
    (model / "a.json").write_text("{}")
    (model / "README.md").write_text("hello")
    report = modelsign.scan(model)
    assert report.target == "model"
    assert [file.path for file in report.files] == ["README.md", "a.json", "b/c/config.json"]
    assert report.complete


def test_a_file_is_a_target_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    report = modelsign.scan(tmp_path / "config.json")
    assert (report.target, report.files[0].path) == ("config.json", "config.json")


def test_digests_are_computed_when_asked(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert modelsign.scan(tmp_path).files[0].sha256 is None
    assert modelsign.scan(tmp_path, digest=True).files[0].sha256 == hashlib.sha256(b"{}").hexdigest()


def test_progress_adds_up_to_the_size(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("[1, 2]")
    done: list[int] = []
    modelsign.scan(tmp_path, progress=done.append)
    assert sum(done) == 8


def test_a_missing_target_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        modelsign.scan(tmp_path / "nothing")


def test_an_empty_directory_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo):
        modelsign.scan(tmp_path)


def test_an_unknown_scheme_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="gopher"):
        modelsign.scan("gopher://example/model")


def test_a_link_out_of_the_target_is_reported_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").symlink_to("../secret.json")
    (model / "code").symlink_to("/")
    files = by_path(modelsign.scan(model, digest=True))
    for path in ("config.json", "code"):
        assert files[path].verdict is Verdict.INCOMPLETE
        assert files[path].sha256 is None
        assert "out of the target" in files[path].coverage.reasons[0]
        assert files[path].findings[0].rule.id == "MS907"


def test_a_link_out_of_the_target_is_followed_when_asked(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.json").write_text("{}")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").symlink_to("../outside/a.json")
    (model / "more").symlink_to("../outside")
    (outside / "back").symlink_to("../model")
    report = modelsign.scan(model, links=Links.FOLLOW)
    assert [file.path for file in report.files] == ["config.json", "more/a.json", "more/back"]
    assert report.complete


def test_a_link_inside_the_target_is_read_under_both_names(tmp_path: Path) -> None:
    (tmp_path / "v2.json").write_text("{}")
    (tmp_path / "config.json").symlink_to("v2.json")
    report = modelsign.scan(tmp_path, digest=True)
    files = by_path(report)
    assert files["config.json"].sha256 == files["v2.json"].sha256
    assert [finding.rule.id for finding in report.findings] == ["MS908"]
    assert report.complete


def test_a_link_that_leads_nowhere_or_in_a_circle_is_incomplete(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("nothing")
    files = by_path(modelsign.scan(tmp_path))
    assert files["a"].coverage.reasons == ("the symbolic link leads in a circle",)
    assert files["c"].coverage.reasons == ("the symbolic link leads nowhere",)


def test_the_hugging_face_cache_is_read_by_snapshot_names(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "blobs" / "0123").write_text("{}")
    (repository / "refs" / "main").write_text("abc123")
    (snapshot / "config.json").symlink_to("../../blobs/0123")
    report = modelsign.scan(snapshot)
    assert [(file.path, file.verdict) for file in report.files] == [("config.json", Verdict.CLEAN)]
    assert not report.findings
    whole = modelsign.scan(repository)
    assert [file.path for file in whole.files] == ["refs/main", "snapshots/abc123/config.json"]
    assert modelsign.scan(snapshot / "config.json").files[0].path == "config.json"


def test_a_link_beside_a_directory_called_blobs_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0123").write_text("{}")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").symlink_to("../blobs/0123")
    assert not modelsign.scan(model).complete


def test_what_is_no_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.bin")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # the name of a socket is short
        listener.bind("socket.bin")
        files = by_path(modelsign.scan(tmp_path))
    assert files["pipe.bin"].coverage.reasons == ("a named pipe is not opened",)
    assert files["socket.bin"].coverage.reasons == ("a socket is not opened",)


def test_a_file_that_cannot_be_opened_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("{}")
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "a.json":
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    files = by_path(modelsign.scan(tmp_path))
    assert files["a.json"].verdict is Verdict.INCOMPLETE
    assert files["a.json"].coverage.reasons == ("cannot be opened: Permission denied",)
    assert files["b.json"].verdict is Verdict.CLEAN


def test_a_named_file_that_cannot_be_opened_is_a_source_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr("modelsign.sources.local.open_below", refused)
    with pytest.raises(SourceError, match="Permission denied"):
        modelsign.scan(tmp_path / "a.json")


def refused(*_: object) -> int:
    raise PermissionError(13, "Permission denied")


def test_ignored_files_cost_completeness(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "b.json").write_text("{}")
    report = modelsign.scan(tmp_path, ignore=parse(["old/"]))
    assert by_path(report)["old/b.json"].coverage.reasons == ("left out by the ignore pattern 'old/'",)
    assert not report.complete


def test_names_that_are_not_unicode_are_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"odd\xff.json")
    (tmp_path / name).write_text("{}")
    assert modelsign.scan(tmp_path).files[0].path == name


def test_a_deep_tree_needs_no_recursion(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    deepest = "/".join("d" * depth)
    for length in range(1, depth + 1):
        (tmp_path / deepest[: 2 * length - 1]).mkdir()
    file = tmp_path / deepest / "a.json"
    file.write_text("{}")
    verdict = modelsign.scan(tmp_path).files[0].verdict
    file.unlink()
    os.removedirs(tmp_path / deepest)  # what cleans up after tests does recurse
    assert verdict is Verdict.CLEAN
