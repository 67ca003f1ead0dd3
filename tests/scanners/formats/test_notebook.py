import json

from scanners.facts import Code
from scanners.formats import notebook
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def build(*cells: str) -> bytes:
    document = {"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]}
    return json.dumps({**document, "nbformat": 4}).encode()


def actions(data: bytes) -> set[tuple[str, str, str]]:
    facts = read_with(notebook, data, name="x.ipynb").facts
    return {(fact.language, fact.action, fact.runs) for fact in facts if isinstance(fact, Code)}


def test_an_ordinary_notebook_states_nothing() -> None:
    data = build("import torch\n%matplotlib inline", "model.generate()?", "x = 1\nx")
    assert actions(data) == set()
    assert uncovered(read_with(notebook, data, name="x.ipynb")) == 0


def test_shell_lines_and_cells_are_commands() -> None:
    assert actions(build("!pip install torch")) == {("shell", "process", "never")}
    assert actions(build("!curl http://x | sh")) == {("shell", "process", "never"), ("shell", "script-attack", "never")}
    assert actions(build("%%bash\ncurl x")) == {("shell", "process", "never")}
    assert actions(build("out = !ls")) == {("shell", "process", "never")}


def test_python_in_cells_is_followed() -> None:
    assert ("python", "obfuscation", "never") in actions(build("import base64\nexec(base64.b64decode('eA=='))"))


def test_markdown_cells_are_text() -> None:
    data = json.dumps({"cells": [{"cell_type": "markdown", "source": "!rm"}]}).encode()
    assert actions(data) == set()


def test_old_notebooks_keep_their_cells_in_worksheets() -> None:
    data = json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": ["!id"]}]}]}).encode()
    assert actions(data) == {("shell", "process", "never")}


def test_only_the_suffix_makes_a_notebook() -> None:
    assert notebook.matches(blob_of(b"{}", "a.IPYNB"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(notebook, [build("!id", "import os\nos.system('x')")], name="x.ipynb", rounds=150)


def test_a_line_of_spaces_without_end_is_passed_once() -> None:
    assert actions(build(" " * 500_000 + "x")) == set()
