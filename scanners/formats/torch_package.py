"""Archives of `torch.package`: pickles together with the Python modules their classes come from.

Importing from such an archive runs the modules in it: that is its purpose. The sources are read by the format for
Python, the pickles by theirs; this module says that the code travels along, and which bytes are weights.

Source: torch/package/package_exporter.py, package_importer.py (2.13).
"""

from scanners.containers import zip as zip_container
from scanners.containers.zip import ZipEntry, directory_of, member_reader
from scanners.errors import ScanError
from scanners.facts import Code, Identified
from scanners.formats import disguises
from scanners.reading import INERT, Blob, Reading

NAME = "torch-package"

_LISTED = 5


def matches(blob: Blob) -> bool:
    """Return whether the blob is a zip; `read` finds out whether it is a package."""
    return zip_container.matches(blob)


def read(blob: Blob, reading: Reading) -> None:
    """Give roles to the storages and name the modules that travel along."""
    directory = directory_of(blob, reading.budget)
    names = {entry.name.partition("/")[2] for entry in directory.everything}
    if ".data/extern_modules" not in names:
        return
    reading.state(Identified(location=reading.at(), format=NAME))
    sources: list[str] = []
    for entry in directory.everything:
        below = entry.name.partition("/")[2]
        if below.startswith(".data/") and below.endswith(".storage"):
            if not _disguised(blob, entry, reading):
                blob.claim(entry.key, INERT)
        elif below.endswith(".py"):
            sources.append(below)
    if sources:
        more = f" and {len(sources) - _LISTED} more" if len(sources) > _LISTED else ""
        text = ", ".join(sources[:_LISTED]) + more
        reading.state(Code(location=reading.at(), language="python", action="packaged", text=text, runs="load"))


def _disguised(blob: Blob, entry: ZipEntry, reading: Reading) -> bool:
    """Whether a storage holds a file, or cannot be read."""
    try:
        data = member_reader(blob.reader, entry, reading.budget)
        return disguises.is_file(data.read_at(0, disguises.HEAD), data)
    except ScanError:
        return True
