"""Other programs that tests run for comparison, each in its own virtual environment under `.peers/` (`make peers`)."""

import os
import subprocess
from pathlib import Path

import pytest

PEERS = Path(os.environ.get("MODELSIGN_PEERS", Path(__file__).resolve().parents[1] / ".peers"))


def peer(name: str) -> Path:
    """Return a peer's directory; skip the calling test, with the reason, where it is absent.

    The marker is what `tests/install_peers.py` writes last: a peer whose installation failed, was cut off or still runs
    has an interpreter, but not what the tests want of it.
    """
    if not (PEERS / name / ".installed").exists():
        pytest.skip(f"peer {name!r} is not installed at {PEERS}; run `make peers`")
    return PEERS / name


def peer_python(name: str) -> Path:
    """Return the interpreter of a peer's environment; skip the calling test, with the reason, where it is absent."""
    return peer(name) / "bin" / "python"


def run_peer(
    name: str, *arguments: str | Path, check: bool = True, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a peer's interpreter with ``arguments``; on failure show what it printed."""
    command = [str(peer_python(name)), *map(str, arguments)]
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, check=False, text=True, **options
    )  # type: ignore[call-overload]  # passed on
    if check and done.returncode:
        raise AssertionError(f"{command} exited {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
