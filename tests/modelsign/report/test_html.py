import sys
from html.parser import HTMLParser

from modelsign.gate import Gate
from modelsign.report import Result, write
from tests.builders.reports import mixed

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

PAGE = write(Result(reports=(mixed(),), gate=Gate()), "html")


class Seen(HTMLParser):
    """Collects the elements and attributes of a page, and checks that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.open: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= set(attrs)
        if tag != "meta":
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def seen() -> Seen:
    parser = Seen()
    parser.feed(PAGE)
    parser.close()
    return parser


def test_the_page_is_well_formed() -> None:
    assert seen().open == []


def test_the_page_runs_and_fetches_nothing() -> None:
    parser = seen()
    assert not {"script", "img", "link", "iframe", "object", "form", "b"} & parser.tags
    assert not [name for name, _ in parser.attributes if name.startswith("on") or name == "src"]
    assert "default-src 'none'" in PAGE


def test_links_lead_to_the_pages_of_rules_only() -> None:
    links = [value or "" for name, value in seen().attributes if name == "href"]
    assert links
    assert all(link.startswith("https://modelsign.dev/rules/MS") for link in links)


def test_hostile_text_is_shown_not_interpreted() -> None:
    assert "evil.&lt;script&gt;alert(1)&lt;/script&gt;" in PAGE
