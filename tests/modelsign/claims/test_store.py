import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attestations.bundle import Bundle
from modelsign.claims import store
from modelsign.errors import SourceError
from modelsign.publish import is_leftover
from tests.builders.signatures import oms_payload, resource, sealed


def bundle(name: str = "a") -> Bundle:
    return sealed(oms_payload([resource(name)]))


def test_no_file_is_no_claims(tmp_path: Path) -> None:
    assert store.read(tmp_path / "claims.jsonl") == ()


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "claims.jsonl"
    first, second = bundle("a"), bundle("b")
    store.append(path, [first])
    store.append(path, [second])

    assert [line.bundle for line in store.read(path)] == [first, second]
    assert path.read_bytes() == first.to_json() + b"\n" + second.to_json() + b"\n"


def test_lines_of_others_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "claims.jsonl"
    path.write_bytes(b'{"of": "another tool"}')
    path.chmod(0o640)
    store.append(path, [bundle()])

    lines = store.read(path)
    assert [(line.number, line.bundle is None) for line in lines] == [(1, True), (2, False)]
    assert path.read_bytes().startswith(b'{"of": "another tool"}\n{')
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_is_neither_read_nor_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    path = tmp_path / "claims.jsonl"
    path.symlink_to(outside)

    with pytest.raises(SourceError, match="symbolic link"):
        store.read(path)
    with pytest.raises(SourceError, match="symbolic link"):
        store.append(path, [bundle()])
    assert outside.read_bytes() == b""


def test_a_pipe_is_no_claims_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "claims.jsonl")

    with pytest.raises(SourceError, match="not a regular file"):
        store.read(tmp_path / "claims.jsonl")


def test_too_many_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_LINES", 3)
    path = tmp_path / "claims.jsonl"
    path.write_bytes(b"{}\n" * 4)

    with pytest.raises(SourceError, match="more than 3 lines"):
        store.read(path)


def test_as_many_lines_as_are_read_may_be_written_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_LINES", 3)
    path = tmp_path / "claims.jsonl"
    store.append(path, [bundle("a"), bundle("b")])
    store.append(path, [bundle("c")])
    before = path.read_bytes()

    with pytest.raises(SourceError, match="would have more than 3 lines"):
        store.append(path, [bundle("d")])
    with pytest.raises(SourceError, match="would have more than 3 lines"):
        store.append(tmp_path / "new.jsonl", [bundle(name) for name in "abcd"])
    assert (path.read_bytes(), len(store.read(path))) == (before, 3)


def _append_many(path: Path, name: str, count: int) -> None:
    for number in range(count):
        store.append(path, [bundle(f"{name}{number}")])


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "claims.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(path, name, 10)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    assert len([line for line in store.read(path) if line.bundle is not None]) == 40
    assert [entry.name for entry in tmp_path.iterdir()] == ["claims.jsonl"]


_APPEND_FOR_EVER = """
import sys
from pathlib import Path
from modelsign.claims import store
from attestations.bundle import Bundle
path, bundle = Path(sys.argv[1]), Bundle.parse(Path(sys.argv[2]).read_bytes())
print("begun", flush=True)
for _ in range(100_000):
    store.append(path, [bundle])
"""


@pytest.mark.parametrize("after", [0.0, 0.005, 0.013, 0.029])
def test_a_killed_writer_leaves_whole_lines_only(tmp_path: Path, after: float) -> None:
    path = tmp_path / "model" / "claims.jsonl"
    path.parent.mkdir()
    one = tmp_path / "bundle"
    one.write_bytes(bundle().to_json())
    writer = subprocess.Popen(
        [sys.executable, "-c", _APPEND_FOR_EVER, str(path), str(one)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(after)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()

    if path.exists():
        lines = path.read_bytes().split(b"\n")
        assert lines[-1] == b""
        assert all(json.loads(line) for line in lines[:-1])
    store.append(path, [bundle("last")])
    assert not [entry for entry in path.parent.iterdir() if is_leftover(entry.name)]
    assert all(line.bundle is not None for line in store.read(path))
