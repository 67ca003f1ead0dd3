"""The tar files of torch 0.1.9 and earlier: four members, three of which are streams of pickles.

`sys_info` and `pickle` are one pickle each. `storages` is a count, then per storage a pickle (key, location, class),
the number of elements and the elements, then a pickled list of views. `tensors` is a count, then per tensor a pickle
(key, storage, class) and its dimensions, sizes, strides and offset as plain numbers. torch 2.13 still reads all of it,
with the caller's unpickler, and never with `weights_only`.

Source: torch/serialization.py of 2.13 (`_legacy_load`, `legacy_load`); CVE-2025-32434.
"""

from typing import Final

from scanners.containers import tar
from scanners.containers.tar import directory_of
from scanners.errors import FormatError
from scanners.facts import Identified
from scanners.pickles.machine import PickleRun
from scanners.pickles.streams import read_stream, report_failure
from scanners.pickles.tensors import ITEMSIZE, STORAGE_DTYPES
from scanners.pickles.values import Global
from scanners.reading import Blob, Reading

NAME = "torch-tar"

STORAGES_ROLE: Final = "torch-tar-storages"
TENSORS_ROLE: Final = "torch-tar-tensors"
PICKLE_ROLE: Final = "pickle"

_ROLES: Final = {"sys_info": PICKLE_ROLE, "pickle": PICKLE_ROLE, "storages": STORAGES_ROLE, "tensors": TENSORS_ROLE}


def matches(blob: Blob) -> bool:
    """Return whether the blob is a tar, or a member that this module reads."""
    return bool({STORAGES_ROLE, TENSORS_ROLE} & blob.roles) or tar.matches(blob)


def read(blob: Blob, reading: Reading) -> None:
    """Give roles to the members of the archive; read the pickles between the numbers of a member."""
    if STORAGES_ROLE in blob.roles:
        _Member(blob, reading).storages()
    elif TENSORS_ROLE in blob.roles:
        _Member(blob, reading).tensors()
    else:
        _archive(blob, reading)


def _archive(blob: Blob, reading: Reading) -> None:
    directory = directory_of(blob, reading.budget)
    names = {entry.name.removeprefix("./") for entry in directory.entries if entry.is_regular}
    if "pickle" not in names or not names & {"storages", "tensors"}:
        return
    reading.state(Identified(location=reading.at(), format=NAME))
    for entry in directory.entries:
        role = _ROLES.get(entry.name.removeprefix("./"))
        if role is not None and entry.is_regular:
            blob.claim(entry.header_offset, role)


class _Member:
    """One member with pickles between numbers."""

    def __init__(self, blob: Blob, reading: Reading) -> None:
        self.reader = blob.reader
        self.reading = reading
        self.extensions: dict[int, tuple[str, str]] = {}
        self.position = 0

    def pickle(self) -> PickleRun:
        """Read the pickle at the current position and step behind it."""
        stream = read_stream(self.reader, self.position, self.reading, self.extensions, storages={})
        if stream.stop is None:
            report_failure(stream, self.reading)
            raise FormatError("a pickle without an end", offset=self.position)
        self.reading.parsed(self.position, stream.stop - self.position)
        self.position = stream.stop
        return stream

    def number(self, width: int) -> int:
        """Read a signed number and step behind it."""
        data = self.reader.read_at(self.position, width)
        if len(data) < width:
            raise FormatError("the member ends within a number", offset=self.position)
        self.reading.parsed(self.position, width)
        self.position += width
        return int.from_bytes(data, "little", signed=True)

    def count(self) -> int:
        """Read the pickled number of items that follow."""
        value = self.pickle().root
        if not isinstance(value, int):
            raise FormatError("the number of items is no number", offset=0)
        # torch goes on for as many as the file says, and has loaded what is there before it finds the rest missing.
        return value

    def storages(self) -> None:
        """Read `storages`."""
        for _ in range(self.count()):
            root = self.pickle().root
            kind = root[2] if isinstance(root, tuple) and len(root) == 3 else None
            dtype = STORAGE_DTYPES.get(kind.name) if isinstance(kind, Global) else None
            width = None if dtype is None else ITEMSIZE.get(dtype)
            elements = self.number(8)
            if width is None or elements < 0:
                raise FormatError("a storage of unknown type or negative length", offset=self.position)
            length = elements * width
            if self.position + length > self.reader.size:
                raise FormatError("a storage ends outside the member", offset=self.position)
            self.reading.inert(self.position, length)
            self.position += length
        if self.position < self.reader.size:  # other writers than torch leave the list of views out
            self.pickle()
        self.rest()

    def tensors(self) -> None:
        """Read `tensors`."""
        for _ in range(self.count()):
            self.pickle()
            dimensions = self.number(4)
            self.number(4)
            if not 0 <= dimensions <= 1024:
                raise FormatError("a tensor of senseless dimensions", offset=self.position)
            for _ in range(2 * dimensions + 1):
                self.number(8)
        self.rest()

    def rest(self) -> None:
        """State what torch never reads."""
        left = self.reader.size - self.position
        if left:
            self.reading.anomaly("tar-trailing-bytes", f"{left} bytes behind the last item", self.position, left)
            self.reading.behind(self.position)
