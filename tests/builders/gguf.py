"""GGUF files, field by field."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One tensor of the header."""

    name: str = "token_embd.weight"
    shape: tuple[int, ...] = (32, 4)
    type: int = 0
    offset: int = 0


def string(text: str | bytes, order: str = "<") -> bytes:
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(f"{order}Q", len(data)) + data


def text_value(key: str, text: str) -> bytes:
    return string(key) + struct.pack("<I", 8) + string(text)


def number_value(key: str, value: int) -> bytes:
    return string(key) + struct.pack("<II", 4, value)


def strings_value(key: str, items: Sequence[str]) -> bytes:
    return string(key) + struct.pack("<IIQ", 9, 8, len(items)) + b"".join(string(item) for item in items)


def gguf(
    values: Sequence[bytes] = (text_value("general.architecture", "llama"),),
    weights: Sequence[Weight] = (Weight(),),
    *,
    data: bytes = bytes(32 * 4 * 4),
    version: int = 3,
    tensor_count: int | None = None,
    key_count: int | None = None,
    alignment: int = 32,
) -> bytes:
    """Return a file; counts and offsets may lie."""
    header = b"GGUF" + struct.pack(
        "<IQQ",
        version,
        len(weights) if tensor_count is None else tensor_count,
        len(values) if key_count is None else key_count,
    )
    header += b"".join(values)
    for weight in weights:
        header += string(weight.name) + struct.pack("<I", len(weight.shape))
        header += struct.pack(f"<{len(weight.shape)}Q", *weight.shape) + struct.pack("<IQ", weight.type, weight.offset)
    return header + bytes(-len(header) % alignment) + data
