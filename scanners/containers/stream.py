"""What all files that are one compressed stream have in common: one child, its name, and what lies behind it."""

from scanners.containers.unpacking import Method, Unpacked
from scanners.facts import Identified
from scanners.reading import Blob, Reading

_SUFFIXES = {
    "gz": "",
    "tgz": ".tar",
    "bz2": "",
    "tbz": ".tar",
    "tbz2": ".tar",
    "xz": "",
    "txz": ".tar",
    "lzma": "",
    "zst": "",
    "zstd": "",
    "tzst": ".tar",
    "lz4": "",
    "zlib": "",
    "z": "",
}


def inner_name(name: str) -> str:
    """Return what a compressed file's content would be called: `model.tar` for `model.tgz`."""
    stem, dot, suffix = name.rpartition(".")
    replacement = _SUFFIXES.get(suffix.lower()) if dot and stem else None
    return name if replacement is None else stem + replacement


def hand_on(blob: Blob, reading: Reading, name: str, method: Method) -> None:
    """State the format and hand on what the stream unpacks to."""
    size = blob.reader.size
    reading.state(Identified(location=reading.at(), format=name))
    unpacked = Unpacked(blob.reader, (0, size), method, reading.budget)
    unpacked.finish()
    consumed = size if unpacked.broken is not None else unpacked.consumed
    # Where the stream breaks off or grows too large, the child says so: what it gave until then is read all the same.
    reading.child(inner_name(blob.name), unpacked, span=(0, consumed), stored=False)
    behind = size - consumed
    if behind:
        tail = blob.reader.read_at(consumed, min(behind, 1 << 20))
        reading.inert(consumed, behind)
        if tail.strip(b"\x00") or len(tail) < behind:
            reading.anomaly("stream-trailing-bytes", f"{behind} bytes behind the compressed data", consumed, behind)
