"""PaddlePaddle's files as paddle/framework/io_utils.py writes them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelsign import convert
from modelsign.errors import ConversionError
from tests.modelsign.conversion.reading import read

PARTS = np.arange(10, dtype="f4")


def saved(**changes: Any) -> dict[str, Any]:
    return {
        "w": np.ones((2, 2), dtype="u2"),
        "big@@.0": PARTS[:7],
        "big@@.1": PARTS[7:],
        "UnpackBigParamInfor@@": {"big": {"OriginShape": (5, 2), "slices": ["big@@.0", "big@@.1"]}},
        "StructuredToParameterName@@": {"w": "linear_0.w_0"},
        **changes,
    }


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("scale", [1, 3000])
def test_split_arrays_become_one_again(tmp_path: Path, protocol: int, scale: int) -> None:
    whole = np.arange(10 * scale, dtype="f4")
    value = saved(**{"big@@.0": whole[: 7 * scale], "big@@.1": whole[7 * scale :]})
    value["UnpackBigParamInfor@@"]["big"]["OriginShape"] = (5, 2 * scale)
    (tmp_path / "m.pdparams").write_bytes(pickle.dumps(value, protocol=protocol))
    done = convert(tmp_path / "m.pdparams")
    tensors = read(tmp_path / "m.safetensors").tensors
    assert tensors == {
        "w": ("U16", (2, 2), value["w"].tobytes()),
        "big": ("F32", (5, 2 * scale), whole.tobytes()),
    }
    assert done.format == "paddle"
    assert any("bfloat16" in note for note in done.notes)


@pytest.mark.parametrize(
    "note",
    [
        {"big": {"OriginShape": (5, 3), "slices": ["big@@.0", "big@@.1"]}},
        {"big": {"OriginShape": (5, 2), "slices": ["big@@.0", "big@@.2"]}},
        {"big": {"OriginShape": (5, 2), "slices": ["big@@.0", "big@@.0"]}},
        {"big": {"OriginShape": (5, -2), "slices": ["big@@.0", "big@@.1"]}},
        {"big": {"slices": []}},
        {"w": {"OriginShape": (5, 2), "slices": ["big@@.0", "big@@.1"]}},
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, note: Any) -> None:
    (tmp_path / "m.pdparams").write_bytes(pickle.dumps(saved(**{"UnpackBigParamInfor@@": note})))
    with pytest.raises(ConversionError, match="array"):
        convert(tmp_path / "m.pdparams")
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.pdparams"]
