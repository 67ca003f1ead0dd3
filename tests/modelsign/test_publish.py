"""modelsign/publish.py: files and directories that appear whole or not at all."""

import ctypes
import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelsign import publish
from modelsign.errors import SourceError, UsageError
from modelsign.publish import is_leftover, making_parents, replacing_directory, replacing_file, reserve, sweep


def leftovers(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if is_leftover(path.name)]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_new_file_appears_with_its_content(tmp_path: Path) -> None:
    with replacing_file(tmp_path / "a", force=False) as file:
        file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert leftovers(tmp_path) == []


def test_the_target_is_old_until_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with replacing_file(target, force=True) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing_file(target, force=True) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_no_room_for_a_file_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(SourceError, match=r"a: cannot be written: No space left on device$"),
        replacing_file(tmp_path / "a", force=False) as file,
    ):
        file.write(b"new")
    assert names(tmp_path) == []


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(UsageError, match="--force"), replacing_file(tmp_path / "a", force=False):
        pass
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_file_that_appears_meanwhile_is_kept_without_force(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--force"), replacing_file(tmp_path / "a", force=False) as file:
        file.write(b"ours")
        (tmp_path / "a").write_bytes(b"theirs")
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("durable", [True, False])
def test_only_what_shall_be_durable_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    with replacing_file(tmp_path / "a", force=False, durable=durable) as file:
        file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert len(flushed) == 2 * durable  # the file and its directory


def test_a_missing_directory_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"), replacing_file(tmp_path / "x" / "a", force=False):
        pass


def test_a_directory_that_never_takes_a_file_is_a_source_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: int) -> int:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))

    monkeypatch.setattr(publish, "_new_file", refuse)  # as in /proc
    with (
        pytest.raises(SourceError, match="a: cannot be written: No such file"),
        replacing_file(tmp_path / "a", force=True),
    ):
        pass


def test_a_file_system_without_locks_is_a_source_error_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(SourceError, match="a: cannot be written: No locks"), replacing_file(tmp_path / "a", force=True):
        pass
    assert names(tmp_path) == []


def test_missing_parents_are_made_and_taken_away_again_after_an_error(tmp_path: Path) -> None:
    with making_parents(tmp_path / "a" / "b" / "file"):
        assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(RuntimeError), making_parents(tmp_path / "a" / "c" / "d" / "file"):
        raise RuntimeError
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "b"]


def test_a_parent_that_is_a_file_is_a_source_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(SourceError, match="Not a directory"), making_parents(tmp_path / "file" / "a" / "b"):
        pass
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_the_mode_of_a_secret_is_kept(tmp_path: Path) -> None:
    with replacing_file(tmp_path / "key", force=False, mode=0o600) as file:
        file.write(b"secret")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    with replacing_directory(tmp_path / "d", force=False) as directory:
        (directory / "a").write_bytes(b"a")
        assert not (tmp_path / "d").exists()
    assert (tmp_path / "d" / "a").read_bytes() == b"a"
    assert leftovers(tmp_path) == []


def test_an_empty_directory_may_be_filled_without_force(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with replacing_directory(tmp_path / "d", force=False) as directory:
        (directory / "a").write_bytes(b"a")
    assert (tmp_path / "d" / "a").exists()


def test_a_filled_directory_is_replaced_with_force_only(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").write_bytes(b"old")
    with pytest.raises(UsageError, match="not empty"), replacing_directory(tmp_path / "d", force=False):
        pass
    with replacing_directory(tmp_path / "d", force=True) as directory:
        (directory / "new").write_bytes(b"new")
    assert names(tmp_path / "d") == ["new"]
    assert leftovers(tmp_path) == []


def test_a_directory_is_never_absent_while_it_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").write_bytes(b"old")
    monkeypatch.setattr(Path, "rename", lambda *_: pytest.fail("two renames leave a moment without the target"))
    with replacing_directory(tmp_path / "d", force=True) as directory:
        (directory / "new").write_bytes(b"new")
    assert names(tmp_path / "d") == ["new"]


def test_without_an_exchange_a_filled_directory_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelsign.publish._exchange", lambda *_: False)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").write_bytes(b"old")
    with replacing_directory(tmp_path / "d", force=True) as directory:
        (directory / "new").write_bytes(b"new")
    assert names(tmp_path / "d") == ["new"]
    assert leftovers(tmp_path) == []


def test_what_stepped_aside_for_a_killed_run_is_put_back(tmp_path: Path) -> None:
    (tmp_path / ".modelsign-tmp-0-was-d").mkdir()
    (tmp_path / ".modelsign-tmp-0-was-d" / "old").write_bytes(b"old")
    (tmp_path / ".modelsign-tmp-1").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == ["d"]
    assert names(tmp_path / "d") == ["old"]


def test_a_symlink_may_be_replaced_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"precious")
    (tmp_path / "d").symlink_to(tmp_path / "elsewhere")
    with replacing_directory(tmp_path / "d", force=True) as directory:
        (directory / "new").write_bytes(b"new")
    assert names(tmp_path / "d") == ["new"]
    assert names(tmp_path / "elsewhere") == ["file"]
    assert leftovers(tmp_path) == []


def test_an_error_in_a_directory_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing_directory(tmp_path / "d", force=True) as directory:
        (directory / "new").write_bytes(b"new")
        raise ZeroDivisionError
    assert names(tmp_path / "d") == ["old"]
    assert leftovers(tmp_path) == []


WRITER = """
import sys, time
from pathlib import Path
from modelsign.publish import replacing_file
with replacing_file(Path(sys.argv[1]), force=True) as file:
    file.write(b"new" * 100)
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def start_writer(target: Path) -> subprocess.Popen[bytes]:
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    return process


def test_a_killed_writer_leaves_the_old_file_and_the_next_run_sweeps(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with start_writer(target) as process:
        process.send_signal(signal.SIGKILL)
    assert target.read_bytes() == b"old"
    assert len(leftovers(tmp_path)) == 1
    with replacing_file(target, force=True) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"
    assert leftovers(tmp_path) == []


def test_a_living_writer_is_not_swept_away(tmp_path: Path) -> None:
    with start_writer(tmp_path / "a") as process:
        sweep(tmp_path)
        assert len(leftovers(tmp_path)) == 1
        process.kill()
    time.sleep(0)
    sweep(tmp_path)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    lock = fcntl.flock
    swept: list[str] = []

    def sweep_first(descriptor: int, operation: int) -> None:
        if not swept and not operation & fcntl.LOCK_NB:
            swept.extend(leftovers(tmp_path))
            sweep(tmp_path)
        lock(descriptor, operation)

    monkeypatch.setattr("fcntl.flock", sweep_first)
    if kind == "file":
        with replacing_file(tmp_path / "a", force=False) as file:
            file.write(b"new")
    else:
        with replacing_directory(tmp_path / "a", force=False) as directory:
            (directory / "new").write_bytes(b"new")
    assert len(swept) == 1
    assert names(tmp_path) == ["a"]


def test_a_symlink_with_our_prefix_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / ".modelsign-tmp-0").symlink_to(tmp_path / "victim")
    sweep(tmp_path)
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_link_a_pipe_or_a_directory_is_never_replaced(tmp_path: Path) -> None:
    # As root a rename onto /dev/null or /dev/stdout, a link, takes it away from every program of the machine.
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    for name in ("link", "pipe", "directory"):
        with pytest.raises(UsageError, match="never replaced"), replacing_file(tmp_path / name, force=True):
            pytest.fail("the writing began")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "link", "pipe"]


def test_the_room_of_a_file_is_reserved_at_once(tmp_path: Path) -> None:
    with (tmp_path / "m").open("wb") as file:
        reserve(file.fileno(), 1 << 20)
        there = os.fstat(file.fileno())
    assert there.st_size in {0, 1 << 20}  # zero where the file system cannot reserve
    assert there.st_blocks * 512 >= there.st_size


def test_too_little_room_is_known_before_anything_is_written(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with (tmp_path / "m").open("wb") as file, pytest.raises(OSError, match="File too large"):
            reserve(file.fileno(), 2 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("functions", [{}, {"fallocate": lambda *_: -1}])
def test_a_file_system_that_cannot_reserve_is_left_to_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, functions: dict[str, object]
) -> None:
    ctypes.set_errno(errno.EOPNOTSUPP)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(**functions))
    with (tmp_path / "m").open("wb") as file:
        reserve(file.fileno(), 1 << 20)
        assert not os.fstat(file.fileno()).st_size
