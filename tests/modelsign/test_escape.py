"""modelsign/escape.py: attacker-controlled text that meets a terminal, HTML or Markdown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsign.escape import markdown, markup, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("model.bin", "model.bin"),
        ("mod\x1b[2Jel", "mod\\x1b[2Jel"),
        ("a\nb", "a\\x0ab"),
        ("gpj\u202efdp", "gpj\\u202efdp"),
        ("\udcff", "\\udcff"),
        ("é.bin", "é.bin"),
    ],
    ids=["ordinary", "ansi", "newline", "bidi", "undecodable", "accent"],
)
def test_active_characters_are_spelled_out(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_nothing_active_is_left(text: str) -> None:
    assert not {unicodedata.category(character) for character in plain(text)} & {"Cc", "Cf", "Cs"}


def test_markup_cannot_open_a_tag_or_leave_an_attribute() -> None:
    assert markup("\"><script>'") == "&quot;&gt;&lt;script&gt;&#x27;"


def test_markdown_shows_syntax_literally() -> None:
    assert markdown("[x](javascript:1)|`a`") == "\\[x\\]\\(javascript:1\\)\\|\\`a\\`"
