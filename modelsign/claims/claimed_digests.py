"""Digests that somebody else says a model has: a registry, the Hub, a list made with `sha256sum`.

Two forms are read: the JSON of `modelsign digest --json`, and lines of ``<64 hexadecimal digits>  <name>`` as
`sha256sum` writes them (``*`` before the name means the same). Nothing here was measured.
"""

import re
from pathlib import Path

from attestations.digest import Digest
from attestations.errors import AttestationError
from attestations.manifest import DEFAULT_IGNORED, Manifest, ManifestEntry, name_problem
from attestations.named_files import read_whole
from attestations.strict_json import list_of, object_of, parse_object, text_of
from modelsign.errors import SourceError, UsageError

_MAX_BYTES = 256 << 20
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_SCHEMA = "modelsign.manifest/v1"


def read(path: Path, *, name: str, ignored: tuple[str, ...]) -> Manifest:
    """Return the digests in a file as a manifest of whole files with SHA-256.

    Args:
        path: the file.
        name: what the model is called.
        ignored: names that are not part of the model, beside the default ones.

    Raises:
        SourceError: it cannot be read.
        UsageError: it is of neither form, or a name makes no sense.
    """
    try:
        data = read_whole(path, _MAX_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: the digests cannot be read: {error.strerror}") from error
    try:
        said = _json(data) if data.lstrip().startswith(b"{") else _lines(data)
    except AttestationError as error:
        raise UsageError(f"{path}: {error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: neither `modelsign digest --json` nor lines of SHA-256 and name: {error}") from error
    left_out = {*DEFAULT_IGNORED, *ignored}
    entries: dict[str, ManifestEntry] = {}
    for file_name, digest in said:
        problem = name_problem(file_name)
        if problem:
            raise UsageError(f"{path}: the name {file_name!r} {problem}")
        if file_name in entries:
            raise UsageError(f"{path}: {file_name!r} is named twice")
        if not _below(file_name, left_out):
            entries[file_name] = ManifestEntry(name=file_name, digest=digest)
    ordered = tuple(entries[file_name] for file_name in sorted(entries))
    return Manifest(name=name, entries=ordered, ignored=tuple(sorted(left_out)))


def _below(name: str, left_out: set[str]) -> bool:
    parts = name.split("/")
    return any("/".join(parts[:end]) in left_out for end in range(1, len(parts) + 1))


def _json(data: bytes) -> list[tuple[str, Digest]]:
    document = parse_object(data, "the list of digests")
    if document.get("schema") != _SCHEMA:
        raise ValueError(f"its schema is {document.get('schema')!r}, not {_SCHEMA}")
    if document.get("method") != "files" or document.get("hash_type") != "sha256":
        raise ValueError("its digests are not SHA-256 of whole files")
    said = []
    for value in list_of(document.get("resources"), "resources"):
        resource = object_of(value, "a resource")
        name = text_of(resource.get("name"), "a resource's name")
        said.append((name, Digest.parse("sha256", text_of(resource.get("digest"), f"the digest of {name!r}"))))
    return said


def _lines(data: bytes) -> list[tuple[str, Digest]]:
    said = []
    for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} is neither")
        said.append((match[2].removeprefix("./"), Digest.parse("sha256", match[1])))
    return said
