"""`pickle.dump` of torch's tensors: each storage is a file of torch's old format, inside the pickle as bytes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from modelsign import convert
from modelsign.errors import ConversionError
from tests.builders.checkpoints import Call, Name, floats, ordered, pickled, storage, torch_legacy
from tests.modelsign.conversion.reading import in_memory, read
from tests.peers import run_peer


def kept(data: bytes) -> Call:
    return Call(Name("torch.storage", "_load_from_bytes"), (data,))


def rebuilt(source: Any, shape: tuple[int, ...] = (2, 3), stride: tuple[int, ...] = (3, 1), start: int = 0) -> Call:
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), (source, start, shape, stride, False, ordered({})))


INNER = torch_legacy(storage("1", "float32", 6, view=None), {"1": (6, floats(6))})


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_tensor_arrives(protocol: int) -> None:
    data = pickled({"a": rebuilt(kept(INNER)), "t": rebuilt(kept(INNER), (3, 2), (1, 3))}, protocol)
    tensors = in_memory(data).tensors
    assert tensors["a"] == ("F32", (2, 3), floats(6))
    assert tensors["t"][1] == (3, 2)


def refusal(value: Any) -> str:
    with pytest.raises(ConversionError) as caught:
        in_memory(pickled(value))
    return str(caught.value)


def test_danger_inside_is_refused_whether_a_tensor_comes_of_it_or_not() -> None:
    evil = torch_legacy(Call(Name("os", "system"), ("true",)), {})
    for value in (rebuilt(kept(evil)), {"a": rebuilt(kept(INNER)), "state": kept(evil)}):
        assert "os.system" in refusal(value)


def test_what_is_no_storage_is_refused() -> None:
    assert "holds no storage" in refusal({"a": rebuilt(kept(torch_legacy({"x": 1}, {})))})
    assert "in the pickle as bytes" in refusal({"a": rebuilt(kept(None))})  # type: ignore[arg-type]  # on purpose
    assert "more or less than one storage" in refusal({"a": rebuilt(kept(INNER + b"more"))})


def test_a_tensor_outside_its_storage_is_refused() -> None:
    assert "reaches to byte 28" in refusal({"a": rebuilt(kept(INNER), start=1)})


def test_every_truncation_of_the_inner_file_is_refused() -> None:
    for length in range(0, len(INNER), 3):
        refusal({"a": rebuilt(kept(INNER[:length]))})


MAKE = """
import hashlib, json, pickle, sys, torch
base = torch.arange(40_000, dtype=torch.float32).reshape(200, 200)
value = {
    "plain": base, "transposed": base.t(), "part": base[3:, 5], "half": base.to(torch.bfloat16),
    "scalar": torch.tensor(3), "parameter": torch.nn.Parameter(torch.ones(3)), "empty": torch.zeros(0, 3),
    "mask": base > 7, "fp8": base[:4].to(torch.float8_e4m3fn), "layer": {"w": torch.nn.Linear(3, 4).weight},
}
flat = {**{k: v for k, v in value.items() if k != "layer"}, "layer.w": value["layer"]["w"]}
digests = {
    k: hashlib.sha256(bytes(v.detach().contiguous().reshape(-1).view(torch.uint8).numpy())).hexdigest()
    for k, v in flat.items()
}
json.dump(digests, open(f"{sys.argv[1]}/expected.json", "w"))
for protocol in range(6):
    with open(f"{sys.argv[1]}/{protocol}.pkl", "wb") as file:
        pickle.dump(value, file, protocol=protocol)
"""


@pytest.mark.interop
def test_what_torch_itself_pickles_arrives(tmp_path: Path) -> None:
    run_peer("torch", "-c", MAKE, tmp_path)
    expected = json.loads((tmp_path / "expected.json").read_text())
    for protocol in range(6):
        done = convert(tmp_path / f"{protocol}.pkl")
        assert done.format == "torch-pickle"
        found = read(tmp_path / f"{protocol}.safetensors").tensors
        assert {name: hashlib.sha256(data).hexdigest() for name, (_, _, data) in found.items()} == expected
