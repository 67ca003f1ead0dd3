"""`typing.override` before Python 3.12, for what every run imports: `typing_extensions` takes 2 ms to import."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def override(method: Callable[P, R]) -> Callable[P, R]:
    """Mark a method that overrides another one; type checkers see the real thing."""
    return method
