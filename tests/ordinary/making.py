"""Run a maker script in its peer's environment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ordinary.libraries import Library, R
from tests.peers import run_peer

MAKERS = Path(__file__).parent / "makers"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


def make_files(library: Library, directory: Path) -> list[Path]:
    """Fill ``directory`` with the library's files and return them; skips the test where the environment is absent."""
    directory.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **ONE_THREAD}
    if library.peer == R:
        _r(str(MAKERS / library.maker), str(directory))
    else:
        run_peer(library.peer, MAKERS / library.maker, directory, env=environment, cwd=directory)
    return sorted(path for path in directory.rglob("*") if path.is_file())


def versions(library: Library) -> str:
    """Return the versions of the distributions that made the files."""
    if library.peer == R:
        return "R " + _r("-e", "cat(as.character(getRversion()))")
    script = "import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    return run_peer(library.peer, "-c", script, *library.versions).stdout.strip()


def _r(*arguments: str) -> str:
    program = shutil.which(R)
    if program is None:
        pytest.skip("R is not installed (Debian: r-base-core)")
    done = subprocess.run([program, "--vanilla", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
