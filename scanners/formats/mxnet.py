"""MXNet's parameter files: a list of arrays, then a list of their names. Nothing in them can run.

Source: Apache MXNet, `src/ndarray/ndarray.cc` (`NDArray::Save`, `NDArray::Load`, `NDArray::LegacyLoad`).
"""

import struct
from typing import Final

from scanners.errors import FormatError, LimitExceeded, Unsupported
from scanners.facts import Identified, Tensor
from scanners.reading import Blob, Reading

NAME = "mxnet-params"

_LIST_MAGIC: Final = (0x112).to_bytes(8, "little") + bytes(8)
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DTYPES: Final = {
    0: ("F32", 4), 1: ("F64", 8), 2: ("F16", 2), 3: ("U8", 1), 4: ("I32", 4), 5: ("I8", 1), 6: ("I64", 8),
    7: ("BOOL", 1), 8: ("I16", 2), 9: ("U16", 2), 10: ("U32", 4), 11: ("U64", 8), 12: ("BF16", 2),
}  # fmt: skip
_ARRAYS: Final = 1_000_000
_DIMENSIONS: Final = 64
_NAME: Final = 65_536


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with the magic of a list of arrays."""
    return blob.reader.read_at(0, 16) == _LIST_MAGIC


def read(blob: Blob, reading: Reading) -> None:
    """State the arrays and account for their data."""
    reading.state(Identified(location=reading.at(), format=NAME))
    _File(blob, reading).read()


class _File:
    """One pass over the file."""

    def __init__(self, blob: Blob, reading: Reading) -> None:
        self.reader = blob.reader
        self.reading = reading
        self.position = 16
        reading.parsed(0, 16)

    def take(self, layout: str) -> tuple[int, ...]:
        """Read numbers and step behind them."""
        length = struct.calcsize(layout)
        data = self.reader.read_at(self.position, length)
        if len(data) < length:
            raise FormatError("the file ends within a number", offset=self.position)
        self.reading.parsed(self.position, length)
        self.position += length
        return struct.unpack(layout, data)

    def count(self) -> int:
        (value,) = self.take("<Q")
        if value > _ARRAYS:
            raise LimitExceeded("members", f"{value} arrays, more than {_ARRAYS}")
        return value

    def read(self) -> None:
        """Read arrays and names."""
        arrays = [self.array() for _ in range(self.count())]
        names: list[str] = []
        for _ in range(self.count()):
            (length,) = self.take("<Q")
            if length > _NAME:
                raise FormatError("a name without measure", offset=self.position)
            text = self.reader.read_at(self.position, length)
            if len(text) < length:
                raise FormatError("the file ends within a name", offset=self.position)
            names.append(text.decode("utf-8", "surrogateescape"))
            self.reading.parsed(self.position, length)
            self.position += length
        for index, (offset, length, dtype, shape) in enumerate(arrays):
            name = names[index] if index < len(names) else str(index)
            self.reading.state(
                Tensor(
                    location=self.reading.at(offset, length),
                    name=name,
                    dtype=dtype,
                    shape=shape,
                    stride=None,
                    storage=str(index),
                    storage_offset=0,
                    storage_bytes=length,
                )
            )
        left = self.reader.size - self.position
        if left:
            self.reading.anomaly("stream-trailing-bytes", f"{left} bytes behind the last name", self.position, left)
            self.reading.behind(self.position)

    def array(self) -> tuple[int, int, str, tuple[int, ...]]:
        """Read one array's header and step over its data."""
        (magic,) = self.take("<I")
        if magic in {_V2, _V3}:
            (storage,) = self.take("<i")
            if storage > 0:
                raise Unsupported("a sparse MXNet array")
        elif magic != _V1:
            raise Unsupported("an MXNet array of a version before 1.0")
        (dimensions,) = self.take("<i")
        if not 0 <= dimensions <= _DIMENSIONS:
            raise FormatError("an array of senseless dimensions", offset=self.position)
        shape = self.take(f"<{dimensions}q")
        if not shape and magic != _V3:
            return self.position, 0, "F32", ()  # an array that was never filled has no more than this
        self.take("<2i")
        (flag,) = self.take("<i")
        dtype, width = _DTYPES.get(flag, ("", 0))
        if not width:
            raise Unsupported(f"an MXNet array of the unknown type {flag}")
        elements = 1
        for length in shape:
            elements *= length
        size = elements * width
        offset = self.position
        if min(shape, default=1) < 0 or offset + size > self.reader.size:
            raise FormatError("an array ends outside the file", offset=offset)
        self.reading.inert(offset, size)
        self.position += size
        return offset, size, dtype, shape
