"""Zip archives, read as every loader reads them at once.

An archive is ambiguous when loaders disagree about what it holds, and an attacker picks the one his victim has. So all
readings are followed (`zip_union`), and every member that any loader would deliver is handed on.

Sources: PKWARE APPNOTE.TXT 6.3.10; CVE-2025-1944 and CVE-2025-1945 (scanners that give up where torch goes on).
"""

import zlib
from collections.abc import Iterable

from scanners.containers import bzip2, deflate, xz, zstd
from scanners.containers.unpacking import Method, Unpacked
from scanners.containers.zip_records import (
    DEFLATED,
    ENCRYPTED,
    LOCAL_MAGIC,
    METHODS,
    STORED,
    ZipAnomaly,
    ZipDirectory,
    ZipEntry,
)
from scanners.containers.zip_union import Union, places
from scanners.errors import FormatError, LimitExceeded, ScanError, Unsupported
from scanners.facts import Identified
from scanners.limits import Budget
from scanners.reader import Reader, Window
from scanners.reading import INERT, Blob, Reading

__all__ = [
    "NAME",
    "ZipAnomaly",
    "ZipDirectory",
    "ZipEntry",
    "directory_of",
    "lies_within",
    "looks_like_zip",
    "matches",
    "member_reader",
    "read",
    "read_directory",
]

NAME = "zip"

_DEFLATE = Method(decoder=deflate.raw, errors=deflate.ERRORS)
_BZIP2, _LZMA, _ZSTANDARD, _XZ = 12, 14, 93, 95
_CUT = frozenset({"zip-no-directory", "zip-directory-broken", "zip-many-directories"})
"""anomalies behind which members may be missing"""
_LOOKS = f"{NAME}-looks"
"""under this key in `Blob.shared`: whether the blob looks like one"""
_NO_ROLES: frozenset[str] = frozenset()
_CHECKED = 4 << 20
"""bytes up to which a member's checksum is computed"""


def looks_like_zip(reader: Reader) -> bool:
    """Return whether any loader would take the bytes for a zip archive."""
    if reader.read_at(0, 4) == LOCAL_MAGIC:
        return True
    found, ends = places(reader)
    # An empty archive is an end record and nothing else: 22 bytes (and a comment) at the start of the file.
    return any(place.promised or place.size for place in found) or any(offset == 0 for offset, _ in ends)


def read_directory(reader: Reader, budget: Budget) -> ZipDirectory:
    """Read all directories and local headers; no member data.

    Raises:
        FormatError: no loader would find a member or an end record.
        LimitExceeded: more members than the budget allows.
    """
    return Union(reader, budget).collect()


def directory_of(blob: Blob, budget: Budget) -> ZipDirectory:
    """Read the directory of a blob once, whichever format asks first. Raises as `read_directory`."""
    known = blob.shared.get(NAME)
    if not isinstance(known, ZipDirectory):
        known = read_directory(blob.reader, budget)
        blob.shared[NAME] = known
    return known


def lies_within(blob: Blob, budget: Budget, spans: Iterable[tuple[int, int]]) -> bool:
    """Return whether the archive that a reader finds from the end of the blob is one of its members.

    A tar whose last member is a zip ends like a zip. Where the member is handed on as a blob of its own, the archive is
    read there, and the blob around it is no polyglot. ``spans`` are (offset, length) of the members.
    """
    try:
        directory = directory_of(blob, budget)
    except ScanError:
        return False
    if not directory.entries:
        return False
    # Every member that a directory names, whichever: one that lies elsewhere in the blob is read only through this
    # archive. What only the local headers show belongs to archives in other members.
    named = [entry for entry in directory.everything if entry.loader != "streaming"]
    start = min(entry.header_offset for entry in named)
    ends = [offset + length for offset, length in directory.spans]
    end = max(ends + [entry.data_offset + entry.compressed_size for entry in named])
    return any(offset <= start and end <= offset + length for offset, length in spans)


def member_reader(reader: Reader, entry: ZipEntry, budget: Budget) -> Reader:
    """Return the member's bytes: a window where they are stored, else unpacked on demand and within the budget.

    A flag that claims encryption is not believed here: torch and others ignore it in local headers, and a payload hides
    behind it (CVE-2025-1945). Callers who must not read such members look at `ZipEntry.encrypted`.

    Raises:
        FormatError: there is no local header, or the data lies outside the file.
        Unsupported: the compression method is none we read.
    """
    if entry.data_offset < 0:
        raise FormatError(f"no local header for {entry.name!r}", offset=entry.header_offset)
    if entry.data_offset + entry.compressed_size > reader.size:
        raise FormatError(f"the data of {entry.name!r} ends outside the file", offset=entry.data_offset)
    if entry.method == STORED:
        return Window(reader, entry.data_offset, entry.compressed_size)
    span = (entry.data_offset, entry.compressed_size)
    size = entry.size if entry.size >= 0 else None
    if entry.method == DEFLATED:
        return Unpacked(reader, span, _DEFLATE, budget, size=size)
    if entry.method == _LZMA:
        span, method = _lzma(reader, span)
    else:
        method = _method(entry)
    return Unpacked(reader, span, method, budget, size=size)


def _method(entry: ZipEntry) -> Method:
    """Return how a member unpacks that only some loaders read: zipfile knows bzip2 and LZMA, since 3.14 Zstandard."""
    if entry.method == _BZIP2:
        return bzip2.METHOD
    if entry.method == _XZ:
        return xz.METHOD
    if entry.method == _ZSTANDARD:
        return zstd.method()
    name = METHODS.get(entry.method, "unknown")
    raise Unsupported(f"{entry.name!r} is compressed with method {entry.method} ({name})")


def _lzma(reader: Reader, span: tuple[int, int]) -> tuple[tuple[int, int], Method]:
    """Read the header before LZMA data (APPNOTE 5.8.8); return where the data lies and how it unpacks."""
    offset, length = span
    head = reader.read_at(offset, 9)
    if len(head) < 9 or length < 9 or head[2:4] != b"\x05\x00":
        raise FormatError("LZMA data without its header", offset=offset)
    return (offset + 9, length - 9), xz.raw_lzma(head[4:9])


def matches(blob: Blob) -> bool:
    """Return whether a loader would take the blob for a zip archive."""
    known = blob.shared.get(_LOOKS)
    if not isinstance(known, bool):  # several formats are zip archives, and each asks
        known = looks_like_zip(blob.reader)
        blob.shared[_LOOKS] = known
    return known


def read(blob: Blob, reading: Reading) -> None:
    """State what bends the rules, and hand on every member that any loader would deliver."""
    directory = directory_of(blob, reading.budget)
    reading.state(Identified(location=reading.at(), format=NAME))
    for anomaly in directory.anomalies:
        reading.anomaly(anomaly.code, anomaly.message, anomaly.offset)
        if anomaly.code in _CUT:
            reading.unread(anomaly.message)
    reading.parsed_ranges += [(offset, offset + length) for offset, length in directory.spans if length > 0]
    reading.inert_ranges += [(offset, offset + length) for offset, length in directory.gaps if length > 0]
    seen: dict[str, int] = {}
    claims = blob.claims
    end = blob.reader.size
    inert = reading.inert_ranges.append
    for entry in directory.everything:
        _, raw_name, _, flags, _, compressed, _, header_offset, data_offset, local_name, local_flags, _, _, _ = entry
        behind = data_offset + compressed
        # Weights, and nothing about them that anybody could read differently: what most members of a checkpoint are.
        if (
            INERT in claims.get((header_offset, raw_name), _NO_ROLES)
            and local_name == raw_name
            and 0 <= data_offset < behind <= end
            and not (flags | local_flags) & ENCRYPTED
            and raw_name[-1:] != b"/"
        ):
            inert((data_offset, behind))
        else:
            _hand_on(blob, reading, entry, seen)


def _hand_on(blob: Blob, reading: Reading, entry: ZipEntry, seen: dict[str, int]) -> None:
    if entry.is_directory:
        return
    if 0 <= entry.data_offset < blob.reader.size < entry.data_offset + entry.compressed_size:
        # zipfile delivers what there is.
        reading.unread(f"the data of {entry.name} ends outside the file")
        entry = entry._replace(compressed_size=blob.reader.size - entry.data_offset)
    span = (entry.data_offset, entry.compressed_size)
    if entry.encrypted:
        reading.unread(f"the member {entry.name} is marked as encrypted")
    roles = blob.claimed(entry.key)
    # A streaming reader goes by the local name: what is weights under one name can be a payload under the other.
    if entry.local_name != entry.raw_name:
        roles -= {INERT}
    if INERT in roles and 0 <= entry.data_offset <= blob.reader.size:
        reading.inert(*span)
        return
    try:
        data = member_reader(blob.reader, entry, reading.budget)
    except FormatError as error:
        reading.unread(str(error))
        return
    except (Unsupported, LimitExceeded) as error:
        reading.anomaly("unsupported-compression", str(error), entry.header_offset)
        reading.unread(str(error))
        return
    _check(reading, entry, data)
    seen[entry.name] = times = seen.get(entry.name, 0) + 1
    label = entry.name
    if entry.loader != "directory" or times > 1:
        label = f"{entry.name} (at {entry.header_offset}, {_WHO[entry.loader]})"
    reading.child(
        entry.name.rsplit("/", 1)[-1], data, span=span, stored=entry.method == STORED, roles=roles, label=label
    )


_WHO = {
    "directory": "a second entry of this name",
    "torch": "as torch reads it",
    "zipfile": "as zipfile reads it",
    "other-directory": "in another directory",
    "streaming": "only in the local headers",
}


def _check(reading: Reading, entry: ZipEntry, data: Reader) -> None:
    """Compare a small member with its checksum: torch never does, zipfile always."""
    if not entry.crc or not 0 <= entry.size <= _CHECKED or entry.encrypted or entry.loader == "streaming":
        return
    length = entry.size
    if isinstance(data, Unpacked):
        length = data.finish()
        computed = zlib.crc32(data.read_at(0, entry.size))
        broken = data.broken is not None
        data.release()
        if broken:
            return  # whoever reads the member says so
    else:
        computed = zlib.crc32(data.read_at(0, entry.size))
    if length > entry.size:
        reading.anomaly(
            "zip-longer-than-said",
            f"{entry.name!r} unpacks to {length} bytes, the directory says {entry.size}: zipfile stops there",
            entry.header_offset,
        )
    if computed != entry.crc:
        reading.anomaly(
            "zip-wrong-checksum",
            f"{entry.name!r} has CRC {computed:08x}, the directory says {entry.crc:08x}: torch loads it, zipfile not",
            entry.header_offset,
        )
