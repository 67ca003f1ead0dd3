"""Runs inside torch's own environment: makes checkpoints of known content, and loads what became of them."""

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch  # type: ignore[import-not-found]  # only this script's own environment has it
from safetensors.torch import load_file

DTYPES = """float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool uint16 uint32 uint64 complex64
float8_e4m3fn float8_e5m2 float8_e8m0fnu float8_e4m3fnuz float8_e5m2fnuz float4_e2m1fn_x2""".split()
LEGACY_DTYPES = [*DTYPES[:10], "complex64"]
CASES = ["dtypes", "views", "lazy", "tied", "nested", "module", "checkpoint", "many"]
OPTIONS = ["plain", "deflated", "crc0", "protocol0", "protocol4", "protocol5", "legacy", "legacy5", "big"]


class Net(torch.nn.Module):  # type: ignore[misc]  # as above
    """A module of a class that only this script has."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU())
        self.head = torch.nn.Linear(3, 4)
        self.register_buffer("kept", torch.arange(3))
        self.register_buffer("dropped", torch.arange(4), persistent=False)
        self.plain = torch.ones(2)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(given))


def of_bytes(dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
    kind = getattr(torch, dtype)
    count = int(torch.tensor(shape).prod()) * torch.empty(0, dtype=kind).element_size()
    raw = torch.randint(0, 2 if dtype == "bool" else 256, (count,), dtype=torch.uint8)
    return raw.view(kind).reshape(shape) if dtype != "bool" else raw.bool().reshape(shape)


def content(case: str, options: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return (what is saved, what the conversion should hold)."""
    torch.manual_seed(0)
    if case == "dtypes":
        flat = {}
        for name in LEGACY_DTYPES if options.startswith("legacy") else DTYPES:
            flat[name] = of_bytes(name, (4, 6))
            flat[f"{name}-empty"] = of_bytes(name, (0, 2))
            if name != "float4_e2m1fn_x2":
                flat[f"{name}-scalar"] = of_bytes(name, (1,)).reshape(())
                flat[f"{name}-transposed"] = of_bytes(name, (5, 3)).t()
        return flat, flat
    if case == "views":
        base = torch.randn(1000)
        cube = torch.randn(8, 9, 10)
        flat = {
            "head": base[:800],
            "tail": base[400:],
            "full": base,
            "step": base[3::7],
            "matrix": base[:900].view(30, 30).t()[2:20, 3::2],
            "expanded": torch.randn(1, 5).expand(4, 5),
            "scalar-expanded": torch.randn(()).expand(3, 4),
            "permuted": cube.permute(2, 0, 1),
            "channels-last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
            "narrow": cube[1:7, :, 2:5],
            "select": cube[:, 4],
            "diagonal": torch.randn(6, 6).diagonal(),
            "unfold": torch.randn(10).unfold(0, 3, 1),
            "big": torch.randn(700, 900).t(),
            "empty-view": base[5:5],
            "nan": torch.tensor([float("nan"), float("-inf"), -0.0]),
        }
        return flat, flat
    if case == "lazy":
        number = torch.randn(4, 5, dtype=torch.complex64)
        flat = {
            "conj": number.conj(),
            "conj-t": number.conj().t(),
            "neg": torch._neg_view(torch.randn(3, 4)),
            "imag-of-conj": number.clone().conj().imag,
            "plain": number,
        }
        return flat, flat
    if case == "tied":
        weight = torch.nn.Parameter(torch.randn(5, 4))
        flat = {"embed.weight": weight, "head.weight": weight, "view": weight.detach().view(20)}
        return flat, flat
    if case == "nested":
        inner = torch.randn(3)
        value = {"model": {"w": inner}, "list": [torch.randn(2), {"deep": torch.randn(1)}], "n": 3, 7: torch.randn(2)}
        return value, {
            "model.w": inner,
            "list.0": value["list"][0],
            "list.1.deep": value["list"][1]["deep"],
            "7": value[7],
        }
    if case == "module":
        net = Net()
        return net, dict(net.state_dict())
    if case == "checkpoint":
        net = Net()
        optimizer = torch.optim.AdamW(net.parameters())
        net(torch.randn(2, 4)).sum().backward()
        optimizer.step()
        value = {"epoch": 4, "state_dict": net.state_dict(), "optimizer": optimizer.state_dict(), "best": 0.5}
        return value, dict(net.state_dict())
    assert case == "many"
    flat = {f"layer.{index}.weight": torch.full((3,), float(index)) for index in range(2000)}
    return flat, flat


def make(folder: Path) -> None:
    """Write every case in every form, and beside each what torch says is in it."""
    for options in OPTIONS:
        for case in CASES:
            source = folder / f"{case}-{options}.pt"
            expected = write(case, options, source)
            described = {
                name: [str(tensor.dtype), list(tensor.shape), hashlib.sha256(bits(tensor)).hexdigest()]
                for name, tensor in expected.items()
            }
            source.with_suffix(".json").write_text(json.dumps(described))


def write(case: str, options: str, path: Path) -> dict[str, torch.Tensor]:
    value, expected = content(case, options)
    torch.serialization.set_crc32_options(options != "crc0")
    protocol = {"protocol0": 0, "protocol4": 4, "protocol5": 5, "legacy5": 5}.get(options, 2)
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not options.startswith("legacy"))
    if options in {"deflated", "big"}:
        rewrite(path, deflate=options == "deflated", big=options == "big")
    if options == "big":
        return flattened(torch.load(path, weights_only=False), case)
    return expected


def rewrite(path: Path, *, deflate: bool, big: bool) -> None:
    """Write the archive again: deflated, or said to be big-endian (torch then swaps what it loads)."""
    with zipfile.ZipFile(path) as archive:
        records = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as archive:
        for name, data in records:
            archive.writestr(name, b"big" if big and name.endswith("/byteorder") else data)


def load(folder: Path) -> None:
    """Load every conversion with safetensors and say what is in it."""
    for target in sorted(folder.glob("*.safetensors")):
        with target.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        if any(entry.get("dtype") == "F4" for entry in header.values()):
            continue  # the dimension is doubled on purpose; the test reads these itself
        described = {
            name: [str(tensor.dtype), list(tensor.shape), hashlib.sha256(bits(tensor)).hexdigest()]
            for name, tensor in load_file(target).items()
        }
        target.with_suffix(".loaded").write_text(json.dumps(described))


def flattened(value: Any, case: str) -> dict[str, torch.Tensor]:
    if case == "module":
        return dict(value.state_dict())
    if case == "checkpoint":
        return dict(value["state_dict"])
    if case == "nested":
        return {
            "model.w": value["model"]["w"],
            "list.0": value["list"][0],
            "list.1.deep": value["list"][1]["deep"],
            "7": value[7],
        }
    return dict(value)


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    if not plain.numel():
        return b""
    return bytes(plain.reshape(-1).view(torch.uint8).numpy().tobytes())


if __name__ == "__main__":
    {"make": make, "load": load}[sys.argv[1]](Path(sys.argv[2]))
