"""Files made by other projects, with the digests that torch itself finds in them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from modelsign import convert
from modelsign.errors import ConversionError
from tests.modelsign.conversion.reading import read
from tests.vectors import VECTORS, needs_vectors

FOLDER = VECTORS / "checkpoints"
CASES: list[dict[str, Any]] = (
    json.loads((FOLDER / "cases.json").read_text())["cases"] if (FOLDER / "cases.json").exists() else []
)
pytestmark = needs_vectors


def cases(*expected: str) -> list[Any]:
    return [pytest.param(case, id=case["file"][5:]) for case in CASES if case["expect"] in expected]


@pytest.mark.parametrize("case", cases("convert"))
def test_a_real_file_converts_to_the_listed_digests(tmp_path: Path, case: dict[str, Any]) -> None:
    target = tmp_path / "out.safetensors"
    convert(FOLDER / case["file"], target, select=".", tied="duplicate")
    found = {
        name: {"dtype": dtype, "shape": list(shape), "sha256": hashlib.sha256(data).hexdigest()}
        for name, (dtype, shape, data) in read(target).tensors.items()
    }
    assert found == case["tensors"]


@pytest.mark.parametrize("case", cases("refuse"))
def test_a_real_broken_file_is_refused(tmp_path: Path, case: dict[str, Any]) -> None:
    with pytest.raises(ConversionError):
        convert(FOLDER / case["file"], tmp_path / "out.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", cases("optional"))
def test_a_real_unusual_file_converts_or_is_refused(tmp_path: Path, case: dict[str, Any]) -> None:
    target = tmp_path / "out.safetensors"
    try:
        convert(FOLDER / case["file"], target)
    except ConversionError:
        assert not list(tmp_path.iterdir())
    else:
        assert read(target).tensors
