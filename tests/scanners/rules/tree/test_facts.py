"""What a scan of many files keeps of them is what the rules about neighbours read."""

import inspect

import pytest

from scanners import facts
from scanners.facts import Fact
from scanners.reading import TreeRule
from scanners.registry import TREE_FACTS, TREE_RULES


@pytest.mark.parametrize("rule", TREE_RULES, ids=lambda rule: rule.__name__)
def test_a_rule_about_neighbours_reads_only_facts_that_are_kept(rule: TreeRule) -> None:
    kinds = {value for value in vars(facts).values() if isinstance(value, type) and issubclass(value, Fact)}
    named = {value for _, value in inspect.getmembers(rule) if isinstance(value, type) and value in kinds}
    assert named - {Fact} <= set(TREE_FACTS)
