"""Runs inside torch's own environment: saves generated checkpoints, loads each again, and says what torch found in it.

Every number makes one checkpoint: storages of random bytes, views of them of any shape, step and offset, lazy bits,
parameters with and without attributes, in nested containers beside values of every kind, saved in one of the forms that
torch loads.
"""

import collections
import hashlib
import json
import random
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import torch  # type: ignore[import-not-found]  # only this script's own environment has it

TYPED = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64".split()
UNTYPED = "uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float8_e8m0fnu float8_e4m3fnuz float8_e5m2fnuz".split()
SIGNED = "float64 float32 int64 int32 int16 int8".split()
"""of narrower floats torch negates by way of a wider one, which changes some kinds of NaN"""
FORMS = ["plain", "plain", "deflated", "shuffled", "no-crc", "big", "legacy", "legacy"]
BESIDE = [3, "text", None, 2.5, PurePosixPath("/x"), torch.Size([2, 3]), torch.float16, b"bytes", {1, 2}, 10**30]


def storage(choice: random.Random, dtype: str) -> torch.Tensor:
    kind = getattr(torch, dtype)
    count = choice.choice([0, 1, 2, 7, 30, 64, 200, choice.randint(1, 3000)])
    raw = choice.randbytes(max(1, count) * torch.empty(0, dtype=kind).element_size())
    whole = torch.frombuffer(bytearray(raw), dtype=torch.uint8).clone()
    return (whole & 1).bool()[:count] if dtype == "bool" else whole.view(kind)[:count]


def view(choice: random.Random, base: torch.Tensor) -> torch.Tensor:
    count = base.numel()
    shape = [choice.choice([0, 1, 1, 2, 3, 4, 5]) for _ in range(choice.randint(0, 5))]
    steps = [choice.choice([0, 1, 1, 2, 3, 5, 7]) for _ in shape]
    if choice.random() < 0.5:  # row-major, or a permutation of that
        order = sorted(range(len(shape)), key=lambda _: choice.random())
        step = 1
        for axis in order if choice.random() < 0.5 else reversed(range(len(shape))):
            steps[axis], step = step, step * max(1, shape[axis])
    first = choice.randint(0, max(0, count - 1))
    last = first + sum((length - 1) * step for length, step in zip(shape, steps, strict=True))
    fits = 0 in shape or last < count
    return base.as_strided(shape, steps, first) if fits else base


def tensors(choice: random.Random, dtypes: list[str]) -> list[torch.Tensor]:
    found = []
    for _ in range(choice.randint(1, 6)):
        dtype = choice.choice(dtypes)
        base = storage(choice, dtype)
        for _ in range(choice.randint(1, 4)):
            one = view(choice, base)
            if dtype == "complex64" and one.numel() and choice.random() < 0.5:
                one = one.conj()
            elif dtype in SIGNED and choice.random() < 0.2:
                one = torch._neg_view(one)
            if dtype in {"float64", "float32", "bfloat16"} and choice.random() < 0.3:
                one = torch.nn.Parameter(one.detach(), requires_grad=choice.random() < 0.5)
                if choice.random() < 0.4:
                    one.note = {"x": 1}
            found.append(one)
    choice.shuffle(found)
    return found


def nested(choice: random.Random, given: list[torch.Tensor], depth: int = 0) -> Any:
    items: list[Any] = []
    while given:
        if depth < 3 and choice.random() < 0.2:
            part = [given.pop() for _ in range(choice.randint(1, len(given)))]
            items.append(nested(choice, part, depth + 1))
        else:
            items.append(given.pop())
        if choice.random() < 0.15:
            items.append(choice.choice(BESIDE))
    kind = choice.choice([dict, collections.OrderedDict, list, tuple])
    if kind in {list, tuple}:
        return kind(items)
    return kind((choice.choice([f"k{place}", place, f"w{place}/ü"]), item) for place, item in enumerate(items))


def named(value: Any, path: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {".".join(path) or "tensor": value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if type(value) in {list, tuple} else ()
    return {name: one for key, item in pairs for name, one in named(item, (*path, str(key))).items()}


def bits(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().resolve_conj().resolve_neg()
    row_major = torch.empty(plain.shape, dtype=plain.dtype).copy_(plain)
    return bytes(row_major.untyped_storage())[: row_major.numel() * row_major.element_size()]


def rewrite(path: Path, form: str, choice: random.Random) -> None:
    with zipfile.ZipFile(path) as archive:
        records = [(info.filename, archive.read(info)) for info in archive.infolist()]
    if form == "shuffled":
        choice.shuffle(records)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if form == "deflated" else zipfile.ZIP_STORED) as archive:
        for name, data in records:
            archive.writestr(name, b"big" if form == "big" and name.endswith("/byteorder") else data)


def make(folder: Path, number: int) -> None:
    choice = random.Random(number)
    form = choice.choice(FORMS)
    value = nested(choice, tensors(choice, TYPED if form in {"legacy", "big"} else TYPED + UNTYPED))
    path = folder / f"{number}.pt"
    torch.serialization.set_crc32_options(form != "no-crc")
    protocol = choice.randint(1, 5)
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=form != "legacy")
    if form in {"deflated", "shuffled", "big"}:
        rewrite(path, form, choice)
    loaded = named(torch.load(path, weights_only=False))
    described = {
        name: [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), hashlib.sha256(bits(tensor)).hexdigest()]
        for name, tensor in loaded.items()
    }
    path.with_suffix(".json").write_text(json.dumps(described))


if __name__ == "__main__":
    for seed in range(*map(int, sys.argv[2:])):
        make(Path(sys.argv[1]), seed)
