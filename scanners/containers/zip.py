"""Zip archives, read as every loader reads them at once.

A zip can be read in several ways, and loaders differ: torch (miniz) takes the last end record and trusts its offset as
absolute; `zipfile` takes the same record but moves the directory to where the record lies; streaming readers walk the
local headers and never see a directory. An archive is ambiguous when those readings differ, and an attacker picks the
one his victim has. So all of them are read, and every member that any of them would deliver is handed on.

Sources: PKWARE APPNOTE.TXT 6.3.10 (4.3 records, 4.4 fields, 4.5 extra fields); CPython `Lib/zipfile.py`; miniz as torch
2.13 carries it; CVE-2025-1944 and CVE-2025-1945 (readers that give up where torch goes on).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from scanners.containers import deflate
from scanners.containers.unpacking import Unpacked
from scanners.errors import FormatError, Unsupported
from scanners.facts import Identified
from scanners.limits import Budget
from scanners.reader import Reader, Window
from scanners.reading import INERT, Blob, Reading

NAME = "zip"

STORED = 0
DEFLATED = 8
ENCRYPTED = 0x2041
"""flag bits that say "encrypted": traditional (0), strong (6), masked headers (13)"""
DESCRIPTOR = 0x8
UTF8 = 0x800

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCAL_MAGIC = b"PK\x03\x04"
_CENTRAL_MAGIC = b"PK\x01\x02"
_END_MAGIC = b"PK\x05\x06"
_LOCATOR_MAGIC = b"PK\x06\x07"
_END64_MAGIC = b"PK\x06\x06"
_DESCRIPTOR_MAGIC = b"PK\x07\x08"

_FULL16 = 0xFFFF
_FULL32 = 0xFFFFFFFF
_TAIL = _END.size + 0xFFFF
"""how far from its end an archive's end record can lie, for every loader we know"""
_CHUNK = 1 << 20
_READINGS = 12
"""directories followed; an honest archive has one, a doubled one two"""
_ANOMALIES = 50
"""anomalies of one kind that are listed one by one"""
_GAP_SEARCH = 64 << 20
"""bytes between members that are searched for hidden ones"""
_DESCRIPTORS = frozenset({12, 16, 20, 24})

METHODS = {
    0: "stored",
    1: "shrunk",
    6: "imploded",
    8: "deflated",
    9: "deflate64",
    12: "bzip2",
    14: "lzma",
    93: "zstandard",
    95: "xz",
    98: "ppmd",
    99: "AES",
}


class ZipAnomaly(NamedTuple):
    """Something that bends the rules, or that loaders read differently."""

    code: str
    message: str
    offset: int


class ZipEntry(NamedTuple):
    """One member as one loader sees it.

    A named tuple, not a dataclass: an archive may have a million, and a frozen dataclass takes three times as long.
    """

    name: str
    raw_name: bytes
    method: int
    flags: int
    crc: int
    compressed_size: int
    size: int
    header_offset: int
    """of the local header"""
    data_offset: int
    """behind the *local* header; -1 where there is none"""
    local_name: bytes
    local_flags: int
    local_method: int
    attributes: int
    """external attributes of the directory; the upper half is a Unix mode"""
    loader: str = "directory"
    """who would deliver it: `directory` (every loader's), `zipfile`, `torch`, `other-directory`, `streaming`"""

    @property
    def is_directory(self) -> bool:
        """Whether it only names a directory."""
        return self.raw_name.endswith(b"/") and self.size == 0

    @property
    def is_symlink(self) -> bool:
        """Whether unpacking makes a symbolic link."""
        return (self.attributes >> 28) == 0xA

    @property
    def encrypted(self) -> bool:
        """Whether either header says so."""
        return bool((self.flags | self.local_flags) & ENCRYPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipDirectory:
    """Everything any loader would find in an archive."""

    entries: tuple[ZipEntry, ...]
    """in the order of the central directory that torch reads; of another reading where torch reads none"""
    others: tuple[ZipEntry, ...]
    """members that only other loaders see"""
    anomalies: tuple[ZipAnomaly, ...]
    comment: bytes
    spans: tuple[tuple[int, int], ...]
    """(offset, length) of headers, directories and end records"""
    gaps: tuple[tuple[int, int], ...]
    """(offset, length) of bytes that belong to no member and no header"""

    @property
    def everything(self) -> tuple[ZipEntry, ...]:
        """What any loader sees."""
        return self.entries + self.others


class _Place(NamedTuple):
    """Where one reading finds its directory."""

    loader: str
    start: int
    size: int
    promised: int
    """entries, as the end record says"""
    shift: int
    """what to add to the offsets of local headers"""


def looks_like_zip(reader: Reader) -> bool:
    """Return whether any loader would take the bytes for a zip archive."""
    if reader.read_at(0, 4) == _LOCAL_MAGIC:
        return True
    places, ends = _places(reader)
    # An empty archive is an end record and nothing else: 22 bytes (and a comment) at the start of the file.
    return any(place.promised or place.size for place in places) or any(offset == 0 for offset, _ in ends)


def read_directory(reader: Reader, budget: Budget) -> ZipDirectory:
    """Read all directories and local headers; no member data.

    Raises:
        FormatError: no loader would find a member or an end record.
        LimitExceeded: more members than the budget allows.
    """
    return _Collector(reader, budget).collect()


def directory_of(blob: Blob, budget: Budget) -> ZipDirectory:
    """Read the directory of a blob once, whichever format asks first. Raises as `read_directory`."""
    known = blob.shared.get(NAME)
    if not isinstance(known, ZipDirectory):
        known = read_directory(blob.reader, budget)
        blob.shared[NAME] = known
    return known


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
    if entry.method == DEFLATED:
        return Unpacked(reader, span, deflate.raw, deflate.ERRORS, budget, size=entry.size)
    method = METHODS.get(entry.method, "unknown")
    raise Unsupported(f"{entry.name!r} is compressed with method {entry.method} ({method})")


def matches(blob: Blob) -> bool:
    """Return whether a loader would take the blob for a zip archive."""
    return looks_like_zip(blob.reader)


def read(blob: Blob, reading: Reading) -> None:
    """State what bends the rules, and hand on every member that any loader would deliver."""
    directory = directory_of(blob, reading.budget)
    reading.state(Identified(location=reading.at(), format=NAME))
    for anomaly in directory.anomalies:
        reading.anomaly(anomaly.code, anomaly.message, anomaly.offset)
    for offset, length in directory.spans:
        reading.parsed(offset, length)
    for offset, length in directory.gaps:
        reading.inert(offset, length)
    seen: dict[str, int] = {}
    for entry in directory.everything:
        _hand_on(blob, reading, entry, seen)


def _hand_on(blob: Blob, reading: Reading, entry: ZipEntry, seen: dict[str, int]) -> None:
    if entry.is_directory:
        return
    span = (entry.data_offset, entry.compressed_size)
    if entry.encrypted:
        reading.unread(f"the member {entry.name} is marked as encrypted")
    roles = blob.claimed(entry.header_offset)
    if INERT in roles and entry.data_offset >= 0:
        reading.inert(*span)
        return
    try:
        data = member_reader(blob.reader, entry, reading.budget)
    except FormatError as error:
        reading.unread(str(error))
        return
    except Unsupported as error:
        reading.anomaly("unsupported-compression", str(error), entry.header_offset)
        reading.unread(str(error))
        return
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


def _name_of(raw: bytes, flags: int) -> str:
    """Decode a member name: UTF-8, as torch writes it, or what the specification falls back to, code page 437."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape") if flags & UTF8 else raw.decode("cp437")


def _places(reader: Reader) -> tuple[list[_Place], list[tuple[int, bytes]]]:
    """Find the directories that any loader would read, best known loader first, and the end records.

    Returns:
        The places, each once, and (offset, comment) of the end records, the last one first.
    """
    tail_start = max(0, reader.size - _TAIL)
    tail = reader.read_at(tail_start, _TAIL)
    places: dict[tuple[int, int, int], _Place] = {}
    ends: list[tuple[int, bytes]] = []
    last = True
    at = tail.rfind(_END_MAGIC)
    while at >= 0:
        if at + _END.size <= len(tail):
            fields = _END.unpack_from(tail, at)
            comment = tail[at + _END.size : at + _END.size + fields[7]]
            # Loaders take the last record; careful ones the one whose comment reaches exactly to the end of the file.
            # Any other belongs to an archive inside a member, unless the last one leads nowhere.
            if last or at + _END.size + fields[7] == len(tail) or not places:
                last = False
                ends.append((tail_start + at, comment))
                for place in _places_of(reader, tail_start + at, fields, last=len(ends) == 1):
                    # Two loaders that look at the same place, with the same shift of offsets, read the same.
                    if place.promised == place.size == 0 or reader.read_at(max(0, place.start), 4) == _CENTRAL_MAGIC:
                        places.setdefault((place.start, place.shift, place.promised), place)
            if len(places) > _READINGS:
                break
        at = tail.rfind(_END_MAGIC, 0, at + 3) if at else -1
    return list(places.values()), ends


def _places_of(reader: Reader, end: int, fields: tuple[int, ...], *, last: bool) -> Iterator[_Place]:
    """Yield where the loaders look, given one end record."""
    _, _, _, _, count, size, offset, _ = fields
    torch, python = ("torch", "zipfile") if last else ("other-directory", "other-directory")
    locator = reader.read_at(end - _LOCATOR.size, _LOCATOR.size) if end >= _LOCATOR.size else b""
    if locator[:4] == _LOCATOR_MAGIC:
        # miniz follows the locator; zipfile takes the record right before it and never looks at the offset.
        followed = _LOCATOR.unpack(locator)[2]
        for at, loader in ((followed, torch), (end - _LOCATOR.size - _END64.size, python)):
            record = reader.read_at(at, _END64.size) if at >= 0 else b""
            if len(record) == _END64.size and record[:4] == _END64_MAGIC:
                *_, count64, size64, offset64 = _END64.unpack(record)
                moved = end - _LOCATOR.size - _END64.size - size64
                if loader == torch:
                    yield _Place(torch, offset64, size64, count64, 0)
                yield _Place(python, moved, size64, count64, moved - offset64)
    yield _Place(torch, offset, size, count, 0)
    yield _Place(python, end - size, size, count, end - size - offset)


class _Collector:
    """The work of `read_directory`, step by step."""

    def __init__(self, reader: Reader, budget: Budget) -> None:
        self.reader = reader
        self.size = reader.size
        self.budget = budget
        self.anomalies: list[ZipAnomaly] = []
        self.counts: dict[str, int] = {}
        self.spans: list[tuple[int, int]] = []
        self.gaps: list[tuple[int, int]] = []
        self.directory_spans: list[tuple[int, int]] = []

    def collect(self) -> ZipDirectory:
        places, ends = _places(self.reader)
        readings: list[tuple[_Place, list[ZipEntry]]] = []
        for place in places[:_READINGS]:
            entries = self.directory(place)
            if entries:
                readings.append((place, entries))
        if len(places) > _READINGS:
            self.note("zip-many-directories", f"end records point to {len(places)} directories", ends[0][0])
        for offset, comment in ends:
            self.end_record(offset, comment)
        entries, others = self.merge(readings)
        self.duplicates(entries)
        if len(ends) > 1 and len(readings) > 1:
            self.note("zip-several-end-records", f"{len(ends)} end records that a loader may take", ends[0][0])
        hidden = self.between(entries + others)
        if not entries and not hidden and not ends:
            raise FormatError("no end record, no directory and no local header", offset=0)
        if hidden and not entries:
            # A download that broke off looks like this: say it once, not once per member.
            self.anomalies = [anomaly for anomaly in self.anomalies if anomaly.code != "zip-hidden-member"]
            self.counts.pop("zip-hidden-member", None)
            self.note("zip-no-directory", f"no central directory; {len(hidden)} members in local headers", 0)
        others += hidden
        for name, count in sorted(self.counts.items()):
            if count > _ANOMALIES:
                message = f"{count - _ANOMALIES} more of this kind"
                self.anomalies.append(ZipAnomaly(name, message, self.last_offset(name)))
        return ZipDirectory(
            entries=tuple(entries),
            others=tuple(others),
            anomalies=tuple(self.anomalies),
            comment=ends[0][1] if ends else b"",
            spans=tuple(self.spans),
            gaps=tuple(self.gaps),
        )

    def note(self, code: str, message: str, offset: int) -> None:
        """Record an anomaly; after `_ANOMALIES` of one kind only their number."""
        count = self.counts.get(code, 0) + 1
        self.counts[code] = count
        if count <= _ANOMALIES:
            self.anomalies.append(ZipAnomaly(code, message, offset))

    def last_offset(self, code: str) -> int:
        return max((anomaly.offset for anomaly in self.anomalies if anomaly.code == code), default=0)

    def end_record(self, offset: int, comment: bytes) -> None:
        """Account for an end record and what belongs to it."""
        self.directory_spans.append((offset, _END.size + len(comment)))
        locator = self.reader.read_at(offset - _LOCATOR.size, _LOCATOR.size) if offset >= _LOCATOR.size else b""
        if locator[:4] == _LOCATOR_MAGIC:
            self.directory_spans.append((offset - _LOCATOR.size, _LOCATOR.size))
            for at in (_LOCATOR.unpack(locator)[2], offset - _LOCATOR.size - _END64.size):
                if at >= 0 and self.reader.read_at(at, 4) == _END64_MAGIC:
                    self.directory_spans.append((at, _END64.size))
        if b"PK\x05\x06" in comment or _LOCAL_MAGIC in comment:
            self.note("zip-archive-in-comment", "the archive comment holds another archive", offset)

    def directory(self, place: _Place) -> list[ZipEntry]:
        """Read the entries from one central directory; an empty list where there is none.

        miniz goes by the number of entries, zipfile by the size of the directory: whatever either sees is read.
        """
        entries: list[ZipEntry] = []
        position = place.start
        buffer = b""
        base = position
        unpack = _CENTRAL.unpack_from
        while position - place.start < place.size or len(entries) < place.promised:
            at = position - base
            if at + _CENTRAL.size > len(buffer):
                base, at = position, 0
                buffer = self.reader.read_at(base, _CHUNK)
                if len(buffer) < _CENTRAL.size:
                    break
            (
                magic,
                _made,
                _needed,
                flags,
                method,
                _time,
                _date,
                crc,
                compressed,
                size,
                name_length,
                extra_length,
                comment_length,
                _disk,
                _internal,
                attributes,
                offset,
            ) = unpack(buffer, at)
            if magic != _CENTRAL_MAGIC:
                break
            length = _CENTRAL.size + name_length + extra_length + comment_length
            if at + length > len(buffer):
                base, at = position, 0
                buffer = self.reader.read_at(base, max(_CHUNK, length))
                if length > len(buffer):
                    self.note("zip-directory-broken", f"entry {len(entries)} of the directory is cut off", position)
                    break
            name_at = at + _CENTRAL.size
            raw_name = buffer[name_at : name_at + name_length]
            if _FULL32 in (compressed, size, offset):
                extra = buffer[name_at + name_length : name_at + name_length + extra_length]
                size, compressed, offset = _wide(extra, size, compressed, offset)
            entries.append(
                ZipEntry(
                    _name_of(raw_name, flags),
                    raw_name,
                    method,
                    flags,
                    crc,
                    compressed,
                    size,
                    offset + place.shift,
                    -1,
                    b"",
                    0,
                    0,
                    attributes,
                    place.loader,
                )
            )
            if not len(entries) & 0x3FFF:
                self.budget.spend_members(0x4000)
            position += length
        self.budget.spend_members(len(entries) & 0x3FFF)
        if not entries:
            return []
        self.directory_spans.append((place.start, position - place.start))
        if len(entries) != place.promised or position - place.start != place.size:
            self.note(
                "zip-directory-count",
                f"the end record promises {place.promised} entries in {place.size} bytes, "
                f"the directory has {len(entries)} in {position - place.start}",
                place.start,
            )
        return entries

    def merge(self, readings: list[tuple[_Place, list[ZipEntry]]]) -> tuple[list[ZipEntry], list[ZipEntry]]:
        """Unite the readings: torch's (or the first that finds anything) first, then what only others see."""
        ranked = [(place, self.with_local_headers(entries)) for place, entries in readings]
        # A reading whose entries all miss their local headers is a misread directory: no loader could deliver a byte.
        live = [(place, entries) for place, entries in ranked if any(entry.data_offset >= 0 for entry in entries)]
        chosen = live or ranked
        if not chosen:
            return [], []
        first_place, first = chosen[0]
        known = {entry[:8] for entry in first}
        others: list[ZipEntry] = []
        for place, entries in chosen[1:]:
            fresh = [entry for entry in entries if entry[:8] not in known]
            known.update(entry[:8] for entry in fresh)
            others += fresh
            if fresh or len(entries) != len(first):
                self.note(
                    "zip-loaders-disagree",
                    f"{_READER[first_place.loader]} finds a directory of {len(first)} entries at {first_place.start}, "
                    f"{_READER[place.loader]} one of {len(entries)} at {place.start}",
                    place.start,
                )
        if not others:  # every loader sees the same members
            first = [entry._replace(loader="directory") for entry in first]
        return first, others

    def with_local_headers(self, entries: list[ZipEntry]) -> list[ZipEntry]:
        """Add what the local headers say, and note where they contradict the directory."""
        result: list[ZipEntry] = []
        read_at = self.reader.read_at
        unpack = _LOCAL.unpack_from
        for entry in entries:
            offset = entry.header_offset
            raw_name = entry.raw_name
            wanted = _LOCAL.size + len(raw_name)
            header = read_at(offset, wanted) if 0 <= offset < self.size else b""
            if len(header) < _LOCAL.size or header[:4] != _LOCAL_MAGIC:
                self.note("zip-local-header-missing", f"no local header for {entry.name!r} at {offset}", max(0, offset))
                result.append(entry)
                continue
            _, _, flags, method, _, _, crc, compressed, size, name_length, extra_length = unpack(header)
            data_offset = offset + _LOCAL.size + name_length + extra_length
            if name_length != len(raw_name):
                header = read_at(offset, _LOCAL.size + name_length)
            local_name = header[_LOCAL.size :]
            if local_name != raw_name:
                local_text = _name_of(local_name, flags)
                self.note(
                    "zip-local-name-differs",
                    f"the directory says {entry.name!r}, the local header {local_text!r}",
                    offset,
                )
            if method != entry.method:
                self.note(
                    "zip-local-method-differs",
                    f"{entry.name!r}: method {entry.method} in the directory, {method} in the local header",
                    offset,
                )
            if not flags & DESCRIPTOR and _FULL32 not in (compressed, size):
                if (compressed, size) != (entry.compressed_size, entry.size):
                    self.note(
                        "zip-local-size-differs",
                        f"{entry.name!r}: {entry.compressed_size} of {entry.size} bytes in the directory, "
                        f"{compressed} of {size} in the local header",
                        offset,
                    )
                if crc != entry.crc:
                    self.note(
                        "zip-local-crc-differs",
                        f"{entry.name!r}: CRC {entry.crc:08x} in the directory, {crc:08x} in the local header",
                        offset,
                    )
            if (flags ^ entry.flags) & ENCRYPTED:
                where = "directory" if entry.flags & ENCRYPTED else "local header"
                self.note("zip-encryption-differs", f"only the {where} of {entry.name!r} says encrypted", offset)
            if (flags | entry.flags) & ENCRYPTED:
                self.note("zip-encrypted", f"{entry.name!r} is marked as encrypted", offset)
            if data_offset + entry.compressed_size > self.size:
                self.note("zip-data-outside", f"the data of {entry.name!r} ends outside the file", offset)
            result.append(
                ZipEntry(
                    entry.name,
                    raw_name,
                    entry.method,
                    entry.flags,
                    entry.crc,
                    entry.compressed_size,
                    entry.size,
                    offset,
                    data_offset,
                    local_name if local_name != raw_name else raw_name,
                    flags,
                    method,
                    entry.attributes,
                    entry.loader,
                )
            )
        return result

    def duplicates(self, entries: list[ZipEntry]) -> None:
        """Note names that loaders resolve differently."""
        exact: dict[bytes, int] = {}
        folded: dict[bytes, bytes] = {}
        for entry in entries:
            raw = entry.raw_name
            if raw in exact:
                self.note(
                    "zip-duplicate-member",
                    f"two members are named {entry.name!r}: torch loads the first, zipfile the last",
                    entry.header_offset,
                )
                continue
            exact[raw] = entry.header_offset
            lower = raw.lower()
            if lower in folded:
                other = _name_of(folded[lower], entry.flags)
                self.note(
                    "zip-case-duplicate",
                    f"{other!r} and {entry.name!r} differ only in case: torch takes them for one name",
                    entry.header_offset,
                )
            else:
                folded[lower] = raw
            self.name(entry)

    def name(self, entry: ZipEntry) -> None:
        """Note names that lead elsewhere."""
        raw = entry.raw_name
        if b"\x00" in raw:
            self.note(
                "zip-nul-in-name",
                f"{entry.name!r} contains NUL: zipfile cuts the name there, torch does not",
                entry.header_offset,
            )
        if b".." in raw or b":" in raw or raw[:1] in {b"/", b"\\"}:
            parts = raw.replace(b"\\", b"/").split(b"/")
            if b".." in parts or raw[:1] in {b"/", b"\\"} or raw[1:3] in {b":\\", b":/"}:
                self.note(
                    "archive-traversal", f"the member {entry.name!r} leads outside the archive", entry.header_offset
                )
        if entry.is_symlink:
            self.note("zip-symlink", f"{entry.name!r} is a symbolic link", entry.header_offset)

    def between(self, entries: list[ZipEntry]) -> list[ZipEntry]:
        """Account for every byte of the archive, and find members that only the local headers know.

        Walks headers, data and directories in file order. What lies between them is a data descriptor, padding, or
        something a streaming reader (or a person) could find.
        """
        taken: list[tuple[int, int, str, bool]] = []
        for entry in entries:
            if entry.data_offset < 0:
                continue
            offset = entry.header_offset
            self.spans.append((offset, entry.data_offset - offset))
            end = min(self.size, entry.data_offset + entry.compressed_size)
            taken.append((offset, end, entry.name, bool(entry.local_flags & DESCRIPTOR)))
        for offset, length in self.directory_spans:
            taken.append((offset, offset + length, "", False))
        self.spans += self.directory_spans
        taken.sort()
        hidden: list[ZipEntry] = []
        cursor = 0
        described = False
        previous = (-1, -1, "", False)
        for span in taken:
            offset, end, name, has_descriptor = span
            if offset > cursor:
                hidden += self.gap(cursor, offset, described=described)
            elif offset < cursor and name and previous[2]:
                if (offset, end) == previous[:2]:
                    if span[2] != previous[2]:
                        self.note("zip-shared-data", f"{name!r} and {previous[2]!r} are the same bytes", offset)
                else:
                    self.note("zip-overlap", f"{name!r} overlaps {previous[2]!r}", offset)
            if end >= cursor:
                cursor, described, previous = end, has_descriptor, span
        if cursor < self.size:
            hidden += self.gap(cursor, self.size, described=described)
        return hidden

    def gap(self, start: int, end: int, *, described: bool) -> list[ZipEntry]:
        """Account for bytes between two known ranges; return the members found in them."""
        length = end - start
        if described and length in _DESCRIPTORS:
            self.spans.append((start, length))
            return []
        if described:
            head = self.reader.read_at(start, 24)
            skip = 16 if head[:4] == _DESCRIPTOR_MAGIC else 0
            if skip and head[24 - 4 : 24] != _LOCAL_MAGIC and head[16:20] != _LOCAL_MAGIC and length >= 24:
                skip = 24 if head[16:24] == bytes(8) or int.from_bytes(head[16:24], "little") <= self.size else 16
            if skip:
                self.spans.append((start, skip))
                start += skip
                length -= skip
        self.gaps.append((start, length))
        hidden: list[ZipEntry] = []
        position = start
        stop = min(end, start + _GAP_SEARCH)
        blank = True
        while position < stop:
            # Overlapping by a header, so that none hides on the border of two chunks.
            chunk = self.reader.read_at(position, min(_CHUNK + _LOCAL.size, end - position))
            if blank and chunk.strip(b"\x00"):
                blank = False
            at = chunk.find(_LOCAL_MAGIC)
            jumped = False
            while at >= 0 and at < _CHUNK:
                entry = self.streamed(position + at, end)
                if entry is not None:
                    hidden.append(entry)
                    position = max(position + at + _LOCAL.size, entry.data_offset + entry.compressed_size)
                    jumped = True
                    break
                at = chunk.find(_LOCAL_MAGIC, at + 4)
            if not jumped:
                position += _CHUNK
        if blank:
            return hidden
        if start == 0:
            self.note("zip-prefix", f"{length} bytes before the first member", 0)
        elif end == self.size:
            self.note("zip-trailer", f"{length} bytes behind the end of the archive", start)
        else:
            self.note("zip-unclaimed-bytes", f"{length} bytes between members", start)
        return hidden

    def streamed(self, offset: int, end: int) -> ZipEntry | None:
        """Read a local header that no directory names; None where it is none."""
        header = self.reader.read_at(offset, _LOCAL.size)
        if len(header) < _LOCAL.size:
            return None
        _, needed, flags, method, _, _, crc, compressed, size, name_length, extra_length = _LOCAL.unpack(header)
        data_offset = offset + _LOCAL.size + name_length + extra_length
        if not name_length or data_offset > end or (needed & 0xFF) > 63 or (method not in METHODS):
            return None
        raw_name = self.reader.read_at(offset + _LOCAL.size, name_length)
        if _FULL32 in (compressed, size):
            extra = self.reader.read_at(offset + _LOCAL.size + name_length, extra_length)
            size, compressed, _ = _wide(extra, size, compressed, 0)
        if flags & DESCRIPTOR and not compressed:
            # Nobody says where the data ends: up to the next record, or to the end of what is unclaimed.
            compressed = self.end_of_described(data_offset, end) - data_offset
            size = compressed if method == STORED else min(compressed * 1032 + 1024, self.budget.limits.member_bytes)
        self.budget.spend_members()
        name = _name_of(raw_name, flags)
        self.note("zip-hidden-member", f"{name!r} has a local header but no entry in the directory", offset)
        self.spans.append((offset, data_offset - offset))
        return ZipEntry(
            name,
            raw_name,
            method,
            flags,
            crc,
            min(compressed, self.size - data_offset),
            size,
            offset,
            data_offset,
            raw_name,
            flags,
            method,
            0,
            "streaming",
        )

    def end_of_described(self, start: int, end: int) -> int:
        """Find where data of unknown length ends: at the next record's signature."""
        position = start
        stop = min(end, start + _GAP_SEARCH)
        while position < stop:
            chunk = self.reader.read_at(position, min(_CHUNK + 4, end - position))
            found = [
                at
                for magic in (_DESCRIPTOR_MAGIC, _LOCAL_MAGIC, _CENTRAL_MAGIC, _END_MAGIC)
                if (at := chunk.find(magic)) >= 0
            ]
            if found:
                return position + min(found)
            position += _CHUNK
        return end


_READER = {
    "torch": "torch",
    "zipfile": "zipfile",
    "directory": "torch",
    "other-directory": "another loader",
    "streaming": "a streaming loader",
}


def _wide(extra: bytes, size: int, compressed: int, offset: int) -> tuple[int, int, int]:
    """Replace the 32-bit fields that are full by those of the zip64 extra field (APPNOTE 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            body = extra[at + 4 : at + 4 + length]
            values = [int.from_bytes(body[i : i + 8], "little") for i in range(0, len(body) - 7, 8)]
            if size == _FULL32 and values:
                size = values.pop(0)
            if compressed == _FULL32 and values:
                compressed = values.pop(0)
            if offset == _FULL32 and values:
                offset = values.pop(0)
            break
        at += 4 + length
    return size, compressed, offset
