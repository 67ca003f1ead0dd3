"""Text that is small to send and dear to read: each costs its limit, not minutes or gigabytes."""

import json
import tracemalloc

import pytest

from scanners.engine import scan_blob
from scanners.findings import Verdict
from scanners.reader import BytesReader

BOMBS = {
    "statements.py": b"a;" * 200_000,
    "expressions.jinja": b"{{a}}" * 20_000,
    "attributes.xml": b"<a " + b'a="' * 200_000,
    "strings.pbtxt": b'node { name: "a" }' + b'"x"' * 50_000,
    "spaces.yaml": (b"a" + b" " * 398 + b"\n") * 1_000,
    "keys.yaml": b"{" + b"a" * 300_000,
    "cells.ipynb": json.dumps({"cells": [{"cell_type": "code", "source": "x=1\n" * 20}] * 300}).encode(),
    "tokens.txt": b"sk-" * 100_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_memory_stays_a_small_multiple_of_the_input(name: str) -> None:
    tracemalloc.start()
    try:
        report = scan_blob(BytesReader(BOMBS[name]), name).report
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.verdict is not Verdict.ERROR
    assert peak < 120 << 20
