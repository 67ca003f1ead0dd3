import re
import sys
from types import ModuleType

import pytest

from scanners import patterns
from scanners.patterns import late
from scanners.registry import FORMATS


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compiled in this test."""
    sources: list[str] = []
    compile_ = re.compile

    def listed(source: str, flags: int = 0) -> re.Pattern[str]:
        sources.append(source)
        return compile_(source, flags)

    monkeypatch.setattr(re, "compile", listed)
    return sources


def test_compiles_once_and_when_it_is_used(compiled: list[str]) -> None:
    pattern = late(r"a(b)", re.IGNORECASE)
    assert compiled == []
    assert pattern.fullmatch("AB")
    assert [match.group(1) for match in pattern.finditer("abAB")] == ["b", "B"]
    assert pattern.sub("x", "-ab-") == "-x-"
    assert pattern.search("none") is None
    assert compiled == ["a(b)"]


def test_bytes() -> None:
    assert late(rb"\d+").findall(b"1 22") == [b"1", b"22"]


def test_prepares_what_modules_have(compiled: list[str]) -> None:
    module = ModuleType("m")
    vars(module).update(first=late("a"), second=late("b"), third="c")
    patterns.prepare([module])
    assert compiled == ["a", "b"]


def test_a_pattern_that_is_none_is_told_when_it_is_used() -> None:
    with pytest.raises(re.error):
        late("(").match("")


def test_every_pattern_of_ours_compiles() -> None:
    assert {module.NAME for module in FORMATS}  # imported, with all that they import
    patterns.prepare([module for name, module in sys.modules.items() if name.startswith("scanners.")])
