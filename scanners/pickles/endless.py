"""Calls that take from an iterator until memory is full: ``list(range(2**31))``, ``deque(itertools.count())``.

Each callable is harmless by itself, and libraries do keep counters and ranges. What none of them does is have a loader
exhaust one: containers are pickled by their elements.
"""

from collections.abc import Iterator
from typing import Final

from scanners.pickles.machine import PickleRun
from scanners.pickles.resolve import Called, Resolver
from scanners.pickles.values import Made, Value

_MANY: Final = 1 << 24
"""elements that no library has a loader take from an iterator"""
_NO_END: Final = frozenset({"itertools.count", "itertools.cycle"})
_COMBINING: Final = frozenset(
    {
        "itertools.product",
        "itertools.permutations",
        "itertools.combinations",
        "itertools.combinations_with_replacement",
    }
)
_PASSING: Final = frozenset(
    {
        "builtins.enumerate",
        "builtins.filter",
        "builtins.iter",
        "builtins.map",
        "builtins.zip",
        "itertools.accumulate",
        "itertools.chain",
        "itertools.chain.from_iterable",
        "itertools.compress",
        "itertools.dropwhile",
        "itertools.filterfalse",
        "itertools.pairwise",
        "itertools.starmap",
        "itertools.takewhile",
        "itertools.zip_longest",
    }
)
"""what gives on what it takes, one by one"""
_KEEPING: Final = frozenset(
    {"builtins.reversed", "builtins.object", "builtins.slice", "builtins.str", "builtins.type", "builtins.repr"}
    | {"copy.copy", "copy.deepcopy", "functools.partial", "_functools.partial", "itertools.islice", "itertools.repeat"}
)
_FIRST: Final = frozenset({"count", "cycle", "repeat", "range", "xrange"} | {name[10:] for name in _COMBINING})


def exhausting_calls(stream: PickleRun, resolver: Resolver) -> Iterator[tuple[Made, str]]:
    """Yield each call that would take very many elements from an iterator, with the name of what is called."""
    names = [*stream.imports, *resolver.names.values()]
    if not any(name.name.rsplit(".", 1)[-1] in _FIRST for name in names):
        return
    endless: set[int] = set()
    for made in stream.calls:
        for called in resolver.calls(made):  # also through what calls another callable: `copyreg.__newobj_ex__`
            name = called.function
            given = tuple(resolver.value(argument) for argument in called.arguments)
            takes = any(id(argument) in endless for argument in _taken(made, called, given))
            passes = name in _PASSING or (name == "itertools.islice" and _wide(given))
            if _gives_many(name, given) or (takes and passes):
                endless.add(id(made))
                break  # what it calls for each element, it calls when it is exhausted
            elif takes and name and name not in _KEEPING:
                yield made, name
                break


def _taken(made: Made, called: Called, given: tuple[Value, ...]) -> Iterator[Value]:
    """Yield what a call takes, as it stands in the pickle and as it was computed; another's may come in a tuple."""
    for argument in (*called.arguments, *given):
        if isinstance(argument, tuple) and called.made is not made:
            yield from argument
        else:
            yield argument


def _gives_many(name: str, arguments: tuple[Value, ...]) -> bool:
    """Whether a call makes an iterator of very many elements."""
    if name in _NO_END or name in _COMBINING:
        return True
    if name == "itertools.repeat":
        return len(arguments) == 1 or (len(arguments) > 1 and _number(arguments[1]) > _MANY)
    if name == "builtins.range" and arguments and all(isinstance(argument, int) for argument in arguments):
        numbers = [_number(argument) for argument in arguments]
        start, stop = (0, numbers[0]) if len(numbers) == 1 else numbers[:2]
        step = abs(numbers[2]) if len(numbers) > 2 else 1
        return abs(stop - start) // max(step, 1) > _MANY
    return False


def _wide(arguments: tuple[Value, ...]) -> bool:
    """Whether `itertools.islice` lets very many elements through."""
    stop = arguments[1] if len(arguments) == 2 else arguments[2] if len(arguments) > 2 else None
    return not isinstance(stop, int) or stop > _MANY


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0
