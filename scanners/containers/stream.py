"""What all files that are one compressed stream have in common: one child, its name, and what lies behind it."""

from scanners.containers.unpacking import Method, Unpacked
from scanners.facts import Identified
from scanners.reader import Reader
from scanners.reading import Blob, Reading

_FRAMES = 65_536
"""skippable frames in a row that are stepped over"""

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
    """State the format and hand on what the stream unpacks to, and what lies behind it."""
    size = blob.reader.size
    reading.state(Identified(location=reading.at(), format=name))
    first = 0 if method.between is None else method.between(blob.reader, 0, size)
    unpacked = Unpacked(blob.reader, (first, size - first), method, reading.budget)
    unpacked.finish()
    consumed = size if unpacked.broken is not None else first + unpacked.consumed
    # Where the stream breaks off or grows too large, the child says so: what it gave until then is read all the same.
    reading.child(inner_name(blob.name), unpacked, span=(0, consumed), stored=False)
    if method.between is not None:
        end = method.between(blob.reader, consumed, size)
        reading.inert(consumed, end - consumed)
        consumed = end
    behind = size - consumed
    if behind:
        tail = blob.reader.read_at(consumed, min(behind, 1 << 20))
        if tail.strip(b"\x00") or len(tail) < behind:
            reading.anomaly("stream-trailing-bytes", f"{behind} bytes behind the compressed data", consumed, behind)
        reading.behind(consumed)


def skippable_frames(reader: Reader, start: int, end: int) -> int:
    """Return where frames end that LZ4's and Zstandard's readers skip (RFC 8878, 3.1.2); pzstd writes many."""
    for _ in range(_FRAMES):
        head = reader.read_at(start, min(8, end - start))
        if len(head) < 8 or head[0] & 0xF0 != 0x50 or head[1:4] != b"\x2a\x4d\x18":
            break
        start = min(end, start + 8 + int.from_bytes(head[4:], "little"))
    return start
