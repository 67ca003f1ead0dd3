import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelsign.isolation.imports import NeededModuleError, Provider, Stop, _wanted
from modelsign.isolation.preparing import scan_data

ROOT = Path(__file__).resolve().parents[3]
PARSERS = sorted([*ROOT.glob("scanners/**/*.py"), *ROOT.glob("modelsign/conversion/inputs/*.py")])

# Printed by the command line, never asked for by a parser.
ANSWERS_NO_WORKER = {(str(ROOT / "scanners" / "rules" / "explained.py"), "page_of")}


def late_imports(path: Path) -> Iterator[str]:
    """Yield the modules that the functions of a file import."""
    for function in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    yield node.module


@pytest.mark.parametrize("path", PARSERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_parsers_import_late_is_provided(path: Path) -> None:
    missing = [name for name in late_imports(path) if not _wanted(name)]
    assert not missing, "add them to PROVIDED, if importing them does nothing"


@pytest.mark.parametrize("path", PARSERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_parsers_read_is_read_before(path: Path) -> None:
    readers = {inspect.unwrap(function).__code__ for function in scan_data()}
    known = {(code.co_filename, code.co_name) for code in readers}
    reading = [
        function.name
        for function in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and re.fullmatch(r"open|os\.open|.*\.(read_text|read_bytes)", ast.unparse(node.func))
    ]
    assert {(str(path), name) for name in reading} <= known | ANSWERS_NO_WORKER


def test_a_worker_stops_at_an_import() -> None:
    with pytest.raises(NeededModuleError, match=r"lz4\.frame"):
        Stop(frozenset()).find_spec("lz4.frame", None)


def test_what_is_not_installed_is_not_found_as_ever() -> None:
    assert Stop(frozenset({"py7zr"})).find_spec("py7zr", None) is None


def test_provides_what_is_listed() -> None:
    provider = Provider()
    assert provider.provide("encodings.cp037")
    assert "encodings.cp037" in sys.modules
    assert not provider.absent


def test_tells_what_does_not_exist() -> None:
    provider = Provider()
    assert provider.provide("encodings.no_such_codec")
    assert provider.absent == {"encodings.no_such_codec"}


def test_provides_for_two_that_ask_at_once() -> None:
    provider = Provider()
    assert provider.provide("bisect")
    assert provider.provide("bisect")


@pytest.mark.parametrize("name", ["antigravity", "os", "", "encodings..x", "scanners/../os", "sitecustomize", "tests"])
def test_provides_nothing_else(name: str) -> None:
    before = set(sys.modules)
    assert not Provider().provide(name)
    assert set(sys.modules) == before


def test_has_an_end() -> None:
    provider = Provider()
    answers = [provider.provide(f"encodings.none_{number}") for number in range(100)]
    assert answers == [True] * 64 + [False] * 36


def test_one_question_does_not_pay_for_all_formats() -> None:
    program = "import sys, modelsign.isolation; print('scanners.registry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
