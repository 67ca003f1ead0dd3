"""What parsers read from files of ours: read by the parent, once, and inherited by workers that may read no file."""

from collections.abc import Callable

from scanners.formats import tensorflow_graph
from scanners.knowledge.tables import tables

DATA: tuple[Callable[[], object], ...] = (tables, tensorflow_graph.registered)
"""functions that keep what they read"""


def prepare() -> None:
    """Read the data that workers need."""
    for read in DATA:
        read()
