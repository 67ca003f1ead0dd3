"""`modelsign scan`: find what executes or deceives in model files."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelsign import config
from modelsign import report as forms
from modelsign.cli.exits import Exit, worst
from modelsign.cli.options import TARGET, Verb, common, quiet, reporting, sandbox_option
from modelsign.cli.output import Output, Style
from modelsign.cli.progress import progress_bar
from modelsign.environment import environment
from modelsign.escape import plain
from modelsign.gate import Accepted, FailOn, Gate
from modelsign.isolation import Sandbox
from modelsign.report import FORMS, Result
from modelsign.scanning import ScanInterrupted, size_of
from modelsign.scanning import scan as scan_target
from modelsign.sources import Links
from scanners.findings import Report

if TYPE_CHECKING:
    from modelsign.ignoring import Ignore


@click.command(
    cls=Verb,
    epilog="Exit codes: 0 nothing at or above --fail-on, 1 something, 2 usage or configuration, "
    "3 something could not be analysed, 4 a target cannot be read, 5 no file in it.",
)
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True, type=TARGET)
@reporting(*FORMS)
@click.option(
    "--fail-on",
    type=click.Choice([choice.value for choice in FailOn]),
    default=FailOn.SUSPICIOUS.value,
    show_default=True,
    help="Exit with 1 from findings of this kind on.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Let pass what this earlier JSON report has found already; never what is malicious.",
)
@click.option(
    "--waivers",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Let pass what this file accepts for a while [waivers.toml]; never what is malicious.",
)
@click.option(
    "--ignore-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Leave out what these patterns match [.modelsignignore]; the report is incomplete then.",
)
@click.option("--allow-incomplete", is_flag=True, help="Let pass what could not be analysed (otherwise exit code 3).")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever was found.")
@click.option(
    "--digest", is_flag=True, envvar="MODELSIGN_DIGEST", help="Put the SHA-256 of every file into the report."
)
@click.option(
    "--symlinks",
    type=click.Choice([choice.value for choice in Links]),
    default=Links.REPORT.value,
    show_default=True,
    envvar="MODELSIGN_SYMLINKS",
    help="What becomes of symbolic links that leave the target.",
)
@sandbox_option
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    envvar="MODELSIGN_JOBS",
    help="Parse N files at once; by default as many as there are processors.",
)
@click.option(
    "--with-environment",
    is_flag=True,
    envvar="MODELSIGN_WITH_ENVIRONMENT",
    help="Add time, machine and isolation to the report, which is the same on every run otherwise.",
)
@click.option("-v", "--verbose", is_flag=True, envvar="MODELSIGN_VERBOSE", help="Show every file and every note.")
@click.option(
    "--offline",
    is_flag=True,
    envvar="MODELSIGN_OFFLINE",
    help="A scan never uses the network; taken so that verbs can be called alike.",
)
@common
def scan(
    *,
    targets: tuple[str, ...],
    output: Output,
    fail_on: str,
    baseline: Path | None,
    waivers: Path | None,
    ignore_file: Path | None,
    allow_incomplete: bool,
    exit_zero: bool,
    digest: bool,
    symlinks: str,
    sandbox: str,
    jobs: int | None,
    with_environment: bool,
    verbose: bool,
    offline: bool,
) -> int:
    """Find what executes or deceives in model files, without executing anything.

    TARGET is a file, a directory, or - for standard input.
    """
    del offline  # every target of this verb is local
    output.spare(targets)
    accept, needs_digests = _acceptance(targets, baseline=baseline, waivers=waivers)
    scanning = partial(
        scan_target,
        digest=digest or needs_digests,
        links=Links(symlinks),
        ignore=_ignored(targets, ignore_file),
        sandbox=Sandbox(sandbox),
        jobs=jobs,
    )
    started = datetime.now(UTC)
    reports, interrupt = _scan_all(targets, scanning, Links(symlinks))
    accepted = accept(reports)
    gate = Gate(fail_on=FailOn(fail_on), allow_incomplete=allow_incomplete, accepted=accepted.by_fingerprint)
    result = Result(
        reports=reports,
        gate=gate,
        environment=environment(started, Sandbox(sandbox)) if with_environment else None,
        notices=accepted.notices,
    )

    def render(form: str, style: Style) -> str:
        return forms.write(result, form, color=style.color, quiet=style.quiet, verbose=verbose)

    output.publish(render)
    if interrupt is not None:
        raise interrupt
    return Exit.OK if exit_zero else worst(code for report in reports for code in _codes(report, gate))


def _scan_all(
    targets: Sequence[str], scanning: Callable[..., Report], links: Links
) -> tuple[tuple[Report, ...], BaseException | None]:
    """Scan target after target; when interrupted, return what there is and the interruption."""
    total = None if "-" in targets else sum(size_of(target, links=links) for target in targets)
    reports: list[Report] = []
    with progress_bar("Scanning", total=total, quiet=quiet()) as progress:
        try:
            for target in targets:
                reports.append(scanning(target, progress=progress))  # noqa: PERF401 - an interruption keeps those done
        except ScanInterrupted as error:
            return (*reports, error.report), error.__cause__
    return tuple(reports), None


def _acceptance(
    targets: Sequence[str], *, baseline: Path | None, waivers: Path | None
) -> "tuple[Callable[[Sequence[Report]], Accepted], bool]":
    """Return what tells which findings are accepted, and whether it needs the digests of files.

    The baseline and the waivers are those the user named, or the waivers of the working directory.
    """
    chosen = _chosen(waivers, "waivers.toml", targets, option="--waivers", what="file of waivers")
    if baseline is None and chosen is None:
        return (lambda _: Accepted()), False
    from modelsign import waiving  # only those who use it pay for it
    from modelsign.errors import SourceError, UsageError
    from modelsign.report.json import load as load_reports

    # Local time: an expiry is a day in the calendar of the people who agreed on it.
    today = datetime.now().astimezone().date()
    granted = waiving.load(chosen, today=today) if chosen else ()
    if baseline is not None:
        config.refuse_inside(baseline, targets, what="baseline")
    try:
        known = load_reports(baseline) if baseline else ()
    except SourceError as error:
        # As with a file of waivers: the target can be read, what decides over it cannot.
        raise UsageError(str(error)) from error
    return partial(waiving.accept, baseline=known, waivers=granted, today=today), bool(granted)


def _ignored(targets: Sequence[str], named: Path | None) -> "Ignore | None":
    chosen = _chosen(named, ".modelsignignore", targets, option="--ignore-file", what="ignore file")
    if chosen is None:
        return None
    from modelsign import ignoring

    return ignoring.load(chosen)


def _chosen(named: Path | None, name: str, targets: Sequence[str], *, option: str, what: str) -> Path | None:
    """Return the file the user named, or the one of the working directory unless it may belong to a target."""
    if named is not None:
        config.refuse_inside(named, targets, what=what)
        return named
    path, notice = config.beside(name, targets, option=option)
    if notice is not None:
        click.echo(f"modelsign: {plain(notice)}", err=True)
    return path


def _codes(report: Report, gate: Gate) -> list[Exit]:
    codes = [Exit.OK]
    if gate.stopped_by(report):
        codes.append(Exit.DENIED)
    if gate.misses(report):
        codes.append(Exit.INCOMPLETE)
    return codes
