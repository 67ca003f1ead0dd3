"""Nothing that nobody has judged passes the gate: names drawn from the standard library and the installed packages.

The names are read from source files and from the directories of modules that are built into the interpreter; nothing
else is imported for it.
"""

import ast
import random
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

import pytest

from scanners.engine import scan_blob
from scanners.findings import Verdict
from scanners.knowledge.tables import Standing, judge
from scanners.reader import BytesReader
from tests.builders import pickles as p

STOPPED = {Verdict.SUSPICIOUS, Verdict.MALICIOUS}


def names_in(source: Path, root: Path) -> list[tuple[str, str]]:
    """Return module and name of what a source file defines at its top level, and of its classes' methods."""
    parts = source.relative_to(root).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return []
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append((module, node.name))
        elif isinstance(node, ast.ClassDef):
            found.append((module, node.name))
            found += [
                (module, f"{node.name}.{inner.name}") for inner in node.body if isinstance(inner, ast.FunctionDef)
            ]
    return found


def drawn(count: int, seed: int) -> list[tuple[str, str]]:
    """Draw names that are not on the harmless side."""
    source = random.Random(seed)
    stdlib = Path(sysconfig.get_path("stdlib"))
    packages = Path(sysconfig.get_path("purelib"))
    names = [(module, name) for module in sys.builtin_module_names for name in dir(import_module(module))]
    for root in (stdlib, packages):
        files = [file for file in sorted(root.rglob("*.py")) if root == packages or "site-packages" not in file.parts]
        for file in source.sample(files, min(len(files), max(40, count // 8))):
            names += names_in(file, root)
    unknown = [
        (module, name)
        for module, name in names
        if module
        and module.isascii()
        and judge(f"{module}.{name}").standing not in {Standing.HARMLESS, Standing.SHAPED}
    ]
    return source.sample(unknown, min(count, len(unknown)))


def verdicts_of(module: str, name: str) -> dict[str, Verdict]:
    """Return the verdicts on a pickle that calls, one that keeps, and one that dispatches to a callable."""
    keeper = p.value(p.new("collections", "UserList", state={"extend": p.Global(module, name)}))
    ways = {
        "called": p.dump(p.call(module, name, 1)),
        "built": p.dump(p.new(module, name, state={"a": 1})),
        "stored": p.dump({"a": [p.Global(module, name)]}),
        "dropped": p.proto(4) + p.stack_global(module, name) + p.POP + p.NONE + p.STOP,
        "dispatched": p.proto(4) + keeper + p.MARK + p.value("x") + p.APPENDS + p.STOP,
        "global": p.proto(2) + p.global_(module, name) + p.EMPTY_TUPLE + p.REDUCE + p.STOP,
        "through partial": p.dump(p.call("functools", "partial", p.Global(module, name))),
    }
    return {way: scan_blob(BytesReader(content), "x.pkl").report.verdict for way, content in ways.items()}


def passing(count: int, seed: int) -> list[tuple[str, str, dict[str, Verdict]]]:
    found = []
    for module, name in drawn(count, seed):
        verdicts = verdicts_of(module, name)
        if not set(verdicts.values()) <= STOPPED:
            found.append((module, name, verdicts))
    return found


def test_no_unjudged_callable_passes() -> None:
    assert passing(300, seed=1) == []


@pytest.mark.fuzz
def test_thousands_of_unjudged_callables_do_not_pass() -> None:
    assert passing(4000, seed=2026) == []


def test_the_draw_finds_enough_to_mean_something() -> None:
    names = drawn(300, seed=1)

    assert len(names) == 300
    assert len({module for module, _ in names}) > 30
