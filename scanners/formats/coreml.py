"""Core ML: custom layers and models, and models linked from elsewhere; the weights file of an `.mlpackage`.

Source: coremltools `mlmodel/format/{Model,NeuralNetwork,CustomModel,LinkedModel,MIL}.proto`,
MILBlob `StorageFormat.hpp`.
"""

import struct
from collections.abc import Iterator

from scanners.facts import Identified, Operator, Reference
from scanners.formats.protobuf import BYTES, VARINT, Field, Tally, fields, looks_like, text_of
from scanners.reading import Blob, Reading

NAME = "coreml"

_KINDS = (
    *range(200, 204), 300, 301, 302, 303, 304, *range(400, 405), *range(500, 503), *range(555, 557), *range(600, 616),
    *range(900, 903), *range(2000, 2007), 3000,
)  # fmt: skip
_MODEL = {1: VARINT, 2: BYTES, 10: VARINT, **dict.fromkeys(_KINDS, BYTES)}
_NETWORKS = {303, 403, 500}
_PIPELINES = {200, 201, 202}
_CUSTOM_LAYER = 500
_PROGRAM = 502
_MIL = {
    "program": {2: "function entry", 3: "value entry"},
    "function entry": {2: "function"},
    "function": {3: "block entry", 4: "value entry"},
    "block entry": {2: "block"},
    "block": {3: "operation", 4: "value entry"},
    "operation": {2: "argument entry", 4: "block", 5: "value entry"},
    "argument entry": {2: "argument"},
    "argument": {1: "binding"},
    "binding": {2: "value"},
    "value entry": {2: "value"},
    "value": {5: "file"},
}
"""MIL.proto: the messages on the way to a value that lies in a file, by field number; values in values are immediate"""
MAXIMUM_FILES = 1000
_BLOB_SENTINEL = struct.pack("<I", 0xDEADBEEF)
MAXIMUM_DEPTH = 32


def matches(blob: Blob) -> bool:
    """Return whether the blob is a Model message of a known kind, or a file of weights."""
    if _is_weights(blob):
        return True
    if blob.reader.read_at(0, 1) != b"\x08" or looks_like(blob.reader, _MODEL, 1) is None:
        return False
    return any(looks_like(blob.reader, _MODEL, kind, sample=16) for kind in _KINDS)


def _is_weights(blob: Blob) -> bool:
    head = blob.reader.read_at(0, 68)
    if len(head) < 68:
        return False
    count, version = struct.unpack("<II", head[:8])
    return bool(version == 2 and count < 1 << 24 and head[64:68] == _BLOB_SENTINEL)


def read(blob: Blob, reading: Reading) -> None:
    """State what a model needs beyond itself."""
    size = blob.reader.size
    if _is_weights(blob):
        reading.state(Identified(location=reading.at(0), format=NAME, detail="weights"))
        reading.parsed(0, 64)
        reading.inert(64, size - 64)
        return
    reading.state(Identified(location=reading.at(0), format=NAME))
    tally = Tally()
    pending = [(0, size, 0)]
    while pending:
        start, end, depth = pending.pop()
        for field in fields(blob.reader, start, end, tally):
            if field.kind != BYTES:
                continue
            if field.number in _NETWORKS:
                _network(blob, reading, field, tally)
            elif field.number in _PIPELINES and depth < MAXIMUM_DEPTH:
                pending += [(one.offset, one.offset + one.length, depth + 1) for one in _models(blob, field, tally)]
            elif field.number == _PROGRAM:
                _program(blob, reading, field, tally)
            elif field.number == 555:
                _named(blob, reading, field, tally, "custom-model")
            elif field.number == 556:
                _linked(blob, reading, field, tally)
    reading.parsed(0, size)


def _within(blob: Blob, field: Field, tally: Tally) -> Iterator[Field]:
    return fields(blob.reader, field.offset, field.offset + field.length, tally)


def _last(blob: Blob, field: Field, tally: Tally, number: int, limit: int) -> str:
    """Return a text field; of two in one message, parsers of protobuf keep the last."""
    text = ""
    for one in _within(blob, field, tally):
        if one.number == number and one.kind == BYTES:
            text = text_of(blob.reader, one, limit)
    return text


def _program(blob: Blob, reading: Reading, program: Field, tally: Tally) -> None:
    """State the files that a program (MIL.proto) takes its constants from.

    Everything else is stepped over. Pending are messages with what they are; entries of maps have their value in 2.
    """
    told: set[str] = set()
    pending: list[tuple[str, Field]] = [("program", program)]
    while pending:
        kind, message = pending.pop()
        if kind == "file":
            target = _last(blob, message, tally, 1, 4096)
            if target not in told and len(told) < MAXIMUM_FILES:
                told.add(target)
                place = reading.at(message.offset)
                reading.state(Reference(location=place, kind="linked-weights", target=target, context="constants"))
            continue
        inside = _MIL[kind]
        pending += [
            (inside[one.number], one)
            for one in _within(blob, message, tally)
            if one.kind == BYTES and one.number in inside
        ]


def _models(blob: Blob, field: Field, tally: Tally) -> list[Field]:
    """Return the models of a pipeline; classifier and regressor pipelines hold a pipeline in their first field."""
    found = []
    for inner in _within(blob, field, tally):
        if inner.number == 1 and inner.kind == BYTES:
            found.append(inner)
            found += [one for one in _quiet(blob, inner, tally) if one.number == 1 and one.kind == BYTES]
    return found


def _quiet(blob: Blob, field: Field, tally: Tally) -> list[Field]:
    nested = looks_like(blob.reader, {1: BYTES, 2: BYTES}, 1, start=field.offset, end=field.offset + field.length)
    return list(_within(blob, field, tally)) if nested else []


def _network(blob: Blob, reading: Reading, field: Field, tally: Tally) -> None:
    for layer in _within(blob, field, tally):
        if layer.number == 1 and layer.kind == BYTES:
            for inner in _within(blob, layer, tally):
                if inner.number == _CUSTOM_LAYER and inner.kind == BYTES:
                    _named(blob, reading, inner, tally, "custom-layer", number=10)


def _named(blob: Blob, reading: Reading, field: Field, tally: Tally, kind: str, *, number: int = 10) -> None:
    name = _last(blob, field, tally, number, 400)
    reading.state(
        Operator(location=reading.at(field.offset), framework="coreml", name=kind, arguments=(("class", name[:300]),))
    )


def _linked(blob: Blob, reading: Reading, field: Field, tally: Tally) -> None:
    for file in _within(blob, field, tally):
        if file.number == 1 and file.kind == BYTES:
            for part in _within(blob, file, tally):
                if part.kind == BYTES:
                    target = _last(blob, part, tally, 1, 1024)
                    location = reading.at(field.offset)
                    reading.state(
                        Reference(
                            location=location, kind="linked-model", target=target, context=f"linked {part.number}"
                        )
                    )
