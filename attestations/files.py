"""The files of a model: found in one pass, opened without following links, and the same before and after hashing.

Whoever can write to the model while it is hashed must not get a file past us: directories and files are opened with
O_NOFOLLOW, each file's device, inode, size and both times are taken when it is opened, and `check_same` walks again
after everything is hashed: names and all of these must still be the same.
"""

import errno
import functools
import io
import os
import stat
import struct
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock, local
from typing import NamedTuple, TypeAlias, TypeVar

from attestations.digest import hasher_of
from attestations.errors import ContentChanged, LinkRefused, ManifestError, NotRegular
from attestations.records import dataclass

_Result = TypeVar("_Result")

BUFFER = 1024 * 1024

# Below this size a thread costs more than it brings: most of the time goes into system calls that hold the lock.
_WORTH_A_THREAD = 256 * 1024

_SMALL = 64 * 1024

Progress: TypeAlias = Callable[[int], None]

Fingerprint: TypeAlias = bytes
"""Device, inode, size, mtime_ns, ctime_ns: equal before and after means nobody wrote in between

In 40 bytes, because a model may have a million files; numbers would take six times as many.
"""

_NUMBERS = struct.Struct("=5Q")
_pack = _NUMBERS.pack
_64_BITS = (1 << 64) - 1


def fingerprint(status: os.stat_result) -> Fingerprint:
    """Return what identifies a file and its state."""
    return _pack(
        status.st_dev,
        status.st_ino,
        status.st_size,
        # Times before 1970, and those that somebody set in the far future.
        status.st_mtime_ns & _64_BITS,
        status.st_ctime_ns & _64_BITS,
    )


def numbers_of(found: Fingerprint) -> tuple[int, ...]:
    """Return device, inode, size, mtime_ns and ctime_ns of a fingerprint.

    Raises:
        ValueError: it is none.
    """
    try:
        return _NUMBERS.unpack(found)
    except struct.error as error:
        raise ValueError("not the fingerprint of a file") from error


class FoundFile(NamedTuple):
    """A regular file as the walk saw it; `name` is its POSIX path below the root ("" for a model that is a file).

    A tuple, not a dataclass: a model may have a million of them, and every walk makes them anew.
    """

    name: str
    fingerprint: Fingerprint

    @property
    def size(self) -> int:
        """Bytes, as the walk saw it."""
        return numbers_of(self.fingerprint)[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What lies in a model: the files to sign, and those that an ignored name leaves out, both sorted by name."""

    files: tuple[FoundFile, ...]
    left_out: tuple[str, ...]


def walk(root: Path, *, ignored: Iterable[str] = (), allow_symlinks: bool = False) -> Walk:
    """Return the regular files at or below ``root``, in the order of their names' code points.

    Args:
        root: a directory or a file. The path given may itself lead through links; what lies below may not.
        ignored: names relative to the root; a file of that name, or below a directory of that name, is left out.
        allow_symlinks: follow links that stay inside the root, to files and to directories.

    Raises:
        NotRegular: something is neither a regular file nor a directory.
        ManifestError: something cannot be listed.
    """
    files, left_out = _walk(root, ignored, allow_symlinks=allow_symlinks)
    return Walk(files=tuple(map(FoundFile._make, files)), left_out=tuple(sorted(left_out)))


def list_names(
    root: Path, *, ignored: Iterable[str] = (), allow_symlinks: bool = False
) -> tuple[list[str], tuple[str, ...]]:
    """Return the names that `walk` finds and those that it leaves out, both sorted, at the cost of reading directories.

    Raises:
        NotRegular: something is neither a regular file nor a directory.
        ManifestError: something cannot be listed.
    """
    if not root.is_dir():
        return [file.name for file in walk(root).files], ()
    walker = _Walker(root, frozenset(ignored), allow_symlinks=allow_symlinks, names_only=True)
    try:
        walker.run()
    except OSError as error:
        raise _unreadable(error, root) from error
    return sorted(walker.names), tuple(sorted(walker.left_out))


def _walk(
    root: Path, ignored: Iterable[str], *, allow_symlinks: bool
) -> tuple[list[tuple[str, Fingerprint]], list[str]]:
    try:
        status = root.stat()
        if not stat.S_ISDIR(status.st_mode):
            if not stat.S_ISREG(status.st_mode):
                raise NotRegular(f"{root}: neither a regular file nor a directory")
            return [("", fingerprint(status))], []
        walker = _Walker(root, frozenset(ignored), allow_symlinks=allow_symlinks)
        walker.run()
    except OSError as error:
        raise _unreadable(error, root) from error
    # Names are unique, so the fingerprints never decide.
    walker.files.sort()
    return walker.files, walker.left_out


class _Walker:
    """One pass over a directory tree."""

    def __init__(
        self,
        root: Path,
        ignored: frozenset[str],
        *,
        allow_symlinks: bool,
        names_only: bool = False,
        expected: Mapping[str, Fingerprint] | None = None,
    ) -> None:
        self._names_only = names_only
        self._expected = expected
        self.as_expected = 0
        self._root = root
        self._real_root = os.path.realpath(root)
        self._ignored = ignored
        self._allow_symlinks = allow_symlinks
        self.files: list[tuple[str, Fingerprint]] = []
        self.names: list[str] = []
        self.left_out: list[str] = []

    def run(self) -> None:
        # Directories still to be read: path on disk, name below the root, whether ignored, links followed (for cycles).
        pending: list[tuple[str, str, bool, tuple[str, ...]]] = [(os.fspath(self._root), "", False, (self._real_root,))]
        # Bound once: all of this is done for each of a million files.
        names_only, expected, never = self._names_only, self._expected or {}, self._ignored
        pack = _pack
        keep_name, keep_file, keep_left_out = self.names.append, self.files.append, self.left_out.append
        while pending:
            path, prefix, below_ignored, above = pending.pop()
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            if prefix and not self._allow_symlinks:
                flags |= os.O_NOFOLLOW
            descriptor = os.open(path, flags)
            try:
                with os.scandir(descriptor) as entries:
                    for entry in entries:
                        name = prefix + entry.name
                        ignored = below_ignored or name in never
                        # The directory itself says of which kind an entry is; only a fingerprint needs a system call.
                        if entry.is_file(follow_symlinks=False):
                            if ignored:
                                keep_left_out(name)
                                continue
                            if names_only:
                                keep_name(name)
                                continue
                            status = entry.stat(follow_symlinks=False)
                            found = pack(  # as `fingerprint`, without the call
                                status.st_dev,
                                status.st_ino,
                                status.st_size,
                                status.st_mtime_ns & _64_BITS,
                                status.st_ctime_ns & _64_BITS,
                            )
                            if expected.get(name) == found:
                                # Nothing to keep: a million files that are as they were need no memory.
                                self.as_expected += 1
                            else:
                                keep_file((name, found))
                        elif entry.is_dir(follow_symlinks=False):
                            pending.append((f"{path}/{entry.name}", f"{name}/", ignored, above))
                        elif ignored:
                            keep_left_out(name)
                        elif entry.is_symlink():
                            below = self._follow(f"{path}/{entry.name}", name, above)
                            if below is not None:
                                pending.append((f"{path}/{entry.name}", f"{name}/", ignored, below))
                        else:
                            raise NotRegular(
                                f"{path}/{entry.name}: a pipe, socket or device; a model consists of regular files"
                            )
            finally:
                os.close(descriptor)

    def _follow(self, path: str, name: str, above: tuple[str, ...]) -> tuple[str, ...] | None:
        if not self._allow_symlinks:
            raise LinkRefused(
                f"{path}: a symbolic link, which could lead elsewhere tomorrow; put the file itself there "
                "(a copy of a Hugging Face cache: `hf download --local-dir`)"
            )
        real = os.path.realpath(path)
        if os.path.commonpath([real, self._real_root]) != self._real_root:
            raise NotRegular(f"{path}: a symbolic link that leads out of the model, to {real}")
        try:
            status = os.stat(path)  # noqa: PTH116 - as everywhere in this hot path
        except OSError as error:
            raise NotRegular(f"{path}: a symbolic link that leads nowhere") from error
        if stat.S_ISREG(status.st_mode):
            self.names.append(name)
            self.files.append((name, fingerprint(status)))
            return None
        if not stat.S_ISDIR(status.st_mode):
            raise NotRegular(f"{path}: a symbolic link to a pipe, socket or device")
        if real in above or os.path.realpath(os.path.dirname(path)).startswith(f"{real}/"):  # noqa: PTH120
            raise NotRegular(f"{path}: a symbolic link to a directory above it; the model has no end")
        return (*above, real)


def fingerprint_of(root: Path, name: str, *, allow_symlinks: bool = False) -> Fingerprint:
    """Return what a file below ``root`` is now.

    Raises:
        ContentChanged: it is gone.
        ManifestError: nothing can be said about it.
    """
    path = root / name
    try:
        return fingerprint(path.stat(follow_symlinks=allow_symlinks))
    except FileNotFoundError as error:
        raise ContentChanged(f"{path}: disappeared while the model was being hashed") from error
    except OSError as error:
        raise _unreadable(error, path) from error


def check_unchanged(root: Path, before: Walk, *, ignored: Iterable[str] = (), allow_symlinks: bool = False) -> None:
    """Walk again and raise `ContentChanged` when a file came, went or was written since ``before``."""
    check_same(root, dict(before.files), ignored=ignored, allow_symlinks=allow_symlinks)


def check_same(
    root: Path,
    before: Mapping[str, Fingerprint],
    *,
    names: Iterable[str] = (),
    ignored: Iterable[str] = (),
    allow_symlinks: bool = False,
) -> None:
    """Walk and raise `ContentChanged` when names or fingerprints are not those of ``before``.

    Files in ``names`` that have no fingerprint there (they were not opened) must be there, and no more.
    """
    if root.is_dir():
        walker = _Walker(root, frozenset(ignored), allow_symlinks=allow_symlinks, expected=before)
        try:
            walker.run()
        except OSError as error:
            raise _unreadable(error, root) from error
        if walker.as_expected == len(before) and not walker.files:
            return
    try:
        after = dict(_walk(root, ignored, allow_symlinks=allow_symlinks)[0])
    except ManifestError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ContentChanged(f"{root}: disappeared while the model was being hashed") from error
        raise
    if after == before:
        return
    before = {**{name: after[name] for name in names if name in after}, **before}
    missing = [name for name in names if name not in before]
    if missing:
        raise ContentChanged(f"{root / missing[0]}: disappeared while the model was being hashed")
    if after == before:
        return
    name = min(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    what = "appeared" if name not in before else "disappeared" if name not in after else "changed"
    raise ContentChanged(f"{root / name}: {what} while the model was being hashed; nobody may write to it meanwhile")


class Hashed(NamedTuple):
    """A file that was hashed whole, and what it was when it was opened."""

    name: str
    fingerprint: Fingerprint
    value: str


def hash_files(
    root: Path,
    names: Iterable[str],
    hash_type: str,
    *,
    threads: int | None = None,
    allow_symlinks: bool = False,
    known: Mapping[str, Hashed] | None = None,
    progress: Progress | None = None,
) -> Generator[Hashed, None, None]:
    """Yield each file with its hexadecimal digest, in any order.

    Large files are hashed by several threads at a time (hashlib lets go of the interpreter lock), small ones by the
    caller's own. Each file is opened once; `check_same` tells afterwards whether the fingerprints still hold, which is
    what makes the digests those of one state of the model.

    Args:
        root: where the files lie.
        names: below the root; "" for a model that is a file.
        hash_type: one of `attestations.digest.HASH_TYPES`.
        threads: how many; by default as many as this process may use processors, eight at most.
        allow_symlinks: whether the last component of a path may be a link.
        known: digests of earlier; a file with the same fingerprint is opened but not read.
        progress: told the number of bytes, as they are read.

    Raises:
        ContentChanged: a file is gone, or was written to while it was read.
        ManifestError: a file cannot be read.
    """
    hashing = _Hashing(root, hash_type, allow_symlinks=allow_symlinks, progress=progress, known=known)
    count = threads or _processors()
    large: list[str] = []
    limit = _WORTH_A_THREAD if count > 1 else None
    for name in names:
        hashed = hashing.up_to(name, limit)
        if hashed is None:
            large.append(name)
        else:
            yield hashed
    if large:
        yield from _in_threads(hashing, [functools.partial(hashing.whole, name) for name in large], count)


class Piece(NamedTuple):
    """What one digest is made of: bytes ``start`` to ``end`` of a file (a tuple for the same reason as `FoundFile`)."""

    file: FoundFile
    start: int
    end: int


def hash_pieces(
    root: Path,
    pieces: Sequence[Piece],
    hash_type: str,
    *,
    threads: int | None = None,
    allow_symlinks: bool = False,
    progress: Progress | None = None,
) -> Generator[tuple[Piece, str], None, None]:
    """Yield each piece with its hexadecimal digest, in the order of ``pieces``.

    Large pieces are hashed by several threads at a time (hashlib lets go of the interpreter lock), small ones by the
    caller's own thread.

    Args:
        root: where the files lie.
        pieces: what to hash.
        hash_type: one of `attestations.digest.HASH_TYPES`.
        threads: how many; by default as many as this process may use processors, eight at most.
        allow_symlinks: whether the last component of a path may be a link.
        progress: told the number of bytes, as they are read.

    Raises:
        ContentChanged: a file is not what the walk saw, or was written to while it was read.
        ManifestError: a file cannot be read.
    """
    hashing = _Hashing(root, hash_type, allow_symlinks=allow_symlinks, progress=progress)
    work = [functools.partial(hashing.digest, piece) for piece in pieces]
    count = threads or _processors()
    values = _in_threads(hashing, work, count) if count > 1 else (task() for task in work)
    yield from zip(pieces, values, strict=True)


def _processors() -> int:
    return min(8, len(os.sched_getaffinity(0)))


def _in_threads(
    hashing: "_Hashing", work: Sequence[Callable[[], _Result]], count: int
) -> Generator[_Result, None, None]:
    """Yield the results in the order of ``work``; whoever stops listening stops the threads."""
    # It brings logging along, which a verification of a small model need not pay for.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(count, thread_name_prefix="modelsign-hash") as pool:
        running = [pool.submit(task) for task in work]
        try:
            for future in running:
                yield future.result()
        finally:
            hashing.stop()
            pool.shutdown(wait=True, cancel_futures=True)


class _Hashing:
    """What the threads share: where the files lie, one buffer per thread, and whether to go on."""

    def __init__(
        self,
        root: Path,
        hash_type: str,
        *,
        allow_symlinks: bool,
        progress: Progress | None,
        known: Mapping[str, Hashed] | None = None,
    ) -> None:
        self._known = known or {}
        # An unknown algorithm fails here, before the first file.
        self._new_hasher = hasher_of(hash_type)
        self._root = os.fspath(root)
        self._flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if allow_symlinks else os.O_NOFOLLOW)
        self._progress = progress
        self._progress_lock = Lock()
        self._buffers = local()
        self._stopped = False

    def stop(self) -> None:
        """Let threads that are in the middle of a large file end soon."""
        self._stopped = True

    def whole(self, name: str) -> Hashed:
        """Return a file with its digest."""
        hashed = self.up_to(name, None)
        assert hashed is not None
        return hashed

    def up_to(self, name: str, limit: int | None) -> Hashed | None:
        """Return a file with its digest; None for one of ``limit`` bytes or more."""
        path, descriptor = self._open(name)
        try:
            status = os.fstat(descriptor)
            size = status.st_size
            # As `fingerprint`, without the call: this is the path of each of many small files.
            found = _pack(
                status.st_dev, status.st_ino, size, status.st_mtime_ns & _64_BITS, status.st_ctime_ns & _64_BITS
            )
            known = self._known.get(name) if self._known else None
            if known is not None and known.fingerprint == found:
                return known
            if size <= _SMALL and stat.S_ISREG(status.st_mode):
                # One read, no second look: `check_same` will see whether anybody wrote meanwhile.
                data = os.read(descriptor, size)
                if len(data) != size:
                    raise ContentChanged(f"{path}: became shorter while it was being hashed")
                if self._progress is not None:
                    self._report(size)
                return Hashed(name, found, self._new_hasher(data).hexdigest())
            if not stat.S_ISREG(status.st_mode):
                raise NotRegular(f"{path}: not a regular file any more")
            if limit is not None and size >= limit:
                return None
            return Hashed(name, found, self._read(descriptor, 0, size, path, found))
        except OSError as error:
            raise _unreadable(error, path) from error
        finally:
            os.close(descriptor)

    def digest(self, piece: Piece) -> str:
        """Return the hexadecimal digest of a piece."""
        path, descriptor = self._open(piece.file.name)
        try:
            if fingerprint(os.fstat(descriptor)) != piece.file.fingerprint:
                raise ContentChanged(f"{path}: changed while the model was being hashed")
            return self._read(descriptor, piece.start, piece.end, path, piece.file.fingerprint)
        except OSError as error:
            raise _unreadable(error, path) from error
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> tuple[str, int]:
        path = f"{self._root}/{name}" if name else self._root
        try:
            # The path of a model that is a file may itself be a link, as the path of a directory may.
            return path, os.open(path, self._flags if name else self._flags & ~os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise ContentChanged(f"{path}: disappeared while the model was being hashed") from error
        except OSError as error:
            raise _unreadable(error, path) from error

    def _read(self, descriptor: int, start: int, end: int, path: str, opened: Fingerprint) -> str:
        hasher = self._new_hasher(b"")
        left = end - start
        if start:
            os.lseek(descriptor, start, os.SEEK_SET)
        buffer = self._buffer()
        with io.FileIO(descriptor, closefd=False) as file:
            while left:
                if self._stopped:
                    raise ManifestError("hashing was stopped")
                count = file.readinto(buffer if left >= BUFFER else buffer[:left])
                if not count:
                    raise ContentChanged(f"{path}: became shorter while it was being hashed")
                hasher.update(buffer[:count])
                left -= count
                if self._progress is not None:
                    self._report(count)
        if fingerprint(os.fstat(descriptor)) != opened:
            raise ContentChanged(f"{path}: was written to while it was being hashed")
        return hasher.hexdigest()

    def _buffer(self) -> memoryview:
        buffer: memoryview | None = getattr(self._buffers, "buffer", None)
        if buffer is None:
            buffer = self._buffers.buffer = memoryview(bytearray(BUFFER))
        return buffer

    def _report(self, count: int) -> None:
        assert self._progress is not None
        with self._progress_lock:
            self._progress(count)


def _unreadable(error: OSError, path: str | Path) -> ManifestError:
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(path)
    if isinstance(error, NotADirectoryError) or error.errno == errno.ELOOP:
        return ContentChanged(f"{where}: was replaced by a link while the model was being read")
    if isinstance(error, FileNotFoundError) and where != str(path):
        # It was listed a moment ago.
        return ContentChanged(f"{where}: disappeared while the model was being read")
    return ManifestError(f"{where}: cannot be read: {error.strerror}")
