"""The OpenSSF Model Signing predicate: a manifest as the claim of an in-toto statement.

Spec: ossf/model-signing-spec spec/v1.0.md sections 5.2 and 6, predicate.schema.json. Reading is strict, because what a
reader takes loosely two readers take differently: no name twice, no name that leaves the model, no unknown hash, and
the root digest must be the one of the resources in the order given (any order: four of the public signatures that are
valid are not sorted).
"""

import re
from typing import cast

from attestations.digest import HASH_TYPES, LENGTHS, Digest
from attestations.errors import EnvelopeError, Unsupported
from attestations.manifest import (
    FILES,
    MAX_NAME_BYTES,
    MIN_SHARD_SIZE,
    SHARDS,
    SINGLE_FILE,
    Manifest,
    ManifestEntry,
    name_problem,
)
from attestations.statement import Statement, Subject
from attestations.strict_json import Json, list_of, object_of, text_of
from attestations.uris import OMS_SIGNATURE_V1

_AT_ONCE = 1000
_HEX = re.compile(r"[0-9a-f]*")
_SMALL = 1024 * 1024
_MAX_FILE_BYTES = MAX_NAME_BYTES + 512
_MAX_SHARD_BYTES = 512
_MAX_VALUES = 10_000
"""as many as a small payload may have, however short they are"""


def manifest_statement(manifest: Manifest) -> Statement:
    """Return the statement that `manifest_of` reads back; its bytes depend on the manifest alone."""
    serialization: dict[str, Json] = {
        "method": manifest.method,
        "hash_type": manifest.hash_type,
        "allow_symlinks": manifest.allow_symlinks,
        "ignore_paths": list(manifest.ignored),
    }
    if manifest.shard_size is not None:
        serialization["shard_size"] = manifest.shard_size
    resources: list[Json] = [
        {"name": entry.resource, "algorithm": entry.digest.algorithm, "digest": entry.digest.hex}
        for entry in manifest.entries
    ]
    return Statement.build(
        predicate_type=OMS_SIGNATURE_V1,
        subjects=[Subject(name=manifest.name, digests=(manifest.root,))],
        predicate={"serialization": serialization, "resources": resources},
    )


def manifest_of(statement: Statement) -> Manifest:
    """Return the manifest that a statement claims.

    Raises:
        EnvelopeError: it is not a statement that OMS v1.0 allows, or one that two readers could read differently.
        Unsupported: another predicate type, or a hash or method that this version does not know.
    """
    if statement.predicate_type != OMS_SIGNATURE_V1:
        raise Unsupported(f"the signed statement is of type {statement.predicate_type!r}, not {OMS_SIGNATURE_V1}")
    if len(statement.subjects) != 1:
        raise EnvelopeError(f"a model signature has exactly one subject, this one has {len(statement.subjects)}")
    subject = statement.subjects[0]
    name = _base_name(subject.name)
    serialization = object_of(statement.predicate.get("serialization"), "the signature's serialization")
    method = text_of(serialization.get("method"), "the serialization's method")
    if method not in {FILES, SHARDS}:
        raise Unsupported(f"the signature lists files by the method {method!r}, which this program does not know")
    hash_type = text_of(serialization.get("hash_type"), "the serialization's hash_type")
    if hash_type not in HASH_TYPES:
        raise Unsupported(f"the signature hashes files with {hash_type!r}, which this program does not know")
    shard_size = _shard_size(serialization.get("shard_size"), method)
    sharded = shard_size is not None
    resources = list_of(statement.predicate.get("resources"), "the signature's resources")
    entries: list[ManifestEntry] = []
    for start in range(0, len(resources), _AT_ONCE):
        part = resources[start : start + _AT_ONCE]
        entries += (None if sharded else _plain(part, hash_type)) or [_entry(item, hash_type, sharded) for item in part]
    manifest = Manifest(
        name=name,
        entries=tuple(entries),
        method=method,
        hash_type=hash_type,
        shard_size=shard_size,
        allow_symlinks=_boolean(serialization.get("allow_symlinks"), "the serialization's allow_symlinks"),
        ignored=_ignored(serialization.get("ignore_paths")),
    )
    _check_names(manifest)
    if shard_size is not None:
        _check_shards(manifest, shard_size)
    _check_root(manifest, subject)
    return manifest


def unproven_manifest_of(payload: bytes, *, files: int, size: int) -> Manifest:
    """Return the manifest in a payload that nobody vouches for, at no more cost than such a model's own can take.

    Args:
        payload: what an envelope seals.
        files: how many files the model has.
        size: how many bytes.

    Raises:
        EnvelopeError: the payload is no manifest, or is larger than that of a model with these files.
        Unsupported: a manifest of a kind that is not read.
    """
    if len(payload) > _SMALL + _MAX_FILE_BYTES * files + _MAX_SHARD_BYTES * (size // MIN_SHARD_SIZE):
        raise EnvelopeError(f"a list of {len(payload)} bytes is too long for a model of {files} files")
    # An entry takes more than a hundred bytes and has four of these, besides what its name may hold.
    if sum(map(payload.count, b"{[,")) > _MAX_VALUES + len(payload) // 16:
        raise EnvelopeError("the signed list is made of countless values, which none is that a signer wrote")
    return manifest_of(Statement.parse(payload))


def _base_name(text: str) -> str:
    # Other programs write whatever the user typed; only its last component is ever used, and only for a single file.
    name = text.rstrip("/").rsplit("/", 1)[-1]
    return name if name_problem(name) is None else "model"


def _boolean(value: Json, what: str) -> bool:
    if not isinstance(value, bool):
        raise EnvelopeError(f"{what} is not true or false")
    return value


def _shard_size(value: Json, method: str) -> int | None:
    if method == FILES:
        if value is not None:
            raise EnvelopeError("the serialization has a shard_size, but its method is 'files'")
        return None
    # model-signing writes integers as floats (protobuf's Struct): 1000000000.0.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**63:
        raise EnvelopeError("the serialization's shard_size is not a positive integer")
    return value


def _ignored(value: Json) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(
        sorted({text_of(item, "an ignored path") for item in list_of(value, "the serialization's ignore_paths")})
    )


def _plain(resources: list[Json], hash_type: str) -> list[ManifestEntry] | None:
    """Return the entries of whole files, looked at together; None where one of them needs a closer look."""
    expected = cast("list[dict[str, str]]", resources)  # anything else raises below, `join` takes nothing but text
    try:
        names = [resource["name"] for resource in expected]
        values = [resource["digest"] for resource in expected]
        algorithms = {resource["algorithm"] for resource in expected}
        good = "".join(names).isascii() and _HEX.fullmatch("".join(values)) is not None
    except (KeyError, TypeError):  # no object, a field is missing, or is no text
        return None
    if not good or algorithms != {hash_type} or set(map(len, values)) != {LENGTHS[hash_type]}:
        return None
    return [
        ManifestEntry(name=name, digest=Digest(algorithm=hash_type, hex=value))
        for name, value in zip(names, values, strict=True)
    ]


def _entry(value: Json, hash_type: str, sharded: bool) -> ManifestEntry:
    resource = value if isinstance(value, dict) else object_of(value, "a resource of the signature")
    name = resource.get("name")
    if not isinstance(name, str) or not name.isascii():
        name = text_of(name, "a resource's name")
    if resource.get("algorithm") != hash_type:
        algorithm = text_of(resource.get("algorithm"), f"the algorithm of {name!r}")
        raise EnvelopeError(f"{name!r} is hashed with {algorithm!r}, the signature as a whole with {hash_type!r}")
    hexadecimal = resource.get("digest")
    if not isinstance(hexadecimal, str):
        raise EnvelopeError(f"the digest of {name!r} is not a string")
    digest = Digest.parse(hash_type, hexadecimal)
    if not sharded:
        return ManifestEntry(name=name, digest=digest)
    # The last two components: file names may have colons of their own.
    path, _, bounds = name.rpartition(":")
    path, _, first = path.rpartition(":")
    if not (path and _is_offset(first) and _is_offset(bounds)):
        raise EnvelopeError(f"{name!r} is not a shard: path:start:end")
    start, end = int(first), int(bounds)
    return ManifestEntry(name=path, digest=digest, size=end - start, start=start, end=end)


def _is_offset(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and (text == "0" or text[0] != "0")


def _check_names(manifest: Manifest) -> None:
    if not manifest.entries:
        raise EnvelopeError("the signature covers no file at all")
    files = {entry.name for entry in manifest.entries}
    for name in files:
        problem = None if name == SINGLE_FILE else name_problem(name)
        if problem:
            raise EnvelopeError(f"the signed file name {name!r} {problem}")
    named = files if manifest.shard_size is None else {entry.resource for entry in manifest.entries}
    if len(named) < len(manifest.entries):
        _refuse_second(manifest)
    if SINGLE_FILE in files and len(files) > 1:
        raise EnvelopeError("the signature names '.', a model that is one file, beside other files")
    # A name cannot be a file and a directory at once.
    parents = {name.rpartition("/")[0] for name in files} - {""}
    while parents:
        both = parents & files
        if both:
            raise EnvelopeError(f"the signature names {min(both)!r} both as a file and as a directory")
        parents = {name.rpartition("/")[0] for name in parents} - {""}


def _refuse_second(manifest: Manifest) -> None:
    seen: set[str] = set()
    for entry in manifest.entries:
        if entry.resource in seen:
            raise EnvelopeError(f"the signature names {entry.resource!r} twice")
        seen.add(entry.resource)


def _check_shards(manifest: Manifest, shard_size: int) -> None:
    """Every file must be covered from its first byte to its end, by shards of the size given."""
    shards: dict[str, list[tuple[int, int]]] = {}
    for entry in manifest.entries:
        assert entry.start is not None
        assert entry.end is not None
        shards.setdefault(entry.name, []).append((entry.start, entry.end))
    for name, bounds in shards.items():
        bounds.sort()
        if bounds == [(0, 0)]:
            continue
        expected = 0
        for number, (start, end) in enumerate(bounds):
            full = end - start == shard_size or (number == len(bounds) - 1 and 0 < end - start < shard_size)
            if start != expected or not full:
                raise EnvelopeError(
                    f"the shards of {name!r} do not cover it without gap or overlap (at byte {expected})"
                )
            expected = end


def _check_root(manifest: Manifest, subject: Subject) -> None:
    claimed = subject.digest("sha256")
    if claimed is None:
        raise EnvelopeError("the signature's subject has no sha256 digest")
    if claimed != manifest.root:
        raise EnvelopeError("the signature's root digest is not that of the files it lists")
