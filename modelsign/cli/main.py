"""The command `modelsign`: a group that imports a verb only when it is called."""

import atexit
import errno
import gc
import importlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

import click

if sys.version_info >= (3, 12):
    from typing import override
elif not TYPE_CHECKING:
    from modelsign.cli.overriding import override
else:
    from typing_extensions import override

from modelsign.cli.exits import Exit, exit_of
from modelsign.escape import plain
from modelsign.version import __version__

_COMPLETION = "_MODELSIGN_COMPLETE"

# verb -> (module, one line for --help). The module has a click command of the verb's name (keys -> keys).
VERBS: dict[str, tuple[str, str]] = {
    "scan": ("modelsign.cli.scan", "Find what executes or deceives in model files."),
    "convert": ("modelsign.cli.convert", "Convert a pickle checkpoint to safetensors without executing it."),
    "sign": ("modelsign.cli.sign", "Sign a model (OpenSSF Model Signing)."),
    "attest": ("modelsign.cli.attest", "Attach signed statements: scan results, conversions."),
    "verify": ("modelsign.cli.verify", "Verify signature, content and claims before loading."),
    "release": ("modelsign.cli.release", "Scan, convert, sign, attest and verify in one go."),
    "policy": ("modelsign.cli.policy", "Begin a policy, look for mistakes in one, explain it, try it."),
    "trust": ("modelsign.cli.trust", "Show, fetch and carry the roots of Sigstore instances."),
    "keys": ("modelsign.cli.keys", "Make a local key pair to start with."),
    "inspect": ("modelsign.cli.inspect", "Show what is inside a file: members, opcodes, imports, tensors."),
    "rules": ("modelsign.cli.rules", "List the rules, or explain one."),
    "callables": ("modelsign.cli.callables", "Explain how a callable is judged."),
    "digest": ("modelsign.cli.digest", "Print the root digest and the manifest of a model."),
    "doctor": ("modelsign.cli.doctor", "Tell what this machine offers: sandbox layers, versions, trust."),
    "completion": ("modelsign.cli.completion", "Print the completion script for a shell."),
}


_COLLECT = 100_000
"""objects between two collections: a manifest of many files is no garbage to look through again and again"""


class LazyGroup(click.Group):
    """A click group whose commands are imported when they are used, so that `scan` never pays for `sign`."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = getattr(importlib.import_module(VERBS[cmd_name][0]), cmd_name)
        if not gc.isenabled():  # see `run`: what is imported stays, and is no garbage to look for
            gc.freeze()
            gc.set_threshold(_COLLECT)
            gc.enable()
        assert isinstance(command, click.Command)
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1) if args else []
            if near:
                raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from error
            raise


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes and file formats: docs/, or the README.",
)
@click.version_option(__version__, prog_name="modelsign")
def main() -> None:
    """Tell whether a model may be loaded, and make that answer provable."""


def run() -> NoReturn:
    """Run the command line and exit with a code of the table in `exits.py`."""
    _open_what_is_closed()
    _take_names_as_utf8()
    gc.disable()  # until the verb is imported: collecting during imports finds nothing, and costs a tenth of a scan
    code = invoke(sys.argv[1:])
    if threading.active_count() == 1 and not atexit._ncallbacks():  # noqa: SLF001 - there is no public way to ask
        # Nothing waits for the end of the interpreter, which would take every object apart first: 20 ms.
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            code = Exit.SOURCE
        os._exit(code)
    sys.exit(code)


def _take_names_as_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale has another encoding.

    Names of files are signed and reported as UTF-8. Under a locale of Latin-1 the same bytes would be another name, and
    no other machine would find the files that were signed here. What is printed stays in the terminal's encoding.
    """
    if sys.getfilesystemencoding() == "utf-8" or sys.flags.utf8_mode or not sys.executable:
        return
    os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this very program


def _open_what_is_closed() -> None:
    """Occupy standard streams that the caller closed: a model's file, or one of ours, would get their numbers.

    Standard input and output become what cannot be read or written, which is an error for whoever needs them; what is
    said on standard error is lost, as the caller wants it.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free: this one
    # Typed as never None, which they are where the interpreter found nothing open.
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - it stays open
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - it stays open


def invoke(arguments: list[str]) -> int:
    """Run the command line with ``arguments`` and return its exit code.

    One of the two places with a broad `except` (style.md): whatever is not a documented error is a bug, and a user
    shall meet one line and exit code 70 rather than a traceback (`MODELSIGN_DEBUG=1` shows it).
    """
    _end_by_signal()
    chosen: dict[str, object] = {}
    code = _invoke(arguments, chosen)
    if chosen.get("exit_codes") == "simple" and code not in {Exit.OK, Exit.USAGE}:
        return Exit.DENIED
    return code


def _invoke(arguments: list[str], chosen: dict[str, object]) -> int:
    try:
        if _COMPLETION in os.environ:
            main.main(args=arguments, prog_name="modelsign", complete_var=_COMPLETION)
        # Not `main.main`: it answers a closed pipe with an exit code of its own.
        with main.make_context("modelsign", list(arguments), obj=chosen) as context:
            result = main.invoke(context)
        return int(result) if isinstance(result, int) else Exit.OK
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("modelsign: interrupted", err=True)
        return Exit.INTERRUPTED
    except _TerminatedError:
        click.echo("modelsign: terminated", err=True)
        return Exit.TERMINATED
    except BrokenPipeError:
        # The reader of our output went away; silence the flush at interpreter exit as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.SOURCE
    except Exception as error:
        if os.environ.get("MODELSIGN_DEBUG"):
            raise
        code = exit_of(error)
        if code is None:
            click.echo(
                f"modelsign: internal error: {type(error).__name__}: {plain(str(error))}\n"
                "This is a bug. MODELSIGN_DEBUG=1 shows where it happened; please report it.",
                err=True,
            )
            return Exit.INTERNAL
        click.echo(f"modelsign: {plain(_message(error))}", err=True)
        return code


def _message(error: Exception) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return f"{error.strerror}{_WAYS_OUT.get(error.errno or 0, '')}"


# What the system says of no file in particular.
_WAYS_OUT = {
    errno.ENOENT: ": the working directory was removed; change to one that exists",
    errno.EMFILE: "; `ulimit -n` shows the limit, and raises it",
    errno.EBADF: ": standard output is closed",
    errno.ENOSPC: ": standard output cannot be written",
}


class _TerminatedError(SystemExit):
    """SIGTERM or SIGHUP, raised where the program is so that unfinished files are cleaned up."""


def _end_by_signal() -> None:
    def terminate(_number: int, _frame: object) -> NoReturn:
        raise _TerminatedError

    signal.signal(signal.SIGTERM, terminate)
    # A terminal that is closed; where nohup has it ignored, it stays ignored.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, terminate)
