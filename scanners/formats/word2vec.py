"""Word vectors in the binary form of word2vec (`GoogleNews-vectors-negative300.bin`): words and numbers, all data.

Source: tmikolov/word2vec, `word2vec.c` (TrainModel), and gensim, `models/keyedvectors.py` (_word2vec_read_binary): a
line with how many words and how many numbers each has, then each word, a space, its numbers as 32-bit floats, and
perhaps a line end. There is no magic number, so only files that are called `.bin` are taken, and each record must be
there.
"""

from scanners.cursor import Cursor
from scanners.errors import FormatError
from scanners.facts import Identified, Tensor
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "word2vec"

_HEAD = late(rb"([1-9][0-9]{0,9}) ([1-9][0-9]{0,4})\n")
_HEAD_LENGTH = 17
_BLOCK = 1 << 20
_WORD = 1 << 14
"""bytes a word may have"""


def matches(blob: Blob) -> bool:
    """Return whether the blob is called `.bin`, begins with two numbers, and is long enough for what they say."""
    if not blob.name.lower().endswith(".bin"):
        return False
    head = _head(blob)
    return head is not None and blob.reader.size >= head[0] + head[1] * (4 * head[2] + 1)


def _head(blob: Blob) -> tuple[int, int, int] | None:
    """Return the length of the first line, and the numbers in it."""
    match = _HEAD.match(blob.reader.read_at(0, min(_HEAD_LENGTH, blob.reader.size)))
    return (match.end(), int(match[1]), int(match[2])) if match is not None else None


def read(blob: Blob, reading: Reading) -> None:
    """Step from word to word, to the end of the file."""
    head = _head(blob)
    if head is None:
        raise FormatError("word vectors without their two numbers", offset=0)
    start, words, width = head
    reading.state(Identified(location=reading.at(), format=NAME))
    cursor = Cursor(blob.reader, start)
    _records(cursor, words, 4 * width)
    if cursor.left == 1 and blob.reader.read_at(cursor.offset, 1) == b"\n":
        cursor.skip(1)
    if cursor.left:
        reading.unread(f"{cursor.left} bytes follow the last vector")
    reading.state(
        Tensor(
            location=reading.at(start, cursor.offset - start),
            name="vectors",
            dtype="F32",
            shape=(words, width),
            stride=None,
            storage="file",
            storage_offset=0,
            storage_bytes=None,
        )
    )
    reading.parsed(0, cursor.offset)


def _records(cursor: Cursor, count: int, width: int) -> None:
    """Step over the records, a block of the file at a time: there may be millions."""
    while count:
        block = cursor.reader.read_at(cursor.offset, min(_BLOCK, cursor.left))
        used = 0
        while count:
            space = block.find(b" ", used, used + _WORD)
            if space < 0 or space + 1 + width > len(block):
                break
            used = space + 1 + width
            count -= 1
        if not used:
            raise FormatError("a word without a vector", offset=cursor.offset)
        cursor.skip(used)
