"""Flatbuffers, table by table, and TensorFlow Lite models made of them."""

import struct
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "tuple[str, int] | str | bytes | Table | list[Table] | tuple[int, ...]"


class Table(dict[int, "Value"]):
    """Field index to value: ("I", 3) is a scalar, a tuple of ints a vector of them, the rest what it looks like."""


def build(root: Table, identifier: bytes = b"TFL3") -> bytes:
    """Return a file: children lie behind their parents, so every offset is positive."""
    out = bytearray(struct.pack("<I", 0) + identifier)
    pending: list[tuple[int, Value]] = [(0, root)]
    while pending:
        slot, value = pending.pop()
        out += bytes(-len(out) % 8)
        if isinstance(value, Table):
            place = _table(out, value, pending)
        elif isinstance(value, (str, bytes)):
            content = value.encode() if isinstance(value, str) else value
            place = len(out)
            out += struct.pack("<I", len(content)) + content + b"\0"
        elif isinstance(value, list):
            place = len(out)
            out += struct.pack("<I", len(value)) + bytes(4 * len(value))
            pending += [(place + 4 + 4 * index, item) for index, item in enumerate(value)]
        else:
            place = len(out)
            out += struct.pack(f"<I{len(value)}i", len(value), *[one for one in value if isinstance(one, int)])
        struct.pack_into("<I", out, slot, place - slot)
    return bytes(out)


def _table(out: bytearray, table: Table, pending: list[tuple[int, Value]]) -> int:
    count = max(table, default=-1) + 1
    slots = {index: 8 + 8 * position for position, index in enumerate(sorted(table))}
    vtable = len(out)
    out += struct.pack("<HH", 4 + 2 * count, 8 + 8 * len(table))
    out += b"".join(struct.pack("<H", slots.get(index, 0)) for index in range(count))
    out += bytes(-len(out) % 8)
    place = len(out)
    out += struct.pack("<i", place - vtable) + bytes(4 + 8 * len(table))
    for index, value in table.items():
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
            struct.pack_into(f"<{value[0]}", out, place + slots[index], value[1])
        else:
            pending.append((place + slots[index], value))
    return place


def tflite(
    *,
    codes: Sequence[Mapping[int, Value]] = ({0: ("b", 9)},),
    inputs: tuple[int, ...] = (0, 1, -1),
    shape: tuple[int, ...] = (1, 4),
    code: int = 0,
    buffer: Mapping[int, Value] | None = None,
) -> bytes:
    """A model of one fully connected operator."""
    tensor = Table({0: shape, 1: ("b", 0), 2: ("I", 0), 3: "t"})
    operator = Table({0: ("I", code), 1: inputs, 2: (1,)})
    subgraph = Table({0: [tensor, Table(tensor)], 1: (0,), 2: (1,), 3: [operator]})
    buffers = [Table(buffer or {0: b"\0" * 16})]
    return build(Table({0: ("I", 3), 1: [Table(one) for one in codes], 2: [subgraph], 4: buffers}))
