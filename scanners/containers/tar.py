"""tar archives (v7, ustar, GNU, pax), read from their headers alone.

`tarfile` stops at the first block of zeros, other readers go on; pax headers can give a member another size than its
own header, and readers that ignore them see the content as headers. What only a lenient reader finds is handed on too,
and noted. Nothing is unpacked, so links and names that lead outside do no harm here: they are noted for those who will.

Sources: POSIX.1-2017 pax "ustar Interchange Format"; GNU tar manual "Basic Tar Format"; CPython `Lib/tarfile.py`;
CVE-2007-4559 (names), CVE-2025-62518 (pax sizes).
"""

from scanners.errors import FormatError
from scanners.facts import Identified
from scanners.limits import Budget
from scanners.reader import Reader, Window
from scanners.reading import INERT, Blob, Reading
from scanners.records import dataclass

NAME = "tar"

BLOCK = 512
_LONG = 1 << 20
"""bytes of a long name or a pax header that are read"""
_AFTER_END = 64 << 20
"""bytes behind the end mark that are searched for further members"""
_ANOMALIES = 50

_REGULAR = frozenset({b"0", b"\x00", b"7", b"S"})
_HARD_LINK = b"1"
_SYMBOLIC_LINK = b"2"
_DEVICES = frozenset({b"3", b"4", b"6"})
_DIRECTORY = b"5"
_EXTENDED = frozenset({b"L", b"K", b"x", b"X", b"g"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TarEntry:
    """One member."""

    name: str
    kind: bytes
    """the type flag"""
    size: int
    header_offset: int
    data_offset: int
    link: str = ""
    after_end: bool = False
    """whether it lies behind the end mark, where most readers never look"""

    @property
    def is_regular(self) -> bool:
        """Whether it has content of its own."""
        return self.kind in _REGULAR


@dataclass(frozen=True, slots=True, kw_only=True)
class TarDirectory:
    """All members, and what bends the rules: (code, message, offset)."""

    entries: tuple[TarEntry, ...]
    anomalies: tuple[tuple[str, str, int], ...]
    spans: tuple[tuple[int, int], ...]
    """(offset, length) of headers and padding"""
    cut_off: bool
    """whether the archive ends within a member"""


def matches(blob: Blob) -> bool:
    """Return whether the first block is a header with a correct checksum."""
    return _checked(blob.reader.read_at(0, BLOCK))


def directory_of(blob: Blob, budget: Budget) -> TarDirectory:
    """Read the headers of a blob once, whichever format asks first. Raises as `read_members`."""
    known = blob.shared.get(NAME)
    if not isinstance(known, TarDirectory):
        known = read_members(blob.reader, budget)
        blob.shared[NAME] = known
    return known


def read_members(reader: Reader, budget: Budget) -> TarDirectory:
    """Read all headers.

    Raises:
        FormatError: the first block is no header.
        LimitExceeded: more members than the budget allows.
    """
    return _Walk(reader, budget).run()


def read(blob: Blob, reading: Reading) -> None:
    """State what bends the rules, and hand on every member with content."""
    directory = directory_of(blob, reading.budget)
    reading.state(Identified(location=reading.at(), format=NAME))
    for code, message, offset in directory.anomalies:
        reading.anomaly(code, message, offset)
    for offset, length in directory.spans:
        reading.parsed(offset, length)
    behind = {offset for code, _, offset in directory.anomalies if code == "tar-trailing-bytes"}
    if behind:
        reading.behind(min(behind))
    seen: dict[str, int] = {}
    for entry in directory.entries:
        if not entry.is_regular:
            continue
        roles = blob.claimed(entry.header_offset)
        span = (entry.data_offset, entry.size)
        if INERT in roles:
            reading.inert(*span)
            continue
        seen[entry.name] = times = seen.get(entry.name, 0) + 1
        label = entry.name
        if times > 1 or entry.after_end:
            what = "behind the end mark" if entry.after_end else "a second entry of this name"
            label = f"{entry.name} (at {entry.header_offset}, {what})"
        data = Window(blob.reader, *span)
        base = entry.name.rsplit("/", 1)[-1]
        reading.child(base, data, span=span, stored=True, roles=roles, label=label)
    if directory.cut_off:
        raise FormatError("the archive ends within a member", offset=blob.reader.size)


class _Walk:
    """One pass over the headers."""

    def __init__(self, reader: Reader, budget: Budget) -> None:
        self.reader = reader
        self.size = reader.size
        self.budget = budget
        self.entries: list[TarEntry] = []
        self.anomalies: list[tuple[str, str, int]] = []
        self.spans: list[tuple[int, int]] = []
        self.names: set[str] = set()
        self.cut_off = False
        self.after_end = False
        self.long_name: str | None = None
        self.long_link: str | None = None
        self.pax: dict[str, str] = {}
        self.pax_for_all: dict[str, str] = {}

    def run(self) -> TarDirectory:
        position = 0
        while position < self.size:
            block = self.reader.read_at(position, BLOCK)
            if len(block) < BLOCK:
                self.rest(position, block)
                break
            if not block.strip(b"\x00"):
                found = self.behind_end(position)
                if found is None:
                    break
                position = found
                self.after_end = True
                continue
            if not _checked(block):
                if position == 0:
                    raise FormatError("no tar header", offset=0)
                found = self.behind_garbage(position)
                if found is None:
                    break
                position = found
                self.after_end = True
                continue
            position = self.header(position, block)
        return TarDirectory(
            entries=tuple(self.entries),
            anomalies=tuple(self.anomalies),
            spans=tuple(self.spans),
            cut_off=self.cut_off,
        )

    def note(self, code: str, message: str, offset: int) -> None:
        if sum(known == code for known, _, _ in self.anomalies) < _ANOMALIES:
            self.anomalies.append((code, message, offset))

    def rest(self, position: int, block: bytes) -> None:
        """Account for what is shorter than a block at the end."""
        if block.strip(b"\x00"):
            self.note("tar-trailing-bytes", f"{len(block)} bytes behind the last block", position)
        self.spans.append((position, len(block)))

    def header(self, position: int, block: bytes) -> int:
        """Read one header; return where the next one is."""
        kind = block[156:157]
        size = _number(block[124:136])
        data_offset = position + BLOCK
        if size < 0:
            self.note("tar-negative-size", "a member of negative size", position)
            size = 0
        if kind in _EXTENDED:
            self.extended(kind, data_offset, min(size, _LONG))
            padded = _padded(size)
            self.spans.append((position, BLOCK + padded))
            return data_offset + padded
        self.budget.spend_members()
        pax = {**self.pax_for_all, **self.pax}
        name, link = self.names_of(block, pax)
        said = size
        if "size" in pax and pax["size"].isdigit() and len(pax["size"]) < 20:
            size = int(pax["size"])
            if said not in {size, 0}:
                message = f"{name!r} has {said} bytes in its header, {size} in its pax header: readers differ"
                self.note("tar-size-differs", message, position)
        self.long_name = self.long_link = None
        self.pax = {}
        if kind == b"S":
            data_offset += self.sparse_headers(block, data_offset)
        content = size if kind in _REGULAR or kind not in _KINDS_WITHOUT_CONTENT else 0
        self.judge_name(name, link, kind, position)
        self.entries.append(
            TarEntry(
                name=name,
                kind=kind,
                size=max(0, min(content, self.size - data_offset)),
                header_offset=position,
                data_offset=data_offset,
                link=link,
                after_end=self.after_end,
            )
        )
        if data_offset + content > self.size:
            self.cut_off = True
        padded = _padded(content)
        self.spans.append((position, data_offset - position))
        self.spans.append((data_offset + content, padded - content))
        return data_offset + padded

    def sparse_headers(self, block: bytes, offset: int) -> int:
        """Return the length of the extra blocks that list more holes (GNU old sparse format)."""
        length = 0
        more = block[482:483]
        while more not in {b"\x00", b""} and length < _LONG:
            more = self.reader.read_at(offset + length + 504, 1)
            length += BLOCK
        return length

    def extended(self, kind: bytes, offset: int, size: int) -> None:
        """Keep a long name, a long link or pax records for the next member."""
        data = self.reader.read_at(offset, size)
        if kind == b"L":
            self.long_name = _text(data)
        elif kind == b"K":
            self.long_link = _text(data)
        elif kind == b"g":
            self.pax_for_all.update(_records(data))
        else:
            self.pax.update(_records(data))

    def names_of(self, block: bytes, pax: dict[str, str]) -> tuple[str, str]:
        """Return the name and the link target, from wherever they are given."""
        name = _text(block[:100])
        if block[257:262] == b"ustar" and block[257:265] != b"ustar  \x00" and block[345]:
            name = f"{_text(block[345:500])}/{name}"
        name = pax.get("GNU.sparse.name") or pax.get("path") or self.long_name or name
        link = pax.get("linkpath") or self.long_link or _text(block[157:257])
        return name, link

    def judge_name(self, name: str, link: str, kind: bytes, position: int) -> None:
        """Note names and links that lead elsewhere, and names given twice."""
        if _leads_outside(name):
            self.note("archive-traversal", f"the member {name!r} leads outside the archive", position)
        if kind in {_HARD_LINK, _SYMBOLIC_LINK}:
            base = name.rsplit("/", 1)[0] + "/" if kind == _SYMBOLIC_LINK and "/" in name else ""
            if link.startswith("/") or _climbs(base + link):
                message = f"the link {name!r} points outside the archive, to {link!r}"
                self.note("archive-traversal", message, position)
            else:
                self.note("tar-link", f"{name!r} is a link to {link!r}", position)
        elif kind in _DEVICES:
            self.note("tar-device", f"{name!r} is a device or pipe", position)
        elif kind in _REGULAR:
            if name in self.names:
                message = f"two members are named {name!r}: unpacked, the last one wins; readers by name differ"
                self.note("tar-duplicate-member", message, position)
            self.names.add(name)

    def behind_end(self, position: int) -> int | None:
        """Account for the end mark; return where a lenient reader finds a further member, if it does."""
        return self.search(position, "tar-members-after-end", "behind the end mark")

    def behind_garbage(self, position: int) -> int | None:
        """Return where a reader that skips broken blocks finds a further member, if it does."""
        found = self.search(position, "tar-members-after-garbage", "behind a broken header")
        if found is None:
            self.note("tar-trailing-bytes", f"no header at {position}, and {self.size - position} bytes left", position)
        return found

    def search(self, position: int, code: str, where: str) -> int | None:
        """Look for a header block by block; account for what was looked at."""
        start = position
        blank = True
        while position < min(self.size, start + _AFTER_END):
            chunk = self.reader.read_at(position, 1 << 20)
            if chunk.strip(b"\x00"):
                for at in range(0, len(chunk) - BLOCK + 1, BLOCK):
                    block = chunk[at : at + BLOCK]
                    if not block.strip(b"\x00"):
                        continue
                    if _checked(block):
                        self.spans.append((start, position + at - start))
                        if not self.after_end:
                            self.note(code, f"members {where}: some readers stop before them", position + at)
                        return position + at
                    blank = False
                if len(chunk) % BLOCK and chunk[-(len(chunk) % BLOCK) :].strip(b"\x00"):
                    blank = False
            position += len(chunk)
        self.spans.append((start, position - start))
        if not blank and not self.after_end:
            self.note("tar-trailing-bytes", f"{self.size - start} bytes behind the archive", start)
        return None


_KINDS_WITHOUT_CONTENT = frozenset({_HARD_LINK, _SYMBOLIC_LINK, _DIRECTORY}) | _DEVICES


def _checked(block: bytes) -> bool:
    """Return whether a block is a header: its checksum, signed or unsigned, is right."""
    if len(block) < BLOCK:
        return False
    said = _number(block[148:156])
    if said <= 0:
        return False
    total = sum(block) - sum(block[148:156]) + 8 * 0x20
    if total == said:
        return True
    field = block[:148] + block[156:]
    return sum(byte - 256 if byte > 127 else byte for byte in field) + 8 * 0x20 == said


def _number(field: bytes) -> int:
    """Read an octal or (GNU) base-256 number; -1 where it is neither."""
    if field[:1] in {b"\x80", b"\xff"}:
        return int.from_bytes(field[1:], "big", signed=field[0] == 0xFF)
    digits = field.split(b"\x00", 1)[0].strip()
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        return -1
    return int(digits, 8)


def _padded(size: int) -> int:
    return (size + BLOCK - 1) // BLOCK * BLOCK


def _text(field: bytes) -> str:
    """Decode a name up to its NUL."""
    return field.split(b"\x00", 1)[0].decode("utf-8", "surrogateescape")


def _records(data: bytes) -> dict[str, str]:
    """Read pax records: `length key=value newline`."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at:space] if space > 0 else b""
        if not digits.isdigit():
            break
        length = int(digits)
        if length < space - at + 2:
            break
        key, equals, value = data[space + 1 : at + length - 1].partition(b"=")
        if equals:
            found[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        at += length
    return found


def _leads_outside(name: str) -> bool:
    plain = name.replace("\\", "/")
    return plain.startswith("/") or ".." in plain.split("/") or plain[1:3] == ":/"


def _climbs(path: str) -> bool:
    """Return whether a relative path leaves the directory it starts in."""
    depth = 0
    for part in path.replace("\\", "/").split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                return True
        elif part not in {"", "."}:
            depth += 1
    return False
