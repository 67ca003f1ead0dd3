"""Our pickle machine against CPython's two unpicklers, on generated and mutated pickles.

``python -m tests.fuzz.pickle_differential --cases 5000000`` for long runs (`make fuzz-pickle`). A seed
names a series, so that a difference can be shown again. What must hold:

- every name that the C or the Python unpickler looks up is among the imports of our run;
- we accept exactly what the C unpickler accepts, and stop where it stops.

Where going on depends on what a call would return, the stubs of the child are no measure: acceptance is not compared.
"""

import argparse
import json
import pickle
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scanners.limits import Budget
from scanners.pickles import opcodes
from scanners.pickles.machine import PickleRun, run
from scanners.reader import BytesReader
from tests.fuzz.tensor_entries import near_miss

CHILD = Path(__file__).with_name("unpicklers.py")
BATCH = 2000

_NAMES = (
    b"os\nsystem\n",
    b"collections\nOrderedDict\n",
    b"a.b\nc.d\n",
    b"x\n\xc3\xa9\n",
    b"m\nn\r\n",
    b"__builtin__\neval\n",
)
_INTEGERS = (
    b"0", b"1", b"00", b"01", b"0x10", b"010", b"0o17", b"0b11", b" 7", b"7 ", b"-5", b"+5", b"1_000", b"\x00",
    b"12\x00z", b"99999999999999999999", b"089", b"", b"x", b"-0", b"0X1f", b"\t3", b"1L", b"5L", b"L",
    b"0777777777777777777777777", b"1 2", b"0x",
    b" 1", b"-1", b"1\r", b"  ", b"9223372036854775808", b"-9223372036854775808", b"--1", b"+ 1",
)  # fmt: skip
_FLOATS = (
    b"1.5", b" 1.5", b"1.5 ", b"1_0.5", b"nan", b"inf", b"-Infinity", b"1e999", b"1e", b".", b".5", b"5.", b"0x1p3",
    b"", b"1.5\x00x", b"\x00", b"+1", b"1e5", b"1E-5", b"infin", b"nan(1)", b"1.5\r",
)  # fmt: skip
_STRINGS = (
    b"'a'", b'"a"', b"'a", b"''", b"'", b"a", b"'\\x41'", b"'\\x4'", b"'\\n\\t'", b"'\\101'", b"'\\777'", b"'\\'",
    b"'\\q'", b"'a'b'", b"'\xe9'", b"'\\\\'", b"'a'\r", b" 'a'", b"'\\x'", b"'\\u0041'", b"'\\N{x}'",
)  # fmt: skip
_UNICODES = (b"a", b"", b"\\u0041", b"\\u004", b"\\U00110000", b"\\U00010000", b"\xe9", b"\\\\u0041", b"\\x41", b"a\r")


def sequence(source: random.Random) -> bytes:
    """Return random opcodes with arguments that fit them, mostly."""
    pieces: list[bytes] = []
    if source.random() < 0.6:
        pieces.append(b"\x80" + bytes([source.choice((0, 1, 2, 2, 3, 4, 4, 5, 5, 6))]))
    pieces.extend(opcode(source) for _ in range(source.randrange(1, 24)))
    if source.random() < 0.8:
        pieces.append(b".")
    return b"".join(pieces)


# Opcodes that push come up more often than their number, or most sequences would end in a stack underflow.
_PUSHING = b"NKJM)]}\x88\x89\x8f\x8cCXc(hq\x94GUTSVIFL\x8aPQ2"
_ALL = bytes(opcodes.NAMES)


def opcode(source: random.Random) -> bytes:
    """Return one opcode with its argument."""
    op = source.choice(_PUSHING) if source.random() < 0.55 else source.choice(_ALL)
    if op == 0x2E and source.random() < 0.9:
        op = 0x4E
    return bytes([op]) + argument(op, source)


def argument(op: int, source: random.Random) -> bytes:
    if op in {0x63, 0x69}:
        return source.choice(_NAMES)
    if op in {0x49, 0x4C, 0x67, 0x70}:
        small = b"%d" % source.randrange(4)
        return (small if op in {0x67, 0x70} and source.random() < 0.8 else source.choice(_INTEGERS)) + b"\n"
    if op == 0x46:
        return source.choice(_FLOATS) + b"\n"
    if op == 0x53:
        return source.choice(_STRINGS) + b"\n"
    if op in {0x56, 0x50}:
        return source.choice(_UNICODES) + b"\n"
    if op in {0x68, 0x71, 0x4B}:
        return bytes([source.randrange(6)])
    if op == 0x80:
        return bytes([source.randrange(7)])
    if op in {0x6A, 0x72}:
        return struct.pack("<I", source.choice((0, 1, 2, 3, 7, 300)))
    if op == 0x95:
        return struct.pack("<Q", source.choice((0, 1, 3, 10, 40, 1 << 63)))
    if op in opcodes.FIXED:
        return source.randbytes(opcodes.FIXED[op])
    if op in opcodes.COUNTED:
        content = source.choice((b"", b"a", b"os", b"system", b"\xff", "é".encode(), source.randbytes(4)))
        length = len(content) if source.random() < 0.95 else source.choice((255, len(content) + 1))
        return length.to_bytes(opcodes.COUNTED[op], "little") + content
    return b""


def mutation(source: random.Random, seeds: list[bytes]) -> bytes:
    """Return a real pickle with a few bytes changed, removed, doubled, or taken from another one."""
    data = bytearray(source.choice(seeds))
    for _ in range(source.randrange(1, 5)):
        if not data:
            break
        at = source.randrange(len(data))
        kind = source.randrange(6)
        if kind == 0:
            data[at] = source.randrange(256)
        elif kind == 1:
            del data[at : at + source.randrange(1, 5)]
        elif kind == 2:
            data[at:at] = opcode(source)
        elif kind == 3:
            data[at:at] = data[at : at + source.randrange(1, 12)]
        elif kind == 4:
            data[at] = source.choice(_ALL)
        else:
            other = source.choice(seeds)
            begin = source.randrange(len(other))
            data[at:at] = other[begin : begin + source.randrange(1, 16)]
    return bytes(data)


def seed_pickles() -> list[bytes]:
    """Return ordinary pickles of plain values, in every protocol."""
    shared = ["x", 1]
    values = [
        {"a": [1, 2.5, None, True, "é"], "b": (1, (2, 3)), "c": b"bytes", "d": -(2**70)},
        [shared, shared, {1, 2}, frozenset({3})],
        (complex(1, 2), range(3), bytearray(b"ab")),
        [OSError(2, "no"), slice(1, 2), {"k": {"k": {}}}],
        ["text" * 30, b"data" * 80, 255, 256, 65536, 2**31, 2**63],
    ]
    return [pickle.dumps(value, protocol) for value in values for protocol in range(6)]


def cases(seed: int, count: int) -> Iterator[bytes]:
    """Yield ``count`` cases of the series ``seed``."""
    source = random.Random(seed)
    seeds = seed_pickles()
    for _ in range(count):
        kind = source.random()
        made = sequence(source) if kind < 0.5 else mutation(source, seeds) if kind < 0.8 else near_miss(source)
        if made:
            yield made


class Unpicklers:
    """The child process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-W", "ignore", str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, batch: list[bytes]) -> list[list[dict[str, object]]]:
        """Return what the C and the Python unpickler make of each case."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        answers = []
        # One case at a time keeps both pipes from filling up; a batch of small ones goes through together.
        for begin in range(0, len(batch), 50):
            part = batch[begin : begin + 50]
            self.process.stdin.write(b"".join(struct.pack("<I", len(case)) + case for case in part) + bytes(4))
            self.process.stdin.flush()
            answers += [json.loads(self.process.stdout.readline()) for _ in part]
        return answers

    def close(self) -> None:
        """End the child."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()


def difference(case: bytes, answer: list[dict[str, object]]) -> str | None:
    """Say how our run differs from CPython's, None where it does not."""
    ours = run(BytesReader(case), budget=Budget())
    native, python = answer
    known = {(name.module, name.name) for name in ours.imports}
    for who, other in (("C", native), ("Python", python)):
        names = other["names"]
        assert isinstance(names, list)
        missing = {(module, name) for module, name in names} - known
        if missing:
            return f"{who} looks up {sorted(missing)}, we do not"
    if "MemoryError" in str(native["error"]):
        return None
    return _acceptance(ours, native)


def _acceptance(ours: PickleRun, native: dict[str, object]) -> str | None:
    accepted = not native["error"]
    if ours.assumptions and not accepted:
        return None
    accepts = ours.accepted and ours.encoding_error is None
    if accepts != accepted:
        why = ours.error or ours.c_error
        return f"C {'accepts' if accepted else 'refuses: ' + str(native['error'])}, we say {why or 'accepted'}"
    if accepted and native["stop"] != ours.stop:
        return f"C stops at {native['stop']}, we at {ours.stop}"
    return None


def differences(seed: int, count: int) -> Iterator[tuple[bytes, str]]:
    """Yield the cases of a series on which we differ."""
    unpicklers = Unpicklers()
    try:
        batch: list[bytes] = []
        for case in cases(seed, count):
            batch.append(case)
            if len(batch) == BATCH:
                yield from _compared(batch, unpicklers)
                batch = []
        yield from _compared(batch, unpicklers)
    finally:
        unpicklers.close()


def _compared(batch: list[bytes], unpicklers: Unpicklers) -> Iterator[tuple[bytes, str]]:
    for case, answer in zip(batch, unpicklers.ask(batch), strict=True):
        how = difference(case, answer)
        if how is not None:
            yield case, how


def main() -> int:
    """Run from the command line; exit 1 when there is a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--shown", type=int, default=20)
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.cases} cases", flush=True)
    found = 0
    for case, how in differences(options.seed, options.cases):
        found += 1
        print(f"{case!r}\n    {how}", flush=True)
        if found >= options.shown:
            break
    print(f"{found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
