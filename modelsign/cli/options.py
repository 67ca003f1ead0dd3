"""Options that verbs share, and the command class that reads `modelsign.toml` and `MODELSIGN_*` for them.

A verb reads like this:

    @click.command(cls=Verb)
    @click.argument("target", type=TARGET)
    @reporting("human", "json")        # --format --json -o --report  ->  output: Output
    @common                            # -q --color --config --exit-codes
    def verify(target: str, output: Output) -> int: ...

Precedence: command line, environment, `modelsign.toml`, default. An option can be set from the environment only where
its declaration says so (``envvar=``): what loosens a gate is never set there.
"""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if sys.version_info >= (3, 12):
    from typing import override
elif not TYPE_CHECKING:
    from modelsign.cli.overriding import override
else:
    from typing_extensions import override

from modelsign import config
from modelsign.cli.output import Output, Style
from modelsign.errors import UsageError
from modelsign.escape import plain

R = TypeVar("R")

# Options that a configuration file cannot set: they choose the file, or they belong to one call.
_NOT_CONFIGURABLE = frozenset({"config", "help", "as_json", "insecure_ignore_tlog", "insecure_ignore_time"})
"""what is about the configuration itself, and what must be said aloud each time"""


class Target(click.Path):
    """What is judged: a path, a directory, `-`, or a URI. Whether it exists is found out by whoever opens it."""

    name = "target"

    def __init__(self) -> None:
        super().__init__(allow_dash=True, path_type=str)

    @override
    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if not value:
            self.fail("a target is a path, a directory, '-' or a URI, not an empty string", param, ctx)
        return super().convert(value, param, ctx)


TARGET = Target()


class ReportFile(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """`FORMAT=FILE`."""

    name = "FORMAT=FILE"

    def __init__(self, formats: tuple[str, ...]) -> None:
        self.formats = formats

    @override
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        if isinstance(value, tuple):
            return value
        form, equals, path = str(value).partition("=")
        if not equals or not path or form not in self.formats:
            self.fail(f"{value!r}: give FORMAT=FILE, where FORMAT is one of {', '.join(self.formats)}", param, ctx)
        return form, Path(path)


class Verb(click.Command):
    """A command whose options may also come from `modelsign.toml`, unless the file travels with the target."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own, passed on
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.envvar:
                parameter.show_envvar = True

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            self._read_settings(ctx, args)
        return super().parse_args(ctx, args)

    def _read_settings(self, ctx: click.Context, args: list[str]) -> None:
        values, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        if values.get("help") is True:
            return
        self._name_ignored_variables()
        named = values.get("config")
        explicit = named if isinstance(named, str) else os.environ.get("MODELSIGN_CONFIG")
        try:
            found = config.find(
                list(self._targets(values)),
                explicit=Path(explicit) if explicit else None,
                verbs=_verbs(),
            )
            defaults: dict[str, object] = {}
            for settings in found.settings:
                defaults |= self._defaults(ctx, settings)
        except UsageError as error:
            raise click.UsageError(plain(str(error)), ctx) from error
        for notice in found.notices:
            click.echo(f"modelsign: {plain(notice)}", err=True)
        ctx.default_map = defaults

    def _targets(self, values: dict[str, object]) -> Iterator[str]:
        for parameter in self.params:
            if isinstance(parameter.type, Target):
                value = values.get(parameter.name or "")
                for item in value if isinstance(value, tuple | list) else (value,):
                    if isinstance(item, str):
                        yield item

    def _defaults(self, ctx: click.Context, settings: config.Settings) -> dict[str, object]:
        options = {
            _key(option): option
            for option in self.params
            if isinstance(option, click.Option) and option.name not in _NOT_CONFIGURABLE
        }
        defaults: dict[str, object] = {}
        for key, value in settings.shared.items():
            if key not in SHARED:
                raise UsageError(
                    f"{settings.path}: unknown key {key!r}{config.near(key, SHARED)}; "
                    f"outside of a verb's table stand: {', '.join(sorted(SHARED))}"
                )
            if key in options:
                defaults |= _setting(ctx, options[key], value, settings.path)
        for key, value in settings.verbs.get(self.name or "", {}).items():
            if key not in options:
                raise UsageError(f"{settings.path}: unknown key {key!r} in [{self.name}]{config.near(key, options)}")
            defaults |= _setting(ctx, options[key], value, settings.path)
        return defaults

    def _name_ignored_variables(self) -> None:
        for option in self.params:
            if not isinstance(option, click.Option) or option.envvar:
                continue
            variable = f"MODELSIGN_{_key(option).replace('-', '_').upper()}"
            if os.environ.get(variable):
                elsewhere = "" if option.name in _NOT_CONFIGURABLE else " or in modelsign.toml"
                click.echo(
                    f"modelsign: {variable} is ignored: {option.opts[-1]} can be given on the command line{elsewhere} "
                    "only",
                    err=True,
                )


SHARED = frozenset({"color", "exit-codes", "jobs", "offline", "quiet", "sandbox"})


def _verbs() -> frozenset[str]:
    from modelsign.cli.main import VERBS

    return frozenset(VERBS)


def _key(option: click.Option) -> str:
    return max(option.opts, key=len).lstrip("-")


def _setting(ctx: click.Context, option: click.Option, value: object, path: Path) -> dict[str, object]:
    """Return the default for ``option``; a relative path starts where the configuration file lies."""
    if option.is_flag and not isinstance(value, bool):
        raise UsageError(f"{path}: {_key(option)} is true or false, not {value!r}")
    if option.multiple and not isinstance(value, list):
        raise UsageError(f"{path}: {_key(option)} is a list, not {value!r}")
    if isinstance(option.type, click.Path):
        value = [_beside(path, item) for item in value] if isinstance(value, list) else _beside(path, value)
    if isinstance(option.type, ReportFile) and isinstance(value, list):
        value = [
            "=".join((form, str(_beside(path, file)))) for form, _, file in (str(item).partition("=") for item in value)
        ]
    try:
        option.type_cast_value(ctx, value)
    except click.BadParameter as error:
        raise UsageError(f"{path}: {_key(option)}: {error.message}") from error
    return {option.name or "": value}


def _beside(path: Path, value: object) -> object:
    return str(path.parent / value) if isinstance(value, str) else value


def reporting(*formats: str, files: bool = True) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Add the options that say how a result is written; the verb gets ``output: Output``.

    Args:
        formats: the forms, the default one first.
        files: whether `-o` and `--report` are added; without them the verb has its own options of these names.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @click.option(
            "--format",
            "format_",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            envvar="MODELSIGN_FORMAT",
            help="Form of the result on standard output.",
        )
        @click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
        @functools.wraps(function)
        def wrapped(
            *,
            format_: str,
            as_json: bool,
            destination: Path | None = None,
            reports: tuple[tuple[str, Path], ...] = (),
            **others: object,
        ) -> R:
            if as_json and format_ != "json" and _given("format_"):
                raise click.UsageError(f"--json and --format {format_} exclude each other; give one of them")
            output = Output(
                format="json" if as_json else format_,
                destination=None if destination == Path("-") else destination,
                reports=reports,
                style=Style(color=_color(), quiet=quiet()),
            )
            return function(output=output, **others)

        return _with_files(wrapped, formats) if files else wrapped

    return decorate


def _with_files(function: Callable[..., R], formats: tuple[str, ...]) -> Callable[..., R]:
    for option in (
        click.option(
            "--report",
            "reports",
            type=ReportFile(formats),
            multiple=True,
            metavar="FORMAT=FILE",
            envvar="MODELSIGN_REPORT",
            help="Also write the result in this form to FILE; may be repeated.",
        ),
        click.option(
            "-o",
            "--output",
            "destination",
            type=click.Path(path_type=Path),
            metavar="FILE",
            envvar="MODELSIGN_OUTPUT",
            help="Write the result to FILE instead of standard output.",
        ),
    ):
        function = option(function)
    return function


def _given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def common(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options every verb has: `-q`, `--color`, `--config`, `--exit-codes`. They reach no parameter."""
    for option in (
        click.option(
            "--exit-codes",
            type=click.Choice(["full", "simple"]),
            default="full",
            show_default=True,
            envvar="MODELSIGN_EXIT_CODES",
            expose_value=False,
            callback=_remember,
            help="simple folds every code but 0 and 2 into 1.",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            envvar="MODELSIGN_CONFIG",
            expose_value=False,
            callback=_remember,
            help="Read settings from FILE instead of modelsign.toml.",
        ),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            envvar="MODELSIGN_COLOR",
            expose_value=False,
            callback=_remember,
            help="Colour the human form; auto means on a terminal, unless NO_COLOR is set.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            envvar="MODELSIGN_QUIET",
            expose_value=False,
            callback=_remember,
            help="Print only what needs attention; no progress.",
        ),
    ):
        function = option(function)
    return function


def _remember(ctx: click.Context, parameter: click.Parameter, value: object) -> object:
    _chosen(ctx)[parameter.name or ""] = value
    return value


def _chosen(ctx: click.Context) -> dict[str, object]:
    """Return the common options of this call: one mapping, made by the caller of the command line or here."""
    return ctx.find_root().ensure_object(dict)


def offline_option(function: Callable[..., R]) -> Callable[..., R]:
    """Add `--offline`, given to the verb as ``offline``."""
    return click.option(
        "--offline",
        is_flag=True,
        envvar="MODELSIGN_OFFLINE",
        help="Never use the network; fail where it would be needed.",
    )(function)


def sandbox_option(function: Callable[..., R]) -> Callable[..., R]:
    """Add `--sandbox`, given to the verb as ``sandbox``: the value of `modelsign.isolation.Sandbox`."""
    return click.option(
        "--sandbox",
        type=click.Choice(["auto", "require", "off"]),
        default="auto",
        show_default=True,
        help="Isolation of the parsers: what there is; all layers, one worker a file (else exit code 2); none.",
    )(function)


def quiet() -> bool:
    """Return whether `-q` was given to the running verb."""
    return bool(_chosen(click.get_current_context()).get("quiet"))


def _color() -> bool:
    choice = _chosen(click.get_current_context()).get("color", "auto")
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
