"""fastText models (`lid.176.bin`, `cc.en.300.bin`, `.ftz`): words and matrices, all data.

Source: facebookresearch/fastText, `src/fasttext.cc` (loadModel), `args.cc`, `dictionary.cc`, `densematrix.cc`,
`quantmatrix.cc`, `productquantizer.cc`, from version 11 on, which has a magic number. The loader imports, opens and
calls nothing that the file names, but it allocates by its numbers and checks none of them: here each is.
"""

from scanners.cursor import Cursor
from scanners.errors import FormatError
from scanners.facts import Identified, Tensor
from scanners.reading import Blob, Reading

NAME = "fasttext"

_MAGIC = b"\xba\x16\x4f\x2f"
_VERSIONS = (11, 12)
_SETTINGS = 12 * 4 + 8
_BLOCK = 1 << 20
_AFTER_WORD = 10
"""the zero that ends a word, how often it was seen (8 bytes), and whether it is a word or a label"""
_CENTROIDS = 256


def matches(blob: Blob) -> bool:
    """Return whether the blob begins as a fastText model."""
    return blob.reader.read_at(0, 4) == _MAGIC


def read(blob: Blob, reading: Reading) -> None:
    """Walk the file to its end, and state both matrices."""
    cursor = Cursor(blob.reader, len(_MAGIC))
    (version,) = cursor.unpack("i")
    if version not in _VERSIONS:
        raise FormatError(f"a fastText model of the unknown version {version}", offset=4)
    reading.state(Identified(location=reading.at(), format=NAME, detail=str(version)))
    cursor.skip(_SETTINGS)
    _dictionary(cursor)
    quantised = _flag(cursor)
    _matrix(cursor, reading, "input", quantised=quantised)
    _matrix(cursor, reading, "output", quantised=_flag(cursor) and quantised)
    if cursor.left:
        reading.unread(f"{cursor.left} bytes follow the model")
    reading.parsed(0, cursor.offset)


def _flag(cursor: Cursor) -> bool:
    value = cursor.u8()
    if value > 1:
        raise FormatError(f"{value} is neither yes nor no", offset=cursor.offset - 1)
    return bool(value)


def _dictionary(cursor: Cursor) -> None:
    place = cursor.offset
    size, words, labels, _tokens, pruned = cursor.unpack("iiiqq")
    if min(size, words, labels) < 0 or words + labels != size:
        raise FormatError(f"{words} words and {labels} labels among {size}", offset=place)
    _entries(cursor, size)
    if pruned > 0:
        cursor.skip(pruned * 8)


def _entries(cursor: Cursor, count: int) -> None:
    """Step over the words, a block of the file at a time: there may be millions."""
    while count:
        block = cursor.reader.read_at(cursor.offset, min(_BLOCK, cursor.left))
        used = 0
        while count:
            end = block.find(b"\0", used) + _AFTER_WORD
            if end < _AFTER_WORD or end > len(block):
                break
            if block[end - 1] > 1:
                raise FormatError("an entry that is neither word nor label", offset=cursor.offset + end - 1)
            used = end
            count -= 1
        if not used:
            raise FormatError("a word that does not end", offset=cursor.offset)
        cursor.skip(used)


def _matrix(cursor: Cursor, reading: Reading, name: str, *, quantised: bool) -> None:
    place = cursor.offset
    normed = quantised and _flag(cursor)
    rows, columns = cursor.unpack("qq")
    if rows < 0 or columns < 0:
        raise FormatError(f"a matrix of {rows} rows and {columns} columns", offset=place)
    start = cursor.offset
    if quantised:
        (codes,) = cursor.unpack("i")
        cursor.skip(codes)
        parts = _centroids(cursor, columns)
        if codes != rows * parts:
            raise FormatError(f"{codes} codes for {rows} rows of {parts} parts", offset=start)
        if normed:
            cursor.skip(rows)
            _centroids(cursor, 1)
    else:
        cursor.skip(rows * columns * 4)
    reading.state(
        Tensor(
            location=reading.at(start, cursor.offset - start),
            name=name,
            dtype="quantised" if quantised else "F32",
            shape=(rows, columns),
            stride=None,
            storage="file",
            storage_offset=0,
            storage_bytes=None if quantised else cursor.offset - start,
        )
    )


def _centroids(cursor: Cursor, columns: int) -> int:
    """Step over a quantiser, and return in how many parts it divides a row."""
    place = cursor.offset
    width, parts, part, last = cursor.unpack("iiii")
    if width != columns or parts < 1 or part < 1 or not 0 < last <= part or (parts - 1) * part + last != width:
        raise FormatError(f"a quantiser for {width} columns in {parts} parts of {part} and {last}", offset=place)
    cursor.skip(width * _CENTROIDS * 4)
    return parts
