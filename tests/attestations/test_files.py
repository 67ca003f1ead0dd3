import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from attestations.errors import ContentChanged, ManifestError, NotRegular
from attestations.files import BUFFER, Piece, check_unchanged, hash_pieces, list_names, walk
from tests.builders.signatures import write_model


def names(root: Path, **options: object) -> list[str]:
    return [file.name for file in walk(root, **options).files]  # type: ignore[arg-type]  # options pass through


def digests(root: Path, **options: object) -> list[str]:
    pieces = [Piece(file=file, start=0, end=file.size) for file in walk(root).files]
    return [value for _, value in hash_pieces(root, pieces, "sha256", **options)]  # type: ignore[arg-type]  # options pass through


def test_files_are_found_in_the_order_of_code_points(tmp_path: Path) -> None:
    write_model(tmp_path, {"a/b": b"", "a.txt": b"", "B": b"", "é": b"", "z": b""})
    assert names(tmp_path) == ["B", "a.txt", "a/b", "z", "é"]


def test_ignored_names_leave_out_files_and_what_lies_below(tmp_path: Path) -> None:
    write_model(tmp_path, {"keep": b"", "drop": b"", ".git/config": b"", ".git/a/b": b"", "x/drop": b"", ".gitx": b""})
    found = walk(tmp_path, ignored=["drop", ".git"])
    assert [file.name for file in found.files] == [".gitx", "keep", "x/drop"]
    assert found.left_out == (".git/a/b", ".git/config", "drop")


def test_hidden_files_count(tmp_path: Path) -> None:
    assert names(write_model(tmp_path, {".env": b"", ".cache/x": b""})) == [".cache/x", ".env"]


def test_model_that_is_a_file_has_one(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert names(tmp_path / "m.gguf") == [""]


@pytest.mark.parametrize("target", ["real", ".", "/etc/hostname", "nowhere"])
def test_links_are_refused(tmp_path: Path, target: str) -> None:
    write_model(tmp_path, {"real": b""})
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(NotRegular, match=r"link: a symbolic link"):
        walk(tmp_path)


def test_root_itself_may_be_reached_through_a_link(tmp_path: Path) -> None:
    write_model(tmp_path / "real", {"x": b"1"})
    (tmp_path / "link").symlink_to("real")
    assert digests(tmp_path / "link") == digests(tmp_path / "real")


def test_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegular, match="pipe, socket or device"):
        walk(tmp_path)


def test_sockets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(NotRegular):
            walk(tmp_path)


def test_allowed_links_are_followed_inside_the_model(tmp_path: Path) -> None:
    write_model(tmp_path, {"real/x": b"1", "y": b"2"})
    (tmp_path / "dir").symlink_to("real")
    (tmp_path / "file").symlink_to("y")
    assert names(tmp_path, allow_symlinks=True) == ["dir/x", "file", "real/x", "y"]


def test_allowed_links_may_not_leave_the_model(tmp_path: Path) -> None:
    write_model(tmp_path, {"secret": b"", "model/x": b""})
    (tmp_path / "model" / "link").symlink_to("../secret")
    with pytest.raises(NotRegular, match="leads out of the model"):
        walk(tmp_path / "model", allow_symlinks=True)


@pytest.mark.parametrize("target", [".", "..", "../a"])
def test_allowed_links_may_not_go_round(tmp_path: Path, target: str) -> None:
    write_model(tmp_path, {"m/a/x": b""})
    (tmp_path / "m" / "a" / "loop").symlink_to(target)
    with pytest.raises(NotRegular, match="above it"):
        walk(tmp_path / "m", allow_symlinks=True)


def test_links_that_cross_are_found_out(tmp_path: Path) -> None:
    write_model(tmp_path, {"a/x": b"", "b/y": b""})
    (tmp_path / "a" / "to_b").symlink_to("../b")
    (tmp_path / "b" / "to_a").symlink_to("../a")
    with pytest.raises(NotRegular, match="above it"):
        walk(tmp_path, allow_symlinks=True)


def test_missing_model_is_a_documented_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        walk(tmp_path / "nothing")


@pytest.mark.parametrize("size", [0, 1, BUFFER // 16, BUFFER // 16 + 1, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_size_is_hashed_whole(tmp_path: Path, size: int, threads: int) -> None:
    import hashlib

    content = os.urandom(size)
    (tmp_path / "x").write_bytes(content)
    assert digests(tmp_path, threads=threads) == [hashlib.sha256(content).hexdigest()]


def test_threads_change_nothing(tmp_path: Path) -> None:
    write_model(tmp_path, {f"f{number}": os.urandom(number * 70_000) for number in range(12)})
    assert digests(tmp_path, threads=4) == digests(tmp_path, threads=1)


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_counts_every_byte_once(tmp_path: Path, threads: int) -> None:
    write_model(tmp_path, {f"f{number}": bytes(number * 300_000) for number in range(6)})
    seen: list[int] = []
    digests(tmp_path, threads=threads, progress=seen.append)
    assert sum(seen) == sum(number * 300_000 for number in range(6))


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"evil"),
        lambda path: path.write_bytes(b"longer than before"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.write_bytes(b"good")),
        lambda path: (path.unlink(), path.symlink_to("other")),
    ],
)
def test_file_that_changes_before_it_is_opened_is_noticed(tmp_path: Path, change: Change) -> None:
    write_model(tmp_path, {"x": b"good", "other": b"evil"})
    found = walk(tmp_path)
    change(tmp_path / "x")
    pieces = [Piece(file=file, start=0, end=file.size) for file in found.files]
    with pytest.raises(ContentChanged, match="x"):
        list(hash_pieces(tmp_path, pieces, "sha256"))


def test_large_file_that_is_written_to_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(3 * BUFFER))

    def write(_: int) -> None:
        with (tmp_path / "x").open("r+b") as file:
            file.write(b"evil")

    with pytest.raises(ContentChanged, match="written to"):
        digests(tmp_path, progress=write)


def test_file_that_becomes_shorter_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(3 * BUFFER))
    with pytest.raises(ContentChanged):
        digests(tmp_path, progress=lambda _: os.truncate(tmp_path / "x", BUFFER))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda root: (root / "new").write_bytes(b""), "new: appeared"),
        (lambda root: (root / "x").unlink(), "x: disappeared"),
        (lambda root: (root / "x").write_bytes(b"2"), "x: changed"),
        (lambda root: ((root / "y").write_bytes(b"1"), (root / "y").replace(root / "x")), "x: changed"),
    ],
)
def test_second_walk_notices_what_happened_meanwhile(tmp_path: Path, change: Change, what: str) -> None:
    write_model(tmp_path, {"x": b"1"})
    found = walk(tmp_path)
    change(tmp_path)
    with pytest.raises(ContentChanged, match=what):
        check_unchanged(tmp_path, found)


def test_error_in_one_file_ends_the_threads(tmp_path: Path) -> None:
    write_model(tmp_path, {f"f{number}": bytes(2 * BUFFER) for number in range(8)})
    found = walk(tmp_path)
    (tmp_path / "f0").unlink()
    pieces = [Piece(file=file, start=0, end=file.size) for file in found.files]
    with pytest.raises(ContentChanged, match="f0: disappeared"):
        list(hash_pieces(tmp_path, pieces, "sha256", threads=2))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("modelsign-hash")]


def test_name_that_is_not_utf8_is_found_as_it_is(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    assert names(tmp_path) == ["caf\udce9"]


@pytest.mark.parametrize("seconds", [-5_000_000_000, -1, 0, 30_000_000_000])
def test_file_of_any_time_is_walked_and_hashed(tmp_path: Path, seconds: int) -> None:
    (tmp_path / "x").write_bytes(b"1")
    os.utime(tmp_path / "x", (seconds, seconds))
    found = walk(tmp_path)
    check_unchanged(tmp_path, found)
    assert found.files[0].size == 1


@pytest.mark.parametrize("look", [walk, list_names])
def test_directory_that_vanishes_during_the_walk_is_a_change(
    tmp_path: Path, look: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "model", {"a/x": b"1", "y": b"2"})
    honest = os.open

    def opening(path: str, flags: int) -> int:
        if path.endswith("/a"):
            (tmp_path / "model" / "a").rename(tmp_path / "aside")
        return honest(path, flags)

    monkeypatch.setattr(os, "open", opening)
    with pytest.raises(ContentChanged, match="model/a: disappeared"):
        look(tmp_path / "model")


def test_model_that_vanishes_is_a_change_and_one_that_never_was_is_none(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", {"x": b"1"})
    found = walk(model)
    model.rename(tmp_path / "aside")
    with pytest.raises(ContentChanged, match="model: disappeared"):
        check_unchanged(model, found)
    with pytest.raises(ManifestError) as error:
        walk(model)
    assert not isinstance(error.value, ContentChanged)
