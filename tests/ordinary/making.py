"""Run a maker script in its peer's environment."""

import os
from pathlib import Path

from tests.ordinary.libraries import Library
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
    run_peer(library.peer, MAKERS / library.maker, directory, env={**os.environ, **ONE_THREAD}, cwd=directory)
    return sorted(path for path in directory.rglob("*") if path.is_file())


def versions(library: Library) -> str:
    """Return the versions of the distributions that made the files."""
    script = "import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    return run_peer(library.peer, "-c", script, *library.versions).stdout.strip()
