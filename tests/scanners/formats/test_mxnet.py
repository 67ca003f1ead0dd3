"""MXNet parameter files."""

import struct

import pytest

from scanners.engine import ScannedFile, scan_blob
from scanners.facts import Tensor
from scanners.findings import Verdict
from scanners.reader import BytesReader

V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA


def array(data: bytes, shape: tuple[int, ...], *, flag: int = 0, magic: int = V2, storage: int = 0) -> bytes:
    head = struct.pack("<I", magic) + (struct.pack("<i", storage) if magic != V1 else b"")
    head += struct.pack("<i", len(shape)) + struct.pack(f"<{len(shape)}q", *shape)
    return head + struct.pack("<3i", 1, 0, flag) + data


def params(*arrays: bytes, names: tuple[str, ...] = ()) -> bytes:
    out = struct.pack("<3Q", 0x112, 0, len(arrays)) + b"".join(arrays) + struct.pack("<Q", len(names))
    return out + b"".join(struct.pack("<Q", len(name)) + name.encode() for name in names)


def scan(data: bytes) -> ScannedFile:
    return scan_blob(BytesReader(data), "model.params")


GOOD = params(array(bytes(24), (2, 3)), array(bytes(4), (2,), flag=2, magic=V1), names=("arg:w", "aux:b"))


def test_arrays_and_names_are_read_and_data_is_not() -> None:
    scanned = scan(GOOD)

    tensors = [fact for fact in scanned.facts.facts if isinstance(fact, Tensor)]
    assert [(one.name, one.dtype, one.shape) for one in tensors] == [("arg:w", "F32", (2, 3)), ("aux:b", "F16", (2,))]
    assert (scanned.report.verdict, scanned.report.formats) == (Verdict.CLEAN, ("mxnet-params",))
    assert (scanned.report.coverage.inert, scanned.report.coverage.unread) == (28, 0)


def test_array_without_dimensions_holds_one_number() -> None:
    assert scan(params(array(bytes(4), (), magic=V3))).report.verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    "data",
    [
        params(array(bytes(4), (2,))),
        params(array(bytes(4), (1,), flag=99)),
        params(array(bytes(4), (1,), storage=1)),
        params(array(bytes(4), (1,), magic=7)),
        params(array(b"", (-1,))),
        params(array(b"", (2**40, 2**40))),
        struct.pack("<3Q", 0x112, 0, 1 << 60),
    ],
)
def test_what_makes_no_sense_is_incomplete(data: bytes) -> None:
    assert scan(data).report.verdict is Verdict.INCOMPLETE


def test_bytes_behind_the_names_are_noted() -> None:
    assert [finding.rule.id for finding in scan(GOOD + b"more").report.findings] == ["MS206"]


def test_payload_behind_the_names_is_found() -> None:
    assert scan(GOOD + b"cos\nsystem\n(S'echo x'\ntR.").report.verdict is Verdict.MALICIOUS


def test_every_truncation_is_incomplete() -> None:
    for length in range(16, len(GOOD)):
        assert scan(GOOD[:length]).report.verdict is Verdict.INCOMPLETE


def test_every_byte_changed_gives_a_verdict() -> None:
    for at in range(len(GOOD)):
        assert scan(GOOD[:at] + bytes([GOOD[at] ^ 0xFF]) + GOOD[at + 1 :]).report.verdict is not Verdict.ERROR
