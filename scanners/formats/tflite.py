"""TensorFlow Lite: operators, custom and flex ones named, and every index and range checked against the file.

Source: tensorflow/lite/schema/schema.fbs, flatbuffers.dev "Internals". Interpreters trust offsets after one optional
verification; a table, an index or a buffer that points outside is stated (CVE-2026-42627 and its relatives).
"""

import struct

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Operator, Reference, Tensor
from scanners.reader import Reader
from scanners.reading import Blob, Reading

NAME = "tflite"
IDENTIFIER = b"TFL3"

_CUSTOM = 32
MAXIMUM_ITEMS = 1_000_000
_TYPES = {
    0: "F32", 1: "F16", 2: "I32", 3: "U8", 4: "I64", 5: "string", 6: "BOOL", 7: "I16", 8: "C64", 9: "I8", 10: "F64",
    11: "C128", 12: "U64", 13: "resource", 14: "variant", 15: "U32", 16: "U16", 17: "I4", 18: "BF16", 19: "I2",
    20: "U4",
}  # fmt: skip


def matches(blob: Blob) -> bool:
    """Return whether the blob has the file identifier."""
    return blob.reader.read_at(4, 4) == IDENTIFIER


def read(blob: Blob, reading: Reading) -> None:
    """State custom operators, tensors, and indices that do not fit."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    _Model(Tables(blob.reader), reading).read()
    reading.parsed(0, blob.reader.size)


class Tables:
    """Flatbuffer access with every offset checked."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.size = reader.size

    def number(self, layout: str, place: int) -> int:
        """Return a number at a place."""
        width = struct.calcsize(layout)
        data = self._reader.read_at(place, width) if 0 <= place <= self.size - width else b""
        if len(data) < width:
            raise FormatError("an offset leads outside the file", offset=min(max(place, 0), self.size))
        value: int = struct.unpack(f"<{layout}", data)[0]
        return value

    def field(self, table: int, index: int) -> int:
        """Return where a field of a table lies, 0 where it has none."""
        vtable = table - self.number("i", table)
        length = self.number("H", vtable)
        place = 4 + 2 * index
        if place + 2 > length:
            return 0
        offset = self.number("H", vtable + place)
        return table + offset if offset else 0

    def scalar(self, table: int, index: int, layout: str, default: int = 0) -> int:
        """Return a scalar field, or its default."""
        place = self.field(table, index)
        return self.number(layout, place) if place else default

    def vector(self, table: int, index: int, width: int = 4) -> tuple[int, int]:
        """Return (first element, count) of a vector field."""
        place = self.field(table, index)
        if not place:
            return 0, 0
        place += self.number("I", place)
        count = self.number("I", place)
        if count * width > self.size - place - 4:
            raise FormatError(f"a vector of {count} elements reaches outside the file", offset=place)
        return place + 4, count

    def tables(self, table: int, index: int) -> list[int]:
        """Return where the tables of a vector field lie."""
        first, count = self.vector(table, index)
        if count > MAXIMUM_ITEMS:
            raise LimitExceeded("members", f"a vector of {count} tables")
        return [place + self.number("I", place) for place in range(first, first + 4 * count, 4)]

    def table(self, table: int, index: int) -> int:
        """Return where the table of a field lies, 0 where there is none."""
        place = self.field(table, index)
        return place + self.number("I", place) if place else 0

    def longs(self, table: int, index: int) -> tuple[int, ...]:
        """Return a vector of 64-bit numbers."""
        first, count = self.vector(table, index, 8)
        if count > MAXIMUM_ITEMS:
            raise LimitExceeded("members", f"a vector of {count} numbers")
        return struct.unpack(f"<{count}q", self._reader.read_at(first, 8 * count)) if count else ()

    def integers(self, table: int, index: int) -> tuple[int, ...]:
        """Return a vector of 32-bit numbers."""
        first, count = self.vector(table, index)
        if count > MAXIMUM_ITEMS:
            raise LimitExceeded("members", f"a vector of {count} numbers")
        return struct.unpack(f"<{count}i", self._reader.read_at(first, 4 * count)) if count else ()

    def text(self, table: int, index: int) -> str:
        """Return a text field."""
        first, count = self.vector(table, index, 1)
        return self._reader.read_at(first, min(count, 4096)).decode("utf-8", "replace") if count else ""


class _Model:
    """One pass over one file."""

    def __init__(self, tables: Tables, reading: Reading) -> None:
        self._tables = tables
        self._reading = reading

    def read(self) -> None:
        tables = self._tables
        root = tables.number("I", 0)
        codes = tables.tables(root, 1)
        for code in codes:
            self._code(code)
        buffers = tables.tables(root, 4)
        for buffer in buffers:
            self._buffer(buffer)
        groups = tables.tables(root, 8)
        for group in groups:
            self._group(group)
        for buffer in tables.tables(root, 9):
            if (used := tables.scalar(buffer, 1, "I")) >= len(groups):
                message = f"an external buffer uses group {used} of {len(groups)}"
                self._reading.anomaly("tflite-index", message, buffer)
        for subgraph in tables.tables(root, 2):
            self._subgraph(subgraph, len(codes), len(buffers))

    def _code(self, code: int) -> None:
        tables = self._tables
        builtin = max(tables.scalar(code, 0, "b"), tables.scalar(code, 3, "i"))
        custom = tables.text(code, 1)
        if builtin == _CUSTOM or custom:
            self._reading.state(
                Operator(location=self._reading.at(code), framework="tflite", name=custom[:200] or "(no name)")
            )

    def _group(self, group: int) -> None:
        """State the file that external buffers lie in; the application gives those of a group without a name."""
        name = self._tables.text(group, 0)
        if name:
            place = self._reading.at(group)
            self._reading.state(Reference(location=place, kind="external-buffers", target=name, context="buffers"))

    def _buffer(self, buffer: int) -> None:
        tables = self._tables
        tables.vector(buffer, 0, 1)
        offset, length = tables.scalar(buffer, 1, "Q"), tables.scalar(buffer, 2, "Q")
        if offset > 1 and offset + length > tables.size:
            message = f"a buffer of {length} bytes at {offset} reaches outside the file of {tables.size}"
            self._reading.anomaly("tflite-buffer-outside", message, buffer)

    def _subgraph(self, subgraph: int, codes: int, buffers: int) -> None:
        tables, reading = self._tables, self._reading
        tensors = tables.tables(subgraph, 0)
        for tensor in tensors:
            shape = tables.integers(tensor, 0)
            elements = 1
            for dimension in shape:
                elements *= max(dimension, 1)
            if elements >= 1 << 31 or any(dimension < -1 for dimension in shape):
                reading.anomaly("tflite-shape", f"a tensor of shape {shape[:8]} overflows 32-bit sizes", tensor)
            buffer = tables.scalar(tensor, 2, "I")
            if buffer >= max(buffers, 1):
                reading.anomaly("tflite-index", f"a tensor uses buffer {buffer} of {buffers}", tensor)
            kind = tables.scalar(tensor, 1, "b")
            reading.state(
                Tensor(
                    location=reading.at(tensor),
                    name=tables.text(tensor, 3)[:1024],
                    dtype=_TYPES.get(kind, f"type-{kind}"),
                    shape=tuple(shape[:64]),
                    stride=None,
                    storage=f"buffer-{buffer}",
                    storage_offset=0,
                    storage_bytes=None,
                )
            )
        for operator in tables.tables(subgraph, 3):
            self._operator(operator, codes, len(tensors))
        for index in (1, 2):
            self._indices(tables.integers(subgraph, index), len(tensors), subgraph)

    def _operator(self, operator: int, codes: int, tensors: int) -> None:
        tables = self._tables
        code = tables.scalar(operator, 0, "I")
        if code >= codes:
            self._reading.anomaly("tflite-index", f"an operator uses code {code} of {codes}", operator)
        self._indices(tables.integers(operator, 1), tensors, operator)
        self._indices(tables.integers(operator, 2), tensors, operator)

    def _indices(self, indices: tuple[int, ...], tensors: int, place: int) -> None:
        wrong = [index for index in indices if not -1 <= index < tensors]
        if wrong:
            self._reading.anomaly("tflite-index", f"tensor {wrong[0]} is used, there are {tensors}", place)
