"""Rules about headers and tensors whose numbers do not fit."""

import json

import pytest

from scanners.facts import Tensor
from scanners.findings import Location
from scanners.rules.file.tensors import bytes_needed
from tests.builders.checkpoints import tensor, torch_zip
from tests.builders.safetensors import entry, from_header, safetensors
from tests.scanners.rules.examples import Example, Files, scan_files


def header(value: object, size: int) -> Files:
    return {"m.safetensors": from_header(json.dumps(value).encode(), bytes(size))}


def ordinary() -> Files:
    return {"m.safetensors": safetensors({"a": ("U8", [4], b"abcd")})}


def checkpoint(shape: list[int], size: int) -> Files:
    return {"m.pt": torch_zip({"w": tensor("0", shape)}, {"0": bytes(size)})}


EXAMPLES = {
    "MS301": Example(bad=lambda: header({"a": entry(0, 8), "b": entry(4, 12)}, 12), good=ordinary),
    "MS302": Example(bad=lambda: checkpoint([4, 4], 60), good=lambda: checkpoint([4, 4], 64)),
    "MS303": Example(bad=lambda: header({"a": entry(0, 4)}, 10), good=ordinary),
}


def fact(shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, dtype: str = "F32") -> Tensor:
    return Tensor(
        location=Location(),
        name="w",
        dtype=dtype,
        shape=shape,
        stride=stride,
        storage="0",
        storage_offset=offset,
        storage_bytes=1,
    )


@pytest.mark.parametrize(
    ("tensor_fact", "needed"),
    [
        (fact((2, 3), (3, 1)), 24),
        (fact((2, 3), (3, 1), offset=10), 64),
        (fact((3, 2), (1, 3)), 24),
        (fact((1000,), (0,)), 4),
        (fact((), ()), 4),
        (fact((0, 7), (7, 1), offset=99), 0),
        (fact((2,), (1,), dtype="BF16"), 4),
        (fact((2**40, 2**40), (2**40, 1)), 2**82),
        (fact((2,), (1,), dtype="of the future"), None),
        (fact((2, 2), (1,)), None),
    ],
)
def test_bytes_a_tensor_reaches_into(tensor_fact: Tensor, needed: int | None) -> None:
    assert bytes_needed(tensor_fact) == needed


def test_finding_names_the_tensor_and_its_storage() -> None:
    finding = next(one for one in scan_files(checkpoint([4, 4], 60)).findings if one.rule.id == "MS302")

    assert "'w'" in finding.message
    assert "needs 64 bytes" in finding.message
