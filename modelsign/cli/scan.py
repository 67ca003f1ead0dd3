"""`modelsign scan`: find what executes or deceives in model files."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from modelsign import config, waiving
from modelsign import ignoring as ignoring_files
from modelsign import report as forms
from modelsign.cli.exits import Exit, worst
from modelsign.cli.options import TARGET, Verb, common, offline_option, quiet, reporting, sandbox_option
from modelsign.cli.output import Output, Style
from modelsign.cli.progress import progress_bar
from modelsign.environment import environment
from modelsign.escape import plain
from modelsign.gate import FailOn, Gate
from modelsign.isolation import Sandbox
from modelsign.report import FORMS, Result
from modelsign.report.json import load as load_reports
from modelsign.scanning import ScanInterrupted, size_of
from modelsign.scanning import scan as scan_target
from modelsign.sources import Links
from scanners.findings import Report


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
@offline_option
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
    del offline  # every target of this verb is local so far; the option is a promise that holds anyway
    output.spare(targets)
    accepting = _Accepting(targets, baseline=baseline, waivers=waivers)
    ignoring = _chosen(ignore_file, ignoring_files.IGNORE_NAME, targets, option="--ignore-file", what="ignore file")
    scanning = partial(
        scan_target,
        digest=digest or accepting.needs_digests,
        links=Links(symlinks),
        ignore=ignoring_files.load(ignoring) if ignoring else None,
        sandbox=Sandbox(sandbox),
        jobs=jobs,
    )
    started = datetime.now(UTC)
    reports, interrupt = _scan_all(targets, scanning, Links(symlinks))
    accepted = accepting.accept(reports)
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


class _Accepting:
    """The baseline and the waivers the user named, or that lie in the working directory."""

    def __init__(self, targets: Sequence[str], *, baseline: Path | None, waivers: Path | None) -> None:
        # Local time: an expiry is a day in the calendar of the people who agreed on it.
        self._today = datetime.now().astimezone().date()
        chosen = _chosen(waivers, waiving.WAIVERS_NAME, targets, option="--waivers", what="file of waivers")
        self._waivers = waiving.load(chosen, today=self._today) if chosen else ()
        if baseline is not None:
            config.refuse_inside(baseline, targets, what="baseline")
        self._baseline = load_reports(baseline) if baseline else ()

    @property
    def needs_digests(self) -> bool:
        """Whether files must be hashed to find the ones that waivers are about."""
        return bool(self._waivers)

    def accept(self, reports: Sequence[Report]) -> waiving.Accepted:
        """Return what of the reports is accepted."""
        return waiving.accept(reports, baseline=self._baseline, waivers=self._waivers, today=self._today)


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
