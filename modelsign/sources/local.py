"""A file or a directory of this machine.

The tree may be hostile and may change while it is read. Every file is opened component by component below the root,
links refused at each step, and only regular files are opened at all. A symbolic link is resolved first: when it stays
inside the target its file is read under the link's name as well; when it leaves the target it is reported and not
opened, unless the user asked to follow it. The Hugging Face cache (https://huggingface.co/docs/huggingface_hub/guides/manage-cache)
keeps files as links `snapshots/<revision>/<name>` -> `blobs/<digest>`; those are the files of the snapshot.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from modelsign.errors import SourceError
from modelsign.sources import Entry, Links

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class LocalSource:
    """A path the user named; the last link on the way to it is followed, because the user named it."""

    def __init__(self, target: str, *, links: Links = Links.REPORT) -> None:
        self.name = os.path.basename(os.path.abspath(target)) or "/"  # noqa: PTH100, PTH119 - undecodable names stay as they are
        self._links = links
        try:
            self._root = os.path.realpath(target, strict=True)
            status = Path(self._root).stat()
        except FileNotFoundError as error:
            raise SourceError(f"{target}: there is no such file or directory") from error
        except OSError as error:
            raise SourceError(f"{target}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise SourceError(f"{target!r}: no path has a NUL in it") from error
        self.is_file = not stat.S_ISDIR(status.st_mode)
        if self.is_file and not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{target}: is {_kind(status.st_mode)}, not a file or directory")
        # Where a path of the report is found, for the names that are not simply below the root.
        self._elsewhere: dict[str, str] = {self.name: self._root} if self.is_file else {}

    def entries(self) -> Sequence[Entry]:
        if self.is_file:
            return [Entry(path=self.name, size=Path(self._root).stat().st_size)]
        entries = sorted(self._walk(), key=lambda entry: entry.path)
        blobs = self._blobs_in_use()
        return [entry for entry in entries if entry.path not in blobs]

    def open(self, entry: Entry) -> int:
        place = self._elsewhere.get(entry.path)
        if place is None:
            return open_below(self._root, entry.path.split("/"))
        return open_below("/", place.strip("/").split("/"))

    def _blobs_in_use(self) -> set[str]:
        """Return the blobs that snapshots of a cache in the target name: they are read under those names."""
        return {
            os.path.relpath(place, self._root)
            for path, place in self._elsewhere.items()
            if _is_cached(Path(self._root, path), Path(place)) and _is_below(place, self._root)
        }

    def _walk(self) -> Iterator[Entry]:
        pending = [("", self._root, False)]
        entered = set()
        while pending:
            prefix, directory, followed = pending.pop()
            try:
                status = Path(directory).lstat()
                if (status.st_dev, status.st_ino) in entered:
                    continue  # reached again through a followed link
                entered.add((status.st_dev, status.st_ino))
                with os.scandir(directory) as listing:
                    found = sorted(listing, key=lambda item: item.name)
            except OSError as error:
                yield Entry(path=prefix.rstrip("/") or ".", why_not=f"the directory cannot be read: {error.strerror}")
                continue
            for item in found:
                path = prefix + item.name
                if item.is_symlink():
                    inner = self._through_link(path, item.path)
                    if isinstance(inner, Entry):
                        yield inner
                    else:
                        pending.append((f"{path}/", inner, True))
                elif item.is_dir(follow_symlinks=False):
                    pending.append((f"{path}/", item.path, followed))
                else:
                    if followed:
                        self._elsewhere[path] = item.path
                    yield _entry(path, item)

    def _through_link(self, path: str, place: str) -> Entry | str:
        """Return the entry of a link, or the directory behind it that shall be walked."""
        try:
            shown = os.fspath(Path(place).readlink())
            resolved = os.path.realpath(place, strict=True)
            status = Path(resolved).lstat()
        except OSError as error:
            what = "in a circle" if error.errno == errno.ELOOP else "nowhere"
            return Entry(path=path, why_not=f"the symbolic link leads {what}")
        inside = _is_below(resolved, self._root)
        cached = _is_cached(Path(place), Path(resolved))
        if not (inside or cached or self._links is Links.FOLLOW):
            return Entry(path=path, why_not=f"a symbolic link out of the target, to {shown!r}, is not followed")
        if stat.S_ISDIR(status.st_mode):
            # Inside the target its files are read anyway, under their own names.
            return resolved if not inside else Entry(path=path, link=shown, is_directory=True)
        if not stat.S_ISREG(status.st_mode):
            return Entry(path=path, why_not=f"a symbolic link to {_kind(status.st_mode)} is not opened")
        self._elsewhere[path] = resolved
        return Entry(path=path, size=status.st_size, link=None if cached else shown)


def _entry(path: str, item: os.DirEntry[str]) -> Entry:
    try:
        status = item.stat(follow_symlinks=False)
    except OSError as error:
        return Entry(path=path, why_not=f"cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return Entry(path=path, why_not=f"{_kind(status.st_mode)} is not opened")
    return Entry(path=path, size=status.st_size)


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "something that is no file")


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _is_cached(link: Path, blob: Path) -> bool:
    """Return whether ``link`` is `R/snapshots/<revision>/…` and ``blob`` is `R/blobs/<name>` of the same cache."""
    if blob.parent.name != "blobs":
        return False
    snapshots = blob.parent.parent / "snapshots"
    parent = link.parent.resolve()
    return parent != snapshots and parent.is_relative_to(snapshots)


def open_below(root: str, parts: Sequence[str]) -> int:
    """Open a regular file, refusing a link in every component below ``root`` (no race can lead elsewhere)."""
    directory = os.open(root, _DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        descriptor = os.open(parts[-1], _FILE, dir_fd=directory)
    finally:
        os.close(directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file any more")
    return descriptor
