"""A few opcodes of a pickle around a place, one line each, as evidence to look at.

Only the layout of opcodes is followed, nothing is run. Where reading from the beginning does not meet the place (data
between pickles, a jump that only a loader makes), the lines begin at the place itself.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from scanners.pickles import opcodes
from scanners.reader import Reader

_LONGEST_LINE = 1 << 16
_SHOWN = 60
_PATIENCE = 2_000_000
"""opcodes passed over on the way to a place"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One opcode and its argument."""

    offset: int
    name: str
    argument: str


def around(reader: Reader, offset: int, *, before: int = 8, after: int = 3) -> tuple[Instruction, ...]:
    """Return the opcode at ``offset`` and some neighbours; nothing where no opcode lies there."""
    earlier: deque[Instruction] = deque(maxlen=before)
    for count, instruction in enumerate(_instructions(reader, 0)):
        if instruction.offset >= offset or count > _PATIENCE:
            break
        earlier.append(instruction)
    found = []
    for instruction in _instructions(reader, offset):
        found.append(instruction)
        if len(found) > after or instruction.name == "STOP":
            break
    meets = not earlier or _end(reader, earlier[-1].offset) == offset
    return (*(earlier if meets else ()), *found)


def _end(reader: Reader, offset: int) -> int | None:
    return next((following.offset for following in list(_take(_instructions(reader, offset), 2))[1:]), None)


def _take(instructions: Iterator[Instruction], count: int) -> Iterator[Instruction]:
    for _, instruction in zip(range(count), instructions, strict=False):
        yield instruction


def _instructions(reader: Reader, offset: int) -> Iterator[Instruction]:
    """Yield opcodes from ``offset`` on, until a byte is none or the data ends."""
    while offset < reader.size:
        code = reader.read_at(offset, 1)[0]
        name = opcodes.NAMES.get(code)
        if name is None:
            return
        start = offset + 1
        if code in opcodes.FIXED:
            width = opcodes.FIXED[code]
            shown = str(int.from_bytes(reader.read_at(start, width), "little"))
            end = start + width
        elif code in opcodes.LINES:
            lines = []
            end = start
            for _ in range(opcodes.LINES[code]):
                line = _line(reader, end)
                lines.append(repr(line[:_SHOWN].decode("utf-8", "backslashreplace")))
                end += len(line) + 1
            shown = " ".join(lines)
        elif code in opcodes.COUNTED:
            width = opcodes.COUNTED[code]
            length = int.from_bytes(reader.read_at(start, width), "little")
            content = reader.read_at(start + width, min(length, _SHOWN))
            more = f" and {length - _SHOWN} more bytes" if length > _SHOWN else ""
            text = content.decode("utf-8", "backslashreplace")
            shown = (repr(text) if "UNICODE" in name or "STRING" in name else repr(content)) + more
            end = start + width + length
        else:
            shown, end = "", start
        yield Instruction(offset=offset, name=name, argument=shown)
        offset = end


def _line(reader: Reader, offset: int) -> bytes:
    return reader.read_at(offset, _LONGEST_LINE).split(b"\n", 1)[0]
