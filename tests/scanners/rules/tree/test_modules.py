import json

import pytest

from scanners.findings import Verdict
from tests.scanners.rules.examples import Example, scan_files

HARMLESS = b"class Model:\n    pass\n"
CONFIG = json.dumps({"auto_map": {"AutoModel": "modeling.Model"}}).encode()

EXAMPLES = {
    "MS442": Example(bad=lambda: {"torch.py": HARMLESS}, good=lambda: {"modeling.py": HARMLESS}),
    "MS443": Example(
        bad=lambda: {"config.json": CONFIG}, good=lambda: {"config.json": CONFIG, "modeling.py": HARMLESS}
    ),
}


def test_an_auto_map_to_harmless_code_in_the_repository_is_clean() -> None:
    assert scan_files({"config.json": CONFIG, "modeling.py": HARMLESS}).verdict is Verdict.CLEAN


def test_an_auto_map_to_code_that_is_not_there_is_suspicious() -> None:
    assert scan_files({"config.json": CONFIG, "README.md": b"x"}).verdict is Verdict.SUSPICIOUS


def test_an_auto_map_to_another_repository_is_suspicious() -> None:
    config = json.dumps({"auto_map": {"AutoModel": "org/repo--modeling.Model"}}).encode()
    assert scan_files({"config.json": config}).verdict is Verdict.SUSPICIOUS


def test_an_auto_map_to_code_that_runs_commands_is_malicious() -> None:
    files = {"config.json": CONFIG, "modeling.py": b"import os\nos.system('id')\n"}
    assert scan_files(files).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize("path", ["torch.py", "sklearn/__init__.py", "code/numpy.py", "pickle.py", "sitecustomize.py"])
def test_a_module_that_takes_the_name_of_a_library_is_high(path: str) -> None:
    assert "MS442" in {finding.rule.id for finding in scan_files({path: HARMLESS}).findings}


@pytest.mark.parametrize(
    "path", ["src/tiny/logging.py", "onnx/model.json", "tokenizer/vocab.json", "test.py", "utils.py"]
)
def test_ordinary_places_of_such_names_are_quiet(path: str) -> None:
    content = b"{}" if path.endswith(".json") else HARMLESS
    assert scan_files({path: content}).findings == ()
