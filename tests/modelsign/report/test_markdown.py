from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from modelsign.gate import Gate
from modelsign.report import Result, write
from scanners.findings import Report
from tests.builders.reports import UNKNOWN, file_report, finding, mixed, report

NAMES = (
    "@everyone see https://evil.example [x](http://evil.example) | www.evil.example.pkl",
    "<img src=x onerror=alert(1)>",
    "``` ` `` @x",
    "a|b.pkl",
    "a|@b.pkl",
    "# heading\n- list\n\n1. x",
    "&lt;&#64;&commat;all",
    "\\",
)


def tokens(one: Report) -> list[Token]:
    def inner(listed: list[Token]) -> Iterator[Token]:
        for token in listed:
            yield token
            yield from inner(token.children or [])

    text = write(Result(reports=(one,), gate=Gate()), "markdown")
    return list(inner(MarkdownIt("commonmark").enable("table").parse(text)))


def hostile(name: str) -> Report:
    return report(file_report(name, finding(UNKNOWN, file=name, message=name, evidence=name), reasons=(name,)))


def test_nothing_becomes_html() -> None:
    for one in (mixed(), *map(hostile, NAMES)):
        assert not [token for token in tokens(one) if token.type.startswith("html")]


def test_links_lead_to_the_pages_of_rules_only() -> None:
    for one in (mixed(), *map(hostile, NAMES)):
        links = [token.attrs["href"] for token in tokens(one) if token.type == "link_open"]
        assert links
        assert all(str(link).startswith("https://modelsign.dev/rules/MS") for link in links)


def test_what_calls_somebody_or_looks_like_a_link_stands_in_code() -> None:
    for name in NAMES:
        for token in tokens(hostile(name)):
            if token.type == "text":
                assert "@" not in token.content
                assert "://" not in token.content
                assert "www." not in token.content


def test_every_file_is_one_row_of_four_cells() -> None:
    for name in NAMES:
        found = tokens(hostile(name))
        assert len([token for token in found if token.type == "tr_open"]) == 2
        assert len([token for token in found if token.type == "td_open"]) == 4
        assert len([token for token in found if token.type == "heading_open"]) == 2
