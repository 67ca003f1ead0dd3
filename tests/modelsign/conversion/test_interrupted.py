"""Every step fails once: a full disk, an interrupt, a source that changes; nothing is left and the error is ours."""

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from modelsign import convert
from modelsign.conversion import copying
from modelsign.errors import ConversionError, SourceError
from tests.builders.checkpoints import floats, tensor, torch_zip
from tests.modelsign.conversion.reading import read

COUNT = 300_000


@pytest.fixture(name="source")
def made_source(tmp_path: Path) -> Path:
    path = tmp_path / "m.pt"
    value = {"a": tensor("0", (COUNT,)), "t": tensor("1", (3, 2), stride=(1, 3), numel=6)}
    path.write_bytes(torch_zip(value, {"0": floats(COUNT), "1": floats(6)}))
    return path


def only_the_source_is_there(source: Path) -> bool:
    return [entry.name for entry in source.parent.iterdir()] == [source.name]


def failing(number: int) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture(name="sharing")
def allowed_sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel copy every range, not only those that begin alike within a block of the file system."""
    monkeypatch.setattr(copying, "_BLOCK", 1)


@pytest.mark.usefixtures("sharing")
@pytest.mark.parametrize("step", ["copy_file_range", "pwrite", "fsync", "link"])
def test_a_full_disk_leaves_nothing(source: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    if step == "link":
        monkeypatch.setattr(Path, "rename", failing(errno.ENOSPC))
    monkeypatch.setattr(os, step, failing(errno.ENOSPC))
    with pytest.raises(SourceError, match="No space left"):
        convert(source)
    assert only_the_source_is_there(source)


def test_what_fails_on_its_way_to_the_disk_is_reported(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    pwrite = os.pwrite

    def flush(_: int) -> NoReturn:
        asked.set()
        failing(errno.EIO)()

    def write(descriptor: int, data: memoryview, offset: int) -> int:
        assert not offset or asked.wait(60)
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(copying, "_FLUSH_STEP", 1)
    monkeypatch.setattr(os, "fdatasync", flush)
    monkeypatch.setattr(os, "pwrite", write)
    with pytest.raises(SourceError, match="Input/output error"):
        convert(source)
    assert only_the_source_is_there(source)


@pytest.mark.usefixtures("sharing")
def test_what_the_kernel_copies_arrives(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    share = os.copy_file_range

    def short(source: int, target: int, count: int, *offsets: int) -> int:
        asked.append(count)
        return share(source, target, min(count, 100_001), *offsets)

    monkeypatch.setattr(os, "copy_file_range", short)
    convert(source)
    assert read(source.with_suffix(".safetensors")).tensors["a"][2] == floats(COUNT)
    assert sum(asked) > COUNT * 4


@pytest.mark.usefixtures("sharing")
@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_kernel_without_range_copies_is_no_obstacle(
    source: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "copy_file_range", failing(number))
    convert(source)
    assert read(source.with_suffix(".safetensors")).tensors["a"][2] == floats(COUNT)


def test_an_interrupt_leaves_nothing(source: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, progress=interrupt)
    assert only_the_source_is_there(source)


def test_a_source_that_changes_meanwhile_is_refused(source: Path) -> None:
    def change(_: int) -> None:
        with source.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(b"x")

    with pytest.raises(ConversionError, match=r"changed|differs"):
        convert(source, progress=change)
    assert only_the_source_is_there(source)


def test_a_source_that_shrinks_meanwhile_is_refused(source: Path) -> None:
    with pytest.raises(ConversionError, match=r"shorter|changed|differs|checksum"):
        convert(source, progress=lambda _: os.truncate(source, 100))
    assert only_the_source_is_there(source)


@pytest.fixture(name="pair", params=[False, True], ids=["one thread", "two threads"])
def chosen_pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one thread, or two, be at the large tensor."""
    monkeypatch.setattr(copying, "_BATCH", 1 << 20 if request.param else 1 << 30)
    monkeypatch.setattr(copying, "_threads", lambda: 2)


@pytest.mark.usefixtures("pair")
def test_an_interrupt_ends_all_threads(source: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, progress=interrupt)
    assert only_the_source_is_there(source)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("copy-", "flush"))]


@pytest.mark.usefixtures("pair")
def test_a_wrong_checksum_is_noticed_by_whoever_computes_it(tmp_path: Path) -> None:
    source = tmp_path / "m.pt"
    good = torch_zip({"a": tensor("0", (COUNT,))}, {"0": floats(COUNT)})
    place = good.index(floats(COUNT)[:4000]) + 4 * COUNT - 1
    source.write_bytes(good[:place] + b"\x99" + good[place + 1 :])
    with pytest.raises(ConversionError, match="checksum"):
        convert(source)
    assert only_the_source_is_there(source)


@pytest.mark.usefixtures("pair")
def test_digests_are_those_of_the_bytes(source: Path) -> None:
    expected = hashlib.sha256(floats(COUNT)).hexdigest()
    assert convert(source).tensors[0].sha256 == expected
    assert read(source.with_suffix(".safetensors")).tensors["a"][2] == floats(COUNT)


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("place", [0, 5, COUNT * 4 - 1, COUNT * 4 + 3])
def test_a_byte_that_arrives_wrong_is_noticed(source: Path, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    target = source.with_suffix(".safetensors")
    convert(source)
    wrong = read(target).data_start + place
    target.unlink()
    pwrite = os.pwrite

    def corrupt(descriptor: int, data: memoryview, offset: int) -> int:
        changed = bytearray(data)
        if offset <= wrong < offset + len(changed):
            changed[wrong - offset] ^= 1
        return pwrite(descriptor, changed, offset)

    monkeypatch.setattr(os, "pwrite", corrupt)
    with pytest.raises(ConversionError, match=f"tensor '{'a' if place < COUNT * 4 else 't'}': the output differs"):
        convert(source)
    assert only_the_source_is_there(source)
