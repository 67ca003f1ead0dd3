"""Torch's old file format: all five pickles are read, and every byte behind them is accounted for."""

import struct

import pytest

from scanners.engine import scan_blob
from scanners.findings import FileReport, Verdict
from scanners.formats.torch_legacy import MAGIC
from scanners.reader import BytesReader
from tests.builders import pickles as p
from tests.peers import run_peer

SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
STORAGE = p.Raw(p.value(("storage", p.Global("torch", "FloatStorage"), "0", "cpu", 4, None)) + b"Q")
HOOKS = p.call("collections", "OrderedDict")
TENSOR = p.call("torch._utils", "_rebuild_tensor_v2", STORAGE, 0, (4,), (1,), False, HOOKS)


def legacy(*parts: object, storages: bytes = struct.pack("<q4f", 4, 1, 2, 3, 4)) -> bytes:
    pickles = [p.dump(MAGIC, 2), p.dump(1001, 2), p.dump(SYSTEM, 2), p.dump({"w": TENSOR}, 2), p.dump(["0"], 2)]
    for index, part in enumerate(parts):
        if part is not None:
            pickles[index] = p.dump(part, 2)
    return b"".join(pickles) + storages


def scan(content: bytes) -> FileReport:
    return scan_blob(BytesReader(content), "model.pt").report


def test_an_ordinary_file_is_clean_and_its_weights_are_inert() -> None:
    report = scan(legacy())

    assert (report.verdict, report.formats) == (Verdict.CLEAN, ("torch-legacy",))
    assert report.coverage.inert == 16


@pytest.mark.parametrize("position", [1, 2, 3, 4])
def test_a_payload_in_any_of_the_pickles_is_found(position: int) -> None:
    parts: list[object] = [None] * 5
    parts[position] = p.call("os", "system", "echo x")

    assert scan(legacy(*parts)).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize(
    "magic",
    [
        b"I%d\n." % MAGIC,
        b"I0x%x\n." % MAGIC,
        b"N0L%dL\n." % MAGIC,
        b"(1\x8b\x0a\x00\x00\x00" + MAGIC.to_bytes(10, "little") + b".",
        p.proto(4) + p.frame(p.value(MAGIC) + p.STOP),
    ],
    ids=["decimal", "hexadecimal", "behind another value", "behind a mark", "in a frame"],
)
def test_the_magic_number_may_be_pickled_in_any_way(magic: bytes) -> None:
    content = magic + p.dump(1001, 2) + p.dump({}, 2) + p.system()

    assert scan_blob(BytesReader(content), "weights").report.verdict is Verdict.MALICIOUS


def test_a_payload_behind_the_storages_is_found() -> None:
    assert scan(legacy() + p.system()).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize(
    "content",
    [
        legacy(storages=struct.pack("<q", 4)),
        legacy(storages=struct.pack("<q", -1)),
        legacy(storages=b""),
        legacy(None, None, None, None, ["1"]),
        legacy(None, None, None, None, 5),
        legacy()[:-20],
    ],
)
def test_storages_that_do_not_fit_are_not_clean(content: bytes) -> None:
    assert scan(content).verdict not in {Verdict.CLEAN, Verdict.ERROR}


@pytest.mark.parametrize("cut", range(0, len(legacy()), 7))
def test_no_truncation_is_clean(cut: int) -> None:
    assert scan(legacy()[: cut + 1]).verdict not in {Verdict.CLEAN, Verdict.ERROR}


@pytest.mark.interop
def test_what_torch_writes_is_clean(tmp_path: object) -> None:
    script = (
        "import torch, sys; m = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4));"
        "torch.save(m, sys.argv[1], _use_new_zipfile_serialization=False)"
    )
    path = f"{tmp_path}/m.pt"
    run_peer("torch", "-c", script, path)
    with open(path, "rb") as file:  # noqa: PTH123 - a path of the peer's
        report = scan(file.read())

    assert report.verdict is Verdict.CLEAN
