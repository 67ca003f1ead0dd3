"""Generated checkpoints, each as torch itself loads it: the same names, types, shapes and bits, or it is a bug."""

import hashlib
import json
from pathlib import Path

import pytest

from modelsign import convert
from modelsign.conversion.dtypes import FROM_TORCH
from modelsign.isolation import Sandbox
from tests.modelsign.conversion.reading import read
from tests.peers import run_peer

SCRIPT = Path(__file__).with_name("torch_generated.py")
COUNT = 400
pytestmark = pytest.mark.interop


@pytest.mark.parametrize("tied", ["keep-one", "duplicate"])
def test_generated_checkpoints_hold_what_torch_loads(tmp_path: Path, tied: str) -> None:
    first = 0 if tied == "duplicate" else COUNT
    run_peer("torch", "-P", SCRIPT, tmp_path, str(first), str(first + COUNT))
    described = sorted(tmp_path.glob("*.json"))
    assert len(described) == COUNT
    for path in described:
        expected = json.loads(path.read_text())
        convert(path.with_suffix(".pt"), select=".", tied=tied, sandbox=Sandbox.OFF)
        written = read(path.with_suffix(".safetensors"))
        aliases = {name: kept for name, kept in written.metadata.items() if name != "format"}
        assert not (aliases and tied == "duplicate")
        assert written.tensors.keys() | aliases.keys() == expected.keys(), path.name
        for name, (dtype, shape, sha256) in expected.items():
            kind, length, raw = written.tensors[aliases.get(name, name)]
            assert (kind, list(length)) == (FROM_TORCH[dtype], shape), (path.name, name)
            assert hashlib.sha256(raw).hexdigest() == sha256, (path.name, name)
