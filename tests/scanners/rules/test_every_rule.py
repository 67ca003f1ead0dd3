"""Every rule has a page with the fixed headings, a bad example it fires on, and a good one it is silent on."""

import re
from pathlib import Path

import pytest

from scanners.findings import Rule
from scanners.registry import ALL_RULES
from tests.scanners.rules.examples import NOT_FROM_A_FILE, all_examples, scan_files

PAGES = Path(__file__).resolve().parents[3] / "docs" / "rules"
HEADINGS = ["What it does", "Why it is bad", "Example", "How to fix", "What it does not catch", "References"]

each_rule = pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.id)


@each_rule
def test_has_a_page_with_the_fixed_headings_in_order(rule: Rule) -> None:
    page = (PAGES / f"{rule.id}.md").read_text(encoding="utf-8")

    assert page.startswith(f"# {rule.id} {rule.name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == HEADINGS


@each_rule
def test_every_section_of_its_page_says_something(rule: Rule) -> None:
    page = (PAGES / f"{rule.id}.md").read_text(encoding="utf-8")

    sections = re.split(r"^## .+$", page, flags=re.MULTILINE)[1:]
    assert all(len(section.strip()) > 10 for section in sections)


@each_rule
def test_fires_on_its_bad_example_and_not_on_its_good_one(rule: Rule) -> None:
    if rule.id in NOT_FROM_A_FILE:
        pytest.skip(NOT_FROM_A_FILE[rule.id])
    example = all_examples()[rule.id]

    assert rule.id in {finding.rule.id for finding in scan_files(example.bad()).findings}
    assert rule.id not in {finding.rule.id for finding in scan_files(example.good()).findings}


def test_ids_and_names_are_unique() -> None:
    assert len({rule.id for rule in ALL_RULES}) == len({rule.name for rule in ALL_RULES}) == len(ALL_RULES)


def test_names_are_kebab_case_and_ids_have_their_form() -> None:
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name) for rule in ALL_RULES)
    assert all(re.fullmatch(r"MS[1-9]\d\d", rule.id) for rule in ALL_RULES)


def test_no_page_lies_around_without_its_rule() -> None:
    assert {page.stem for page in PAGES.glob("MS*.md")} == {rule.id for rule in ALL_RULES}


def test_no_example_lies_around_without_its_rule() -> None:
    assert set(all_examples()) | set(NOT_FROM_A_FILE) == {rule.id for rule in ALL_RULES}
