"""7z archives. What reads them is large and seldom needed, so it is imported when one comes (`sevenzip_archive`)."""

from scanners.facts import Identified
from scanners.reading import Blob, Reading

NAME = "7z"

_MAGIC = b"7z\xbc\xaf\x27\x1c"


def matches(blob: Blob) -> bool:
    """Return whether the blob begins with the magic."""
    return blob.reader.read_at(0, 6) == _MAGIC


def read(blob: Blob, reading: Reading) -> None:
    """Hand on every member."""
    from scanners.containers import sevenzip_archive

    reading.state(Identified(location=reading.at(), format=NAME))
    sevenzip_archive.read(blob, reading)
