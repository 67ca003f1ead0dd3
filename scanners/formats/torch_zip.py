"""The zip layout of `torch.save` and `torch.jit.save`: one pickle that describes everything, one record per storage.

All records lie under one root, which is the directory of the archive's first member; torch looks names up without
regard to case. `data.pkl` (and in TorchScript `constants.pkl`) are pickles; `data/0`, `data/1` … are weights that
nothing interprets. This module tells the zip container which member is which; the pickle and the TorchScript sources
are read by formats of their own, which find the sizes of the storages in `Blob.around["torch-storages"]`.

Source: torch 2.13, `caffe2/serialize/inline_container.cc` (`PyTorchStreamReader::init`), `torch/serialization.py`.
"""

import re

from scanners.containers import zip as zip_container
from scanners.containers.zip import ZipDirectory, ZipEntry, directory_of, member_reader
from scanners.containers.zip_union import Nearby
from scanners.errors import ScanError
from scanners.facts import Identified
from scanners.formats import disguises
from scanners.limits import Budget
from scanners.reader import Reader, Window
from scanners.reading import INERT, Blob, Reading

NAME = "torch-zip"

DATA_PICKLE = "torch-data-pkl"
"""role of the pickle that holds the checkpoint"""
CONSTANTS_PICKLE = "torch-constants-pkl"
SCRIPT_SOURCE = "torchscript-source"
"""role of `code/*.py` in TorchScript: looks like Python, is another language"""
DEBUG_PICKLE = "torch-debug-pkl"
STORAGES = "torch-storages"
"""under this key in `Blob.around`: bytes of each storage, by key"""

_STORAGE = re.compile(r"(?:data|constants|tensors)/([0-9]+|[0-9a-f]+\.storage)\Z", re.IGNORECASE).match
_INERT = frozenset({INERT})
_RECORD_LIMIT = 64
_ORDERS = {b"little", b"big"}


def matches(blob: Blob) -> bool:
    """Return whether the blob is a zip; `read` finds out whether it is torch's."""
    return zip_container.matches(blob)


def read(blob: Blob, reading: Reading) -> None:
    """Give roles to the members, and state what contradicts the layout."""
    directory = directory_of(blob, reading.budget)
    everything = directory.everything
    storages: dict[str, int] = {}
    records: list[tuple[ZipEntry, str]] = []
    roots: dict[str, str] = {}
    found: list[ZipEntry] = []
    for entry in everything:
        name = entry[0]
        root, slash, below = name.partition("/")
        if not slash:
            root = ""
        if root not in roots and not entry.is_directory:
            roots[root] = name
        storage = _STORAGE(below)
        if storage is None:
            records.append((entry, below.lower()))
        else:  # no directory, which would end with a slash
            found.append(entry)
            key = storage[1]
            if key not in storages:
                storages[key] = entry.size
    pickles = [entry for entry, below in records if below == "data.pkl"]
    if not pickles:
        return
    root = root_of(directory)
    script = any(below == "constants.pkl" for _, below in records)
    order = byte_order(blob, directory, reading.budget)
    detail = f"TorchScript, {order}" if script else order
    reading.state(Identified(location=reading.at(), format=NAME, detail=detail))
    if order not in {"little", "big"}:
        reading.anomaly("torch-record-malformed", "the byteorder record says neither little nor big", 0)
    blob.shared[STORAGES] = storages
    for entry, below in records:
        if not entry.is_directory:
            _claim(blob, entry, below, script=script)
    _claim_storages(blob, found, reading.budget)
    for entry in pickles:
        if entry.name.split("/", 1)[0].lower() != root.lower():
            reading.anomaly(
                "torch-second-root",
                f"{entry.name!r} lies outside {root!r}, the root torch reads: other loaders may take it",
                entry.header_offset,
            )
    others = sorted(set(roots) - {root})
    if others:
        named = ", ".join(repr(roots[other]) for other in others[:3])
        reading.anomaly("torch-record-outside-root", f"records outside the root {root!r}: {named}", 0)


def root_of(directory: ZipDirectory) -> str:
    """Return the directory of the archive's first member, which torch takes for the root of all records."""
    for entry in directory.entries:
        return entry.name.split("/", 1)[0] if "/" in entry.name else ""
    return ""


def byte_order(blob: Blob, directory: ZipDirectory, budget: Budget) -> str:
    """Return what the byteorder record says; torch before 2.1 wrote none and meant little."""
    for entry in directory.entries:
        if _below_root(entry.name).lower() == "byteorder" and entry.size <= _RECORD_LIMIT:
            try:
                text = member_reader(blob.reader, entry, budget).read_at(0, _RECORD_LIMIT)
            except ScanError:
                return "unreadable"
            return text.decode("ascii") if text in _ORDERS else "unknown"
    return "little"


def _below_root(name: str) -> str:
    """Return a record's name without its first directory."""
    return name.split("/", 1)[1] if "/" in name else ""


def _claim(blob: Blob, entry: ZipEntry, below: str, *, script: bool) -> None:
    """Give the role to a record that is no storage; ``below`` is its name in lower case."""
    if below == "data.pkl":
        blob.claim(entry.key, DATA_PICKLE)
    elif below == "constants.pkl":
        blob.claim(entry.key, CONSTANTS_PICKLE)
    elif below.endswith(".debug_pkl"):
        blob.claim(entry.key, DEBUG_PICKLE)
    elif script and below.startswith("code/") and below.endswith(".py"):
        blob.claim(entry.key, SCRIPT_SOURCE)


def _claim_storages(blob: Blob, entries: list[ZipEntry], budget: Budget) -> None:
    """Call the storages inert, but those that hold a file: other loaders take members whatever they are called."""
    nearby = Nearby(blob.reader)
    claims = blob.claims
    for entry in entries:
        _, raw_name, method, _, _, _, _, header_offset, data_offset, _, _, _, _, _ = entry
        begin = data_offset - nearby.base
        if method:
            weights = not _packed_file(blob.reader, entry, budget)
        elif 0 <= begin < nearby.filled and nearby.block[begin] not in disguises.FIRST:
            weights = True
        else:
            head = nearby.at(max(0, data_offset), disguises.HEAD)[: entry.size]
            weights = not disguises.is_file(head, Window(blob.reader, max(0, data_offset), entry.size))
        if weights:
            key = header_offset, raw_name
            known = claims.get(key)
            claims[key] = _INERT if known is None else known | _INERT


def _packed_file(reader: Reader, entry: ZipEntry, budget: Budget) -> bool:
    """Whether a storage that is compressed, as torch writes none, holds a file; one that cannot be read might."""
    try:
        data = member_reader(reader, entry, budget)
        return disguises.is_file(data.read_at(0, disguises.HEAD), data)
    except ScanError:
        return True
