"""Files and directories that appear whole or not at all.

The new content is written beside the target under a name of ours, flushed to the disk, and renamed. A run that is
killed leaves the target old or new, and at most one such sibling; the next run removes siblings whose writer is gone
(their lock is free), or puts them back where they were taken from.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from modelsign.errors import SourceError, UsageError

_PREFIX = ".modelsign-tmp-"
_ASIDE = "-was-"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_ATTEMPTS = 100
"""names that are tried in a directory which answers that there is no such file"""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_leftover(name: str) -> bool:
    """Return whether ``name`` is one that an unfinished run of ours leaves beside its target."""
    return name.startswith(_PREFIX)


def sweep(directory: Path) -> None:
    """Remove what killed runs left in ``directory``; what a living run holds locked stays."""
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if is_leftover(entry.name))
    except OSError:
        return
    for name in names:
        _remove_if_abandoned(directory / name)


def _remove_if_abandoned(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _, stepped_aside, name = path.name.partition(_ASIDE)
        if stepped_aside and not os.path.lexists(path.with_name(name)):
            path.rename(path.with_name(name))
        else:
            _remove(path)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def refuse_existing(path: Path, *, force: bool, what: str = "file") -> None:
    """Raise `UsageError` when ``path`` exists and ``force`` was not given."""
    if not force and os.path.lexists(path):
        raise UsageError(f"{path}: this {what} exists already; give --force to replace it, or choose another name")


def _refuse_irregular(path: Path) -> None:
    """Raise `UsageError` when ``path`` is a link, a device, a pipe or a directory: a rename would take it away.

    For root that includes /dev/null, and /dev/stdout, which is a link: every program of the machine would lose it.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        what = (
            "a symbolic link" if stat.S_ISLNK(mode) else "a directory" if stat.S_ISDIR(mode) else "a device or a pipe"
        )
        raise UsageError(f"{path}: is {what}, which is never replaced by a file; choose another name")


@contextlib.contextmanager
def making_parents(target: Path) -> Iterator[None]:
    """Make the directories above ``target`` that are not there; on any error they are gone again.

    Raises:
        SourceError: they cannot be made.
    """
    made: list[Path] = []
    try:
        for folder in reversed(target.parents):
            try:
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
            except FileExistsError:
                continue
            except OSError as error:
                raise SourceError(f"{target}: cannot be written: {folder}: {error.strerror}") from error
        yield
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()  # only what is empty: somebody else may use it by now
        raise


@contextlib.contextmanager
def replacing_file(target: Path, *, force: bool, mode: int = 0o666, durable: bool = True) -> Iterator[BinaryIO]:
    """Give a file to write (and read back); on success it becomes ``target``, on any error nothing remains.

    Args:
        target: where the file shall appear; its directory must exist.
        force: whether an existing target may be replaced. Without it the target is created exclusively, also when it
            appears while the content is being written.
        mode: permission bits of the new file, before the umask.
        durable: whether the content reaches the disk before the name appears. Without it a killed process still leaves
            old or new, but a power failure may not: as with `cp`.

    Raises:
        UsageError: the target exists and ``force`` is False, or it is no regular file.
        SourceError: the directory cannot be written, or has no room.
    """
    refuse_existing(target, force=force)
    _refuse_irregular(target)
    directory = target.parent
    sweep(directory)
    try:
        temporary, descriptor = _locked(directory, partial(_new_file, mode=mode))
    except OSError as error:
        raise SourceError(f"{target}: cannot be written: {error.strerror}") from error
    try:
        with open(descriptor, "w+b", closefd=False) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(descriptor)
        if force:
            temporary.replace(target)
        else:
            _link_new(temporary, target)
        if durable:
            _flush_directory(directory)
    except OSError as error:
        # Nothing but writing runs out of room, and the descriptor does not tell for which file.
        if error.errno in _NO_ROOM and error.filename is None:
            raise SourceError(f"{target}: cannot be written: {error.strerror}") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def reserve(descriptor: int, size: int) -> None:
    """Have the blocks of a file that is about to be written set aside at once, where its file system can.

    Linux: fallocate(2). A full disk is known before the first byte is copied, and writing into blocks that are there
    costs less than having them found piece by piece. Elsewhere this does nothing: emulations write to each block.

    Args:
        descriptor: an empty file, open for writing; it has its final length afterwards.
        size: the length, in bytes.

    Raises:
        OSError: there is not enough room, or more than this user or file system may have.
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    # glibc's `fallocate` counts in 32 bits on some machines, and musl's counts in 64 everywhere.
    allocate = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if allocate is None or not size:
        return
    if allocate(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(size)):
        number = ctypes.get_errno()
        if number in _NO_ROOM:
            raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def scratch_file(directory: Path) -> Iterator[int]:
    """Give the descriptor of a file without a name in ``directory``, for data too large for memory; gone afterwards.

    Raises:
        SourceError: the directory cannot be written.
    """
    try:
        descriptor = _unnamed(directory)
    except OSError as error:
        raise SourceError(f"{directory}: cannot be written: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _unnamed(directory: Path) -> int:
    if hasattr(os, "O_TMPFILE"):
        # File systems without unnamed files (some network ones) say so in their own ways.
        with contextlib.suppress(OSError):
            return os.open(directory, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    temporary = directory / f"{_PREFIX}{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    temporary.unlink()
    return descriptor


def _locked(directory: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """Make something with a name of ours, lock it, and return both; again, where another run swept it in between."""
    attempts = 0
    while True:
        temporary = directory / f"{_PREFIX}{secrets.token_hex(8)}"
        attempts += 1
        try:
            descriptor = make(temporary)
        except FileNotFoundError:
            # A directory that was swept before it could be opened; or a place like /proc, which never takes a file.
            if attempts < _ATTEMPTS and directory.is_dir():
                continue
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a network file system without locks
            os.close(descriptor)
            _remove(temporary)
            raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(temporary.lstat(), os.fstat(descriptor)):
                return temporary, descriptor
        os.close(descriptor)


def _new_file(path: Path, *, mode: int) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def _new_directory(path: Path) -> int:
    path.mkdir(mode=0o777)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _link_new(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target, follow_symlinks=False)
    except FileExistsError as error:
        raise UsageError(f"{target}: this file exists already; give --force to replace it") from error
    except OSError:
        # File systems without hard links: the check above is all the exclusivity they allow.
        temporary.rename(target)


@contextlib.contextmanager
def replacing_directory(target: Path, *, force: bool) -> Iterator[Path]:
    """Give an empty directory to fill; on success it becomes ``target``, on any error nothing remains.

    Args:
        target: where the directory shall appear: absent or empty, or anything that ``force`` may replace.
        force: whether a non-empty target may be replaced.

    Raises:
        UsageError: the target exists, is not an empty directory, and ``force`` is False.
        SourceError: the parent directory cannot be written.
    """
    if os.path.lexists(target) and not force and not _is_empty_directory(target):
        raise UsageError(f"{target}: exists and is not empty; give --force to replace it, or choose another directory")
    parent = target.absolute().parent
    sweep(parent)
    try:
        temporary, descriptor = _locked(parent, _new_directory)
    except OSError as error:
        raise SourceError(f"{target}: cannot be written: {error.strerror}") from error
    try:
        yield temporary
        _flush_tree(temporary)
        _swap_in(temporary, target, parent)
        _flush_directory(parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def _is_empty_directory(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return False
    with os.scandir(path) as entries:
        return not any(entries)


def _swap_in(temporary: Path, target: Path, parent: Path) -> None:
    """Let ``temporary`` take the target's name; an old target is gone or lies under ``temporary``'s name afterwards."""
    if not os.path.lexists(target) or _is_empty_directory(target):
        temporary.rename(target)
    elif _exchange(temporary, target):
        _remove(temporary)
    else:
        # The old directory steps aside under a name from which the next run puts it back, should this one die between
        # the two renames: the target is old or new, or for a moment absent, never mixed and never lost.
        aside = parent / f"{_PREFIX}{secrets.token_hex(8)}{_ASIDE}{target.name}"
        target.rename(aside)
        try:
            temporary.rename(target)
        except OSError:
            aside.rename(target)
            raise
        _remove(aside)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step (Linux: renameat2(2) with RENAME_EXCHANGE); False where that cannot be done."""
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush_tree(directory: Path) -> None:
    for root, _, names in os.walk(directory):
        for name in names:
            descriptor = os.open(os.path.join(root, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # noqa: PTH118
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        _flush_directory(Path(root))


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse to flush a directory; the rename itself is still atomic there
    finally:
        os.close(descriptor)
