"""What holds for the three packages together."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import attestations.uris
import modelsign
import scanners.uris

ROOT = Path(__file__).resolve().parents[1]


def test_rule_pages_begin_with_the_same_constant_as_predicate_types() -> None:
    assert scanners.uris.RULE_PAGES.startswith(attestations.uris.BASE + "/")


@pytest.mark.parametrize("name", sorted(set(modelsign.__all__) - {"__version__"}))
def test_every_public_name_can_be_had(name: str) -> None:
    assert callable(getattr(modelsign, name))


def test_public_names_are_listed_for_completion() -> None:
    assert set(dir(modelsign)) == set(modelsign.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        modelsign.nonsense  # noqa: B018 - the access is the test


def test_importing_modelsign_imports_no_verb() -> None:
    script = (
        "import sys, modelsign; print([m for m in ('sigstore', 'cryptography', 'numpy', 'click') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["scanners", "attestations"])
def test_a_foreign_package_of_a_generic_name_is_refused_and_not_run(name: str, tmp_path: Path) -> None:
    foreign = tmp_path / name
    foreign.mkdir()
    (foreign / "__init__.py").write_text("print('foreign code ran')")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import modelsign"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode != 0
    assert "foreign code ran" not in done.stdout
    assert str(foreign) in done.stderr
