"""A zip archive that every loader reads alike, as torch and numpy write them; anything else is refused."""

import zlib

from modelsign.conversion.inputs.assembly import raw_store
from modelsign.conversion.plan import Encoding, Store
from modelsign.errors import ConversionError
from scanners.containers.zip import member_reader, read_directory
from scanners.containers.zip_records import DEFLATED, STORED, ZipEntry
from scanners.limits import Budget
from scanners.reader import Reader

_CHUNK = 1 << 20
_HARMLESS = frozenset({"zip-unclaimed-bytes", "zip-no-checksum"})
"""anomalies that change nothing about which bytes a member has"""


class Archive:
    """A zip archive that every loader reads alike."""

    def __init__(self, reader: Reader, budget: Budget) -> None:
        self.reader = reader
        self.budget = budget
        directory = read_directory(reader, budget)
        for anomaly in directory.anomalies:
            if anomaly.code not in _HARMLESS:
                raise ConversionError(f"the archive is ambiguous or damaged: {anomaly.message}; save it again")
        if directory.others or not directory.entries:
            raise ConversionError("the archive holds members that only some loaders find; save it again")
        self.entries = {entry.name: entry for entry in directory.entries}
        self.unclaimed = any(anomaly.code == "zip-unclaimed-bytes" for anomaly in directory.anomalies)
        self.unchecked = any(not entry.crc and entry.size for entry in directory.entries)

    def open(self, entry: ZipEntry) -> Reader:
        """Return a member's bytes, its checksum compared."""
        self.check(entry)
        reader = member_reader(self.reader, entry, self.budget)
        _check_crc(entry, reader)
        return reader

    def check(self, entry: ZipEntry) -> None:
        """Refuse what torch and numpy would not read, or not read in full."""
        if entry.encrypted:
            raise ConversionError(f"{entry.name}: is encrypted; decrypt the archive first")
        if entry.method not in {STORED, DEFLATED}:
            raise ConversionError(f"{entry.name}: is compressed with method {entry.method}, which torch does not read")
        if entry.method == STORED and entry.size != entry.compressed_size:
            raise ConversionError(f"{entry.name}: its two sizes differ although it is not compressed")
        limits = self.budget.limits
        if entry.method == DEFLATED and entry.size > limits.free_expansion + limits.ratio * entry.compressed_size:
            raise ConversionError(
                f"{entry.name}: {entry.compressed_size} bytes that unpack to {entry.size} look like an expansion bomb; "
                "unpack the archive and store its records uncompressed if they are genuine"
            )

    def store(self, entry: ZipEntry) -> Store:
        """Return a member as a store of the plan."""
        self.check(entry)
        crc = entry.crc if entry.crc or not entry.size else None
        if entry.method == STORED:
            return raw_store(entry.name, entry.data_offset, entry.size, crc=crc)
        return Store(
            name=entry.name,
            encoding=Encoding.DEFLATE,
            size=entry.size,
            segments=((entry.data_offset, entry.compressed_size),),
            crc=crc,
        )


def _check_crc(entry: ZipEntry, reader: Reader) -> None:
    if not entry.crc:
        return
    crc = 0
    position = 0
    while position < entry.size:
        data = reader.read_at(position, _CHUNK)
        if not data:
            raise ConversionError(f"{entry.name}: unpacks to {position} bytes and should have {entry.size}")
        crc = zlib.crc32(data, crc)
        position += len(data)
    if crc != entry.crc:
        raise ConversionError(
            f"{entry.name}: its bytes do not match their checksum; the file is damaged or was changed; fetch it again"
        )
