"""What `modelsign scan` of one checkpoint does not import: each of these takes as long as a good part of the scan."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "examples" / "tiny-lm" / "pytorch_model.bin"
SPARED = (
    *("asyncio", "concurrent", "cryptography", "difflib", "email", "hashlib", "html", "huggingface_hub", "jinja2"),
    *("importlib.metadata", "logging", "multiprocessing", "numpy", "rich", "shutil", "sigstore", "socket", "ssl"),
    *("subprocess", "tempfile", "textwrap", "tomllib", "traceback", "typing_extensions", "zipfile"),
    *("scanners.containers.sevenzip_archive", "scanners.knowledge.tensorflow_operators"),
    *("scanners.formats.hdf5_file", "scanners.formats.hdf5_structure", "scanners.formats.yaml_text"),
)

SCRIPT = f"""
import sys
from modelsign.cli.main import invoke

code = invoke(["scan", "--sandbox", "off", sys.argv[1]])
print(code, [name for name in {SPARED!r} if name in sys.modules])
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)})


def test_a_scan_imports_nothing_that_it_does_not_need() -> None:
    assert run("-c", SCRIPT, str(SMALL)).stdout.splitlines()[-1] == "0 []"


def test_the_end_comes_at_once_and_loses_nothing() -> None:
    done = run("-m", "modelsign", "scan", str(SMALL))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pytorch_model.bin: clean")
    done = run("-m", "modelsign", "scan", "absent")
    assert done.returncode == 4
    assert "absent" in done.stderr
