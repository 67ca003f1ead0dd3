"""HDF5: groups, links, attributes and the layout of datasets; no element of a dataset is read.

Source: "HDF5 File Format Specification Version 3.0". Stated are references to other files (external links, external
storage, virtual datasets: CVE-2026-1669), shapes that promise more than the file can hold, and text attributes that
others read: a Keras configuration, a pickle that PyTables left.
"""

from scanners.errors import FormatError
from scanners.facts import Identified
from scanners.reader import Reader
from scanners.reading import Blob, Reading

NAME = "hdf5"
MAGIC = b"\x89HDF\r\n\x1a\n"
KERAS_CONFIG = "keras-config"
"""role of a blob that is a Keras configuration in JSON"""


def matches(blob: Blob) -> bool:
    """Return whether a superblock lies at 0, or at 512, 1024, 2048 … behind a user block."""
    return superblock(blob.reader) is not None


def superblock(reader: Reader) -> int | None:
    """Return where a superblock lies."""
    place = 0
    while place + 8 <= reader.size:
        if reader.read_at(place, 8) == MAGIC:
            return place
        place = max(512, place * 2)
    return None


def read(blob: Blob, reading: Reading) -> None:
    """State links to other files, tensors, and hand on text attributes that others read."""
    from scanners.formats.hdf5_file import File  # few scans meet such a file, and none else pays for its reader

    start = superblock(blob.reader)
    if start is None:
        raise FormatError("there is no HDF5 superblock")
    reading.state(Identified(location=reading.at(start), format=NAME))
    File(blob, reading, start).read()
    reading.parsed(0, blob.reader.size)
