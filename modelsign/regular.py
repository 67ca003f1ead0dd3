"""Small files beside a model, read whole: no pipe to hang on, no device, no more than a limit."""

import errno
import os
import stat
from pathlib import Path

from modelsign.errors import SourceError, UsageError


def path_of(value: str | os.PathLike[str]) -> Path:
    """Return a path as it was given, whether or not anything lies there.

    Raises:
        SourceError: nothing can lie there: it is too long, or has a NUL in it.
        UsageError: it is an address, which no path may look like (a scan reads one that way too).
    """
    scheme, separator, _ = os.fspath(value).partition("://")
    if separator and scheme.isalnum():
        raise UsageError(f"{value}: the scheme {scheme}:// is not known; give a file or a directory of this machine")
    path = Path(value)
    try:
        path.lstat()
    except ValueError as error:
        raise SourceError(f"{str(path)!r}: no path has a NUL in it") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SourceError(f"{path}: the path is longer than any that the system has") from error
    return path


def read_regular(path: Path, limit: int, *, what: str, follow: bool = True) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file.
        limit: how large it may be.
        what: what messages call it: ``the signature``.
        follow: whether its name may be a symbolic link.

    Raises:
        FileNotFoundError: there is no such file.
        SourceError: it is no regular file, is too large, or cannot be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        if not follow and path.is_symlink():
            raise SourceError(f"{path}: {what} is a symbolic link, which could lead anywhere") from error
        raise SourceError(f"{path}: {what} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"{str(path)!r}: no path has a NUL in it") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SourceError(f"{path}: {what} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > limit:
            raise SourceError(f"{path}: {what} is larger than {limit} bytes")
        try:
            return file.read(limit)
        except OSError as error:
            raise SourceError(f"{path}: {what} cannot be read: {error.strerror}") from error
