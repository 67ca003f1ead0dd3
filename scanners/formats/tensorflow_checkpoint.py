"""TensorFlow checkpoints: the index that says which tensor lies where (`.index`), and the `checkpoint` state file.

Source: tensorflow/core/util/tensor_bundle, lib/io/table_format.txt. The index is a sorted table of name to
BundleEntryProto. The data shards (`tensorflow_shard.py`) hold the weights and, as one more tensor, the object graph;
the index says where that lies. Blocks may be Snappy-compressed in principle; TensorFlow writes them plain.
"""

import re

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded, Unsupported
from scanners.facts import Identified, Reference, Tensor
from scanners.formats.protobuf import BYTES, VARINT, Field, Tally, fields
from scanners.reader import BytesReader
from scanners.reading import Blob, Reading

NAME = "tensorflow-checkpoint"
_OBJECT_GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
MAXIMUM_BLOCK = 64 << 20
MAXIMUM_ENTRIES = 2_000_000
_STATE = re.compile(rb'^\s*model_checkpoint_path\s*:\s*"')
_PATH = re.compile(rb'^[^\S\n]*+(?:model_checkpoint_path|all_model_checkpoint_paths)\s*+:\s*+"([^"]*)"', re.MULTILINE)
_TYPES = {
    1: "F32", 2: "F64", 3: "I32", 4: "U8", 5: "I16", 6: "I8", 7: "string", 9: "I64", 10: "BOOL", 14: "BF16",
    17: "U16", 19: "F16", 22: "U32", 23: "U64",
}  # fmt: skip


def matches(blob: Blob) -> bool:
    """Return whether the blob ends as a table does, or is a checkpoint state."""
    size = blob.reader.size
    if size >= _FOOTER and blob.reader.read_at(size - 8, 8) == _MAGIC:
        return True
    return bool(_STATE.match(blob.reader.read_at(0, 64)))


def read(blob: Blob, reading: Reading) -> None:
    """State the tensors of an index."""
    size = blob.reader.size
    reading.state(Identified(location=reading.at(0), format=NAME))
    if _STATE.match(blob.reader.read_at(0, 64)):
        if size > 1 << 20:
            raise LimitExceeded("text", f"a checkpoint state of {size} bytes")
        for path in _PATH.findall(blob.reader.read_at(0, size)):
            text = path.decode("utf-8", "replace")
            if ".." in re.split(r"[/\\]", text):
                reading.anomaly("tensorflow-checkpoint-outside", f"the checkpoint {text[:200]!r} lies elsewhere")
        reading.parsed(0, size)
        return
    footer = Cursor(blob.reader, size - _FOOTER)
    _handle(footer)
    index_offset, index_length = _handle(footer)
    count = 0
    shards = 1
    for _, place in _entries(_block(blob, index_offset, index_length)):
        handle = Cursor(BytesReader(place))
        offset, length = _handle(handle)
        for key, value in _entries(_block(blob, offset, length)):
            count += 1
            if count > MAXIMUM_ENTRIES:
                raise LimitExceeded("members", f"more than {MAXIMUM_ENTRIES} entries")
            if key:
                _tensor(reading, key, value, offset, shards)
            else:
                # BundleHeaderProto, under the empty key, which sorts first.
                shards = next((one.value for one in _numbers(value) if one.number == 1), 1)
    reading.parsed(0, size)


def _varint(cursor: Cursor) -> int:
    value = shift = 0
    while True:
        byte = cursor.u8()
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
        if shift > 63:
            raise FormatError("a number is longer than 64 bits", offset=cursor.offset)


def _handle(cursor: Cursor) -> tuple[int, int]:
    return _varint(cursor), _varint(cursor)


def _block(blob: Blob, offset: int, length: int) -> bytes:
    if length > MAXIMUM_BLOCK or offset + length + 5 > blob.reader.size:
        raise FormatError(f"a block of {length} bytes at {offset} lies outside the file", offset=offset)
    data = blob.reader.read_at(offset, length + 1)
    if data[-1] != 0:
        raise Unsupported(f"a block is compressed with method {data[-1]}")
    return data[:-1]


def _entries(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the (key, value) pairs of a block; keys share prefixes with the one before."""
    if len(block) < 4:
        raise FormatError("a block is too short")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise FormatError("a block has more restart points than bytes")
    cursor = Cursor(BytesReader(block), 0, end)
    found: list[tuple[bytes, bytes]] = []
    key = b""
    while cursor.offset < end:
        shared, rest, length = _varint(cursor), _varint(cursor), _varint(cursor)
        if shared > len(key) or shared + rest > 1 << 16:
            raise FormatError("a key continues more than there is", offset=cursor.offset)
        key = key[:shared] + cursor.take(rest)
        found.append((key, cursor.take(length)))
        if len(found) > MAXIMUM_ENTRIES:
            raise LimitExceeded("members", f"more than {MAXIMUM_ENTRIES} entries")
    return found


def _numbers(value: bytes) -> list[Field]:
    return [one for one in fields(BytesReader(value), 0, len(value), Tally()) if one.kind == VARINT]


def _tensor(reading: Reading, key: bytes, value: bytes, offset: int, shards: int) -> None:
    entry = BytesReader(value)
    tally = Tally()
    numbers: dict[int, int] = {}
    shape: list[int] = []
    for field in fields(entry, 0, entry.size, tally):
        if field.kind == VARINT:
            numbers[field.number] = field.value
        elif field.number == 2 and field.kind == BYTES:
            for dimension in fields(entry, field.offset, field.offset + field.length, tally):
                if dimension.number == 2 and dimension.kind == BYTES:
                    end = dimension.offset + dimension.length
                    sizes = [one.value for one in fields(entry, dimension.offset, end, tally) if one.number == 1]
                    shape.append(sizes[-1] if sizes else 0)
    reading.state(
        Tensor(
            location=reading.at(offset),
            name=key[:1024].decode("utf-8", "replace"),
            dtype=_TYPES.get(numbers.get(1, 0), f"type-{numbers.get(1, 0)}"),
            shape=tuple(shape),
            stride=None,
            storage=f"shard-{numbers.get(3, 0)}",
            storage_offset=numbers.get(4, 0),
            storage_bytes=numbers.get(5, 0),
        )
    )
    if key == _OBJECT_GRAPH:
        reading.state(
            Reference(
                location=reading.at(offset),
                kind="object-graph",
                target=f"{numbers.get(4, 0)}+{numbers.get(5, 0)}",
                context=f"{numbers.get(3, 0)} of {shards}",
            )
        )
