"""Damaged files of every container and of the formats in them end in a verdict, never in an error of ours.

A seeded generator cuts, changes, repeats and swaps bytes of ordinary and hostile files; `MODELSIGN_FUZZ` multiplies the
number. Whatever comes out: the bytes of the coverage add up to the file, and the same bytes give the same report.
"""

import bz2
import gzip
import lzma
import os
import random
import zlib

import pytest

from scanners.engine import scan_blob
from scanners.findings import Verdict
from scanners.limits import Limits
from scanners.reader import BytesReader
from tests.builders.checkpoints import floats, pickled, tensor, torch_legacy, torch_tar, torch_zip
from tests.builders.safetensors import safetensors
from tests.builders.sevenzip import Packed, sevenzip
from tests.builders.tars import Entry, long_name, pax, tar
from tests.builders.zips import DEFLATED, Archive, Member, archive, torch_archive

COUNT = 120 * int(os.environ.get("MODELSIGN_FUZZ", "1"))
HOSTILE = b"cos\nsystem\n(S'echo hello'\ntR."
CONFIG = b'{"auto_map": {"AutoModel": "m.M"}, "n": [1, 2, {"a": null}]}'
CHECKPOINT = torch_zip({"w": tensor("0", [2, 2]), "v": tensor("0", [2], offset=1)}, {"0": floats(4)})
SCRIPT = b"class M(Module):\n  x : int\n  def forward(self: M) -> int:\n    torch.save(x)\n    return 1\n"

SAMPLES: dict[str, bytes] = {
    "torch-zip": CHECKPOINT,
    "torchscript": torch_archive(pickled({}), [("constants.pkl", pickled(())), ("code/__torch__.py", SCRIPT)]),
    "torch-legacy": torch_legacy({"w": tensor("0", [4], view=None)}, {"0": (4, floats(4))}),
    "torch-tar": torch_tar({"w": "1"}, [("7", "float32", 4, floats(4))], [("1", "7", "float32", [4], [1], 0)]),
    "zip": Archive(
        members=[Member(name=b"config.json", data=CONFIG, method=DEFLATED), Member(name=b"a.pkl", data=HOSTILE)]
    ).build(),
    "zip64": Archive(members=[Member(name=b"a.pkl", data=HOSTILE)], zip64=True, comment=b"comment").build(),
    "tar": tar(long_name("n" * 120), Entry(data=CONFIG), pax({"path": "config.json"}), Entry(data=CONFIG)),
    "7z": sevenzip(Packed(members=[("config.json", CONFIG), ("a.pkl", HOSTILE)]), pack_header=True),
    "gzip": gzip.compress(tar(Entry(name="config.json", data=CONFIG))),
    "bzip2": bz2.compress(HOSTILE),
    "xz": lzma.compress(HOSTILE),
    "zlib": zlib.compress(CONFIG),
    "nested": archive(("inner.tar", tar(Entry(name="m.pt", data=CHECKPOINT)))),
    "safetensors": safetensors({"a": ("F32", [2], bytes(8)), "b": ("U8", [3], b"abc")}, {"format": "pt"}),
    "json": CONFIG,
    "torchserve": archive(("MAR-INF/MANIFEST.json", b'{"model": {"handler": "h.py"}}'), ("h.py", b"x = 1\n")),
}

_INTERESTING = (b"\x00", b"\xff", b"PK\x03\x04", b"PK\x05\x06", b"\xff\xff\xff\xff", b"\x80\x04", b".", b"\x00" * 8)


def damaged(choose: random.Random, data: bytes) -> bytes:
    """Return the data with one to four injuries."""
    out = bytearray(data)
    for _ in range(choose.randrange(1, 5)):
        at = choose.randrange(len(out) + 1)
        what = choose.random()
        if what < 0.4:
            out[at : at + 1] = bytes([choose.randrange(256)])
        elif what < 0.55:
            piece = choose.choice(_INTERESTING)
            out[at : at + len(piece)] = piece
        elif what < 0.7:
            del out[at : at + choose.choice((1, 4, 30))]
        elif what < 0.8:
            del out[at:]
        elif what < 0.9:
            out[at:at] = out[at : at + choose.choice((1, 8, 100))]
        else:
            other = choose.choice(list(SAMPLES.values()))
            out += other[choose.randrange(len(other)) :]
        if not out:
            return b"\x00"
    return bytes(out)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_damaged_file_gets_a_verdict(name: str) -> None:
    choose = random.Random(name)
    suffix = {"torch-zip": "pt", "torchscript": "pt"}.get(name, name)
    for round_ in range(COUNT):
        data = damaged(choose, SAMPLES[name])
        scan = scan_blob(BytesReader(data), f"file.{suffix}", limits=Limits(unpacking=1 << 24)).report

        assert scan.verdict is not Verdict.ERROR, (round_, data, [finding.message for finding in scan.findings])
        coverage = scan.coverage
        assert coverage.parsed + coverage.inert + coverage.unread == len(data), (round_, data)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_same_bytes_give_the_same_report(name: str) -> None:
    data = damaged(random.Random(f"again {name}"), SAMPLES[name])

    assert scan_blob(BytesReader(data), "file") == scan_blob(BytesReader(data), "file")
