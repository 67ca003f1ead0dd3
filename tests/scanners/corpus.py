"""The files other scanners are tested with, and the verdict each must get: `scan/corpus.json` of the vectors."""

import json
from collections.abc import Collection

from tests.vectors import VECTORS

SCAN = VECTORS / "scan"


def cases(kinds: Collection[str]) -> list[tuple[str, str]]:
    """Return (path, expected) of the files of some kinds; none where the vectors are absent."""
    corpus = SCAN / "corpus.json"
    if not corpus.is_file():
        return []
    return [(case["path"], case["expected"]) for case in json.loads(corpus.read_text()) if case["kind"] in kinds]
