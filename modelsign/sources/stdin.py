"""Standard input as a target: one file without a name."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Sequence

from modelsign.errors import SourceError
from modelsign.sources import Entry


class StandardInput:
    """The bytes of standard input; a pipe is copied to an unnamed temporary file, because readers jump about."""

    name = "-"
    is_file = True

    def __init__(self) -> None:
        if sys.stdin is None:  # the parent closed it
            raise SourceError("standard input is closed")
        try:
            self._descriptor = _seekable(sys.stdin.fileno())
        except (OSError, ValueError) as error:
            raise SourceError(f"standard input cannot be read: {error}") from error

    def entries(self) -> Sequence[Entry]:
        return [Entry(path="-", size=os.fstat(self._descriptor).st_size)]

    def open(self, entry: Entry) -> int:
        assert entry.path == "-"
        return os.dup(self._descriptor)


def _seekable(descriptor: int) -> int:
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and os.lseek(descriptor, 0, os.SEEK_CUR) == 0:
        return os.dup(descriptor)
    with tempfile.TemporaryFile() as copy:
        with open(descriptor, "rb", closefd=False) as pipe:
            shutil.copyfileobj(pipe, copy, 1 << 20)
        copy.flush()
        return os.dup(copy.fileno())
