"""safetensors files: ordinary ones, and headers that lie."""

import json
from collections.abc import Mapping


def safetensors(
    tensors: Mapping[str, tuple[str, list[int], bytes]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Write an ordinary file: name to (dtype, shape, data), in the order given."""
    header: dict[str, object] = {}
    if metadata is not None:
        header["__metadata__"] = dict(metadata)
    position = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + len(data)]}
        position += len(data)
    return from_header(json.dumps(header).encode(), b"".join(data for _, _, data in tensors.values()))


def from_header(header: bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    """Write a file from a header's bytes, with a length that may be a lie."""
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def entry(begin: int, end: int, *, dtype: str = "U8", shape: list[int] | None = None) -> dict[str, object]:
    """Return the header entry of one tensor."""
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}
