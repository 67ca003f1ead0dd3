"""Where the decoded bytes of each store lie: in the source itself, or in a scratch file when they had to be unpacked.

After this step the copier knows nothing of deflate, text encodings or pieces: a store is a range of a descriptor.
"""

import codecs
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from modelsign.conversion.plan import Encoding, Grid, Plan, Store
from modelsign.errors import ConversionError
from scanners.errors import ScanError
from scanners.patterns import late

_CHUNK = 1 << 20
_ESCAPE = late(rb"\\(?:x([0-9a-fA-F]{2})|([\\'\"tnr])|)")
"""what `repr` of Python 2 writes of bytes that are not printable; an empty match is none of it"""
_ESCAPE_LENGTH = 4
_ESCAPED = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A store's bytes, ready to be read at random."""

    name: str
    descriptor: int
    offset: int
    size: int
    crc: int | None
    """still to be compared; None where it was compared while unpacking, or nobody stated one"""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the store."""
        return read_exactly(self.descriptor, self.offset + offset, length, self.name)


def read_exactly(descriptor: int, offset: int, length: int, name: str) -> bytes:
    """Return exactly ``length`` bytes; a file that became shorter is refused."""
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            raise ConversionError(f"{name}: the file became shorter while it was read")
        data += more
    return data


def settle(plan: Plan, source: int, scratch: int) -> tuple[Origin, ...]:
    """Unpack what has to be unpacked into ``scratch``; return where every store lies.

    Args:
        plan: checked.
        source: descriptor of the source.
        scratch: descriptor of an empty file.

    Raises:
        ConversionError: a store does not unpack to what the plan says, or its CRC differs.
    """
    used = {tensor.store for tensor in plan.tensors if tensor.size}
    needed = set(used)
    for index in reversed(range(len(plan.stores))):
        base = plan.stores[index].base
        if index in needed and base is not None:
            needed.add(base)
    origins: list[Origin] = []
    written = 0
    for index, store in enumerate(plan.stores):
        plain = _plain_range(store, source, origins)
        if plain is not None:
            origins.append(plain)
        elif index not in needed:
            origins.append(Origin(name=store.name, descriptor=scratch, offset=0, size=0, crc=None))
        elif store.grid is not None:
            _assemble(store, store.grid, source, origins, scratch, written)
            origins.append(Origin(name=store.name, descriptor=scratch, offset=written, size=store.size, crc=None))
            written += store.size
        else:
            size = _unpack(store, _pieces(store, source, origins), scratch, written)
            origins.append(Origin(name=store.name, descriptor=scratch, offset=written, size=size, crc=None))
            written += size
    return tuple(origins)


def _plain_range(store: Store, source: int, origins: list[Origin]) -> Origin | None:
    """Return the origin of a store that lies in one range as it is."""
    if store.encoding is not Encoding.RAW or len(store.segments) > 1:
        return None
    offset, length = store.segments[0] if store.segments else (0, 0)
    base = None if store.base is None else origins[store.base]
    return Origin(
        name=store.name,
        descriptor=source if base is None else base.descriptor,
        offset=offset if base is None else base.offset + offset,
        size=length,
        crc=store.crc,
    )


def _pieces(store: Store, source: int, origins: list[Origin]) -> Iterator[bytes]:
    base = None if store.base is None else origins[store.base]
    descriptor, shift = (source, 0) if base is None else (base.descriptor, base.offset)
    for offset, length in store.segments:
        position = offset
        while position < offset + length:
            wanted = min(_CHUNK, offset + length - position)
            yield read_exactly(descriptor, shift + position, wanted, store.name)
            position += wanted


def _unpack(store: Store, pieces: Iterator[bytes], scratch: int, at: int) -> int:

    crc = 0
    size = 0
    for piece in _decoded(store, pieces):
        if size + len(piece) > store.size:
            raise ConversionError(f"{store.name}: unpacks to more than the {store.size} bytes it should have")
        view = memoryview(piece)
        while view:
            view = view[os.pwrite(scratch, view, at + size + len(piece) - len(view)) :]
        crc = zlib.crc32(piece, crc)
        size += len(piece)
    if size != store.size:
        raise ConversionError(f"{store.name}: unpacks to {size} bytes and should have {store.size}")
    if store.crc is not None and crc != store.crc:
        raise crc_differs(store.name, store.crc, crc)
    return size


def _assemble(store: Store, grid: Grid, source: int, origins: list[Origin], scratch: int, at: int) -> None:
    from modelsign.conversion import blocks  # few sources have any

    base = None if store.base is None else origins[store.base]
    descriptor, shift = (source, 0) if base is None else (base.descriptor, base.offset)
    blocks.assemble(
        store, grid, lambda offset, length: read_exactly(descriptor, shift + offset, length, store.name), scratch, at
    )


def crc_differs(name: str, stated: int, found: int) -> ConversionError:
    """Return the refusal of a record whose checksum is wrong."""
    return ConversionError(
        f"{name}: its bytes do not match their checksum (CRC-32 {found:08x}, stated {stated:08x}): the file is damaged "
        "or was changed; fetch it again"
    )


def _decoded(store: Store, pieces: Iterator[bytes]) -> Iterator[bytes]:
    match store.encoding:
        case Encoding.INLINE:
            yield store.data
        case Encoding.RAW:
            yield from pieces
        case Encoding.DEFLATE:
            yield from _inflated(store.name, pieces)
        case Encoding.LATIN1:
            yield from _latin1(store.name, pieces, "utf-8", "surrogatepass")
        case Encoding.ESCAPED:
            yield from _latin1(store.name, pieces, "raw-unicode-escape", "strict")
        case Encoding.QUOTED:
            yield from _quoted(store.name, pieces)
        case Encoding.GZIP | Encoding.ZLIB | Encoding.BZIP2 | Encoding.XZ | Encoding.LZMA | Encoding.LZ4:
            yield from _streamed(store, pieces)
        case Encoding.CHUNKED:
            raise ConversionError(f"{store.name}: its blocks are not described")
        case _:
            assert_never(store.encoding)


def _inflated(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in pieces:
            data = piece
            while data and not inflater.eof:
                yield inflater.decompress(data, _CHUNK)
                data = inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error as error:
        raise ConversionError(f"{name}: its compressed data is damaged ({error})") from error
    if not inflater.eof:
        raise ConversionError(f"{name}: its compressed data is cut off")


def _streamed(store: Store, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack a compressed file: one stream after the other, a piece at a time."""
    from modelsign.conversion.inputs.compressed import method_of  # few sources are compressed, and it imports all kinds

    try:
        method = method_of(store.encoding)
    except ScanError as error:
        raise ConversionError(f"{store.name}: {error}") from error
    decoder = method.decoder()
    try:
        for piece in pieces:
            data = piece
            while data or not (decoder.eof or decoder.needs_input):
                if decoder.eof:
                    decoder = method.decoder()  # a further stream of the same file
                yield decoder.decompress(data, _CHUNK)
                data = decoder.unused_data if decoder.eof else b""
    except method.errors as error:
        raise ConversionError(f"{store.name}: its compressed data is damaged ({error})") from error
    if not decoder.eof:
        raise ConversionError(f"{store.name}: its compressed data is cut off")


def _latin1(name: str, pieces: Iterator[bytes], encoding: str, errors: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    try:
        for piece in pieces:
            yield decoder.decode(piece).encode("latin-1")
        yield decoder.decode(b"", final=True).encode("latin-1")
    except UnicodeError as error:
        raise ConversionError(f"{name}: its bytes are written as text that is not Latin-1 ({error.reason})") from error  # type: ignore[attr-defined]  # both subclasses have it


def _quoted(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Undo the escapes between the quotes; an escape may go on in the next piece."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        plain, used = _unquoted(name, data, len(data) - _ESCAPE_LENGTH)
        rest = data[used:]
        yield plain
    yield _unquoted(name, rest, len(rest))[0]


def _unquoted(name: str, data: bytes, end: int) -> tuple[bytes, int]:
    """Return the bytes up to ``end``, or to the end of the escape that reaches beyond it, and where that is."""
    parts = []
    position = 0
    for match in _ESCAPE.finditer(data):
        if match.start() >= end:
            break
        digits, sign = match.groups()
        if digits is None and sign is None:
            raise ConversionError(f"{name}: its bytes are written with an escape that Python 2 does not write")
        parts += [
            data[position : match.start()],
            bytes.fromhex(digits.decode()) if digits else _ESCAPED.get(sign, sign),
        ]
        position = match.end()
    stop = max(position, end, 0)
    parts.append(data[position:stop])
    return b"".join(parts), stop
