"""One bad and one good example of every rule, as files in memory.

Convention: the test module of a rule family (`tests/scanners/rules/file/test_archives.py` for
`scanners/rules/file/archives.py`) defines `EXAMPLES: dict[str, Example]`, rule id to example, and is listed in
`_FAMILIES` below. `test_every_rule.py` scans each: the rule must fire on the bad one and must not fire on the good one,
which should be the bad one's harmless twin.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scanners.engine import finish, scan_blob
from scanners.findings import Report
from scanners.reader import BytesReader

Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Two sets of files, path to content; made when asked for, because some are large."""

    bad: Callable[[], Files]
    good: Callable[[], Files]


_FAMILIES = (
    "tests.scanners.rules.file.test_archives",
    "tests.scanners.rules.file.test_pickles",
    "tests.scanners.rules.file.test_coverage",
    "tests.scanners.rules.file.test_tensors",
    "tests.scanners.rules.file.test_configuration",
    "tests.scanners.rules.file.test_torchscript",
    "tests.scanners.rules.file.test_packaged",
    "tests.scanners.rules.file.test_templates",
    "tests.scanners.rules.file.test_code",
    "tests.scanners.rules.file.test_references",
    "tests.scanners.rules.file.test_gguf",
    "tests.scanners.rules.file.test_tensorflow",
    "tests.scanners.rules.file.test_onnx",
    "tests.scanners.rules.file.test_tflite",
    "tests.scanners.rules.file.test_keras",
    "tests.scanners.rules.file.test_hdf5",
    "tests.scanners.rules.tree.test_names",
    "tests.scanners.rules.tree.test_shards",
    "tests.scanners.rules.tree.test_modules",
    "tests.scanners.rules.file.test_markup",
    "tests.scanners.rules.file.test_runtimes",
    "tests.scanners.rules.file.test_skops",
)  # fmt: skip

NOT_FROM_A_FILE = {
    "MS901": "no file makes our own bugs; tests/scanners/test_engine.py breaks a reader and a rule on purpose",
    "MS907": "the walk over a target states it, not a file's bytes; tests/modelsign/test_scanning.py",
    "MS908": "the walk over a target states it, not a file's bytes; tests/modelsign/test_scanning.py",
}


def all_examples() -> dict[str, Example]:
    """Return the examples of every family. No rule has two."""
    found: dict[str, Example] = {}
    for name in _FAMILIES:
        for rule, example in importlib.import_module(name).EXAMPLES.items():
            assert rule not in found, f"{rule} has two examples"
            found[rule] = example
    return found


def scan_files(files: Files) -> Report:
    """Scan files in memory as one target."""
    scanned = [scan_blob(BytesReader(content), path) for path, content in files.items()]
    return finish("example", scanned, tool_version="0")
