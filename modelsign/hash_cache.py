"""Digests of an earlier signing on this machine, so that a changed README does not cost reading all weights again.

A digest is used again only when two things say the same: this user's cache has it for a file of the same device, inode,
size and times, and the earlier *signature* lists it for that name. A file that was written within two seconds of the
cache is read again, because its times may not tell a later write apart (git calls such entries racy).
"""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from attestations.errors import AttestationError
from attestations.files import Hashed, numbers_of
from attestations.manifest import SINGLE_FILE, Manifest
from attestations.strict_json import Json, object_of, parse_object, text_of, write
from modelsign.errors import ModelsignError
from modelsign.publish import replacing_file

_SCHEMA = "modelsign.hash-cache/v2"
_MAX_BYTES = 512 * 1024 * 1024
_RACY_NS = 2_000_000_000


def load(model: Path, earlier: Manifest) -> dict[str, Hashed]:
    """Return the digests of ``earlier`` that the cache has for files of ``model``; none where it has nothing usable."""
    listed = {entry.name: entry.digest.hex for entry in earlier.entries}
    try:
        with _place(model, earlier.hash_type).open("rb") as file:
            document = parse_object(file.read(_MAX_BYTES), "the hash cache")
        if document.get("schema") != _SCHEMA:
            return {}
        written = document.get("written_ns")
        files = object_of(document.get("files"), "the cached files")
        found: dict[str, Hashed] = {}
        for name, value in files.items():
            state, _, digest = text_of(value, "a cached file").partition(":")
            fingerprint = bytes.fromhex(state)
            *_, modified, changed = numbers_of(fingerprint)
            settled = isinstance(written, int) and max(modified, changed) + _RACY_NS < written
            if settled and listed.get(name or SINGLE_FILE) == digest:
                found[name] = Hashed(name, fingerprint, digest)
    except (AttestationError, OSError, ValueError):
        # A cache that cannot be read is no cache; everything is hashed.
        return {}
    return found


def save(model: Path, hash_type: str, hashed: Iterable[Hashed], *, started_ns: int) -> None:
    """Keep digests for the next run; a cache that cannot be written is no error.

    Args:
        model: the model they are of.
        hash_type: what made them.
        hashed: name, fingerprint and digest of each file.
        started_ns: when the hashing began: what was written after that is not trusted later.
    """
    files: dict[str, Json] = {item.name: f"{item.fingerprint.hex()}:{item.value}" for item in hashed}
    document: dict[str, Json] = {"schema": _SCHEMA, "written_ns": started_ns, "files": files}
    try:
        place = _place(model, hash_type)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing_file(place, force=True, mode=0o600) as file:
            file.write(write(document))
    except (OSError, ModelsignError, AttestationError):
        return


def now_ns() -> int:
    """Return the time that file times are compared with."""
    return time.time_ns()


def _place(model: Path, hash_type: str) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelsign" / "hashes"
    named = f"{hash_type}\n{model.resolve()}".encode("utf-8", "surrogateescape")
    return root / f"{hashlib.sha256(named).hexdigest()}.json"
