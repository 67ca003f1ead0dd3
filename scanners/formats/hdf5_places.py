"""Addresses of an HDF5 file: where they lead, how wide they are, and how many may be followed.

Source: "HDF5 File Format Specification Version 3.0", II.A. Addresses count from the place where the superblock was
found; the base address that it states itself is not believed, as the HDF5 library does not (1.14.6 and 2.0.0 tried).
"""

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded
from scanners.formats.hdf5_checksum import lookup3
from scanners.reader import Reader

MAXIMUM_RECORDS = 4_000_000
MAXIMUM_UNPACKED = 256 << 20
"""bytes of filtered heap blocks that are unpacked for one file"""


_MAXIMUM_CHECKED = 32 << 20


class Places:
    """The address space of one file.

    Args:
        reader: the file.
        start: of its superblock.
        strict: whether the checksums of metadata are compared, as the HDF5 library does. Who looks for danger reads on.
    """

    def __init__(self, reader: Reader, start: int, *, strict: bool = False) -> None:
        self.reader = reader
        self.base = start
        self.offset_size = self.length_size = 8
        self._records = 0
        self._unpacked = 0
        self._strict = strict
        self._checked: set[int] = set()

    def cursor(self, address: int, length: int | None = None) -> Cursor:
        """Return a cursor at an address."""
        place = self.base + address
        if not 0 <= place < self.reader.size:
            raise FormatError(f"address {address} lies outside the file", offset=self.base)
        return Cursor(self.reader, place, None if length is None else place + length)

    def address(self, cursor: Cursor) -> int | None:
        """Read an address; None where it is undefined."""
        value = cursor.uint(self.offset_size)
        return None if value == (1 << 8 * self.offset_size) - 1 else value

    def length(self, cursor: Cursor) -> int:
        """Read a length."""
        return cursor.uint(self.length_size)

    def check(self, place: int, length: int) -> None:
        """Compare the checksum that follows a range of metadata, where that is wanted; once for each place.

        Raises:
            FormatError: it differs.
        """
        if not self._strict or place in self._checked:
            return
        if length > _MAXIMUM_CHECKED:
            raise LimitExceeded("structure", f"{length} bytes of HDF5 metadata in one piece")
        data = self.reader.read_at(place, length + 4)
        self.compare(data[:length], data[length:], place)
        self._checked.add(place)

    def compare(self, data: bytes, stated: bytes, place: int) -> None:
        """Compare a checksum, where that is wanted."""
        if self._strict and lookup3(data).to_bytes(4, "little") != stated:
            raise FormatError("HDF5 metadata does not match its checksum", offset=place)

    def spend(self) -> None:
        """Account for one record more."""
        self._records += 1
        if self._records > MAXIMUM_RECORDS:
            raise LimitExceeded("members", f"more than {MAXIMUM_RECORDS} HDF5 records")

    def spend_unpacked(self, count: int) -> None:
        """Account for bytes that are unpacked in memory."""
        self._unpacked += count
        if self._unpacked > MAXIMUM_UNPACKED:
            raise LimitExceeded("materialised", f"more than {MAXIMUM_UNPACKED} unpacked bytes of HDF5 heaps")


def expect(cursor: Cursor, signature: bytes) -> None:
    """Step over a signature.

    Raises:
        FormatError: another one lies there.
    """
    if cursor.take(len(signature)) != signature:
        raise FormatError(f"{signature.decode()} expected", offset=cursor.offset - len(signature))


def bytes_for(value: int) -> int:
    """Return how many bytes hold numbers up to ``value``."""
    return max(1, -(-value.bit_length() // 8))
