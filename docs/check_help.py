"""Hold docs/cli.md and the README to what `--help` prints; `--write` puts it there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from modelsign.cli.exits import MEANINGS  # noqa: E402 - the path comes first: the script also runs from a checkout
from modelsign.cli.main import main as modelsign  # noqa: E402

PAGE = ROOT / "docs" / "cli.md"
README = ROOT / "README.md"
README_BLOCK = re.compile(r"(<!-- help: modelsign -->\n```text\n).*?(```\n<!-- /help -->)", re.DOTALL)
WIDTH = 100

HEAD = """\
# Command line

What each verb prints for `--help`. The page is made from the program (`python docs/check_help.py --write`), and
`make check` compares the two.

The result goes to standard output, everything else to standard error. Names of files are UTF-8 whatever the locale, and
what a terminal cannot show is spelled with escapes. Precedence of settings: command line,
environment (`MODELSIGN_FORMAT`, `MODELSIGN_JOBS` …; the help shows which options have a variable, and none that loosens
a gate has), `modelsign.toml`, default.
"""

CONFIGURATION = """\
## Settings in modelsign.toml

The file is read from the user's configuration directory (`$XDG_CONFIG_HOME/modelsign`, usually
`~/.config/modelsign`) and from the working directory, or from the one place that `--config` names. A table is named
after a verb and holds that verb's long options; `color`, `exit-codes`, `jobs`, `offline`, `quiet` and `sandbox` may
also stand outside of any table. Relative paths begin at the file. A mistyped key is an error that names the near one.

```toml
color = "never"

[scan]
fail-on = "any"
report = ["sarif=scan.sarif"]
waivers = "security/waivers.toml"
```

What is judged must not choose how it is judged: when the working directory lies in a target, or a target lies below
the working directory, its `modelsign.toml`, `waivers.toml` and `.modelsignignore` are left out, and a line on standard
error says so. Name them with `--config`, `--waivers` and `--ignore-file` then; a file inside of a target is refused
there, too.
"""


def commands(group: click.Group, parent: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the name and the help of every command below ``group``, in the order of its help."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH)
        context.help_option_names = ["-h", "--help"]
        yield context.command_path, command.get_help(context)
        if isinstance(command, click.Group):
            yield from commands(command, context)


def root_context() -> click.Context:
    """Return the context of the command itself."""
    root = click.Context(modelsign, info_name="modelsign", terminal_width=WIDTH, max_content_width=WIDTH)
    root.help_option_names = ["-h", "--help"]
    return root


def page() -> str:
    """Return docs/cli.md as it should be."""
    root = root_context()
    helps = [("modelsign", modelsign.get_help(root)), *commands(modelsign, root)]
    sections = [f"## {name}\n\n```text\n{text.rstrip()}\n```\n" for name, text in helps]
    rows = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())
    codes = (
        f"## Exit codes\n\n| code | meaning |\n|---|---|\n{rows}\n`--exit-codes simple` folds all but 0 and 2 into 1.\n"
    )
    return "\n".join([HEAD, *sections, codes, CONFIGURATION])


def readme() -> str:
    """Return the README with the help of the command itself in its place."""
    text = README.read_text(encoding="utf-8")
    return README_BLOCK.sub(lambda match: f"{match[1]}{modelsign.get_help(root_context()).rstrip()}\n{match[2]}", text)


def main(arguments: list[str]) -> int:
    """Compare, or write; return the exit code."""
    differing = 0
    for path, wanted in ((PAGE, page()), (README, readme())):
        if arguments == ["--write"]:
            path.write_text(wanted, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != wanted:
            print(f"{path.relative_to(ROOT)} differs from --help; run: make readme", file=sys.stderr)
            differing = 1
    return differing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
