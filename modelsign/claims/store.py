"""The file of claims beside a model: one Sigstore bundle per line, read tolerantly, appended to without loss.

Two writers at once lose nothing: the file that is there is locked, and whoever waited looks whether it was replaced
meanwhile. A killed writer leaves the old file or the new one. Lines that this version does not understand stay as they
are; as evidence they count for nothing.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from attestations.bundle import Bundle
from attestations.errors import AttestationError
from modelsign.errors import SourceError, UsageError
from modelsign.regular import read_regular
from scanners.records import dataclass

MAX_BYTES = 256 << 20
MAX_LINES = 10_000
_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimLine:
    """One line: a bundle, or why it is none."""

    number: int
    """counted from 1"""
    bundle: Bundle | None
    problem: str | None = None


def read(path: Path) -> tuple[ClaimLine, ...]:
    """Return the lines of a claims file, empty lines left out; none where the file does not exist.

    Raises:
        SourceError: it cannot be read, is no regular file, or is larger than any claims file.
    """
    try:
        data = read_regular(path, MAX_BYTES, what="the claims file", follow=False)
    except FileNotFoundError:
        return ()
    if _lines(data) > MAX_LINES:
        raise SourceError(
            f"{path}: more than {MAX_LINES} lines, and none is looked at; remove the claims that nobody asks for, or "
            "name another file with --claims"
        )
    return tuple(_line(number, line) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip())


def append(path: Path, bundles: Sequence[Bundle]) -> None:
    """Add ``bundles`` as the last lines of the claims file, which is made if it does not exist.

    Raises:
        SourceError: the file cannot be read or written, or would become one that `read` refuses.
    """
    from modelsign.publish import replacing_file  # readers, of whom there are many more, need nothing of it

    added = b"".join(bundle.to_json() + b"\n" for bundle in bundles)
    _refuse_too_much(path, added)
    for _ in range(_ATTEMPTS):
        try:
            with _locked(path) as status:
                if not _is_still(path, status):
                    continue
                present = read_regular(path, MAX_BYTES, what="the claims file", follow=False)
                separator = b"" if not present or present.endswith(b"\n") else b"\n"
                _refuse_too_much(path, present + separator + added)
                with replacing_file(path, force=True, mode=stat.S_IMODE(status.st_mode)) as file:
                    file.write(present + separator + added)
                return
        except FileNotFoundError:
            # Made exclusively: when somebody else was faster, theirs is the file to append to.
            with contextlib.suppress(UsageError):
                with replacing_file(path, force=False) as file:
                    file.write(added)
                return
    raise SourceError(f"{path}: other writers kept replacing it; try again")


def _lines(data: bytes) -> int:
    return data.count(b"\n") + bool(data and not data.endswith(b"\n"))


def _refuse_too_much(path: Path, data: bytes) -> None:
    if _lines(data) > MAX_LINES or len(data) > MAX_BYTES:
        raise SourceError(
            f"{path}: would have more than {MAX_LINES} lines or {MAX_BYTES} bytes, and nobody would read it any more; "
            "remove the claims that nobody asks for"
        )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[os.stat_result]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            raise SourceError(f"{path}: a symbolic link; claims lie in the model itself") from error
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _is_still(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), status)
    except FileNotFoundError:
        return False


def _line(number: int, line: bytes) -> ClaimLine:
    try:
        return ClaimLine(number=number, bundle=Bundle.parse(line))
    except AttestationError as error:
        return ClaimLine(number=number, bundle=None, problem=str(error))
