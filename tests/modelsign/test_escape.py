"""modelsign/escape.py: attacker-controlled text that meets a terminal, HTML or Markdown."""

import json
import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsign.escape import code_span, json_document, markdown, markup, plain


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


ORDERS = [
    "##vso[task.prependpath]/evil",
    "os.system('##vso[task.setvariable variable=x]y')",
    "##[add-mask]critical",
    "###teamcity[buildStatus status='SUCCESS']",
    "::stop-commands::x",
    " \t::add-mask::critical",
]


@pytest.mark.parametrize("text", ORDERS)
@pytest.mark.parametrize("escaped", [plain, markup, code_span, markdown])
def test_no_text_gives_a_build_server_an_order(text: str, escaped: Callable[[str], str]) -> None:
    shown = escaped(text)
    assert not re.search(r"##\w*\[", shown)
    assert not shown.lstrip(" `").startswith("::")


@pytest.mark.parametrize("text", ["std::vector<int>", "## Heading", "a#b", "C##"])
def test_what_is_no_order_stays(text: str) -> None:
    assert plain(text) == text


@given(st.text(alphabet="#:[vso] a"))
def test_a_json_document_gives_none_and_says_the_same(text: str) -> None:
    document = json_document(json.dumps({"name": text}))
    assert not re.search(r"##\w*\[", document)
    assert json.loads(document) == {"name": text}


def test_markup_cannot_open_a_tag_or_leave_an_attribute() -> None:
    assert markup("\"><script>'") == "&quot;&gt;&lt;script&gt;&#x27;"


def test_markdown_shows_syntax_literally() -> None:
    assert markdown("[x](javascript:1)|`a`") == "\\[x\\]\\(javascript:1\\)\\|\\`a\\`"
