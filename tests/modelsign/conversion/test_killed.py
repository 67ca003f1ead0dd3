"""A conversion that is killed leaves the target as it was or as it should be, whenever the kill comes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelsign import convert
from tests.builders.checkpoints import floats, tensor, torch_zip

# Audit events mark the steps that other programs can see: open, rename, link, unlink. The child kills itself at the
# n-th one after the conversion began, or when so many bytes are done.
CHILD = """
import os, signal, sys
from modelsign.conversion.converting import convert
source, target, kind, limit = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
seen = 0
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def hook(event, arguments):
    global seen
    if event in {"open", "os.rename", "os.link", "os.remove", "os.truncate", "os.listdir", "os.scandir", "fcntl.flock"}:
        seen += 1
        if seen >= limit:
            die()
done = 0
def progress(count):
    global done
    done += count
    if done >= limit:
        die()
convert(source, target + ".warm", force=True)   # every module is imported before the count begins
if kind == "event":
    sys.addaudithook(hook)
convert(source, target, force=True, progress=progress if kind == "bytes" else None)
"""

SIZE = 3_000_000


def run(folder: Path, kind: str, limit: int) -> int:
    command = [sys.executable, "-c", CHILD, str(folder / "m.pt"), str(folder / "m.safetensors"), kind, str(limit)]
    return subprocess.run(command, check=False, capture_output=True).returncode


@pytest.fixture(name="folder", scope="module")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    data = floats(SIZE // 4)
    (folder / "m.pt").write_bytes(torch_zip({"a": tensor("0", (SIZE // 4,))}, {"0": data}))
    convert(folder / "m.pt", folder / "expected")
    return folder


def check(folder: Path, kind: str, limit: int, *, old: bytes | None) -> int:
    target = folder / "m.safetensors"
    target.unlink(missing_ok=True)
    if old is not None:
        target.write_bytes(old)
    code = run(folder, kind, limit)
    found = target.read_bytes() if target.exists() else None
    assert found in {old, (folder / "expected").read_bytes()}
    return code


@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "replacing"])
def test_a_kill_at_any_step_leaves_old_or_new(folder: Path, old: bytes | None) -> None:
    steps = 1
    while (code := check(folder, "event", steps, old=old)) == -signal.SIGKILL:
        steps += 1
    assert code == 0  # so every step was met
    assert steps > 5


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_kill_while_bytes_are_copied_leaves_the_old_target(folder: Path, share: float) -> None:
    assert check(folder, "bytes", 1 + int(share * SIZE), old=b"old") == -signal.SIGKILL
    assert (folder / "m.safetensors").read_bytes() == b"old"


def test_the_next_run_clears_what_a_killed_one_left(folder: Path) -> None:
    check(folder, "bytes", SIZE // 2, old=None)
    assert any(entry.name.startswith(".modelsign-tmp-") for entry in folder.iterdir())
    convert(folder / "m.pt", folder / "m.safetensors")
    assert not any(entry.name.startswith(".modelsign-tmp-") for entry in folder.iterdir())
