"""The safetensors file that is written: its header, and where each tensor goes (safetensors/src/tensor.rs).

The same tensors give the same bytes on any machine: widest type first, then by name, metadata sorted. The header is
padded with spaces (the only padding its readers allow) so that the data starts aligned; widest first keeps every tensor
aligned to its own type.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelsign.conversion.plan import PlannedTensor
from modelsign.errors import ConversionError, UsageError

HEADER_LIMIT = 100_000_000
"""what readers accept (tensor.rs, MAX_HEADER_SIZE)"""
DEFAULT_ALIGNMENT = 64
_LARGEST_ALIGNMENT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A file before its data is written."""

    header: bytes
    """length field, JSON and padding"""
    order: tuple[PlannedTensor, ...]
    """in order of their data"""
    offsets: tuple[int, ...]
    """of each tensor's first byte in the file"""
    size: int
    """of the whole file"""


def check_alignment(align: int) -> None:
    """Raise `UsageError` unless ``align`` is a usable power of two."""
    if not (8 <= align <= _LARGEST_ALIGNMENT) or align & (align - 1):
        raise UsageError(f"--align {align}: give a power of two from 8 to {_LARGEST_ALIGNMENT}")


def lay_out(tensors: Iterable[PlannedTensor], *, metadata: Mapping[str, str], align: int) -> Layout:
    """Return the header and the places of ``tensors``.

    Raises:
        ConversionError: the header would be larger than readers accept.
    """
    order = tuple(sorted(tensors, key=lambda tensor: (-tensor.dtype.bits, tensor.name)))
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    text = bytearray(encode({"__metadata__": dict(sorted(metadata.items()))})[:-1].encode("utf-8"))
    begins = []
    position = 0
    for tensor in order:
        begins.append(position)
        end = position + tensor.size
        entry = {"dtype": tensor.dtype.name, "shape": tensor.shape, "data_offsets": (position, end)}
        # One after the other: as one dictionary, those of a large model would take ten times the text.
        text += f",{encode(tensor.name)}:{encode(entry)}".encode()
        position = end
    text += b"}"
    text += b" " * (-(len(text) + 8) % align)
    if len(text) > HEADER_LIMIT:
        raise ConversionError(
            f"the header would take {len(text)} bytes, and readers accept {HEADER_LIMIT}: there are too many tensors "
            "or their names are too long; convert a part with --select"
        )
    header = len(text).to_bytes(8, "little") + text
    return Layout(
        header=header,
        order=order,
        offsets=tuple(len(header) + begin for begin in begins),
        size=len(header) + position,
    )
