"""What is inside a 7z archive, read with the standard library's decompressors.

A 7z file is packed streams and, at the end, a header (usually packed itself) that says which folder of the archive each
stream belongs to, by which chain of coders it unpacks, and how it divides into members. Chains of LZMA, LZMA2, Deflate,
bzip2, the branch filters and Delta are read; PPMd, AES and chains with several inputs (BCJ2) are named as not read.

Source: 7-Zip, `DOC/7zFormat.txt` and `DOC/Methods.txt` (21.07).
"""

import bz2
import lzma
from dataclasses import field
from functools import partial
from typing import Final

from scanners.containers import deflate
from scanners.containers.unpacking import Method, Unpacked
from scanners.errors import FormatError, LimitExceeded, Unsupported
from scanners.limits import MEBIBYTE
from scanners.reader import Reader, Window
from scanners.reading import Blob, Reading
from scanners.records import dataclass

_START: Final = 32
_HEADER: Final = 64 * MEBIBYTE
"""bytes of header that are read"""
_MANY: Final = 1_000_000
_DICTIONARY: Final = 256 * MEBIBYTE

_END, _HEADER_ID, _STREAMS, _FILES = 0x00, 0x01, 0x04, 0x05
_PACK, _FOLDERS, _SUBSTREAMS, _SIZE, _CRC, _FOLDER, _UNPACK_SIZES = 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C
_COUNTS, _EMPTY, _EMPTY_FILES, _NAMES, _ENCODED = 0x0D, 0x0E, 0x0F, 0x11, 0x17

_COPY: Final = b"\x00"
_LZMA, _LZMA2 = b"\x03\x01\x01", b"\x21"
_DEFLATE, _BZIP2 = b"\x04\x01\x08", b"\x04\x02\x02"
_ENCRYPTED: Final = b"\x06\xf1\x07\x01"
_FILTERS: Final[dict[bytes, int]] = {
    b"\x03": lzma.FILTER_DELTA,
    b"\x04": lzma.FILTER_X86,
    b"\x03\x03\x01\x03": lzma.FILTER_X86,
    b"\x03\x03\x02\x05": lzma.FILTER_POWERPC,
    b"\x03\x03\x04\x01": lzma.FILTER_IA64,
    b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x03\x03\x07\x01": lzma.FILTER_ARMTHUMB,
    b"\x03\x03\x08\x05": lzma.FILTER_SPARC,
}
_LZMA_ERRORS: Final[tuple[type[Exception], ...]] = (lzma.LZMAError, EOFError, ValueError, MemoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coder:
    """One step of unpacking."""

    method: bytes
    properties: bytes = b""


@dataclass(slots=True, kw_only=True)
class Folder:
    """Streams that unpack to one run of bytes."""

    coders: list[Coder]
    """from the packed bytes to the content"""
    simple: bool
    """whether each coder has one input and one output, in a row"""
    packed: int
    """number of packed streams"""
    outputs: int = 1
    sizes: list[int] = field(default_factory=list)
    final: int = 0
    """index of the output that is the content"""
    parts: list[int] = field(default_factory=list)
    """sizes of the members in it"""

    @property
    def size(self) -> int:
        """Bytes of content."""
        return self.sizes[self.final] if self.final < len(self.sizes) else 0


@dataclass(slots=True, kw_only=True)
class Streams:
    """Where the packed bytes lie, and how they unpack."""

    position: int = 0
    packed_sizes: list[int] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)


def read(blob: Blob, reading: Reading) -> None:
    """Hand on every member."""
    start = blob.reader.read_at(0, _START)
    if len(start) < _START:
        raise FormatError("the file ends within its start header", offset=len(start))
    offset = _START + int.from_bytes(start[12:20], "little")
    size = int.from_bytes(start[20:28], "little")
    reading.parsed(0, _START)
    if not size:
        return
    if offset + size > blob.reader.size:
        raise FormatError("the header lies outside the file", offset=12)
    header = _header(blob.reader, offset, size, reading)
    if header is not None:
        _Members(blob, reading, header).hand_on()
    behind = blob.reader.size - offset - size
    if behind:
        reading.anomaly("stream-trailing-bytes", f"{behind} bytes behind the archive", offset + size, behind)
        reading.behind(offset + size)


def _header(reader: Reader, offset: int, size: int, reading: Reading) -> "_Cursor | None":
    """Return a cursor at the content of the header, unpacked as often as it was packed."""
    for _ in range(4):
        if size > _HEADER:
            raise LimitExceeded("text", f"a 7z header of {size} bytes")
        if reader is reading.blob.reader:
            reading.parsed(offset, size)
        data = reader.read_at(offset, size)
        if len(data) < size:
            raise FormatError("the header unpacks to less than it says", offset=offset)
        cursor = _Cursor(data)
        kind = cursor.byte()
        if kind == _HEADER_ID:
            return cursor
        if kind != _ENCODED:
            raise FormatError(f"a header of unknown kind {kind}", offset=offset)
        streams = _streams(cursor)
        if not streams.folders:
            return None
        reading.parsed(*_span(streams, 0))
        reader = _unpacked(reading.blob.reader, streams, 0, reading)
        offset, size = 0, reader.size
    raise FormatError("a header packed more than three times", offset=offset)


class _Cursor:
    """A position in a header."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        piece = self.data[self.at : self.at + length]
        if len(piece) < length:
            raise FormatError("the header ends within a field", offset=self.at)
        self.at += length
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """Read a number of one to nine bytes: the leading ones of the first byte count the bytes that follow."""
        first = self.byte()
        mask = 0x80
        value = 0
        for index in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << (8 * index)
            value |= self.byte() << (8 * index)
            mask >>= 1
        return value

    def count(self) -> int:
        """Read a number of things."""
        value = self.number()
        if value > _MANY:
            raise LimitExceeded("members", f"{value} entries in a 7z header, more than {_MANY}")
        return value

    def bits(self, count: int) -> list[bool]:
        """Read a vector of bits."""
        data = self.take((count + 7) // 8)
        return [bool(data[index // 8] & (0x80 >> index % 8)) for index in range(count)]

    def defined(self, count: int) -> list[bool]:
        """Read a vector of bits that may say "all"."""
        return [True] * count if self.byte() else self.bits(count)

    def skip_digests(self, count: int) -> int:
        """Step over checksums; return how many there are."""
        present = sum(self.defined(count))
        self.take(4 * present)
        return present


def _streams(cursor: _Cursor) -> Streams:
    """Read a StreamsInfo."""
    streams = Streams()
    with_digest: list[bool] = []
    while (kind := cursor.byte()) != _END:
        if kind == _PACK:
            _packed(cursor, streams)
        elif kind == _FOLDERS:
            with_digest = _folders(cursor, streams)
        elif kind == _SUBSTREAMS:
            _substreams(cursor, streams, with_digest)
        else:
            raise FormatError(f"an unknown part {kind} of the streams", offset=cursor.at)
    for folder in streams.folders:
        if not folder.parts:
            folder.parts = [folder.size]
    return streams


def _packed(cursor: _Cursor, streams: Streams) -> None:
    streams.position = cursor.number()
    count = cursor.count()
    while (kind := cursor.byte()) != _END:
        if kind == _SIZE:
            streams.packed_sizes = [cursor.number() for _ in range(count)]
        elif kind == _CRC:
            cursor.skip_digests(count)
        else:
            raise FormatError(f"an unknown part {kind} of the packed streams", offset=cursor.at)


def _folders(cursor: _Cursor, streams: Streams) -> list[bool]:
    """Read the folders; return which of them have a checksum."""
    with_digest: list[bool] = []
    while (kind := cursor.byte()) != _END:
        if kind == _FOLDER:
            count = cursor.count()
            if cursor.byte():
                raise Unsupported("a 7z header whose folders lie elsewhere")
            streams.folders = [_folder(cursor) for _ in range(count)]
            with_digest = [False] * count
        elif kind == _UNPACK_SIZES:
            for folder in streams.folders:
                folder.sizes = [cursor.number() for _ in range(folder.outputs)]
        elif kind == _CRC:
            with_digest = cursor.defined(len(streams.folders))
            cursor.take(4 * sum(with_digest))
        else:
            raise FormatError(f"an unknown part {kind} of the folders", offset=cursor.at)
    return with_digest


def _folder(cursor: _Cursor) -> Folder:
    """Read one folder: its coders, and how they are tied together."""
    count = cursor.number()
    if not 1 <= count <= 32:
        raise FormatError(f"a folder of {count} coders", offset=cursor.at)
    coders: list[Coder] = []
    inputs = outputs = 0
    simple = True
    for _ in range(count):
        flags = cursor.byte()
        method = cursor.take(flags & 0x0F)
        into, out = (cursor.number(), cursor.number()) if flags & 0x10 else (1, 1)
        properties = cursor.take(cursor.number()) if flags & 0x20 else b""
        if into > 32 or out > 32:
            raise FormatError("a coder of too many streams", offset=cursor.at)
        simple = simple and into == out == 1
        coders.append(Coder(method=method, properties=properties))
        inputs += into
        outputs += out
    ties = {}
    for _ in range(outputs - 1):
        into = cursor.number()
        ties[into] = cursor.number()
    packed = inputs - len(ties)
    first = [index for index in range(inputs) if index not in ties]
    if packed > 1:
        first = [cursor.number() for _ in range(packed)]
    final = next((index for index in range(outputs) if index not in ties.values()), 0)
    ordered: list[Coder] = []
    if simple:
        # Tie i -> o: input i is fed by output o. Walk from the content back to the packed bytes.
        at: int | None = final
        while at is not None and len(ordered) < count:
            ordered.append(coders[at])
            at = ties.get(at)
        ordered.reverse()
        simple = len(ordered) == count and packed == 1 and bool(first) and coders[first[0]] is ordered[0]
    return Folder(coders=ordered if simple else coders, simple=simple, packed=packed, outputs=outputs, final=final)


def _substreams(cursor: _Cursor, streams: Streams, with_digest: list[bool]) -> None:
    """Read how the folders divide into members."""
    counts = [1] * len(streams.folders)
    kind = cursor.byte()
    if kind == _COUNTS:
        counts = [cursor.count() for _ in streams.folders]
        kind = cursor.byte()
    if sum(counts) > _MANY:
        raise LimitExceeded("members", f"{sum(counts)} members in a 7z archive, more than {_MANY}")
    for folder, count in zip(streams.folders, counts, strict=True):
        known = [cursor.number() for _ in range(count - 1)] if kind == _SIZE else []
        if count:
            folder.parts = [*known, max(0, folder.size - sum(known))]
        else:
            folder.parts = []
    if kind == _SIZE:
        kind = cursor.byte()
    while kind != _END:
        if kind != _CRC:
            raise FormatError(f"an unknown part {kind} of the members", offset=cursor.at)
        unknown = sum(
            count
            for index, count in enumerate(counts)
            if count != 1 or index >= len(with_digest) or not with_digest[index]
        )
        cursor.skip_digests(unknown)
        kind = cursor.byte()


def _unpacked(reader: Reader, streams: Streams, index: int, reading: Reading) -> Reader:
    """Return the content of a folder.

    Raises:
        Unsupported: it is encrypted, or unpacks by a method or a chain that is not read.
        FormatError: its packed bytes lie outside the file.
    """
    folder = streams.folders[index]
    offset, length = _span(streams, index)
    if offset + length > reader.size:
        raise FormatError("packed data lies outside the file", offset=min(offset, reader.size))
    methods = [coder.method for coder in folder.coders]
    if _ENCRYPTED in methods:
        raise Unsupported("encrypted members of a 7z archive")
    if not folder.simple:
        raise Unsupported("a 7z folder whose coders have several inputs")
    if methods == [_COPY]:
        return Window(reader, offset, min(length, folder.size))
    return Unpacked(reader, (offset, length), _method(folder.coders), reading.budget, size=folder.size)


def _span(streams: Streams, index: int) -> tuple[int, int]:
    """Return offset and length of a folder's packed bytes in the file."""
    before = sum(folder.packed for folder in streams.folders[:index])
    own = streams.packed_sizes[before : before + streams.folders[index].packed]
    if len(own) < streams.folders[index].packed:
        raise FormatError("fewer packed streams than the folders need", offset=0)
    return _START + streams.position + sum(streams.packed_sizes[:before]), sum(own)


def _method(coders: list[Coder]) -> Method:
    """Return the decompressor for a chain of coders."""
    if [coder.method for coder in coders] == [_DEFLATE]:
        return Method(decoder=deflate.raw, errors=deflate.ERRORS)
    if [coder.method for coder in coders] == [_BZIP2]:
        return Method(decoder=bz2.BZ2Decompressor, errors=(OSError, ValueError, EOFError), magic=b"BZh")
    # liblzma wants the chain as the encoder applied it: filters first, the compressor last.
    chain = [_filter(coder) for coder in reversed(coders)]
    return Method(decoder=partial(lzma.LZMADecompressor, lzma.FORMAT_RAW, filters=chain), errors=_LZMA_ERRORS)


def _filter(coder: Coder) -> dict[str, int]:
    """Return liblzma's description of one coder."""
    properties = coder.properties
    if coder.method == _LZMA and len(properties) == 5 and properties[0] < 225:
        rest, lc = divmod(properties[0], 9)
        pb, lp = divmod(rest, 5)
        size = int.from_bytes(properties[1:5], "little")
        made = {"id": lzma.FILTER_LZMA1, "dict_size": max(size, 4096), "lc": lc, "lp": lp, "pb": pb}
    elif coder.method == _LZMA2 and len(properties) == 1 and properties[0] <= 40:
        bits = properties[0]
        size = 0xFFFFFFFF if bits == 40 else (2 | bits & 1) << (bits // 2 + 11)
        made = {"id": lzma.FILTER_LZMA2, "dict_size": size}
    elif coder.method in _FILTERS:
        made = {"id": _FILTERS[coder.method]}
        if coder.method == b"\x03" and properties:
            made["dist"] = properties[0] + 1
    else:
        raise Unsupported(f"a 7z member packed by method {coder.method.hex()}")
    if made.get("dict_size", 0) > _DICTIONARY:
        raise LimitExceeded("materialised", f"a dictionary of {made['dict_size']} bytes, more than {_DICTIONARY}")
    return made


class _Members:
    """The members of an archive."""

    def __init__(self, blob: Blob, reading: Reading, cursor: _Cursor) -> None:
        self.blob = blob
        self.reading = reading
        self.streams = Streams()
        self.names: list[str] = []
        self.empty: list[bool] = []
        while (kind := cursor.byte()) != _END:
            if kind == _STREAMS:
                self.streams = _streams(cursor)
            elif kind == _FILES:
                self.files(cursor)
            elif kind == 0x02:
                while (kind := cursor.byte()) != _END:
                    cursor.take(cursor.number())
            else:
                raise FormatError(f"an unknown part {kind} of the header", offset=cursor.at)

    def files(self, cursor: _Cursor) -> None:
        """Read names, and which members have no content."""
        count = cursor.count()
        self.empty = [False] * count
        while (kind := cursor.byte()) != _END:
            part = _Cursor(cursor.take(cursor.number()))
            if kind == _EMPTY:
                self.empty = part.bits(count)
            elif kind == _NAMES:
                if part.byte():
                    raise Unsupported("a 7z header whose names lie elsewhere")
                text = part.data[1:].decode("utf-16-le", "replace")
                self.names = text.split("\x00")[:count]

    def hand_on(self) -> None:
        """Hand on the content of every folder, member by member."""
        names = iter(name for name, empty in zip(self.names, self.empty, strict=False) if not empty)
        for name in self.names:
            plain = name.replace("\\", "/")
            if plain.startswith("/") or ".." in plain.split("/") or plain[1:3] == ":/":
                self.reading.anomaly("archive-traversal", f"the member {name!r} leads outside the archive")
        for index, folder in enumerate(self.streams.folders):
            own = [next(names, f"member {index}.{part}") for part in range(len(folder.parts))]
            self.reading.budget.spend_members(len(own))
            try:
                span = _span(self.streams, index)
                content = _unpacked(self.blob.reader, self.streams, index, self.reading)
            except Unsupported as error:
                self.reading.anomaly("unsupported-compression", f"{own[0] if own else 'a folder'}: {error}")
                self.reading.unread(str(error))
                continue
            self.folder(own, folder, content, span)

    def folder(self, names: list[str], folder: Folder, content: Reader, span: tuple[int, int]) -> None:
        """Hand on the members of one folder."""
        alone = len(names) == 1
        if isinstance(content, Unpacked) and not alone:
            # Members of one stream: unpack it once to know whether it holds what the header says.
            content.finish()
            if content.broken is not None:
                code = "limit-exceeded" if isinstance(content.broken, LimitExceeded) else "malformed"
                self.reading.anomaly(code, f"{names[0]} and what is packed with it: {content.broken}", span[0])
                self.reading.unread(str(content.broken))
        position = 0
        for name, size in zip(names, folder.parts, strict=True):
            base = name.replace("\\", "/").rsplit("/", 1)[-1]
            data = content if alone else Window(content, position, size)
            self.reading.child(base, data, span=span, stored=False, label=name)
            position += size
