import io
import sys
from types import SimpleNamespace

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

import pytest

from modelsign.cli import progress


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    return stream


def test_nothing_is_shown_where_there_is_no_terminal() -> None:
    with progress.progress_bar("Scanning", total=10, quiet=False) as advance:
        assert advance is None


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_nothing_is_shown_in_ci_or_on_a_dumb_terminal(
    terminal: Terminal, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with progress.progress_bar("Scanning", total=10, quiet=False) as advance:
        assert advance is None
    assert terminal.getvalue() == ""


def test_nothing_is_shown_when_quiet(terminal: Terminal) -> None:
    with progress.progress_bar("Scanning", total=10, quiet=True) as advance:
        assert advance is None


def test_nothing_is_shown_within_the_first_second(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.9])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with progress.progress_bar("Scanning", total=10, quiet=False) as advance:
        assert advance is not None
        advance(5)
    assert terminal.getvalue() == ""


def test_the_bar_appears_on_standard_error_after_a_second(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock, 3.0)))
    with progress.progress_bar("Scanning", total=10, quiet=False) as advance:
        assert advance is not None
        advance(5)
        advance(5)
    assert "Scanning" in terminal.getvalue()
    assert capsys.readouterr().out == ""
