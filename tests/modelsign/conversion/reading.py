"""Reads safetensors files in tests, without the library that the tests compare with."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsign.conversion.copying import Copier
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.origins import settle
from modelsign.conversion.output import lay_out
from modelsign.conversion.parsing import parse
from modelsign.conversion.plan import Plan
from modelsign.conversion.tying import Tied, untied
from scanners.reader import FileReader


@dataclass(frozen=True)
class Written:
    """A safetensors file, taken apart."""

    tensors: dict[str, tuple[str, tuple[int, ...], bytes]]
    metadata: dict[str, str]
    data_start: int
    header: dict[str, Any]


def read(path: Path) -> Written:
    """Take a file apart and check what every reader checks: contiguous, complete, no holes."""
    return taken_apart(path.read_bytes())


def taken_apart(raw: bytes) -> Written:
    """Take a file's bytes apart."""
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


def in_memory(data: bytes, *, select: str | None = None) -> Written:
    """Convert without touching a disk: thousands of broken files in a second. The plan goes through JSON, as it may."""
    with _memory(data) as source, _memory() as scratch, _memory() as target:
        plan = Plan.from_json(parse(FileReader(source), Request(select=select)).to_json())
        plan.check(len(data))
        tensors, aliases = untied(plan.tensors, Tied.KEEP_ONE)
        layout = lay_out(tensors, metadata={**aliases, "format": "pt"}, align=64)
        origins = settle(plan, source, scratch)
        Copier(source=None, target=target, layout=layout, origins=origins).run(verify=True)
        return taken_apart(os.pread(target, layout.size + 1, 0))


@contextlib.contextmanager
def _memory(data: bytes = b"") -> Iterator[int]:
    descriptor = os.memfd_create("test")
    try:
        os.write(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)
