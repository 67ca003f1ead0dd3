"""Reads safetensors files in tests, without the library that the tests compare with."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Written:
    """A safetensors file, taken apart."""

    tensors: dict[str, tuple[str, tuple[int, ...], bytes]]
    metadata: dict[str, str]
    data_start: int
    header: dict[str, Any]


def read(path: Path) -> Written:
    """Take a file apart and check what every reader checks: contiguous, complete, no holes."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    data = raw[8 + length :]
    position = 0
    for entry in sorted(header.values(), key=lambda entry: tuple(entry["data_offsets"])):
        assert entry["data_offsets"][0] == position
        position = entry["data_offsets"][1]
    assert position == len(data)
    tensors = {
        name: (entry["dtype"], tuple(entry["shape"]), data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }
    return Written(tensors=tensors, metadata=metadata, data_start=8 + length, header=header)
