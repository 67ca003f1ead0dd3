"""torch itself is the judge: it writes files and says what is in them, we convert them, it loads what came out."""

import hashlib
import json
from pathlib import Path

import pytest

from modelsign import convert
from tests.modelsign.conversion.reading import read
from tests.peers import run_peer

SCRIPT = Path(__file__).with_name("torch_peer.py")
pytestmark = pytest.mark.interop

CASES = ["dtypes", "views", "lazy", "tied", "nested", "module", "checkpoint", "many"]
OPTIONS = ["plain", "deflated", "crc0", "protocol0", "protocol4", "protocol5", "legacy", "legacy5", "big"]
FILES = [f"{case}-{options}" for case in CASES for options in OPTIONS]
REFUSED = {"dtypes-big"}
"""torch does not swap untyped storages when it loads, so nobody knows what is meant"""


@pytest.fixture(name="folder", scope="module")
def converted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    run_peer("torch", "-P", SCRIPT, "make", folder)
    for name in FILES:
        if name not in REFUSED:
            convert(folder / f"{name}.pt", select="." if name.startswith("nested") else None)
    run_peer("torch", "-P", SCRIPT, "load", folder)
    return folder


@pytest.mark.parametrize("name", [name for name in FILES if name not in REFUSED])
def test_torch_finds_the_same_bits_in_both_files(folder: Path, name: str) -> None:
    expected = json.loads((folder / f"{name}.json").read_text())
    written = read(folder / f"{name}.safetensors")
    aliases = {alias: kept for alias, kept in written.metadata.items() if alias != "format"}
    assert written.tensors.keys() | aliases.keys() == expected.keys()
    for tensor, (_, _, sha256) in expected.items():
        assert hashlib.sha256(written.tensors[aliases.get(tensor, tensor)][2]).hexdigest() == sha256, tensor


@pytest.mark.parametrize("name", [name for name in FILES if name not in REFUSED])
def test_safetensors_loads_the_same_types_and_shapes(folder: Path, name: str) -> None:
    loaded = folder / f"{name}.loaded"
    if not loaded.exists():
        assert any(dtype == "F4" for dtype, _, _ in read(folder / f"{name}.safetensors").tensors.values())
        return
    expected = json.loads((folder / f"{name}.json").read_text())
    found = json.loads(loaded.read_text())
    assert found == {tensor: expected[tensor] for tensor in found}
