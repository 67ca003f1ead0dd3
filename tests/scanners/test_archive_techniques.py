"""The published techniques that travel in archives and containers, each under the name it was published with."""

import gzip
import io
import json
import struct
import tarfile
import zlib

import pytest

from scanners.findings import Report, Verdict
from tests.builders.checkpoints import floats, pickled, tensor, torch_tar, torch_zip
from tests.builders.safetensors import safetensors
from tests.builders.tars import Entry, tar
from tests.builders.zips import DEFLATED, Archive, Member, archive, torch_archive
from tests.scanners.rules.examples import Files, scan_files

HOSTILE = b"cos\nsystem\n(S'echo hello'\ntR."
HARMLESS = pickled({"a": 1})
SOURCE = b"import os\nos.system('echo hello')\n"


def one(data: bytes, name: str = "model.pt") -> Files:
    return {name: data}


def member(**fields: object) -> bytes:
    base: dict[str, object] = {"name": b"archive/data.pkl", "data": HOSTILE}
    return Archive(members=[Member(**{**base, **fields})]).build()  # type: ignore[arg-type]  # fields by name


def replaced(data: bytes, name: str, content: bytes) -> bytes:
    """Return a tar with the content of one member replaced."""
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        members = {info.name: opened.extractfile(info).read() for info in opened}  # type: ignore[union-attr]  # regular
    return tar(*(Entry(name=key, data=value) for key, value in {**members, name: content}.items()))


def script(body: str, function: str) -> bytes:
    source = f"class M(Module):\n  def {function}(self, x: Tensor) -> Tensor:\n    {body}\n"
    return torch_archive(HARMLESS, [("constants.pkl", pickled(())), ("code/__torch__.py", source.encode())])


def mar(source: bytes) -> bytes:
    manifest = json.dumps({"model": {"modelName": "m", "handler": "handler.py"}}).encode()
    return archive(("MAR-INF/MANIFEST.json", manifest), ("handler.py", source))


OLD = torch_tar({"w": "1"}, [("7", "float32", 4, floats(4))], [("1", "7", "float32", [4], [1], 0)])

MALICIOUS: dict[str, Files] = {
    "CVE-2025-1889 GHSA-769v-p64c-89pr pickle under another extension": one(archive(("model/config.p", HOSTILE))),
    "CVE-2025-1944 local header name differs": one(member(local_name=b"archive/data.txt")),
    "CVE-2025-1945 flag bit 0x1": one(member(flags=0x1)),
    "CVE-2025-1945 flag bit 0x20": one(member(flags=0x20)),
    "CVE-2025-1945 flag bit 0x40": one(member(flags=0x40)),
    "CVE-2025-10155 GHSA-jgw4-cr84-mqxg raw pickle named .bin": one(HOSTILE, "pytorch_model.bin"),
    "CVE-2025-10156 GHSA-mjqp-26hc-grxg wrong checksum": one(member(crc=7)),
    "CVE-2025-32434 torch tar, payload in storages": one(replaced(OLD, "storages", HOSTILE)),
    "CVE-2025-32434 torch tar, payload in tensors": one(replaced(OLD, "tensors", HOSTILE)),
    "modelscan taxonomy: torch tar": one(replaced(OLD, "pickle", HOSTILE)),
    "modelscan taxonomy: raw pickle as .pt": one(HOSTILE),
    "modelscan taxonomy: zipfile exception by a local name": one(member(local_name=b"x", method=DEFLATED)),
    "duplicate data.pkl": one(
        Archive(members=[Member(name=b"a/data.pkl", data=HOSTILE), Member(name=b"a/data.pkl", data=HARMLESS)]).build()
    ),
    "torch.package module body": one(
        archive(("p/.data/extern_modules", b"torch\n"), ("p/m/model.pkl", HARMLESS), ("p/module.py", SOURCE))
    ),
    "TorchScript __setstate__ aten::save": one(script('torch.save(x, "/tmp/x")', "__setstate__")),
    "TorchScript aten::from_file": one(script('y = torch.from_file("/etc/passwd", None, 4)', "forward")),
    "safetensors and zip polyglot": one(
        safetensors({"a": ("U8", [1], b"x")}) + archive(("data.pkl", HOSTILE)), "model.safetensors"
    ),
    "CVE-2023-48299 TorchServe archive that leads outside": one(archive(("../../handler.py", b"x = 1\n")), "m.mar"),
    "TorchServe handler that runs a command": one(mar(SOURCE), "m.mar"),
    "CVE-2025-12060 CVE-2007-4559 tar slip": one(tar(Entry(name="../../x")), "m.tar"),
    "tar slip through a link": one(tar(Entry(name="a", kind=b"2", link="/"), Entry(name="a/x")), "m.tar"),
    "NeMo CVE-2025-23304 _target_ in a tar": one(
        tar(Entry(name="./model_config.yaml", data=b"_target_: os.system\ncommand: echo\n")), "m.nemo"
    ),
    "zlib around a pickle": one(zlib.compress(HOSTILE), "m.joblib"),
    "tar.gz": one(gzip.compress(tar(Entry(name="m/data.pkl", data=HOSTILE))), "m.tar.gz"),
    "archive in archive": one(archive(("inner.zip", archive(("data.pkl", HOSTILE))))),
    "zip under an extension of its own": one(archive(("data.pkl", HOSTILE)), "model.keras"),
    "payload behind the weights": one(torch_archive(HARMLESS, [("data/0", b"w" * 64), ("extra.pkl", HOSTILE)])),
}

SUSPICIOUS: dict[str, Files] = {
    "CVE-2026-24747 tensor larger than its storage": one(torch_zip({"w": tensor("0", [1024])}, {"0": floats(4)})),
    "CVE-2025-62518 pax size that readers disagree on": one(
        tar(Entry(name="pax", kind=b"x", data=b"11 size=512\n"[:12]), Entry(name="a", data=bytes(512), size=1)), "m.tar"
    ),
    "safetensors with overlapping tensors": one(
        struct.pack("<Q", 134)
        + (
            b'{"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}, '
            b'"b": {"dtype": "U8", "shape": [8], "data_offsets": [4, 12]}}'
        ).ljust(134)
        + bytes(12),
        "m.safetensors",
    ),
    "auto_map to another repository": one(b'{"auto_map": {"AutoModel": "o/r--m.Model"}}', "config.json"),
    "diffusers CVE-2026-44513 custom_pipeline": one(b'{"custom_pipeline": "owner/repository"}', "model_index.json"),
    "zip bomb of overlapping members": one(
        Archive(
            members=[
                Member(name=b"0", data=bytes(1 << 20), method=DEFLATED),
                *(
                    Member(name=b"%d" % index, data=bytes(1 << 20), method=DEFLATED, header_offset=0)
                    for index in range(1, 9)
                ),
            ]
        ).build(),
        "m.zip",
    ),
}


def explained(report: Report) -> list[str]:
    return [f"{finding.rule.id} {finding.message}" for finding in report.findings]


@pytest.mark.parametrize("name", sorted(MALICIOUS))
def test_malicious(name: str) -> None:
    report = scan_files(MALICIOUS[name])

    assert report.verdict is Verdict.MALICIOUS, explained(report)


@pytest.mark.parametrize("name", sorted(SUSPICIOUS))
def test_suspicious(name: str) -> None:
    report = scan_files(SUSPICIOUS[name])

    assert report.verdict is Verdict.SUSPICIOUS, explained(report)
