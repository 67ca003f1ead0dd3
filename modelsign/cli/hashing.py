"""The progress bar of verbs that hash a model."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from attestations.manifest import bytes_to_hash
from modelsign.cli.options import quiet
from modelsign.cli.progress import progress_bar


@contextlib.contextmanager
def hashing_bar(model: Path, *, allow_symlinks: bool = False) -> Iterator[Callable[[int], None] | None]:
    """Give a function that is told how many bytes were read; None where nothing is shown."""
    # The directory is listed once more to know the total, but only for somebody who is watching.
    total = bytes_to_hash(model, allow_symlinks=allow_symlinks) if sys.stderr.isatty() else None
    with progress_bar("Hashing", total=total, quiet=quiet()) as progress:
        yield progress
