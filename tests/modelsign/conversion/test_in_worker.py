"""The parser of a checkpoint runs where it can do nothing, and what it says is checked by who copies."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelsign import isolation
from modelsign.conversion import convert, converting
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.parsing import parse
from modelsign.conversion.plan import Plan
from modelsign.errors import ConversionError
from scanners.reader import Reader
from tests.builders import checkpoints

pytestmark = pytest.mark.skipif(not isolation.layers()[0].available, reason="nothing is forked here")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "m.pt"
    path.write_bytes(checkpoints.torch_zip({"w": checkpoints.tensor("0", (2,))}, {"0": bytes(8)}))
    return path


def refuse(source: Path, match: str) -> None:
    with pytest.raises(ConversionError, match=match):
        convert(source)
    assert list(source.parent.iterdir()) == [source]


def test_parses_in_another_process(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getpid()

    def elsewhere(reader: Reader, request: Request) -> Plan:
        assert os.getpid() != here
        return parse(reader, request)

    monkeypatch.setattr(converting, "parse", elsewhere)
    assert convert(source).tensors


def test_a_crash_is_a_refusal(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "parse", lambda *_: os._exit(3))
    refuse(source, r"m\.pt: the worker that read the file failed: it ended with code 3")


def test_a_bug_is_a_refusal(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "parse", lambda *_: dict[str, Plan]()["bug"])
    refuse(source, "its parser failed with KeyError: 'bug'")


def test_a_refusal_keeps_its_words(source: Path) -> None:
    source.write_bytes(b"nothing of the kind")
    refuse(source, "this is no checkpoint that is known")


def test_a_plan_beyond_the_file_is_not_followed(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(reader: Reader, request: Request) -> Plan:
        plan = parse(reader, request)
        offset, length = plan.stores[0].segments[0]
        return replace(plan, stores=(replace(plan.stores[0], segments=((offset + 10**6, length),)),))

    monkeypatch.setattr(converting, "parse", lie)
    refuse(source, "its bytes lie outside the file")
