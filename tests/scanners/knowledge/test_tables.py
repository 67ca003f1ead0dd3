"""The tables are read as TOML defines them, without the parser of the standard library."""

import tomllib
from pathlib import Path

import pytest

from scanners import knowledge
from scanners.knowledge.tables import Standing, Tables, entries

HOME = Path(knowledge.__file__).parent


@pytest.mark.parametrize(("file", "table"), [("semantics.toml", "effect"), ("judgement.toml", "callables")])
def test_tables_are_read_as_tomllib_reads_them(file: str, table: str) -> None:
    text = (HOME / file).read_text("utf-8")
    expected = tomllib.loads(text)
    assert list(expected) == [table]
    as_text = [{key: str(value) for key, value in entry.items()} for entry in expected[table]]
    assert list(entries(text, table)) == as_text


@pytest.mark.parametrize(
    "line",
    [
        "name = 'single'",
        'name = "a" # why',
        'name = "a\\n"',
        "name = [1]",
        "name=1",
        "[other]",
        'name = "a""b"',
        "name",
    ],
)
def test_other_toml_is_refused_rather_than_misread(line: str) -> None:
    with pytest.raises(ValueError, match="not the plain TOML"):
        list(entries(f"[[table]]\n{line}\n", "table"))


def test_a_key_stands_in_a_table_and_only_once() -> None:
    with pytest.raises(ValueError, match="not the plain TOML"):
        list(entries('key = "a"\n', "table"))
    with pytest.raises(ValueError, match="not the plain TOML"):
        list(entries('[[table]]\nkey = "a"\nkey = "b"\n', "table"))


def _judged(judgement: str, dotted: str) -> tuple[Standing, str]:
    found = Tables("", judgement).judge(dotted)
    return found.standing, found.reason


JUDGEMENT = """\
[[callables]]
standing = "harmless"
reason = "first"
modules = "a"
names = "b.c <Class>"

[[callables]]
standing = "dangerous"
reason = "second"
modules = "a.b a"
names = "c d b"

[[callables]]
standing = "code"
reason = "third"
modules = "a.b"
"""


@pytest.mark.parametrize(
    ("dotted", "standing", "reason"),
    [
        ("a.b.c", Standing.HARMLESS, "first"),  # exact in both: the earlier entry, though its module is shorter
        ("a.b.d", Standing.DANGEROUS, "second"),
        ("a.b", Standing.DANGEROUS, "second"),  # exact before the whole module a.b
        ("a.b.X", Standing.CODE, "third"),  # the longer module before the pattern of the shorter one
        ("a.X", Standing.HARMLESS, "first"),
        ("a.x", Standing.UNKNOWN, "no entry of judgement.toml speaks about it"),
        ("a.X.__globals__", Standing.DANGEROUS, "walks through __globals__ into the interpreter"),
    ],
)
def test_exact_before_pattern_longer_before_shorter_first_before_later(
    dotted: str, standing: Standing, reason: str
) -> None:
    assert _judged(JUDGEMENT, dotted) == (standing, reason)
