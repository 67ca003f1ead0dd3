"""Scanning in workers finds what scanning here finds."""

import bz2
import gzip
import io
import lzma
import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelsign import isolation
from modelsign.isolation import Bounds, Job, Sandbox, wire
from modelsign.isolation import scanning as isolated
from modelsign.isolation.workers import ANSWER
from scanners.engine import ScannedFile, scan_blob
from scanners.facts import Tensor
from scanners.findings import Verdict
from scanners.reader import FileReader
from tests.builders import checkpoints, pickles, safetensors
from tests.vectors import VECTORS, needs_vectors

pytestmark = pytest.mark.skipif(not isolation.layers()[0].available, reason="nothing is forked here")

FILES = {
    "README.md": b"# model\n",
    "config.json": b'{"auto_map": {"AutoModel": "modeling.Model"}}',
    "chat_template.jinja": b"{{ messages[0].__class__.__mro__ }}",
    "modeling.py": "# coding: latin-1\nimport os\nos.system('echo \xe9')\n".encode("latin-1"),
    "broken.json": b"[" * 10_000,
    "model.safetensors": safetensors.safetensors({"w": ("F32", [2], bytes(8))}),
    "pytorch_model.bin": checkpoints.torch_zip({"w": checkpoints.tensor("0", (2,))}, {"0": bytes(8)}),
    "nothing": b"",
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def jobs(stack: ExitStack, tmp_path: Path) -> list[Job]:
    return [job_of(stack, path, content, tmp_path) for path, content in sorted(FILES.items())]


def job_of(stack: ExitStack, path: str, content: bytes, directory: Path) -> Job:
    (directory / path).write_bytes(content)
    file = stack.enter_context((directory / path).open("rb"))
    return Job(path=path, descriptor=file.fileno(), size=len(content))


def here(job: Job) -> ScannedFile:
    return scan_blob(FileReader(job.descriptor, job.size), job.path)


@pytest.mark.parametrize("sandbox", Sandbox)
def test_finds_the_same(jobs: list[Job], sandbox: Sandbox) -> None:
    if sandbox is Sandbox.REQUIRE and not all(layer.available for layer in isolation.layers()):
        pytest.skip("this machine lacks a layer of isolation")
    assert list(isolation.scan_files(jobs, sandbox=sandbox, every_fact=True)) == [here(job) for job in jobs]


def test_facts_that_only_one_file_needs_stay_with_the_worker(jobs: list[Job]) -> None:
    shard = next(job for job in jobs if job.path == "model.safetensors")
    [found] = isolation.scan_files([shard])
    assert not any(isinstance(fact, Tensor) for fact in found.facts.facts)
    assert found.facts.tensors == len([fact for fact in here(shard).facts.facts if isinstance(fact, Tensor)]) > 0


def test_the_digest_is_the_callers(jobs: list[Job]) -> None:
    job = Job(path="a", descriptor=jobs[0].descriptor, size=jobs[0].size, sha256="f" * 64)
    [found] = isolation.scan_files([job])
    assert found.report.sha256 == "f" * 64


def test_a_crash_is_an_error_with_a_reason(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def crash_on_python(reader: FileReader, path: str, **options: object) -> ScannedFile:
        if path.endswith(".py"):
            os._exit(9)
        return scan_blob(reader, path)

    monkeypatch.setattr(isolated, "scan_blob", crash_on_python)
    found = {scanned.report.path: scanned.report for scanned in isolation.scan_files(jobs)}
    assert found["modeling.py"].verdict is Verdict.ERROR
    assert not found["modeling.py"].coverage.complete
    assert found["modeling.py"].findings[0].message.endswith("it ended with code 9")
    others = {job.path: here(job).report for job in jobs if job.path != "modeling.py"}
    assert {path: report for path, report in found.items() if path != "modeling.py"} == others


def test_an_endless_scan_is_an_error(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> ScannedFile:
        while True:
            pass

    monkeypatch.setattr(isolated, "scan_blob", hang)
    [found] = isolation.scan_files(jobs[:1], bounds=Bounds(seconds=0.2))
    assert found.report.verdict is Verdict.ERROR


def test_too_much_to_tell_is_incomplete(jobs: list[Job]) -> None:
    clean = next(job for job in jobs if job.path == "model.safetensors")
    assert here(clean).report.verdict is Verdict.CLEAN
    [found] = isolation.scan_files([clean], bounds=Bounds(answer=300), every_fact=True)
    assert found.report.verdict is Verdict.INCOMPLETE
    assert not found.facts.facts
    assert not found.report.coverage.complete


def test_what_needs_more_than_python_at_first_sight_shares_no_worker(stack: ExitStack, tmp_path: Path) -> None:
    compressed = {
        "x.gz": gzip.compress(b"x"),
        "x.bz2": bz2.compress(b"x"),
        "x.xz": lzma.compress(b"x"),
        "x.npy": b"\x93NUMPY",
        "x.py": b"x = 1",
        "x.zip": deflated(b"x", stored=False),
    }
    work = isolated._Scan(None, 1 << 20, every_fact=True)
    alone = {path: work.group(job_of(stack, path, content, tmp_path)) for path, content in compressed.items()}
    assert set(alone.values()) == {None}
    assert {work.group(job_of(stack, path, FILES[path], tmp_path)) for path in ("README.md", "pytorch_model.bin")} == {
        ""
    }


def deflated(content: bytes, *, stored: bool = True) -> bytes:
    """A zip with a deflated member, behind a stored one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        if stored:
            archive.writestr("stored", b"weights")
        archive.writestr("a.txt", content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def workers_of(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Which worker did which file, workers numbered as they come."""

    def marked(*arguments: Any, **options: Any) -> ScannedFile:
        scanned = scan_blob(*arguments, **options)
        return replace(scanned, report=replace(scanned.report, formats=(str(os.getpid()),)))

    monkeypatch.setattr(isolated, "scan_blob", marked)
    found = {scanned.report.path: scanned.report.formats[0] for scanned in isolation.scan_files(jobs, workers=1)}
    order = list(dict.fromkeys(found.values()))
    return {path: order.index(pid) for path, pid in found.items()}


def test_a_decompressor_is_met_alone(stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It begins with a stored member, so that nothing shows at first sight.
    contents = {"a": FILES["model.safetensors"], "b": deflated(b"x" * 1000), "c": FILES["pytorch_model.bin"]}
    jobs = [job_of(stack, path, content, tmp_path) for path, content in contents.items()]
    assert workers_of(jobs, monkeypatch) == {"a": 0, "b": 1, "c": 0}


@pytest.mark.parametrize("bad", [pickles.system(), b"\x80\x04cos\n"])
def test_what_follows_a_bad_file_is_done_by_another_worker(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: bytes
) -> None:
    contents = {"a.safetensors": FILES["model.safetensors"], "b.bin": bad, "c.pt": FILES["pytorch_model.bin"]}
    jobs = [job_of(stack, path, content, tmp_path) for path, content in contents.items()]
    assert workers_of(jobs, monkeypatch) == {"a.safetensors": 0, "b.bin": 0, "c.pt": 1}


def test_a_file_that_takes_its_worker_over_changes_no_verdict_given_before(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {"a.pkl": pickles.system(), "b.bin": b"exploit", "c.pkl": pickles.system()}
    jobs = [job_of(stack, path, content, tmp_path) for path, content in contents.items()]
    clean = wire.encode(here(job_of(stack, "d.safetensors", FILES["model.safetensors"], tmp_path)))

    def taken_over(reader: FileReader, path: str, **options: object) -> ScannedFile:
        if path == "b.bin":
            for number in range(3, 64):
                for _ in ("b.bin", "c.pkl"):
                    with suppress(OSError):
                        os.write(number, struct.pack(">Q", 1 + len(clean)) + ANSWER + clean)
            os._exit(0)
        return scan_blob(reader, path)

    monkeypatch.setattr(isolated, "scan_blob", taken_over)
    verdicts = {scanned.report.path: scanned.report.verdict for scanned in isolation.scan_files(jobs)}
    assert verdicts == {"a.pkl": Verdict.MALICIOUS, "b.bin": Verdict.ERROR, "c.pkl": Verdict.MALICIOUS}


def test_directories_do_not_share_a_worker(jobs: list[Job]) -> None:
    work = isolated._Scan(None, 1 << 20, every_fact=True)
    text = next(job for job in jobs if job.path == "config.json")
    groups = {work.group(Job(path=path, descriptor=text.descriptor, size=text.size)) for path in ("a/x", "b/x")}
    assert groups == {"a", "b"}


@needs_vectors
def test_finds_the_same_in_other_tools_test_files() -> None:
    files = [path for path in sorted((VECTORS / "scan").rglob("*")) if path.is_file() and path.suffix != ".json"]
    with ExitStack() as stack:
        jobs = [
            Job(path=path.name, descriptor=stack.enter_context(path.open("rb")).fileno(), size=path.stat().st_size)
            for path in files
        ]
        found = list(isolation.scan_files(jobs, every_fact=True))
        assert [scanned.report for scanned in found] == [here(job).report for job in jobs]
        assert all(scanned.facts == here(job).facts for scanned, job in zip(found, jobs, strict=True))
