"""HDF5's filters: what was done to a block before it was written, and how a block of metadata is unpacked.

Source: "HDF5 File Format Specification Version 3.0", IV.A.2.l (the pipeline message), and the documented algorithms of
the predefined filters.
"""

import sys
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from scanners import native
from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded

DEFLATE, SHUFFLE, FLETCHER32, LZF = 1, 2, 3, 32000
_NAMES = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf",
          32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32026: "blosc2"}  # fmt: skip
_MAXIMUM_BLOCK = 64 << 20
_MODULUS = 65535


@dataclass(frozen=True, slots=True)
class Step:
    """A filter of a pipeline."""

    number: int
    values: tuple[int, ...]
    """its parameters"""

    @property
    def name(self) -> str:
        """What it is called."""
        return _NAMES.get(self.number, f"number {self.number}")


def pipeline(cursor: Cursor) -> tuple[Step, ...]:
    """Read a pipeline message: filters in the order in which a writer applies them."""
    version, count = cursor.u8(), cursor.u8()
    if version not in {1, 2}:
        raise FormatError(f"a pipeline of filters of unknown version {version}", offset=cursor.offset - 2)
    cursor.skip(6 if version == 1 else 0)
    steps = []
    for _ in range(count):
        number = cursor.u16()
        named = cursor.u16() if version == 1 or number >= 256 else 0
        cursor.skip(2)
        values = cursor.u16()
        cursor.skip(-(-named // 8) * 8 if version == 1 else named)
        steps.append(Step(number, tuple(cursor.u32() for _ in range(values))))
        cursor.skip(4 if version == 1 and values % 2 else 0)
    return tuple(steps)


def unpack(data: bytes, steps: Sequence[Step], mask: int, size: int) -> bytes:
    """Undo what a pipeline did to a block of ``size`` bytes; ``mask`` tells which filters were left out.

    Raises:
        FormatError: it does not unpack to ``size`` bytes, or its checksum is wrong.
        LimitExceeded: the block is too large, or a filter is not read.
    """
    if size > _MAXIMUM_BLOCK:
        raise LimitExceeded("materialised", f"a filtered HDF5 block of {size} bytes")
    for position in reversed(range(len(steps))):
        step = steps[position]
        if mask >> position & 1:
            continue
        if step.number == DEFLATE:
            native.meet("zlib")
            inflater = zlib.decompressobj()
            try:
                data = inflater.decompress(data, _MAXIMUM_BLOCK)
            except zlib.error as error:
                raise FormatError(f"a block's compressed data is damaged ({error})") from error
        elif step.number == SHUFFLE:
            data = unshuffled(data, step.values[0] if step.values else 1)
        elif step.number == FLETCHER32:
            data = checked(data)
        elif step.number == LZF:
            data = unpacked_lzf(data, _MAXIMUM_BLOCK)
        else:
            raise LimitExceeded("structure", f"a block packed with the filter {step.name} is not read")
    if len(data) != size:
        raise FormatError(f"a block unpacks to {len(data)} bytes and should have {size}")
    return data


def unshuffled(data: bytes, itemsize: int) -> bytes:
    """Put bytes back that were sorted by their place in an item; what is left over at the end stays there."""
    if itemsize < 2:
        return data
    items = len(data) // itemsize
    plain = bytearray(data)
    for byte in range(itemsize):
        plain[byte : items * itemsize : itemsize] = data[byte * items : (byte + 1) * items]
    return bytes(plain)


def unpacked_lzf(data: bytes, limit: int) -> bytes:
    """Unpack h5py's own compression: runs of literal bytes, and copies of what came up to 8192 bytes before.

    Source: the description of the format in LibLZF (lzf_d.c).

    Raises:
        FormatError: it is damaged, or unpacks to more than ``limit`` bytes.
    """
    plain = bytearray()
    at, end = 0, len(data)
    try:
        while at < end:
            control = data[at]
            at += 1
            if control < 32:
                plain += data[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[at]
                at += 1
            start = len(plain) - ((control & 31) << 8 | data[at]) - 1
            at += 1
            length += 2
            if start < 0 or len(plain) > limit:
                break
            copied = plain[start : start + length]
            plain += (copied * -(-length // len(copied)))[:length]  # it may run into what it writes
        else:
            if at == end and len(plain) <= limit:
                return bytes(plain)
    except IndexError:
        pass
    raise FormatError("a block's compressed data is damaged (lzf)")


def checked(data: bytes) -> bytes:
    """Return a block without the checksum behind it.

    Raises:
        FormatError: the checksum is wrong.
    """
    sums = Fletcher32()
    sums.add(data[:-4])
    sums.compare(data[-4:])
    return data[:-4]


class Fletcher32:
    """A checksum: two sums over big-endian 16-bit words, modulo 65535."""

    __slots__ = ("_first", "_second")

    def __init__(self) -> None:
        self._first = self._second = 0

    def add(self, data: bytes) -> None:
        """Go on with the next bytes, of which there is an even number but for the last ones."""
        words = array("H", data + bytes(len(data) % 2))
        if sys.byteorder == "little":
            words.byteswap()
        self._second += len(words) * self._first + sum(accumulate(words))
        self._first += sum(words)

    def compare(self, stated: bytes) -> None:
        """Compare with what follows a block.

        Raises:
            FormatError: it differs.
        """
        found = (_folded(self._second) << 16 | _folded(self._first)).to_bytes(4, "little")
        # Releases before 1.6.3 wrote each half the wrong way round on some machines; readers take both.
        if stated not in {found, bytes((found[1], found[0], found[3], found[2]))}:
            raise FormatError("a block does not match its checksum (fletcher32)")


def _folded(total: int) -> int:
    """Reduce a sum by adding its carries, which never turns a multiple of the modulus into 0."""
    return (total % _MODULUS or _MODULUS) if total else 0
