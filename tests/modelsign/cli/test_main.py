import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelsign.cli import exits
from modelsign.cli.main import VERBS, invoke, main
from modelsign.policy.decision import Code
from modelsign.version import __version__

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_verb(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke([option]) == 0
    text = capfd.readouterr().out
    for verb in VERBS:
        assert f"  {verb} " in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_exists_and_explains_itself(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke([verb, "-h"]) == 0
    assert capfd.readouterr().out.startswith(f"Usage: modelsign {verb}")


def test_the_version_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--version"]) == 0
    assert capfd.readouterr().out == f"modelsign, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["scna"], "Did you mean 'scan'?"),
        (["frobnicate"], "No such command"),
        (["--vresion"], "--version"),
        (["scan"], "Missing argument 'TARGET...'"),
        (["scan", "--jsno", "x"], "--json"),
    ],
)
def test_a_mistyped_command_line_exits_with_2_and_one_hint(
    arguments: list[str], hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert invoke(arguments) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert hint in captured.err
    assert "Traceback" not in captured.err


def test_nothing_at_all_shows_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke([]) == 2
    assert "Usage: modelsign" in capfd.readouterr().err


def test_a_bug_is_one_line_and_exit_code_70(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("\x1b[31mred")

    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr("modelsign.cli.scan.scan_target", fail)
    assert invoke(["scan", str(tmp_path / "a.json")]) == 70
    error = capfd.readouterr().err
    assert "internal error: ZeroDivisionError: \\x1b[31mred" in error
    assert "Traceback" not in error


def run_in_shell(script: str, *arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run ``script``, in which "$@" is the program with ``arguments``."""
    command = ["sh", "-c", script, "sh", sys.executable, "-P", "-m", "modelsign", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False)


@pytest.mark.parametrize("arguments", [["scan"], ["scan", "--json"]], ids=["human", "json"])
def test_a_closed_standard_output_is_an_error_that_says_so(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "a.json").write_text("{}")
    done = run_in_shell('"$@" >&-', *arguments, str(tmp_path / "a.json"))
    assert (done.returncode, done.stderr) == (
        exits.Exit.SOURCE,
        "modelsign: standard output cannot be written: Bad file descriptor\n",
    )


def test_help_without_a_standard_output_is_an_error_too() -> None:
    done = run_in_shell('"$@" >&-', "--help")
    assert (done.returncode, done.stderr) == (
        exits.Exit.SOURCE,
        "modelsign: Bad file descriptor: standard output is closed\n",
    )


def test_without_standard_streams_the_exit_code_and_a_file_still_tell(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    report = tmp_path / "report"
    assert run_in_shell('"$@" <&- >&- 2>&-', "scan", "-o", str(report), str(tmp_path / "a.json")).returncode == 0
    assert report.read_text().startswith("a.json: clean")
    assert run_in_shell('"$@" 2>&-', "scan", str(tmp_path / "absent")).returncode == exits.Exit.SOURCE


def test_a_full_disk_behind_standard_output_is_said(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "a.json").write_text("{}")
    done = run_in_shell('"$@" >/dev/full', "scan", str(tmp_path / "a.json"))
    assert (done.returncode, done.stderr) == (
        exits.Exit.SOURCE,
        "modelsign: standard output cannot be written: No space left on device\n",
    )


def test_a_working_directory_that_was_removed_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "gone").mkdir()
    done = run_in_shell('rmdir ../gone && "$@"', "scan", str(tmp_path / "a.json"), cwd=tmp_path / "gone")
    assert done.returncode == exits.Exit.SOURCE
    assert "the working directory was removed" in done.stderr


def test_names_are_utf_8_under_every_locale(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "\u00fc.json").write_text("{}")
    elsewhere = 'PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 LC_ALL=C "$@"'
    done = run_in_shell(elsewhere, "digest", "--json", str(tmp_path / "m"))
    assert "\u00fc.json" in done.stdout
    assert done.stdout == run_in_shell('"$@"', "digest", "--json", str(tmp_path / "m")).stdout
    assert "\\xfc.json: clean" in run_in_shell(elsewhere, "scan", "-v", str(tmp_path / "m")).stdout


def test_exit_codes_can_be_folded(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["scan", "--exit-codes", "simple", str(tmp_path / "nothing")]) == 1
    assert invoke(["scan", "--exit-codes", "simple", "--wrong"]) == 2
    capfd.readouterr()


def test_every_reason_of_a_decision_has_an_exit_code() -> None:
    assert {code.value for code in Code} == set(exits._REASONS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["completion", shell]) == 0
    assert "_MODELSIGN_COMPLETE" in capfd.readouterr().out


def test_verbs_and_options_are_completed() -> None:
    environment = {
        **os.environ,
        "_MODELSIGN_COMPLETE": "bash_complete",
        "COMP_WORDS": "modelsign sc",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-m", "modelsign"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["plain,scan"]
    environment |= {"COMP_WORDS": "modelsign scan --fail-on ", "COMP_CWORD": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "plain,suspicious" in done.stdout.splitlines()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_terminated_run_says_so(name: str) -> None:
    code = (
        "import os, signal\n"
        f"signal.signal(signal.{name}, signal.SIG_DFL)\n"
        "from modelsign.cli import main\n"
        "main.VERBS.clear()\n"
        "@main.main.command()\n"
        f"def wait(): os.kill(os.getpid(), signal.{name}); signal.pause()\n"
        "main.LazyGroup.get_command = lambda self, ctx, name: wait\n"
        "raise SystemExit(main.invoke(['wait']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, "modelsign: terminated\n")


def test_a_run_that_shall_outlive_its_terminal_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        invoke(["--version"])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_help_prints_every_option_of_every_verb_once() -> None:
    for verb in VERBS:
        command = main.get_command(main.make_context("modelsign", ["--help"], resilient_parsing=True), verb)
        assert command is not None
        names = [name for option in command.params for name in option.opts]
        assert len(names) == len(set(names))
