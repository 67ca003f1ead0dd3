"""The README shows what `make demo` prints."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VARYING = (
    (re.compile(r"\b[0-9a-f]{8,64}\b"), "HEX"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?"), "TIME"),
)


def demo_block() -> str:
    match = re.search(r"<!-- demo -->\n```text\n(.*?)```\n<!-- /demo -->", (ROOT / "README.md").read_text(), re.DOTALL)
    assert match is not None
    return match[1]


def settled(text: str) -> str:
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text.strip()


def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    # The demo writes below its own directory; a copy keeps test runs apart from each other and from the user's.
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    scripts = tmp_path / "bin"
    scripts.mkdir()
    (scripts / "modelsign").write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -P -m modelsign "$@"\n')
    (scripts / "modelsign").chmod(0o755)
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    done = subprocess.run(
        ["sh", str(tmp_path / "examples" / "demo.sh")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout
    assert settled(demo_block()) == settled(done.stdout)


@pytest.mark.parametrize("line", ["pip install modelsign", "pip install 'modelsign'"])
def test_no_page_tells_users_to_install_the_foreign_name(line: str) -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert [page.name for page in pages if re.search(rf"{re.escape(line)}(?![-\w])", page.read_text())] == []
