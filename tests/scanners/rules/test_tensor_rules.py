"""Rules that are not told of tensors do not ask for them."""

import pytest

from scanners.facts import Fact, Tensor
from scanners.reading import FileRule
from scanners.registry import FILE_RULES, TENSOR_RULES


@pytest.mark.parametrize("rule", FILE_RULES, ids=lambda rule: rule.__name__)
def test_whoever_names_tensors_is_told_of_them(rule: FileRule) -> None:
    assert (Tensor in vars(rule).values()) is (rule in TENSOR_RULES)


def test_no_kind_of_fact_is_a_kind_of_tensor() -> None:
    assert not Tensor.__subclasses__()
    assert Tensor.__base__ is Fact
