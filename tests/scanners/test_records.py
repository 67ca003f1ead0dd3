"""Records are what the standard decorator would have made of the same class."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from scanners import records
from scanners.facts import Fact, Import
from scanners.findings import Location

MAKERS = [dataclasses.dataclass, records.dataclass]


def frozen(maker: Callable[..., Any]) -> Any:
    @maker(frozen=True, slots=True, kw_only=True)
    class Base:
        """A base."""

        first: int

    @maker(frozen=True, slots=True, kw_only=True)
    class Value(Base):
        """A value."""

        second: str = "two"
        third: list[int] = dataclasses.field(default_factory=list, compare=False, repr=False)

        @property
        def doubled(self) -> int:
            return self.first * 2

    return Value


def mutable(maker: Callable[..., Any]) -> Any:
    @maker(slots=True)
    class Account:
        """An account."""

        owner: str
        amount: int = 0
        notes: list[str] = dataclasses.field(default_factory=list)

    return Account


@pytest.mark.parametrize("maker", MAKERS)
def test_frozen_values(maker: Callable[..., Any]) -> None:
    made = frozen(maker)
    value = made(first=1)
    assert (value.first, value.second, value.third, value.doubled) == (1, "two", [], 2)
    assert value == made(first=1, third=[3])
    assert value != made(first=2)
    assert value != (1, "two")
    assert hash(value) == hash(made(first=1, third=[3]))
    assert repr(value).endswith("Value(first=1, second='two')")
    assert made(first=1).third is not made(first=1).third
    assert made.__match_args__ == ()
    assert [field.name for field in dataclasses.fields(made)] == ["first", "second", "third"]
    assert [field.type for field in dataclasses.fields(made)] == [int, str, list[int]]
    assert dataclasses.replace(value, second="2") == made(first=1, second="2")
    assert dataclasses.asdict(value) == {"first": 1, "second": "two", "third": []}
    assert copy.deepcopy(value) == value
    assert list(inspect.signature(made).parameters) == ["first", "second", "third"]
    assert not hasattr(value, "__dict__")
    assert dataclasses.is_dataclass(made)


@pytest.mark.parametrize("maker", MAKERS)
def test_frozen_values_stay_as_they_are(maker: Callable[..., Any]) -> None:
    value = frozen(maker)(first=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.first = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.first
    assert value.first == 1


@pytest.mark.parametrize("maker", MAKERS)
def test_mutable_ones(maker: Callable[..., Any]) -> None:
    made = mutable(maker)
    account = made("me")
    account.amount = 3
    account.notes.append("a")
    assert account == made("me", 3, ["a"])
    assert made.__match_args__ == ("owner", "amount", "notes")
    assert made.__hash__ is None
    with pytest.raises(AttributeError):
        account.other = 1


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("arguments", [{}, {"first": 1, "other": 2}])
def test_wrong_arguments_are_a_type_error(maker: Callable[..., Any], arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="__init__"):
        frozen(maker)(**arguments)
    with pytest.raises(TypeError):
        frozen(maker)(1)


def test_classes_of_one_shape_keep_their_names() -> None:
    @records.dataclass(slots=True, kw_only=True)
    class Point:
        a1: int
        a0: int = 0

    @records.dataclass(slots=True, kw_only=True)
    class Size:
        width: int
        height: int = 1

    assert repr(Point(a1=2)).endswith("Point(a1=2, a0=0)")
    assert repr(Size(width=2)).endswith("Size(width=2, height=1)")
    with pytest.raises(TypeError, match=r"Size\.__init__\(\).* 'width'"):
        Size()  # type: ignore[call-arg]  # that is the point
    assert list(inspect.signature(Point).parameters) == ["a1", "a0"]


def test_a_default_before_a_field_without_one_is_refused() -> None:
    with pytest.raises(TypeError, match="'second' without a default"):

        @records.dataclass(slots=True)
        class _Mixed:
            first: int = 0
            second: int  # type: ignore[misc]  # the mistake that is refused


def test_values_survive_pickling() -> None:
    value = Import(location=Location(offset=3), module="os", name="system")
    assert pickle.loads(pickle.dumps(value)) == value


def test_the_standard_decorator_may_go_on_from_a_record() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class More(Fact):
        number: int

    assert More(location=Location(), number=1) == More(location=Location(), number=1)


def test_what_is_not_supported_is_refused() -> None:
    with pytest.raises(TypeError, match="has slots"):
        records.dataclass(slots=False)
    with pytest.raises(TypeError, match="cannot have the field 'items'"):

        @records.dataclass(slots=True)
        class _Shared:
            items: list[int] = []  # noqa: RUF012 - the mistake that is refused
