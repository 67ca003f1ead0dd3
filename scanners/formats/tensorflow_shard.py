"""Data shards of TensorFlow checkpoints (`.data-00000-of-00001`): weights, and the object graph that names them.

Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc (`WriteStringTensor`: length, masked CRC-32C of the length,
bytes) and core/protobuf/trackable_object_graph.proto. A shard has no header; its index says where what lies, and a scan
of one file does not see the other. TensorFlow writes the object graph last, and its checksum tells it from weights, so
it is found from the end of the shard (or near its beginning, or anywhere in a small one). Where the index places it
elsewhere, a rule over neighbours says that it was not read.

Restoring looks objects up by these names and imports nothing. A registered saver is a function the program must have
registered under that name before.
"""

import re
from collections.abc import Iterator
from functools import cache

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Operator, Reference
from scanners.formats.protobuf import BYTES, VARINT, Field, Tally, fields, text_of
from scanners.reader import Window
from scanners.reading import Blob, Reading

NAME = "tensorflow-shard"

_NAMED = re.compile(r".\.data-\d{5}-of-\d{5}$")
_TAIL = 8 << 20
"""bytes at the end in which the object graph is looked for; those of large models have some megabytes"""
_HEAD = 1 << 20
_LOOKS = 200_000
"""places that are looked at; weights have 32 768 in the tail on average"""
MAXIMUM_OBJECTS = 1_000_000
_TEXT = 1024
_PARTS = 64
"""children, values and slots of one object that are stated"""
_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8


def matches(blob: Blob) -> bool:
    """Return whether the blob is named as TensorFlow names shards."""
    return _NAMED.search(blob.name) is not None


def read(blob: Blob, reading: Reading) -> None:
    """State the object graph; everything else is weights."""
    found = _found(blob)
    size = blob.reader.size
    if found is None:
        reading.state(Identified(location=reading.at(0), format=NAME))
        reading.inert(0, size)
        return
    begin, start, end = found
    graph = _Graph(Window(blob.reader, start, end - start), reading, start)
    try:
        graph.read()
    finally:
        detail = f"object graph of {graph.objects} objects"
        reading.state(Identified(location=reading.at(begin, end - begin), format=NAME, detail=detail))
    place = f"{begin}+{end - begin}"
    reading.state(
        Reference(location=reading.at(begin, end - begin), kind="object-graph", target=place, context="found")
    )
    reading.inert(0, begin)
    reading.parsed(begin, end - begin)
    reading.inert(end, size - end)


def _found(blob: Blob) -> tuple[int, int, int] | None:
    """Return (start of the tensor, start of the message, end) of a string tensor that holds a message."""
    size = blob.reader.size
    low = max(0, size - _TAIL)
    data = blob.reader.read_at(low, size - low)
    found = _searched(data, low, size, last=low > 0)
    if found is None and low:
        # TensorFlow 1 wrote the tensors in the order of their names, where the object graph's comes early.
        found = _searched(blob.reader.read_at(0, min(_HEAD, low)), 0, size, last=False)
    return found


def _searched(data: bytes, low: int, size: int, *, last: bool) -> tuple[int, int, int] | None:
    """Look for the tensor in ``data``, which lies at ``low``; if it is the ``last``, it ends with the shard."""
    place = len(data)
    looks = 0
    while (place := data.rfind(b"\n", 0, place)) >= 0 and looks < _LOOKS:
        looks += 1
        left = size - low - place
        for width in range(1, 6):
            begin = place - 4 - width
            if begin < 0:
                break
            length = _length(data[begin : begin + width])
            if length is None or length > left or (last and length != left):
                continue
            if data[place - 4 : place] == _checksum(length):
                return low + begin, low + place, low + place + length
    return None


def _length(encoded: bytes) -> int | None:
    """Return the number of a varint that has exactly these bytes."""
    if encoded[-1] >= 0x80 or any(byte < 0x80 for byte in encoded[:-1]):
        return None
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded))


@cache
def _table() -> tuple[int, ...]:
    """Return the remainders of all bytes."""
    made = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ _POLYNOMIAL if value & 1 else value >> 1  # noqa: PLW2901 - the remainder so far
        made.append(value)
    return tuple(made)


def _checksum(length: int) -> bytes:
    """Return the masked CRC-32C of a length, as stored."""
    table = _table()
    value = 0xFFFFFFFF
    for byte in length.to_bytes(4 if length < 1 << 32 else 8, "little"):
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    masked = (((value >> 15) | (value << 17)) + _MASK) & 0xFFFFFFFF
    return masked.to_bytes(4, "little")


class _Graph:
    """One pass over a TrackableObjectGraph."""

    def __init__(self, window: Window, reading: Reading, offset: int) -> None:
        self._reader = window
        self._reading = reading
        self._offset = offset
        self._tally = Tally()
        self._highest = -1
        self.objects = 0

    def read(self) -> None:
        for field in self._fields(0, self._reader.size):
            if field.number != 1 or field.kind != BYTES:
                raise FormatError("the object graph has something else than objects", offset=self._offset)
            self.objects += 1
            if self.objects > MAXIMUM_OBJECTS:
                raise LimitExceeded("members", f"more than {MAXIMUM_OBJECTS} objects in a checkpoint")
            self._object(field)
        if self._highest >= self.objects:
            raise FormatError(f"object {self._highest} of {self.objects} is referred to", offset=self._offset)

    def _fields(self, start: int, end: int) -> Iterator[Field]:
        return fields(self._reader, start, end, self._tally)

    def _within(self, field: Field) -> Iterator[Field]:
        return self._fields(field.offset, field.offset + field.length)

    def _object(self, field: Field) -> None:
        """State one object: its children by name, what it keeps in the checkpoint, the slots an optimiser adds."""
        found: list[tuple[str, str]] = []
        for inner in self._within(field):
            if inner.kind != BYTES:
                continue
            texts = self._texts(inner)
            match inner.number:
                case 1:
                    self._refers(inner, {1})
                    found.append(("child", texts.get(2, "")))
                case 2:
                    found += [("value", texts.get(3, "")), ("name", texts.get(2) or texts.get(1, ""))]
                case 3:
                    self._refers(inner, {1, 3})
                    found.append(("slot", texts.get(2, "")))
                case 4:
                    self._saver(inner)
                case _:
                    pass
        if found:
            place = self._reading.at(self._offset + field.offset)
            kept = tuple(found[:_PARTS])
            self._reading.state(
                Operator(location=place, framework="tensorflow-checkpoint", name="object", arguments=kept)
            )

    def _refers(self, field: Field, numbers: set[int]) -> None:
        """Note which objects a child or a slot variable (of an optimiser) names."""
        for inner in self._within(field):
            if inner.number in numbers and inner.kind == VARINT:
                self._highest = max(self._highest, inner.value)

    def _saver(self, field: Field) -> None:
        texts = self._texts(field)
        self._reading.state(
            Reference(
                location=self._reading.at(self._offset + field.offset),
                kind="registered-saver",
                target=texts.get(1, ""),
                context=texts.get(2, ""),
            )
        )

    def _texts(self, field: Field) -> dict[int, str]:
        return {
            inner.number: text_of(self._reader, inner, _TEXT) for inner in self._within(field) if inner.kind == BYTES
        }
