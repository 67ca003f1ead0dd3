"""All readings of a zip archive at once, and where they contradict each other.

A zip can be read in several ways, and loaders differ: torch (miniz) takes the last end record and trusts its offset as
absolute; `zipfile` takes the same record but moves the directory to where the record lies; careful ones take the record
whose comment ends with the file; streaming readers walk the local headers and never see a directory.

Sources: CPython `Lib/zipfile.py` (`_EndRecData`, `_RealGetContents`); miniz 3.0 (`mz_zip_reader_read_central_dir`) as
torch 2.13 carries it; measured with both.
"""

from collections.abc import Iterator
from typing import NamedTuple

from scanners.containers.zip_records import (
    CENTRAL,
    CENTRAL_MAGIC,
    DESCRIPTOR,
    DESCRIPTOR_MAGIC,
    ENCRYPTED,
    END,
    END64,
    END64_MAGIC,
    END_MAGIC,
    FULL32,
    LOCAL,
    LOCAL_FIELDS,
    LOCAL_MAGIC,
    LOCATOR,
    LOCATOR_MAGIC,
    METHODS,
    STORED,
    ZipAnomaly,
    ZipDirectory,
    ZipEntry,
    name_of,
    wide,
)
from scanners.errors import FormatError
from scanners.limits import Budget
from scanners.reader import Reader

_TAIL = END.size + 0xFFFF
"""how far from its end an archive's end record can lie, for every loader we know"""
_CHUNK = 1 << 20
_BLOCK = 1 << 16
_CLOSE = 4096
"""local headers nearer to each other than this are read in blocks"""
_READINGS = 12
"""directories followed; an honest archive has one, a doubled one two"""
_ANOMALIES = 50
"""anomalies of one kind that are listed one by one"""
_GAP_SEARCH = 64 << 20
"""bytes between members that are searched for hidden ones"""
_UNKNOWN = bytes(12)
"""CRC and sizes of a local header whose writer did not know them yet"""

_READER = {
    "torch": "torch",
    "zipfile": "zipfile",
    "directory": "torch",
    "other-directory": "another loader",
    "streaming": "a streaming loader",
}


class Place(NamedTuple):
    """Where one reading finds its directory."""

    loader: str
    start: int
    size: int
    promised: int
    """entries, as the end record says"""
    shift: int
    """what to add to the offsets of local headers"""


def places(reader: Reader) -> tuple[list[Place], list[tuple[int, bytes]]]:
    """Find the directories that any loader would read, torch's first.

    Returns:
        The places, each once, and (offset, comment) of the end records that some loader takes, the last one first.
    """
    tail_start = max(0, reader.size - _TAIL)
    tail = reader.read_at(tail_start, _TAIL)
    found: dict[tuple[int, int, int], Place] = {}
    ends: list[tuple[int, bytes]] = []
    at = tail.rfind(END_MAGIC)
    while at >= 0:
        if at + END.size <= len(tail):
            fields = END.unpack_from(tail, at)
            behind = at + END.size + fields[7]
            # Loaders take the last record; careful ones the one whose comment reaches exactly to the end of the file.
            # Any other belongs to an archive inside a member, unless the last one leads nowhere.
            if not ends or behind == len(tail) or not found:
                ends.append((tail_start + at, tail[at + END.size : behind]))
                for place in _places_of(reader, tail_start + at, fields, last=len(ends) == 1):
                    # Two loaders that look at the same place, with the same shift of offsets, read the same.
                    if place.promised == place.size == 0 or reader.read_at(max(0, place.start), 4) == CENTRAL_MAGIC:
                        found.setdefault((place.start, place.shift, place.promised), place)
            if len(found) > _READINGS:
                break
        at = tail.rfind(END_MAGIC, 0, at + 3) if at else -1
    return list(found.values()), ends


def _places_of(reader: Reader, end: int, fields: tuple[int, ...], *, last: bool) -> Iterator[Place]:
    """Yield where the loaders look, given one end record."""
    _, _, _, _, count, size, offset, _ = fields
    torch, python = ("torch", "zipfile") if last else ("other-directory", "other-directory")
    locator = reader.read_at(end - LOCATOR.size, LOCATOR.size) if end >= LOCATOR.size else b""
    if locator[:4] == LOCATOR_MAGIC:
        # miniz follows the locator; zipfile takes the record right before it and never looks at the offset.
        before = end - LOCATOR.size - END64.size
        for at, loader in ((LOCATOR.unpack(locator)[2], torch), (before, python)):
            record = reader.read_at(at, END64.size) if at >= 0 else b""
            if len(record) == END64.size and record[:4] == END64_MAGIC:
                *_, count64, size64, offset64 = END64.unpack(record)
                if loader == torch:
                    yield Place(torch, offset64, size64, count64, 0)
                moved = before - size64
                yield Place(python, moved, size64, count64, moved - offset64)
    yield Place(torch, offset, size, count, 0)
    yield Place(python, end - size, size, count, end - size - offset)


class Union:
    """The work of reading an archive in every way, step by step."""

    def __init__(self, reader: Reader, budget: Budget) -> None:
        self.reader = reader
        self.size = reader.size
        self.budget = budget
        self.anomalies: list[ZipAnomaly] = []
        self.counts: dict[str, int] = {}
        self.spans: list[tuple[int, int]] = []
        self.gaps: list[tuple[int, int]] = []
        self.directory_spans: list[tuple[int, int]] = []
        self.variants: list[ZipEntry] = []

    def collect(self) -> ZipDirectory:
        """Read everything.

        Raises:
            FormatError: no loader would find a member or an end record.
            LimitExceeded: more members than the budget allows.
        """
        found, ends = places(self.reader)
        if len(found) > _READINGS:
            self.note("zip-many-directories", f"end records point to more than {_READINGS} directories", ends[0][0])
        entries, others = self.merge(found[:_READINGS])
        for offset, comment in ends:
            self.end_record(offset, comment)
        self.names(entries)
        without_checksum = len([entry for entry in entries if not entry.crc and entry.size > 0])
        if without_checksum:
            self.note("zip-no-checksum", f"{without_checksum} members carry no checksum", 0)
        others += self.variants
        hidden = self.between(entries + others)
        if not entries and not hidden and not ends:
            raise FormatError("no end record, no directory and no local header", offset=0)
        if hidden and not entries:
            # A download that broke off looks like this: say it once, not once per member.
            self.forget("zip-hidden-member")
            self.note("zip-no-directory", f"no central directory; {len(hidden)} members in local headers", 0)
        others += hidden
        for code, count in sorted(self.counts.items()):
            if count > _ANOMALIES:
                offset = max(anomaly.offset for anomaly in self.anomalies if anomaly.code == code)
                self.anomalies.append(ZipAnomaly(code, f"{count - _ANOMALIES} more of this kind", offset))
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
            self.anomalies.append(ZipAnomaly(code, message, max(0, offset)))

    def forget(self, code: str) -> None:
        """Drop the anomalies of one kind."""
        self.anomalies = [anomaly for anomaly in self.anomalies if anomaly.code != code]
        self.counts.pop(code, None)

    def end_record(self, offset: int, comment: bytes) -> None:
        """Account for an end record and what belongs to it."""
        self.directory_spans.append((offset, END.size + len(comment)))
        locator = self.reader.read_at(offset - LOCATOR.size, LOCATOR.size) if offset >= LOCATOR.size else b""
        if locator[:4] == LOCATOR_MAGIC:
            self.directory_spans.append((offset - LOCATOR.size, LOCATOR.size))
            for at in (LOCATOR.unpack(locator)[2], offset - LOCATOR.size - END64.size):
                if at >= 0 and self.reader.read_at(at, 4) == END64_MAGIC:
                    self.directory_spans.append((at, END64.size))
        if END_MAGIC in comment or LOCAL_MAGIC in comment:
            self.note("zip-archive-in-comment", "the archive comment holds another archive", offset)

    def merge(self, found: list[Place]) -> tuple[list[ZipEntry], list[ZipEntry]]:
        """Unite the readings: torch's (or the first that finds anything) first, then what only others see."""
        chosen: list[tuple[Place, list[ZipEntry]]] = []
        dead: list[tuple[Place, list[ZipEntry]]] = []
        for place in found:
            before = (len(self.anomalies), dict(self.counts), len(self.directory_spans), len(self.variants))
            entries = self.directory(place, place.loader if chosen else "directory")
            if any(entry.data_offset >= 0 for entry in entries):
                chosen.append((place, entries))
                continue
            # No entry has a local header: a misread directory, from which no loader could deliver a byte.
            if entries:
                dead.append((place, entries))
            if entries or place.promised:
                del self.anomalies[before[0] :], self.directory_spans[before[2] :], self.variants[before[3] :]
                self.counts = before[1]
        if not chosen:
            if not dead:
                return [], []
            place, entries = dead[0]
            self.note("zip-local-header-missing", "no entry of the directory has a local header", place.start)
            return entries, []
        first_place, first = chosen[0]
        known = {entry[:8] for entry in first} if len(chosen) > 1 else set()
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
        return first, others

    def directory(self, place: Place, loader: str) -> list[ZipEntry]:
        """Read the entries of one central directory and their local headers; an empty list where there is none.

        miniz goes by the number of entries, zipfile by the size of the directory: whatever either sees is read.
        """
        entries: list[ZipEntry] = []
        start = base = position = place.start
        buffer = b""
        filled = 0
        unpack = CENTRAL.unpack_from
        local_fields = LOCAL_FIELDS.unpack_from
        make = tuple.__new__  # `ZipEntry(...)` is a function that calls it, and takes twice as long
        end_of_file = self.size
        end, promised, shift = start + place.size, place.promised, place.shift
        central, local = CENTRAL.size, LOCAL.size
        spent = local_extra = 0
        near = Nearby(self.reader)
        while position < end or len(entries) < promised:
            at = position - base
            if at + central > filled:
                self.budget.spend_members(len(entries) - spent)
                spent = len(entries)
                base, at = position, 0
                buffer = self.reader.read_at(base, _CHUNK)
                filled = len(buffer)
                if filled < central:
                    break
            (
                magic,
                flags,
                method,
                crc,
                compressed,
                size,
                name_length,
                extra_length,
                comment_length,
                attributes,
                offset,
            ) = unpack(buffer, at)
            if magic != CENTRAL_MAGIC:
                break
            length = central + name_length + extra_length + comment_length
            if at + length > filled:
                base, at = position, 0
                buffer = self.reader.read_at(base, max(_CHUNK, length))
                filled = len(buffer)
                if length > filled:
                    # zipfile takes the entry all the same, with what there is of its name and extra fields.
                    self.note("zip-directory-broken", f"entry {len(entries)} of the directory is cut off", position)
                    length = filled
            behind = at + central + name_length
            raw_name = buffer[at + central : behind]
            if FULL32 in (compressed, size, offset):
                size, compressed, offset = wide(buffer[behind : behind + extra_length], size, compressed, offset)
            offset += shift
            begin = offset - near.base
            local_end = begin + local + name_length
            same = False
            if begin >= 0 and local_end <= near.filled:
                # Both headers have the same fields in the same order, from the version to the length of the name, so
                # that comparing one stretch settles the ordinary case.
                block = near.block
                local_magic, fields, local_extra = local_fields(block, begin)
                same = (
                    fields == buffer[at + 6 : at + 30]
                    and local_magic == LOCAL_MAGIC
                    and block[begin + local : local_end] == raw_name
                )
            if same:
                data_offset = offset + local + name_length + local_extra
                local_name, local_flags, local_method = raw_name, flags, method
            else:
                header = near.at(offset, local + name_length)
                if (
                    header[30:] == raw_name
                    and header[:4] == LOCAL_MAGIC
                    and header[6:14] == buffer[at + 8 : at + 16]
                    and header[26:28] == buffer[at + 28 : at + 30]
                    # The same sizes in both, or none in the local header and a descriptor behind the data.
                    and (
                        header[14:26] == buffer[at + 16 : at + 28] or (flags & DESCRIPTOR and header[14:26] == _UNKNOWN)
                    )
                ):
                    data_offset = offset + len(header) + (header[28] | header[29] << 8)
                    local_name, local_flags, local_method = raw_name, flags, method
                else:
                    data_offset, local_name, local_flags, local_method = -1, b"", 0, 0
            try:
                name = raw_name.decode()
            except UnicodeDecodeError:
                name = name_of(raw_name, flags)
            entry = make(
                ZipEntry,
                (
                    name,
                    raw_name,
                    method,
                    flags,
                    crc,
                    compressed,
                    size,
                    offset,
                    data_offset,
                    local_name,
                    local_flags,
                    local_method,
                    attributes,
                    loader,
                ),
            )
            if data_offset < 0:
                entry = self.against_local_header(entry, near.at(offset, local + name_length))
            elif flags & ENCRYPTED or data_offset + compressed > end_of_file:
                self.state_of_data(entry)
            entries.append(entry)
            position += length
        self.budget.spend_members(len(entries) - spent)
        if entries:
            self.directory_spans.append((start, position - start))
            if len(entries) != place.promised or position - start != place.size:
                self.note(
                    "zip-directory-count",
                    f"the end record promises {place.promised} entries in {place.size} bytes, "
                    f"the directory has {len(entries)} in {position - start}",
                    start,
                )
        return entries

    def against_local_header(self, entry: ZipEntry, header: bytes) -> ZipEntry:
        """Complete an entry from a local header that differs from the directory, and note what loaders trip over."""
        offset = entry.header_offset
        if len(header) < LOCAL.size or header[:4] != LOCAL_MAGIC:
            self.note("zip-local-header-missing", f"no local header for {entry.name!r} at {offset}", offset)
            return entry
        _, _, flags, method, _, _, crc, compressed, size, name_length, extra_length = LOCAL.unpack_from(header)
        data_offset = offset + LOCAL.size + name_length + extra_length
        local_name = self.reader.read_at(offset + LOCAL.size, name_length)
        entry = entry._replace(data_offset=data_offset, local_name=local_name, local_flags=flags, local_method=method)
        if local_name != entry.raw_name:
            other = name_of(local_name, flags)
            message = f"the directory says {entry.name!r}, the local header {other!r}"
            self.note("zip-local-name-differs", message, offset)
        if method != entry.method:
            message = f"{entry.name!r}: method {entry.method} in the directory, {method} in the local header"
            self.note("zip-local-method-differs", message, offset)
        streamed = entry.compressed_size
        if FULL32 in (compressed, size):
            extra = self.reader.read_at(offset + LOCAL.size + name_length, extra_length)
            size, compressed, _ = wide(extra, size, compressed, 0)
        if not flags & DESCRIPTOR:
            streamed = compressed
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
        if method != entry.method or streamed != entry.compressed_size:
            # A streaming reader knows only the local header, and unpacks what that says.
            variant = entry._replace(
                method=method, compressed_size=streamed, size=size or entry.size, loader="streaming"
            )
            self.variants.append(variant._replace(name=name_of(local_name, flags), raw_name=local_name))
        self.state_of_data(entry)
        return entry

    def state_of_data(self, entry: ZipEntry) -> None:
        """Note what keeps loaders from the data."""
        if entry.encrypted:
            self.note("zip-encrypted", f"{entry.name!r} is marked as encrypted", entry.header_offset)
        if entry.data_offset + entry.compressed_size > self.size:
            self.note("zip-data-outside", f"the data of {entry.name!r} ends outside the file", entry.header_offset)

    def names(self, entries: list[ZipEntry]) -> None:
        """Note names that loaders resolve differently, or that lead elsewhere."""
        raw_names = [entry.raw_name for entry in entries]
        # One look at all names together settles the ordinary case.
        joined = b"\n".join(raw_names)
        if len(set(map(bytes.lower, raw_names))) != len(entries):
            self.duplicates(entries)
        if b".." in joined or b"\n/" in joined or joined[:1] == b"/" or b"\\" in joined or b":" in joined:
            self.traversal(entries)
        if b"\x00" in joined:
            for entry in entries:
                if b"\x00" in entry.raw_name:
                    message = f"{entry.name!r} contains NUL: zipfile cuts the name there, torch does not"
                    self.note("zip-nul-in-name", message, entry.header_offset)
        if any(mode >> 28 == 0xA for mode in {entry.attributes for entry in entries}):
            for entry in entries:
                if entry.is_symlink:
                    self.note("zip-symlink", f"{entry.name!r} is a symbolic link", entry.header_offset)

    def duplicates(self, entries: list[ZipEntry]) -> None:
        """Note names that are the same to some loader."""
        exact: set[bytes] = set()
        folded: dict[bytes, bytes] = {}
        for entry in entries:
            raw = entry.raw_name
            first = folded.setdefault(raw.lower(), raw)
            if raw in exact:
                message = f"two members are named {entry.name!r}: torch loads the first, zipfile the last"
                self.note("zip-duplicate-member", message, entry.header_offset)
            elif first != raw:
                other = name_of(first, entry.flags)
                message = f"{other!r} and {entry.name!r} differ only in case: torch takes them for one name"
                self.note("zip-case-duplicate", message, entry.header_offset)
            exact.add(raw)

    def traversal(self, entries: list[ZipEntry]) -> None:
        """Note names that lead outside the directory an archive is unpacked to."""
        for entry in entries:
            raw = entry.raw_name
            absolute = raw[:1] in {b"/", b"\\"} or raw[1:3] in {b":\\", b":/"}
            if absolute or b".." in raw.replace(b"\\", b"/").split(b"/"):
                message = f"the member {entry.name!r} leads outside the archive"
                self.note("archive-traversal", message, entry.header_offset)

    def between(self, entries: list[ZipEntry]) -> list[ZipEntry]:
        """Account for every byte of the archive, and find members that only the local headers know.

        Walks headers, data and directories in file order. What lies between them is a data descriptor, padding, or
        something a streaming reader (or a person) could find.
        """
        size = self.size
        spans = self.spans
        taken: list[tuple[int, int, int, int]] = []
        for index, (_, _, _, _, _, compressed, _, offset, data_offset, _, flags, _, _, _) in enumerate(entries):
            if data_offset >= 0:
                spans.append((offset, data_offset - offset))
                end = data_offset + compressed
                taken.append((offset, end if end < size else size, index, flags & DESCRIPTOR))  # noqa: FURB136 - `min` takes three times as long
        taken += [(offset, offset + length, -1, 0) for offset, length in self.directory_spans]
        spans += self.directory_spans
        taken.sort()
        hidden: list[ZipEntry] = []
        cursor = 0
        described = 0
        previous = -1
        for offset, end, index, descriptor in taken:
            if offset > cursor:
                gap = offset - cursor
                if described and gap in {12, 16, 20, 24}:
                    spans.append((cursor, gap))
                else:
                    hidden += self.gap(cursor, offset, described=bool(described))
            elif offset < cursor and index >= 0 and previous >= 0:
                self.overlap(entries[index], entries[previous])
            if end >= cursor:
                cursor, described, previous = end, descriptor, index
        if cursor < size:
            hidden += self.gap(cursor, size, described=bool(described))
        return hidden

    def overlap(self, entry: ZipEntry, other: ZipEntry) -> None:
        """Note that two members share bytes, unless they are two readings of one."""
        if entry.header_offset == other.header_offset:
            if entry.raw_name != other.raw_name and entry.loader == other.loader:
                message = f"{entry.name!r} and {other.name!r} are the same bytes"
                self.note("zip-shared-data", message, entry.header_offset)
        else:
            self.note("zip-overlap", f"{entry.name!r} overlaps {other.name!r}", entry.header_offset)

    def gap(self, start: int, end: int, *, described: bool) -> list[ZipEntry]:
        """Account for bytes between two known ranges; return the members found in them."""
        if described:
            start = self.behind_descriptor(start, end)
        self.gaps.append((start, end - start))
        hidden: list[ZipEntry] = []
        position = start
        stop = min(end, start + _GAP_SEARCH)
        blank = True
        while position < stop:
            # Overlapping by a header, so that none hides on the border of two chunks.
            chunk = self.reader.read_at(position, min(_CHUNK + LOCAL.size, end - position))
            blank = blank and not chunk.strip(b"\x00")
            entry: ZipEntry | None = None
            at = chunk.find(LOCAL_MAGIC)
            while 0 <= at < _CHUNK and entry is None:
                entry = self.streamed(position + at, end)
                if entry is None:
                    at = chunk.find(LOCAL_MAGIC, at + 4)
            if entry is None:
                position += _CHUNK
            else:
                hidden.append(entry)
                position = max(position + at + LOCAL.size, entry.data_offset + entry.compressed_size)
        if blank:
            return hidden
        if start == 0 and end < self.size:
            self.note("zip-prefix", f"{end} bytes before the first member", 0)
        elif end == self.size and start > 0:
            self.note("zip-trailer", f"{end - start} bytes behind the end of the archive", start)
        elif not hidden:
            self.note("zip-unclaimed-bytes", f"{end - start} bytes between members", start)
        return hidden

    def behind_descriptor(self, start: int, end: int) -> int:
        """Step over a data descriptor (APPNOTE 4.3.9: with or without signature, sizes of 4 or 8 bytes)."""
        head = self.reader.read_at(start, min(26, end - start))
        signed = head[:4] == DESCRIPTOR_MAGIC
        for length in (16, 24) if signed else (12, 20):
            if head[length : length + 2] == b"PK" or start + length == end:
                break
        else:
            length = 16 if signed else 0
        length = min(length, end - start)
        if length:
            self.spans.append((start, length))
        return start + length

    def streamed(self, offset: int, end: int) -> ZipEntry | None:
        """Read a local header that no directory names; None where it is none."""
        header = self.reader.read_at(offset, LOCAL.size)
        if len(header) < LOCAL.size:
            return None
        _, needed, flags, method, _, _, crc, compressed, size, name_length, extra_length = LOCAL.unpack(header)
        data_offset = offset + LOCAL.size + name_length + extra_length
        if not name_length or data_offset > end or (needed & 0xFF) > 63 or method not in METHODS:
            return None
        raw_name = self.reader.read_at(offset + LOCAL.size, name_length)
        if FULL32 in (compressed, size):
            extra = self.reader.read_at(offset + LOCAL.size + name_length, extra_length)
            size, compressed, _ = wide(extra, size, compressed, 0)
        if flags & DESCRIPTOR and not compressed:
            # Nobody says where the data ends: up to the next record, or to the end of what is unclaimed.
            compressed = self.end_of_described(data_offset, end) - data_offset
            size = compressed if method == STORED else -1
        self.budget.spend_members()
        name = name_of(raw_name, flags)
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
                for magic in (DESCRIPTOR_MAGIC, LOCAL_MAGIC, CENTRAL_MAGIC, END_MAGIC)
                if (at := chunk.find(magic)) >= 0
            ]
            if found:
                return position + min(found)
            position += _CHUNK
        return end


class Nearby:
    """Short stretches of a file in rising order: read in blocks where they lie close together, else one by one."""

    __slots__ = ("base", "block", "filled", "last", "reader")

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.base = 0
        self.block = b""
        self.filled = 0
        self.last = -_CLOSE

    def at(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes at ``offset``, fewer where the file ends."""
        begin = offset - self.base
        if 0 <= begin <= self.filled - length:
            return self.block[begin : begin + length]
        if offset < 0:
            return b""
        if 0 <= offset - self.last < _CLOSE + self.filled:
            self.base = self.last = offset
            self.block = self.reader.read_at(offset, _BLOCK)
            self.filled = len(self.block)
            return self.block[:length]
        self.last = offset
        return self.reader.read_at(offset, length)
