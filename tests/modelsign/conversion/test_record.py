import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelsign.conversion import Conversion, FileIdentity, LeftOut, TensorRecord, read_record
from modelsign.errors import SourceError

DONE = Conversion(
    format="torch-zip",
    sources=(FileIdentity(name="m.pt", size=10, sha256="a" * 64),),
    targets=(FileIdentity(name="m.safetensors", size=20, sha256="b" * 64),),
    tensors=(TensorRecord(name="größe", dtype="BF16", shape=(2, 0), sha256="c" * 64, file="m.safetensors"),),
    aliases=(("x", "größe"),),
    wrapper="state_dict",
    left_out=(LeftOut(path="epoch\ud800", kind="int"), LeftOut(path="opt", kind="dict", tensors=3, values=4)),
    notes=("a note",),
    needs_safetensors="0.7",
)


def test_a_record_reads_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(DONE.to_json())
    assert read_record(path) == DONE


def test_a_record_says_that_nothing_was_executed() -> None:
    record = DONE.to_record()
    assert record["schema"] == "modelsign.conversion/v1"
    assert record["pickleExecuted"] is False
    assert record["tensorEquality"] == "bitwise"


def test_a_record_is_the_same_every_time() -> None:
    assert DONE.to_json() == DONE.to_json()
    assert json.loads(DONE.to_json()) == json.loads(json.dumps(DONE.to_record()))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_record_is_written_as_json_writes_it(count: int) -> None:
    nasty = TensorRecord(name='"tensors": []\n ', dtype="U8", shape=(), sha256=None, file="m")
    record = replace(DONE, tensors=(nasty, *DONE.tensors, nasty)[:count], notes=('"tensors": []',))
    assert record.to_json().decode() == json.dumps(record.to_record(), indent=1, sort_keys=True) + "\n"


def test_unknown_fields_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**DONE.to_record(), "later": 1}))
    assert read_record(path) == DONE


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "modelsign.conversion/v2"},
        {"pickleExecuted": True},
        {"sources": {}},
        {"sources": [{"name": "m", "size": -1, "sha256": None}]},
        {"sources": [{"name": "m", "size": 1, "sha256": "AB"}]},
        {"tensors": [{}]},
        {"tensors": [{"name": "a", "dtype": "F32", "shape": [True], "sha256": None, "file": "m"}]},
        {"wrapper": 3},
        {"written": "yes"},
        {"tool": []},
    ],
)
def test_a_record_with_a_wrong_field_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**DONE.to_record(), **change}))
    with pytest.raises(SourceError, match="not a conversion record"):
        read_record(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"schema": "modelsign.conversion/v1"}'])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="not a conversion record"):
        read_record(path)


def test_why_a_file_is_no_record_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"{")
    with pytest.raises(SourceError, match="no JSON from line 1, column 2 on"):
        read_record(path)


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_record(tmp_path / "none.json")


def test_a_pipe_in_the_place_of_a_record_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "record.json")
    with pytest.raises(SourceError, match="not a regular file"):
        read_record(tmp_path / "record.json")


def test_a_record_larger_than_any_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "record.json").open("wb") as file:
        file.truncate((1 << 28) + 1)
    with pytest.raises(SourceError, match="larger than"):
        read_record(tmp_path / "record.json")
