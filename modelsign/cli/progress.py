"""Progress on standard error: only on a terminal, and only when the work takes longer than a second.

`rich` is imported when the bar appears, so that short runs, pipelines and CI never pay for it.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

_PATIENCE = 1.0


@contextlib.contextmanager
def progress_bar(label: str, *, total: int | None, quiet: bool) -> "Iterator[Bar | None]":
    """Give a function that is told the number of further bytes that are done; None where nothing is shown.

    Args:
        label: what is being done: ``Scanning``.
        total: bytes in all; None when unknown.
        quiet: whether the user asked for silence.
    """
    if quiet or os.environ.get("CI") or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    bar = Bar(label, total)
    try:
        yield bar
    finally:
        bar.close()


class Bar:
    """Told the number of further bytes that are done; shows them once it takes long."""

    def __init__(self, label: str, total: int | None) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._show: Callable[[int], None] | None = None
        self._stop: Callable[[], None] | None = None

    def __call__(self, count: int) -> None:
        self._done += count
        if self._show is not None:
            self._show(self._done)
        elif time.monotonic() - self._started > _PATIENCE:
            self._appear()

    def _appear(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
            transient=True,
        )
        task = progress.add_task(self._label, total=self._total, completed=self._done)
        progress.start()

        def show(done: int) -> None:
            progress.update(task, completed=done)

        self._show = show
        self._stop = progress.stop

    def close(self) -> None:
        """Take the bar off the terminal; the next call brings it back."""
        if self._stop is not None:
            self._stop()
        self._show = self._stop = None


def step_aside(bar: Bar | None) -> Callable[[], None]:
    """Return what takes the bar off the terminal, so that a question can be asked there."""
    return bar.close if bar is not None else lambda: None
