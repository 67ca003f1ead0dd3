"""Files that a caller names: read whole, up to a limit, and never waiting for somebody who may not come.

Opening a named pipe waits until it has a writer. Here one without a writer is an error, and one with a writer, such as
a shell's ``<(command)``, is read to its end.
"""

import errno
import os
import stat
from pathlib import Path


def open_named(path: Path) -> int:
    """Return a descriptor of a file or pipe.

    Raises:
        OSError: there is no such file, or it is a directory.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, "no path has a NUL in it", str(path)) from error
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    os.set_blocking(descriptor, True)
    return descriptor


def is_pipe(descriptor: int) -> bool:
    """Return whether a descriptor is one of a pipe: what was read of it cannot be read again."""
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


def read_named(path: Path, limit: int) -> bytes:
    """Return the first ``limit`` bytes of a file, or of a pipe that somebody writes to.

    Raises:
        OSError: there is none, or it cannot be read.
    """
    with open(open_named(path), "rb") as file:
        data = file.read(limit)
        if not data and is_pipe(file.fileno()):
            raise OSError(errno.EPIPE, "a pipe that nobody writes to, or that was read before", str(path))
    return data


def read_whole(path: Path, limit: int) -> bytes:
    """Return all of a file, or of a pipe that somebody writes to.

    Raises:
        OSError: there is none, it cannot be read, or it has more than ``limit`` bytes.
    """
    data = read_named(path, limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
    return data
