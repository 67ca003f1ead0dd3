"""The files of a model: found in one pass, opened without following links, and the same before and after hashing.

Whoever can write to the model while it is hashed must not get a file past us: directories and files are opened with
O_NOFOLLOW, each file is compared with what the walk saw (device, inode, size and both times) when it is opened and when
its last byte was read, and `check_unchanged` walks again after everything is hashed.
"""

import errno
import io
import operator
import os
import stat
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, local
from typing import NamedTuple, TypeAlias

from attestations.digest import hasher_of
from attestations.errors import ContentChanged, ManifestError, NotRegular

BUFFER = 1024 * 1024

# Below this size a thread costs more than it brings: most of the time goes into system calls that hold the lock.
_WORTH_A_THREAD = 256 * 1024

_SMALL = 64 * 1024

Progress: TypeAlias = Callable[[int], None]

Fingerprint: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, size, mtime_ns, ctime_ns: equal before and after means nobody wrote in between"""

_fingerprint: Callable[[os.stat_result], Fingerprint] = operator.attrgetter(
    "st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"
)


class FoundFile(NamedTuple):
    """A regular file as the walk saw it; `name` is its POSIX path below the root ("" for a model that is a file).

    A tuple, not a dataclass: a model may have a million of them, and every walk makes them anew.
    """

    name: str
    fingerprint: Fingerprint

    @property
    def size(self) -> int:
        """Bytes, as the walk saw it."""
        return self.fingerprint[2]


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


def _walk(
    root: Path, ignored: Iterable[str], *, allow_symlinks: bool
) -> tuple[list[tuple[str, Fingerprint]], list[str]]:
    try:
        status = root.stat()
        if not stat.S_ISDIR(status.st_mode):
            if not stat.S_ISREG(status.st_mode):
                raise NotRegular(f"{root}: neither a regular file nor a directory")
            return [("", _fingerprint(status))], []
        walker = _Walker(root, frozenset(ignored), allow_symlinks=allow_symlinks)
        walker.run()
    except OSError as error:
        raise _unreadable(error, root) from error
    # Names are unique, so the fingerprints never decide.
    walker.files.sort()
    return walker.files, walker.left_out


class _Walker:
    """One pass over a directory tree."""

    def __init__(self, root: Path, ignored: frozenset[str], *, allow_symlinks: bool) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._ignored = ignored
        self._allow_symlinks = allow_symlinks
        self.files: list[tuple[str, Fingerprint]] = []
        self.left_out: list[str] = []

    def run(self) -> None:
        # Directories still to be read: path on disk, name below the root, whether ignored, links followed (for cycles).
        pending: list[tuple[str, str, bool, tuple[str, ...]]] = [(os.fspath(self._root), "", False, (self._real_root,))]
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
                        ignored = below_ignored or name in self._ignored
                        status = entry.stat(follow_symlinks=False)
                        kind = stat.S_IFMT(status.st_mode)
                        if kind == stat.S_IFREG:
                            if ignored:
                                self.left_out.append(name)
                            else:
                                self.files.append((name, _fingerprint(status)))
                        elif kind == stat.S_IFDIR:
                            pending.append((f"{path}/{entry.name}", f"{name}/", ignored, above))
                        elif ignored:
                            self.left_out.append(name)
                        elif kind == stat.S_IFLNK:
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
            raise NotRegular(
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
            self.files.append((name, _fingerprint(status)))
            return None
        if not stat.S_ISDIR(status.st_mode):
            raise NotRegular(f"{path}: a symbolic link to a pipe, socket or device")
        if real in above or os.path.realpath(os.path.dirname(path)).startswith(f"{real}/"):  # noqa: PTH120
            raise NotRegular(f"{path}: a symbolic link to a directory above it; the model has no end")
        return (*above, real)


def check_unchanged(root: Path, before: Walk, *, ignored: Iterable[str] = (), allow_symlinks: bool = False) -> None:
    """Walk again and raise `ContentChanged` when a file came, went or was written since ``before``."""
    # Plain tuples compare equal to the named ones of `before`.
    after, _ = _walk(root, ignored, allow_symlinks=allow_symlinks)
    if len(after) == len(before.files) and all(map(operator.eq, after, before.files)):
        return
    then = {file.name: file.fingerprint for file in before.files}
    now = dict(after)
    name = min(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    what = "appeared" if name not in then else "disappeared" if name not in now else "changed"
    raise ContentChanged(f"{root / name}: {what} while the model was being hashed; nobody may write to it meanwhile")


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
    count = threads or min(8, len(os.sched_getaffinity(0)))
    if count == 1 or all(piece.end - piece.start < _WORTH_A_THREAD for piece in pieces):
        for piece in pieces:
            yield piece, hashing.digest(piece)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="modelsign-hash") as pool:
        # Small pieces stay with this thread; large ones are handed out now, the largest first so that none is last.
        large = [piece for piece in pieces if piece.end - piece.start >= _WORTH_A_THREAD]
        large.sort(key=lambda piece: piece.start - piece.end)
        running = {(piece.file.name, piece.start): pool.submit(hashing.digest, piece) for piece in large}
        try:
            small = {
                (piece.file.name, piece.start): hashing.digest(piece)
                for piece in pieces
                if piece.end - piece.start < _WORTH_A_THREAD
            }
            for piece in pieces:
                key = (piece.file.name, piece.start)
                yield piece, small[key] if key in small else running[key].result()
        finally:
            hashing.stop()
            pool.shutdown(wait=True, cancel_futures=True)


class _Hashing:
    """What the threads share: where the files lie, one buffer per thread, and whether to go on."""

    def __init__(self, root: Path, hash_type: str, *, allow_symlinks: bool, progress: Progress | None) -> None:
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

    def digest(self, piece: Piece) -> str:
        """Return the hexadecimal digest of a piece."""
        name, fingerprint = piece.file
        path = f"{self._root}/{name}" if name else self._root
        # The path of a model that is a file may itself be a link, as the path of a directory may.
        flags = self._flags if name else self._flags & ~os.O_NOFOLLOW
        try:
            descriptor = os.open(path, flags)
            try:
                if _fingerprint(os.fstat(descriptor)) != fingerprint:
                    raise ContentChanged(f"{path}: changed while the model was being hashed")
                if piece.end - piece.start <= _SMALL:
                    # One read, no second look: `check_unchanged` will see whether anybody wrote meanwhile.
                    return self._read_at_once(descriptor, piece, path)
                value = self._read(descriptor, piece, path)
                if _fingerprint(os.fstat(descriptor)) != fingerprint:
                    raise ContentChanged(f"{path}: was written to while it was being hashed")
                return value
            finally:
                os.close(descriptor)
        except FileNotFoundError as error:
            raise ContentChanged(f"{path}: disappeared while the model was being hashed") from error
        except OSError as error:
            raise _unreadable(error, path) from error

    def _read_at_once(self, descriptor: int, piece: Piece, path: str) -> str:
        wanted = piece.end - piece.start
        data = os.pread(descriptor, wanted, piece.start)
        if len(data) != wanted:
            raise ContentChanged(f"{path}: became shorter while it was being hashed")
        if self._progress is not None:
            self._report(wanted)
        return self._new_hasher(data).hexdigest()

    def _read(self, descriptor: int, piece: Piece, path: str) -> str:
        hasher = self._new_hasher(b"")
        left = piece.end - piece.start
        if piece.start:
            os.lseek(descriptor, piece.start, os.SEEK_SET)
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
    if isinstance(error, NotADirectoryError) or error.errno == errno.ELOOP:
        return ContentChanged(f"{path}: was replaced by a link while the model was being read")
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else path
    return ManifestError(f"{where}: cannot be read: {error.strerror}")
