"""Where a verb's result goes: standard output, a file, and further files in other forms."""

import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from modelsign.config import holds, is_local
from modelsign.errors import SourceError, UsageError
from modelsign.escape import json_document
from scanners.records import dataclass

_JSON = frozenset({"json", "jsonl", "sarif"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How the human form is written."""

    color: bool = False
    quiet: bool = False


Render: TypeAlias = Callable[[str, Style], str]
"""Gets the name of a form and the style; returns the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The forms and destinations a user asked for."""

    format: str
    destination: Path | None
    reports: tuple[tuple[str, Path], ...]
    style: Style

    def spare(self, targets: Sequence[str]) -> None:
        """Raise before the work what would otherwise end it: a result that overwrites a part of its own subject.

        Raises:
            UsageError: a result would overwrite a file of a target (an earlier result may go).
            SourceError: the directory of a result does not exist.
        """
        for path in self._files():
            if not path.absolute().parent.is_dir():
                raise SourceError(f"{path}: cannot be written: there is no directory {path.parent}")
            for target in targets:
                if is_local(target) and path.is_file() and holds(Path(target), path) and not _is_result(path):
                    raise UsageError(f"{path}: the result would overwrite a file of {target}; choose another name")

    def _files(self) -> list[Path]:
        named = [path for _, path in self.reports]
        return named if self.destination is None else [*named, self.destination]

    def publish(self, render: Render) -> None:
        """Render and write every form asked for."""
        bare = Style(quiet=self.style.quiet)
        for form, path in self.reports:
            _write(path, _rendered(render, form, bare))
        if self.destination is not None:
            _write(self.destination, _rendered(render, self.format, bare))
            return
        text = _rendered(render, self.format, self.style)
        encoding = "utf-8" if self.format != "human" else (sys.stdout.encoding or "utf-8")
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode(encoding, "backslashreplace"))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SourceError(f"standard output cannot be written: {error.strerror}") from error


def _rendered(render: Render, form: str, style: Style) -> str:
    text = render(form, style)
    return json_document(text) if form in _JSON else text


def _is_result(path: Path) -> bool:
    """Return whether an earlier run wrote ``path``: every form names the tool at its beginning."""
    with path.open("rb") as file:
        return b"modelsign" in file.read(4096)


def _write(path: Path, text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    try:
        mode = path.lstat().st_mode
    except OSError:
        mode = stat.S_IFREG
    if stat.S_ISREG(mode):
        from modelsign.publish import replacing_file  # what it needs costs a scan without files 3 ms

        with replacing_file(path, force=True) as file:
            file.write(data)
        return
    # Links, pipes and devices are written to, never replaced: a rename onto /dev/stdout, a link, would take it away
    # from every program of the machine.
    try:
        with path.open("wb") as stream:
            stream.write(data)
    except OSError as error:
        raise SourceError(f"{path}: cannot be written: {error.strerror}") from error
