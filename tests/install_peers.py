"""Install the programs that tests compare with: `python tests/install_peers.py .peers [name …]`.

Each gets an environment of its own, so that its requirements never meet ours. A peer that cannot be installed here is
reported and left out: its tests then skip and say so.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

# torch 2.13.0 by its exact version: a newer one would bring gigabytes of CUDA packages.
# model-signing 1.1.1 imports OpenSSL without declaring it.
PYTHON_PEERS: dict[str, tuple[str, ...]] = {
    "torch": ("torch==2.13.0", "numpy==2.4.6", "safetensors==0.8.0"),
    "model-signing": ("model-signing==1.1.1", "pyopenssl==26.4.0"),
    "picklescan": ("picklescan==1.0.5",),
}
NODE_PEERS: dict[str, tuple[str, ...]] = {
    "sigstore-js": ("@sigstore/verify@4.1.3", "@sigstore/bundle@5.0.0"),
}


def main(arguments: list[str]) -> int:
    """Install the named peers (all without names) and return the number of those that failed."""
    root = Path(arguments[0]).resolve()
    names = arguments[1:] or [*PYTHON_PEERS, *NODE_PEERS]
    failed = 0
    for name in names:
        target = root / name
        if (target / ".installed").exists():
            continue
        try:
            if name in PYTHON_PEERS:
                install_python(target, PYTHON_PEERS[name])
            else:
                install_node(target, NODE_PEERS[name])
            (target / ".installed").touch()
            print(f"installed {name}")
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            failed += 1
            print(f"not installed: {name}: {error}", file=sys.stderr)
    return failed


def install_python(target: Path, requirements: tuple[str, ...]) -> None:
    """Make a virtual environment with the requirements."""
    venv.create(target, with_pip=True, clear=True)
    subprocess.run([target / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements], check=True)


def install_node(target: Path, packages: tuple[str, ...]) -> None:
    """Make a folder with `node_modules`."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not on the path")
    target.mkdir(parents=True, exist_ok=True)
    (target / "package.json").write_text('{"private": true}\n')
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", *packages], cwd=target, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
