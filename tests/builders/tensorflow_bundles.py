"""TensorFlow checkpoints byte by byte: the sorted table of the index, and the shard with its object graph."""

from collections.abc import Mapping, Sequence

from tests.builders.protobufs import data, number, varint

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
STRING, FLOAT = 7, 1


def _block(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a block of a table: entries without shared prefixes, one restart point, no compression."""
    body = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries)
    return body + bytes(4) + (1).to_bytes(4, "little") + b"\0" + bytes(4)


def entry(kind: int, shape: Sequence[int], offset: int, size: int, shard: int = 0) -> bytes:
    """Return a BundleEntryProto."""
    dimensions = b"".join(data(2, number(1, one)) for one in shape)
    return number(1, kind) + data(2, dimensions) + number(3, shard) + number(4, offset) + number(5, size)


def index(tensors: Mapping[str, bytes], shards: int = 1) -> bytes:
    """Return the index of a checkpoint: name to entry."""
    pairs = [(b"", number(1, shards)), *sorted((name.encode(), value) for name, value in tensors.items())]
    first = _block(pairs)
    handle = varint(0) + varint(len(first) - 5)
    second = _block([(b"\xff", handle)])
    footer = varint(0) + varint(0) + varint(len(first)) + varint(len(second) - 5)
    return first + second + footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


def thing(
    children: Mapping[str, int] | None = None,
    values: Mapping[str, str] | None = None,
    slots: Sequence[tuple[int, str, int]] = (),
    saver: tuple[str, str] | None = None,
) -> bytes:
    """Return one object of an object graph.

    Args:
        children: name to place of the object.
        values: key in the checkpoint to full name of the variable.
        slots: (variable, name of the slot, slot variable) of an optimiser.
        saver: (name, object name) of a registered saver.
    """
    parts = [data(1, number(1, place) + data(2, name)) for name, place in (children or {}).items()]
    parts += [data(2, data(1, "VARIABLE_VALUE") + data(2, full) + data(3, key)) for key, full in (values or {}).items()]
    parts += [data(3, number(1, one) + data(2, name) + number(3, other)) for one, name, other in slots]
    if saver:
        parts.append(data(4, data(1, saver[0]) + data(2, saver[1])))
    return data(1, b"".join(parts))


def string_tensor(content: bytes) -> bytes:
    """Return a string tensor of one element as a shard stores it."""
    checksum = 0xFFFFFFFF
    for byte in len(content).to_bytes(4, "little"):
        checksum ^= byte
        for _ in range(8):
            checksum = (checksum >> 1) ^ (0x82F63B78 if checksum & 1 else 0)
    checksum ^= 0xFFFFFFFF
    masked = (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return varint(len(content)) + masked.to_bytes(4, "little") + content


def checkpoint(*things: bytes, weights: bytes = bytes(40), prefix: str = "variables") -> dict[str, bytes]:
    """Return the files of a checkpoint with one variable and an object graph."""
    graph = string_tensor(b"".join(things))
    tensors = {
        "w/.ATTRIBUTES/VARIABLE_VALUE": entry(FLOAT, [len(weights) // 4], 0, len(weights)),
        OBJECT_GRAPH: entry(STRING, [], len(weights), len(graph)),
    }
    return {f"{prefix}.index": index(tensors), f"{prefix}.data-00000-of-00001": weights + graph}
