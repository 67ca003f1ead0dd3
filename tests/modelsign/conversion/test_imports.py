"""What a conversion loads into its process: no framework, no unpickler, numpy only where strides must be gathered."""

import json
import subprocess
import sys
from pathlib import Path

from tests.builders.checkpoints import floats, tensor, torch_zip

CHILD = """
import json, sys
from modelsign.cli.main import invoke
code = invoke(["convert", sys.argv[1], "--force", "-q"])
print(json.dumps([code, sorted(name for name in sys.modules)]))
"""


def modules_after_converting(folder: Path, data: bytes) -> set[str]:
    source = folder / "m.pt"
    source.write_bytes(data)
    done = subprocess.run([sys.executable, "-c", CHILD, str(source)], check=True, capture_output=True, text=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


def test_converting_imports_no_framework_and_no_unpickler(tmp_path: Path) -> None:
    value = {"a": tensor("0", (2, 3)), "t": tensor("0", (3, 2), stride=(1, 3), numel=6)}
    modules = modules_after_converting(tmp_path, torch_zip(value, {"0": floats(6)}))
    assert not modules & {"torch", "tensorflow", "jax", "safetensors", "sigstore", "huggingface_hub"}


def test_contiguous_tensors_need_neither_numpy_nor_pickle(tmp_path: Path) -> None:
    modules = modules_after_converting(tmp_path, torch_zip({"a": tensor("0", (2, 3))}, {"0": floats(6)}))
    assert not modules & {"numpy", "pickle", "rich", "cryptography.x509"}
