"""Files among weights: found whatever begins them, and never seen in weights."""

import gzip
import random
import struct

import pytest

from scanners.engine import scan_blob
from scanners.findings import Verdict
from scanners.formats import disguises
from scanners.reader import BytesReader
from tests.builders import pickles as p
from tests.builders.zips import DEFLATED, Archive, Member, torch_archive

TEXT = b"cos\nsystem\n(S'echo hello'\ntR."
HOSTILE = {
    "protocol 4": p.system(),
    "protocol 2": p.proto(2) + p.global_("os", "system") + p.value(("id",)) + p.REDUCE + p.STOP,
    "no protocol": p.value(p.call("os", "system", "id")) + p.STOP,
    "text": TEXT,
    "text behind other opcodes": b"N0]0" + TEXT,
    "text behind many opcodes": b"N0" * 300 + TEXT,
    "behind more opcodes than are tried": p.proto(2) + b"N0" * 40_000 + p.system()[2:],
    "behind a long constant": p.proto(3) + p.value(bytes(1 << 20)) + p.POP + p.system()[2:],
    "inst": b"(S'id'\nios\nsystem\n.",
    "padded": p.system() + bytes(500),
    "gzip": gzip.compress(p.system()),
    "zip": torch_archive(p.system(), []),
}


def is_file(data: bytes) -> bool:
    return disguises.is_file(data[: disguises.HEAD], BytesReader(data))


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_file_in_a_storage_that_no_pickle_names_is_scanned(case: str) -> None:
    data = torch_archive(p.dump({}, 2), [("data/0", HOSTILE[case])])

    assert scan_blob(BytesReader(data), "model.pt").report.verdict is Verdict.MALICIOUS


def test_file_in_a_compressed_storage_is_scanned() -> None:
    members = [
        Member(name=b"a/data.pkl", data=p.dump({}, 2)),
        Member(name=b"a/data/0", data=p.system(), method=DEFLATED),
    ]

    assert scan_blob(BytesReader(Archive(members=members).build()), "model.pt").report.verdict is Verdict.MALICIOUS


def test_file_in_a_storage_of_a_package_is_scanned() -> None:
    data = torch_archive(p.dump({}, 2), [(".data/extern_modules", b""), (".data/0.storage", p.system())])

    assert scan_blob(BytesReader(data), "model.pt").report.verdict is Verdict.MALICIOUS


def test_weights_are_no_file_whatever_they_begin_with() -> None:
    draw = random.Random(20261123)

    assert not [index for index in range(3000) if is_file(bytes([index % 256]) + draw.randbytes(300))]
    assert not [index for index in range(3000) if is_file(bytes([0x80, index % 6]) + draw.randbytes(300))]


def test_numbers_in_order_are_no_file() -> None:
    for kind in "fdeqihBb":
        width = struct.calcsize(kind)
        numbers = [index % 100 for index in range(4096 // width)]
        assert not is_file(struct.pack(f"<{len(numbers)}{kind}", *numbers))


def test_one_number_over_and_over_is_no_file() -> None:
    assert not [number for number in range(256) if is_file(bytes([number]) * 70_000)]


def test_pickle_of_plain_values_is_no_file() -> None:
    assert not is_file(p.dump({"a": [1, 2.0, "three"]}))


def test_every_first_byte_that_is_looked_at_is_announced() -> None:
    assert all(data[0] in disguises.FIRST for data in HOSTILE.values())
