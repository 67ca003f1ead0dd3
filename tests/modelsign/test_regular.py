"""Files that a user names are read without waiting for a writer who may never come."""

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeAlias

import pytest

from attestations.errors import AttestationError
from attestations.signers.sigstore import SigstoreTrust
from attestations.timestamps import load_authority
from modelsign import config, ignoring, trusting, waiving
from modelsign.conversion import convert
from modelsign.errors import ModelsignError, SourceError
from modelsign.policy.cases import load_cases
from modelsign.report import json as report_json

Read: TypeAlias = Callable[[Path], object]

READERS: dict[str, Read] = {
    "authority": load_authority,
    "trusted root": lambda path: SigstoreTrust(source=path).trusted_root(),
    "trust file": trusting.import_file,
    "configuration": lambda path: config.load(path, verbs=["scan"]),
    "ignored": ignoring.load,
    "waivers": lambda path: waiving.load(path, today=date(2026, 11, 23)),
    "baseline": report_json.load,
    "cases": load_cases,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_pipe_that_nobody_writes_to_is_refused_and_not_waited_for(tmp_path: Path, read: Read) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((AttestationError, ModelsignError), match=r"pipe: .*nobody writes"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_endless_file_is_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_json, "_MAX_BYTES", 1 << 20)  # it takes a gigabyte
    with pytest.raises((AttestationError, ModelsignError), match="/dev/zero"):
        read(Path("/dev/zero"))


@pytest.mark.parametrize("path", ["a" * 300, "/".join(["a" * 200] * 30), "a\0b"])
def test_path_that_nothing_can_lie_at_is_a_source_error_to_the_converter(path: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="path"):
        convert(path)
    (tmp_path / "m.pt").write_bytes(b"")
    with pytest.raises(SourceError, match="path"):
        convert(tmp_path / "m.pt", path)
