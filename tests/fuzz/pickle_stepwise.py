"""Our pickle machine against itself: tensors taken in one step, and every opcode run by itself, must come to the same.

``python -m tests.fuzz.pickle_stepwise --cases 1000000`` for long runs. Compared is all that a run leaves behind: the
graph of values with what is shared in it, calls, places, the memo, what the budget was charged, the limit that was met.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from unittest import mock

from scanners.limits import Budget, Limits
from scanners.pickles import machine
from scanners.pickles.values import Value
from scanners.reader import BytesReader
from tests.fuzz.tensor_entries import near_miss


def left_behind(data: bytes, *, stepwise: bool, few: int = 0, opcodes: int = 1_000_000) -> object:
    """Run a pickle and describe everything the machine then knows; ``few`` tensors are made opcode by opcode first."""
    budget = Budget(limits=Limits(opcodes=opcodes))
    ran = machine.Machine(BytesReader(data), 0, budget, {}, inline_arrays=False, few=sys.maxsize if stepwise else few)
    ran.execute()
    run = ran.result()
    graph = _Graph()
    return (
        [graph.number(value) for value in (run.root, run.calls, run.imports, run.tensors, run.persistent, run.blobs)],
        [graph.number(value) for value in ran.memo],
        {index: graph.number(value) for index, value in ran.far.items()},
        graph.described(),
        (run.stop, run.end, run.protocol, run.opcodes, budget.opcodes, ran.holes),
        (run.error, run.error_offset, run.c_error, run.c_error_offset, run.encoding_error),
        (run.frame_crossings, run.assumptions, None if run.limit is None else str(run.limit)),
    )


class _Graph:
    """Numbers values in the order they are met, so that two graphs with the same numbers are the same graph."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.values: list[object] = []

    def number(self, value: object) -> object:
        """Return the number of an object, and a plain value itself."""
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return type(value).__name__, value
        if isinstance(value, tuple) and _plain(value):
            return value  # whether two tensors share one tuple of sizes nobody can tell
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.values)
            self.values.append(value)
        return self.numbers[id(value)]

    def described(self) -> list[object]:
        """Return what every numbered object is."""
        lines: list[object] = []
        for value in self.values:  # grows while it is walked
            if isinstance(value, (list, tuple)):
                lines.append((type(value).__name__, [self.number(item) for item in value]))
            else:
                slots = getattr(type(value), "__slots__", ())
                lines.append((type(value).__name__, [(slot, self._slot(getattr(value, slot))) for slot in slots]))
        return lines

    def _slot(self, value: object) -> object:
        # The lists inside a value are its own; what matters is what they hold.
        if isinstance(value, (list, tuple)):
            return [self._slot(item) for item in value]
        return self.number(value)


def _plain(values: tuple[Value, ...]) -> bool:
    return all(isinstance(value, (int, str)) for value in values)


def differences(seed: int, count: int) -> Iterator[bytes]:
    """Yield the cases of a series that come to different things."""
    source = random.Random(seed)
    for _ in range(count):
        case = near_miss(source)
        opcodes = source.choice((1_000_000, 1_000_000, source.randrange(1, 200)))
        batch = source.choice((16_384, source.randrange(1, 100)))
        few = source.choice((0, 0, 1, 3))
        chunk = source.choice((1 << 18, source.randrange(520, 900)))
        with mock.patch.multiple(machine, _BATCH=batch, _CHUNK=chunk):
            together = left_behind(case, stepwise=False, few=few, opcodes=opcodes)
            if left_behind(case, stepwise=True, opcodes=opcodes) != together:
                yield case


def main() -> int:
    """Run from the command line; exit 1 when there is a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.cases} cases", flush=True)
    found = 0
    for found, case in enumerate(differences(options.seed, options.cases), 1):
        print(repr(case), flush=True)
        if found >= 20:
            break
    print(f"{found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
