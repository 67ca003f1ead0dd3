"""Checkpoints of torch before 0.2: the pickles between the numbers."""

import io
import tarfile

import pytest

from scanners.engine import scan_blob
from scanners.findings import FileReport, Verdict
from scanners.reader import BytesReader
from tests.builders import pickles as p
from tests.builders.checkpoints import floats, torch_tar
from tests.builders.tars import Entry, tar
from tests.vectors import VECTORS, needs_vectors

GOOD = torch_tar(
    {"w": "1"}, [("7", "float32", 4, floats(4))], [("1", "7", "float32", [2, 2], [2, 1], 0)], views=[("8", "7", 0, 2)]
)
HOSTILE = b"cos\nsystem\n(S'echo hello'\ntR."


def scan(data: bytes) -> FileReport:
    return scan_blob(BytesReader(data), "model.pt").report


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]  # all regular


def with_member(name: str, content: bytes) -> bytes:
    return tar(*(Entry(name=one, data=data) for one, data in {**members(GOOD), name: content}.items()))


def test_ordinary_checkpoint_is_clean_and_fully_read() -> None:
    report = scan(GOOD)

    assert (report.verdict, report.formats) == (Verdict.CLEAN, ("torch-tar",))
    assert report.coverage.inert >= 16


@pytest.mark.parametrize("name", ["sys_info", "pickle", "tensors", "storages"])
def test_payload_in_each_member_is_found(name: str) -> None:
    report = scan(with_member(name, HOSTILE))

    assert report.verdict is Verdict.MALICIOUS
    assert report.findings[0].location.members == (name,)
    assert report.findings[0].evidence.startswith("os.system('echo hello')")


def test_payload_behind_the_count_is_found() -> None:
    report = scan(with_member("storages", b"\x80\x02K\x01." + HOSTILE))

    assert report.verdict is Verdict.MALICIOUS


@pytest.mark.parametrize("count", [1 << 70, 1_000_001, -1])
def test_payload_behind_a_count_without_measure_is_found(count: int) -> None:
    report = scan(with_member("storages", p.dump(count, 2) + HOSTILE))

    assert report.verdict is Verdict.MALICIOUS


def test_payload_behind_the_last_item_is_found() -> None:
    report = scan(with_member("tensors", members(GOOD)["tensors"] + HOSTILE))

    assert report.verdict is Verdict.MALICIOUS


def test_bytes_behind_the_last_item_are_noted() -> None:
    report = scan(with_member("tensors", members(GOOD)["tensors"] + b"more"))

    assert [finding.rule.id for finding in report.findings] == ["MS206"]


@pytest.mark.parametrize("cut", [1, 5, 17, 40])
def test_truncated_storages_are_never_clean(cut: int) -> None:
    report = scan(with_member("storages", members(GOOD)["storages"][:-cut]))

    assert report.verdict in {Verdict.INCOMPLETE, Verdict.SUSPICIOUS}
    assert not report.coverage.complete


def test_every_byte_of_the_storages_changed_gives_a_verdict() -> None:
    storages = members(GOOD)["storages"]
    for at in range(len(storages)):
        changed = storages[:at] + bytes([storages[at] ^ 0xFF]) + storages[at + 1 :]
        assert scan(with_member("storages", changed)).verdict is not Verdict.ERROR


@needs_vectors
def test_real_files_of_others_are_clean() -> None:
    for path in sorted((VECTORS / "checkpoints" / "real").glob("*.tar")):
        report = scan(path.read_bytes())
        assert (report.verdict, report.formats) == (Verdict.CLEAN, ("torch-tar",)), path
