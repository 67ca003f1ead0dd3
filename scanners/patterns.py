"""Regular expressions that are compiled when they are first used.

A scan imports every format and every rule, and most files need few of them: compiling all of their expressions takes
longer than scanning a small checkpoint. What nearly every scan uses is better compiled at once (`re.compile`), because
workers are forked, and each would compile it again; `prepare` does that for the rest when many files are to come.
"""

import re
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, AnyStr, Generic


class _Late(Generic[AnyStr]):
    """Stands for a `re.Pattern`: the first use of a method compiles, and later ones find the method here."""

    def __init__(self, pattern: AnyStr, flags: int = 0) -> None:
        self._source: tuple[AnyStr, int] = pattern, flags
        self._compiled: re.Pattern[AnyStr] | None = None

    def __getattr__(self, name: str) -> object:
        if self._compiled is None:
            self._compiled = re.compile(*self._source)
        value = getattr(self._compiled, name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:

    def late(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
        """Return a pattern that is compiled when it is first used."""

else:
    late = _Late


def prepare(modules: Iterable[ModuleType]) -> None:
    """Compile the late patterns of these modules now."""
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, _Late):
                _ = value.pattern
