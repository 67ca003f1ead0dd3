"""What parsers read from files of ours: read by the parent, once, and inherited by workers that may read no file."""

import sys
from collections.abc import Callable


def pickle_data() -> tuple[Callable[[], object], ...]:
    """Return what the pickle machine reads; each function keeps what it has read."""
    from scanners.knowledge.tables import tables

    return (tables,)


def scan_data() -> tuple[Callable[[], object], ...]:
    """Return what a scan reads."""
    return pickle_data()


def prepare_patterns() -> None:
    """Compile every regular expression of the parsers: worth its while before many workers, which inherit them."""
    from scanners import patterns

    patterns.prepare([module for name, module in sorted(sys.modules.items()) if name.startswith("scanners.")])


def prepare(data: tuple[Callable[[], object], ...]) -> None:
    """Read it now."""
    for read in data:
        read()
