"""The progress bar of verbs that hash a model."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from attestations.errors import ManifestError
from attestations.manifest import bytes_to_hash
from modelsign.cli.options import quiet
from modelsign.cli.progress import Bar, progress_bar


@contextlib.contextmanager
def hashing_bar(
    model: Path, *, label: str = "Hashing", passes: int = 1, allow_symlinks: bool = False
) -> Iterator[Bar | None]:
    """Give a function that is told how many bytes were read; None where nothing is shown.

    Args:
        model: what is read.
        label: what is being done.
        passes: how often every byte is told: twice where a model is hashed and then scanned.
        allow_symlinks: whether links are followed.
    """
    # The directory is listed once more to know the total, but only for somebody who is watching.
    watched = sys.stderr.isatty() and model.exists()
    total = None
    if watched:
        # What cannot be hashed is told by whoever hashes it, with its own exit code.
        with contextlib.suppress(ManifestError):
            total = passes * bytes_to_hash(model, allow_symlinks=allow_symlinks)
    with progress_bar(label, total=total, quiet=quiet()) as progress:
        yield progress
