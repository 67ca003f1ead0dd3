"""The file format of torch before 1.6 (`_use_new_zipfile_serialization=False`): five pickles, then the storages.

Magic number, protocol version, facts about the writing system, the object, the list of storage keys; then, per key in
the order of that list, the number of elements as int64 and the elements. Nothing says where a storage begins: the
element size comes from the class under which the object pickle first names it.

All five are run by torch with the caller's unpickler, so all five are read here.

Source: torch/serialization.py of 2.13 (`_legacy_load`, `_legacy_save`).
"""

from typing import Final

from scanners.facts import Identified
from scanners.limits import Budget, Limits
from scanners.pickles.machine import PickleRun, run
from scanners.pickles.streams import read_stream, report_failure, trailing
from scanners.pickles.tensors import ITEMSIZE, Storage, storage_of
from scanners.pickles.values import Mapping, Value
from scanners.reader import Window
from scanners.reading import Blob, Reading

NAME = "torch-legacy"

MAGIC: Final = 0x1950A86A20F9469CFC6C
PROTOCOL: Final = 1001
_MAGICS: Final = MAGIC.to_bytes(10, "little"), b"%d" % MAGIC, b"%x" % MAGIC, b"%X" % MAGIC
"""how the number can stand in a pickle"""
_HEAD: Final = 256
_PICKLES: Final = ("the magic number", "the protocol version", "the system facts", "the object", "the storage keys")


def is_legacy(blob: Blob) -> bool:
    """Return whether the blob begins with the pickle of torch's magic number, in any protocol."""
    head = blob.reader.read_at(0, _HEAD)
    if not any(number in head for number in _MAGICS):
        return False
    window = Window(blob.reader, 0, _HEAD)
    first = run(window, budget=Budget(limits=Limits(opcodes=_HEAD)))
    return first.stop is not None and first.root == MAGIC


def matches(blob: Blob) -> bool:
    """Return whether torch takes the blob for a file of its old format."""
    return is_legacy(blob)


def read(blob: Blob, reading: Reading) -> None:
    """Read the five pickles and account for the storages behind them."""
    reader = blob.reader
    reading.state(Identified(location=reading.at(), format=NAME))
    extensions: dict[int, tuple[str, str]] = {}
    offset = 0
    streams: list[PickleRun] = []
    for _ in _PICKLES:
        stream = read_stream(reader, offset, reading, extensions, storages={})
        if stream.stop is None:
            report_failure(stream, reading)
            return
        reading.parsed(offset, stream.stop - offset)
        streams.append(stream)
        offset = stream.stop
    if streams[1].root != PROTOCOL:
        reading.anomaly("torch-record-malformed", "the second pickle is not the protocol version 1001", 0)
    little = _little_endian(streams[2].root)
    keys = _keys(streams[4].root)
    if keys is None:
        reading.anomaly("torch-record-malformed", "the fifth pickle is not a list of storage keys", offset)
        reading.unread("the storages of a legacy torch file without a list of keys")
        return
    storages = storages_named(streams[3])
    for key in keys:
        storage = storages.get(key)
        width = ITEMSIZE.get(storage.dtype) if storage is not None else None
        head = reader.read_at(offset, 8)
        if width is None or len(head) < 8:
            reading.anomaly("torch-record-malformed", f"storage {key!r} is missing or of an unknown class", offset)
            reading.unread(f"the storage {key!r} of a legacy torch file")
            return
        numel = int.from_bytes(head, "little" if little else "big", signed=True)
        length = numel * width
        if numel < 0 or offset + 8 + length > reader.size:
            reading.anomaly("torch-record-malformed", f"storage {key!r} reaches beyond the end of the file", offset)
            reading.unread(f"the storage {key!r} of a legacy torch file")
            return
        reading.parsed(offset, 8)
        reading.inert(offset + 8, length)
        offset += 8 + length
    trailing(reader, offset, reading)


def storages_named(stream: PickleRun) -> dict[str, Storage]:
    """Return the storages that an object pickle names, under the class each is first named with."""
    storages: dict[str, Storage] = {}
    for persistent in stream.persistent:
        storage = storage_of(persistent)
        if storage is not None:
            storages.setdefault(storage.key, storage)
    return storages


def _little_endian(facts: Value) -> bool:
    if isinstance(facts, Mapping):
        for key, value in facts.entries:
            if key == "little_endian":
                return value is not False
    return True


def _keys(value: Value) -> list[str] | None:
    if not isinstance(value, list):
        return None
    keys = [key for key in value if isinstance(key, str)]
    return keys if len(keys) == len(value) else None
