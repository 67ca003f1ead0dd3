from pathlib import Path

import pytest

from attestations.errors import ManifestError
from attestations.ignoring import resolve_ignored
from tests.builders.signatures import write_model

FILES = dict.fromkeys(["a.txt", "b.txt", "x/a.txt", "x/y/a.txt", "x/y/b.bin", "[1].txt", "1.txt"], b"")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path, FILES)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.txt", ["a.txt"]),
        ("./a.txt", ["a.txt"]),
        ("x/", ["x"]),
        ("nothing.yet", ["nothing.yet"]),
        ("*.txt", ["1.txt", "[1].txt", "a.txt", "b.txt"]),
        ("?.txt", ["1.txt", "a.txt", "b.txt"]),
        ("**/a.txt", ["a.txt", "x/a.txt", "x/y/a.txt"]),
        ("x/*", ["x/a.txt", "x/y"]),
        ("x/**", ["x/a.txt", "x/y"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("[!a-z].txt", ["1.txt"]),
        ("x*", ["x"]),
    ],
)
def test_pattern_becomes_names(model: Path, pattern: str, names: list[str]) -> None:
    assert resolve_ignored(model, [pattern]) == tuple(names)


def test_several_patterns_add_up(model: Path) -> None:
    assert resolve_ignored(model, ["b.*", "x", "new"]) == ("b.txt", "new", "x")


def test_pattern_that_matches_nothing_is_a_mistake(model: Path) -> None:
    with pytest.raises(ManifestError, match=r"'\*.tmp': it matches no file"):
        resolve_ignored(model, ["*.tmp"])


@pytest.mark.parametrize("pattern", ["/a.txt", "../a.txt", "", ".", "x//y", "../*"])
def test_pattern_outside_of_the_model_is_refused(model: Path, pattern: str) -> None:
    with pytest.raises(ManifestError, match="relative to the model's root"):
        resolve_ignored(model, [pattern])


@pytest.mark.parametrize("pattern", ["[a", "[", "a[", "[]*", "[[]*", "[^]*", "[a&&b]*", "[\\]*"])
def test_brackets_never_break_the_search(model: Path, pattern: str) -> None:
    with pytest.raises(ManifestError, match="matches no file"):
        resolve_ignored(model, [f"{pattern}nothing-has-this-name"])


def test_a_pattern_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="malformed"):
        resolve_ignored(tmp_path, ["[z-a]*"])
