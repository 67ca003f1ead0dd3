"""Manifests: the files of a model with their digests, and the one digest over all of them that is signed.

OMS v1.0 sections 5.2 and 6.5. The root digest binds the digests in their order but not the names, so two manifests are
compared by name and digest (`compare`), never by root alone.
"""

import fnmatch
import hashlib
import re
import unicodedata
from collections.abc import Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from operator import attrgetter
from pathlib import Path
from typing import TypeAlias

from attestations.digest import Digest
from attestations.errors import ManifestError, NoFiles
from attestations.files import (
    Fingerprint,
    FoundFile,
    Hashed,
    Piece,
    Progress,
    Walk,
    check_same,
    check_unchanged,
    fingerprint_of,
    hash_files,
    hash_pieces,
    list_names,
    numbers_of,
    walk,
)
from attestations.records import dataclass

SIGNATURE_NAME = "model.sig"
CLAIMS_NAME = "claims.jsonl"

DEFAULT_IGNORED = (".git", ".gitattributes", ".github", ".gitignore", CLAIMS_NAME, SIGNATURE_NAME)
"""Names in the root that are never part of a model: OMS v1.0's, and the two files that speak about it"""

SINGLE_FILE = "."
"""How model-signing names the only file of a model that is a file (OMS v1.0 asks for its base name; both are read)"""

FILES = "files"
SHARDS = "shards"
DEFAULT_SHARD_SIZE = 1_000_000_000
MIN_SHARD_SIZE = 4096
MAX_NAME_BYTES = 4096

_AT_ONCE = 1000

# Names as nearly all are; they need no closer look.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
Place: TypeAlias = str | tuple[str, int]
"""What a digest is of: a file's name, with the first byte of a shard"""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """One file (or one shard of it, `start` to `end`) with its digest; `size` is None where the format has none."""

    name: str
    digest: Digest
    size: int | None = None
    start: int | None = None
    end: int | None = None

    @property
    def resource(self) -> str:
        """The name as OMS writes it: ``name``, or ``name:start:end`` for a shard."""
        return self.name if self.start is None else f"{self.name}:{self.start}:{self.end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files of a model as they were signed or measured.

    Attributes:
        name: base name of the model (informational, except that it names the file of a single-file model).
        entries: in the order that the root digest is made in.
        method: "files" or "shards".
        hash_type: "sha256", "blake2b" or "blake3".
        shard_size: bytes, for "shards" only.
        allow_symlinks: whether links were followed.
        ignored: names relative to the root whose files, and files below, were left out.
        unsigned: files that exist and were left out, besides the signature and the claims themselves (known after
            `measure` only).
    """

    name: str
    entries: tuple[ManifestEntry, ...]
    method: str = FILES
    hash_type: str = "sha256"
    shard_size: int | None = None
    allow_symlinks: bool = False
    ignored: tuple[str, ...] = DEFAULT_IGNORED
    unsigned: tuple[str, ...] = ()

    @property
    def root(self) -> Digest:
        """SHA-256 over the digests' bytes, in order."""
        whole = hashlib.sha256()
        for start in range(0, len(self.entries), _AT_ONCE):
            values = [entry.digest.hex for entry in self.entries[start : start + _AT_ONCE]]
            whole.update(bytes.fromhex("".join(values)))
        return Digest(algorithm="sha256", hex=whole.hexdigest())

    @property
    def size(self) -> int:
        """Bytes in all files whose size is known."""
        return sum(entry.size or 0 for entry in self.entries)

    def file_name(self, entry: ManifestEntry) -> str:
        """Return the path of an entry's file: the model's own name where the entry says ``.``."""
        return self.name if entry.name == SINGLE_FILE else entry.name

    def place(self, entry: ManifestEntry) -> Place:
        """Return what the digest of an entry is of."""
        name = self.name if entry.name == SINGLE_FILE else entry.name
        return name if entry.start is None else (name, entry.start)

    def files(self) -> tuple[str, ...]:
        """Return the paths of all files, sorted."""
        names = map(self.file_name, self.entries)
        # Of whole files each name is there once; a set would take more memory than the names do.
        return tuple(sorted(names if self.shard_size is None else set(names)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """How a model differs from what was signed: file names, sorted."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.changed)


def signature_path(target: Path) -> Path:
    """Return where the signature of a model lies: ``model.sig`` in a directory, ``m.gguf.sig`` beside a file."""
    return target / SIGNATURE_NAME if target.is_dir() else target.with_name(f"{target.name}.sig")


def claims_path(target: Path) -> Path:
    """Return where claims about a model lie: ``claims.jsonl`` in a directory, ``m.gguf.claims.jsonl`` beside a file."""
    return target / CLAIMS_NAME if target.is_dir() else target.with_name(f"{target.name}.claims.jsonl")


def name_problem(name: str) -> str | None:
    """Return what is wrong with ``name`` as a path below a model's root, None for a good one.

    A signed name is later opened, printed and compared, on other systems too; what could leave the model, hide on a
    terminal or mean another file elsewhere is no name.
    """
    if _PLAIN.fullmatch(name) and len(name) <= MAX_NAME_BYTES:
        return None
    if not name:
        return "is empty"
    if _CONTROL.search(name):
        return "has a control character"
    try:
        if len(name.encode("utf-8")) > MAX_NAME_BYTES:
            return f"is longer than {MAX_NAME_BYTES} bytes"
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if name.startswith("/"):
        return "is absolute"
    parts = name.split("/")
    if "" in parts:
        return "has an empty component"
    if any(part in {".", ".."} for part in parts):
        return "has a '.' or '..' component"
    if "\\" in name and (name.startswith("\\") or ".." in name.split("\\")):
        return "leads out of the model where '\\' separates directories"
    return None


def compare(signed: Manifest, actual: Manifest) -> Differences:
    """Return how ``actual`` differs from ``signed``; both must be made with the same method, hash and shard size.

    Raises:
        ManifestError: they were not.
    """
    theirs = (signed.method, signed.hash_type, signed.shard_size)
    ours = (actual.method, actual.hash_type, actual.shard_size)
    if theirs != ours:
        raise ManifestError(f"a manifest made with {theirs} cannot be compared with one made with {ours}")
    wanted = _by_file(signed)
    found = _by_file(actual)
    changed = (name for name, digests in wanted.items() if name in found and found[name] != digests)
    return _differences(wanted.keys() - found.keys(), found.keys() - wanted.keys(), changed)


def _by_file(manifest: Manifest) -> dict[str, tuple[tuple[int, Digest], ...]]:
    digests: dict[str, list[tuple[int, Digest]]] = {}
    for entry in manifest.entries:
        digests.setdefault(manifest.file_name(entry), []).append((entry.start or 0, entry.digest))
    return {name: tuple(sorted(parts, key=lambda part: part[0])) for name, parts in digests.items()}


def ignored_with_defaults(ignored: Iterable[str]) -> tuple[str, ...]:
    """Return the names that a manifest records as left out: the defaults and ``ignored``, sorted.

    Raises:
        ManifestError: one of them is not a path below the root.
    """
    for name in ignored:
        problem = name_problem(name)
        if problem:
            raise ManifestError(f"the ignored name {name!r} {problem}; give a path relative to the model's root")
    return tuple(sorted({*DEFAULT_IGNORED, *ignored}))


def measure(
    model: Path,
    *,
    ignored: Sequence[str] = (),
    hash_type: str = "sha256",
    method: str = FILES,
    shard_size: int | None = None,
    allow_symlinks: bool = False,
    threads: int | None = None,
    known: Mapping[str, Hashed] | None = None,
    record: list[Hashed] | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Hash a model: every regular file of a directory, or a single file.

    Args:
        model: a directory or a file.
        ignored: names relative to the root to leave out, in addition to `DEFAULT_IGNORED`.
        hash_type: "sha256", "blake2b" or "blake3".
        method: "files", or "shards" to hash each file in pieces.
        shard_size: bytes of a piece, for "shards"; 1 000 000 000 unless given.
        allow_symlinks: follow links that stay inside the model, instead of refusing them.
        threads: how many files to hash at a time; by default as many as there are processors, eight at most.
        known: digests of an earlier run; files that did not change since are not read again (method "files" only).
        record: gets what was found about each file, for a later run's ``known`` (method "files" only).
        progress: called with the number of bytes read since the last call, from any thread but one at a time.

    Raises:
        ContentChanged: somebody wrote to the model meanwhile.
        NotRegular: a link, a pipe or a device.
        NoFiles: there are none.
        ManifestError: a name that cannot be signed, or a file that cannot be read.
    """
    settings = _settings(
        model,
        ignored=ignored,
        hash_type=hash_type,
        method=method,
        shard_size=shard_size,
        allow_symlinks=allow_symlinks,
    )
    if settings.shard_size is not None:
        return _measure_shards(model, settings, threads, progress)
    names, left_out = list_names(model, ignored=settings.ignored, allow_symlinks=allow_symlinks)
    _check_names(model, names)
    found: dict[str, Fingerprint] = {}
    entries: dict[str, ManifestEntry] = {}
    for hashed in hash_files(
        model, names, hash_type, threads=threads, allow_symlinks=allow_symlinks, known=known, progress=progress
    ):
        found[hashed.name] = hashed.fingerprint
        entries[hashed.name] = ManifestEntry(
            name=hashed.name or SINGLE_FILE,
            digest=Digest(algorithm=hash_type, hex=hashed.value),
            size=numbers_of(hashed.fingerprint)[2],
        )
        if record is not None:
            record.append(hashed)
    check_same(model, found, ignored=settings.ignored, allow_symlinks=allow_symlinks)
    return replace(settings, entries=tuple(map(entries.__getitem__, names)), unsigned=_unsigned(left_out))


def _measure_shards(model: Path, settings: Manifest, threads: int | None, progress: Progress | None) -> Manifest:
    found = walk(model, ignored=settings.ignored, allow_symlinks=settings.allow_symlinks)
    _check_names(model, [file.name for file in found.files])
    hashing = hash_pieces(
        model,
        _pieces(found.files, settings),
        settings.hash_type,
        threads=threads,
        allow_symlinks=settings.allow_symlinks,
        progress=progress,
    )
    entries = tuple(_shard(piece, value, settings) for piece, value in hashing)
    check_unchanged(model, found, ignored=settings.ignored, allow_symlinks=settings.allow_symlinks)
    return replace(settings, entries=entries, unsigned=_unsigned(found.left_out))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of holding a model against a signed manifest.

    Attributes:
        actual: what was measured; all of the model only when `complete`.
        differences: what differs. Files that nobody signed are in `extra`, whether or not they were allowed.
        complete: False when the run ended at the first difference, so that there may be more.
        left: signed files that were not looked at because the caller asked for a part only.
        beside: files that nobody signed and that lie outside of that part.
        opened: each file as it was when it was opened to be hashed, and unsigned ones as they were found.
        unopened: the other files that are there.
    """

    actual: Manifest
    differences: Differences
    complete: bool
    left: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    opened: Mapping[str, Fingerprint] = field(default_factory=dict, repr=False)
    unopened: tuple[str, ...] = field(default=(), repr=False)

    def check_same(self, model: Path) -> None:
        """Walk again, and raise `ContentChanged` when a file came, went or was written since it was opened."""
        check_same(
            model,
            self.opened,
            names=self.unopened,
            ignored=self.actual.ignored,
            allow_symlinks=self.actual.allow_symlinks,
        )


def measure_against(
    signed: Manifest,
    model: Path,
    *,
    ignored: Sequence[str] = (),
    unsigned_allowed: bool = False,
    partial: Sequence[str] = (),
    allow_symlinks: bool = False,
    every: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Hash a model the way ``signed`` was made, and compare: names first, then sizes, then content.

    What the signer ignored, or whether the signer followed links, plays no part: what the caller does not ignore must
    have been signed, and links are followed only where the caller says so.

    Each file is hashed as it was when it was opened. That nobody wrote to the model meanwhile is for the caller to ask,
    once everything that reads the files is done: `Comparison.check_same`.

    Args:
        signed: the manifest of a verified statement.
        model: a directory or a file.
        ignored: names relative to the root that the caller leaves out, in addition to `DEFAULT_IGNORED`.
        unsigned_allowed: do not stop because there are files that nobody signed (they are reported all the same).
        partial: shell patterns over file names; only files that match one of them are compared.
        allow_symlinks: follow links that stay inside the model, instead of refusing them.
        every: find all differences, instead of ending at the first.
        threads: as for `measure`.
        progress: as for `measure`.

    Raises:
        ManifestError: as for `measure`.
    """
    settings = _settings(
        model,
        ignored=ignored,
        hash_type=signed.hash_type,
        method=signed.method,
        shard_size=signed.shard_size,
        allow_symlinks=allow_symlinks,
    )
    found = None
    if settings.shard_size is not None:
        found = walk(model, ignored=settings.ignored, allow_symlinks=allow_symlinks)
        listed, left_out = [file.name for file in found.files], found.left_out
    else:
        listed, left_out = list_names(model, ignored=settings.ignored, allow_symlinks=allow_symlinks)
    settings = replace(settings, unsigned=_unsigned(left_out))
    expected, left = _part(signed, partial)
    names = {name or settings.name: name for name in listed}
    wanted = {place if isinstance(place, str) else place[0] for place in expected}
    missing = wanted - names.keys()
    unsigned = names.keys() - wanted - set(left)
    extra = {name for name in unsigned if _matches(name, partial)}
    changed = set() if found is None else _of_other_size(signed, found, wanted, settings)
    if not every and (missing or changed or (extra and not unsigned_allowed)):
        return Comparison(actual=settings, differences=_differences(missing, extra, changed), complete=False, left=left)
    common = [name for shown, name in names.items() if shown in wanted and shown not in changed]
    opened: dict[str, Fingerprint] = {}
    hashing = (
        _hash_whole(model, common, settings, expected, opened, threads, progress)
        if found is None
        else _hash_shards(model, found, common, settings, expected, threads, progress)
    )
    entries: list[ManifestEntry] = []
    for entry in hashing:
        entries.append(entry)
        signed_digest = expected.get(settings.place(entry))
        if signed_digest is not entry.digest and signed_digest != entry.digest:
            changed.add(settings.file_name(entry))
            if not every:
                hashing.close()
                return Comparison(
                    actual=settings, differences=_differences(missing, extra, changed), complete=False, left=left
                )
    if found is not None:
        opened.update(found.files)
    else:
        for name in sorted(extra):
            opened[names[name]] = fingerprint_of(model, names[name], allow_symlinks=allow_symlinks)
    entries.sort(key=attrgetter("name" if found is None else "resource"))
    return Comparison(
        actual=replace(settings, entries=tuple(entries)),
        differences=_differences(missing, extra, changed),
        complete=True,
        left=left,
        beside=tuple(sorted(unsigned - extra)),
        opened=opened,
        unopened=tuple(name for name in listed if name not in opened),
    )


def _hash_whole(
    model: Path,
    names: Sequence[str],
    settings: Manifest,
    expected: Mapping[Place, Digest],
    opened: dict[str, Fingerprint],
    threads: int | None,
    progress: Progress | None,
) -> Generator[ManifestEntry, None, None]:
    """Yield the entries of whole files, and put into ``opened`` what they were when they were opened."""
    for name, found, value in hash_files(
        model,
        names,
        settings.hash_type,
        threads=threads,
        allow_symlinks=settings.allow_symlinks,
        progress=progress,
    ):
        opened[name] = found
        digest = expected.get(name or settings.name)
        if digest is None or digest.hex != value:
            digest = Digest(algorithm=settings.hash_type, hex=value)
        yield ManifestEntry(name=name or SINGLE_FILE, digest=digest, size=numbers_of(found)[2])


def _hash_shards(
    model: Path,
    found: Walk,
    names: Sequence[str],
    settings: Manifest,
    expected: Mapping[Place, Digest],
    threads: int | None,
    progress: Progress | None,
) -> Generator[ManifestEntry, None, None]:
    """Yield the entries of shards; each file must be what the walk saw whenever a part of it is read."""
    wanted = set(names)
    pieces = _pieces([file for file in found.files if file.name in wanted], settings)
    for piece, value in hash_pieces(
        model,
        pieces,
        settings.hash_type,
        threads=threads,
        allow_symlinks=settings.allow_symlinks,
        progress=progress,
    ):
        yield _shard(piece, value, settings, expected.get((piece.file.name or settings.name, piece.start)))


def bytes_to_hash(model: Path, *, ignored: Sequence[str] = (), allow_symlinks: bool = False) -> int:
    """Return how many bytes `measure` will read: the total for a progress bar."""
    recorded = ignored_with_defaults(ignored)
    return sum(file.size for file in walk(model, ignored=recorded, allow_symlinks=allow_symlinks).files)


def ambiguous_names(manifest: Manifest) -> tuple[tuple[str, ...], ...]:
    """Return groups of names that are one name on systems that fold case or normalise Unicode."""
    names = manifest.files()
    # Of two names that are one, at least one is written in another way than both are when folded.
    folds = {folded for name in names if (folded := _folded(name)) != name}
    groups: dict[str, list[str]] = {}
    for name in names:
        folded = _folded(name)
        if folded in folds:
            groups.setdefault(folded, []).append(name)
    return tuple(tuple(group) for _, group in sorted(groups.items()) if len(group) > 1)


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _settings(
    model: Path,
    *,
    ignored: Sequence[str],
    hash_type: str,
    method: str,
    shard_size: int | None,
    allow_symlinks: bool,
) -> Manifest:
    if method not in {FILES, SHARDS}:
        raise ManifestError(f"{method!r} is not a method of the model signing format; use {FILES!r} or {SHARDS!r}")
    if method == FILES and shard_size is not None:
        raise ManifestError("a shard size makes sense with the method 'shards' only")
    size = (DEFAULT_SHARD_SIZE if shard_size is None else shard_size) if method == SHARDS else None
    if size is not None and size < MIN_SHARD_SIZE:
        raise ManifestError(f"a shard has at least {MIN_SHARD_SIZE} bytes, not {size}")
    return Manifest(
        name=_base_name(model),
        entries=(),
        method=method,
        hash_type=hash_type,
        shard_size=size,
        allow_symlinks=allow_symlinks,
        ignored=() if model.is_file() else ignored_with_defaults(ignored),
    )


def _base_name(model: Path) -> str:
    # A path such as "." or "dir/.." has no usable base name of its own. The last link is not followed: its name is
    # what the caller calls the model.
    name = model.name if model.name not in {"", ".."} else model.resolve().name
    problem = name_problem(name) if name else None
    if problem:
        raise ManifestError(f"the name of the model, {name!r}, {problem}")
    return name or "model"


def _check_names(model: Path, names: Sequence[str]) -> None:
    if not names:
        raise NoFiles(f"{model}: there are no files to sign or verify")
    for name in names:
        problem = name_problem(name) if name else None
        if problem:
            raise ManifestError(f"{str(model / name)!r}: the name {problem}, so the file cannot be signed; rename it")


def _pieces(files: Iterable[FoundFile], settings: Manifest) -> list[Piece]:
    size = settings.shard_size
    assert size is not None
    # A file without bytes is one empty shard: OMS leaves it out, and then nobody would notice it come or go.
    pieces = [
        Piece(file=file, start=start, end=min(start + size, file.size))
        for file in files
        for start in (range(0, file.size, size) if file.size else (0,))
    ]
    pieces.sort(key=lambda piece: f"{piece.file.name or SINGLE_FILE}:{piece.start}:{piece.end}")
    return pieces


def _digest(value: str, settings: Manifest, expected: Digest | None) -> Digest:
    # One object for what is equal: a large model has a million of them.
    if expected is not None and expected.hex == value and expected.algorithm == settings.hash_type:
        return expected
    return Digest(algorithm=settings.hash_type, hex=value)


def _shard(piece: Piece, value: str, settings: Manifest, expected: Digest | None = None) -> ManifestEntry:
    return ManifestEntry(
        name=piece.file.name or SINGLE_FILE,
        digest=_digest(value, settings, expected),
        size=piece.end - piece.start,
        start=piece.start,
        end=piece.end,
    )


def _unsigned(left_out: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in left_out if name not in {SIGNATURE_NAME, CLAIMS_NAME})


def _part(signed: Manifest, partial: Sequence[str]) -> tuple[dict[Place, Digest], tuple[str, ...]]:
    """Return the signed digests, as far as the patterns reach, and the names of the files beyond."""
    if not partial:
        return {signed.place(entry): entry.digest for entry in signed.entries}, ()
    wanted: dict[Place, Digest] = {}
    left: set[str] = set()
    for entry in signed.entries:
        name = signed.file_name(entry)
        if _matches(name, partial):
            wanted[signed.place(entry)] = entry.digest
        else:
            left.add(name)
    return wanted, tuple(sorted(left))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _of_other_size(signed: Manifest, found: Walk, wanted: AbstractSet[str], settings: Manifest) -> set[str]:
    """Return the files whose size is not the one that their shards end at."""
    ends: dict[str, int] = {}
    for entry in signed.entries:
        name = signed.file_name(entry)
        ends[name] = max(ends.get(name, 0), entry.end or 0)
    sizes = {file.name or settings.name: file.size for file in found.files}
    return {name for name in wanted if name in sizes and sizes[name] != ends[name]}


def _differences(missing: Iterable[str], extra: Iterable[str], changed: Iterable[str]) -> Differences:
    return Differences(missing=tuple(sorted(missing)), extra=tuple(sorted(extra)), changed=tuple(sorted(changed)))
