"""`modelsign scan`: find what executes or deceives in model files."""

import click

from modelsign import report as forms
from modelsign.cli.exits import Exit, worst
from modelsign.cli.options import TARGET, Verb, common, offline_option, quiet, reporting
from modelsign.cli.output import Output, Style
from modelsign.cli.progress import progress_bar
from modelsign.gate import FailOn, Gate
from modelsign.isolation import Sandbox
from modelsign.report import FORMS, Result
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
@click.option(
    "--sandbox",
    type=click.Choice([choice.value for choice in Sandbox]),
    default=Sandbox.AUTO.value,
    show_default=True,
    help="Isolation of the parsers: what this machine has, all there is (else exit code 2), or none.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    envvar="MODELSIGN_JOBS",
    help="Parse N files at once; by default as many as there are processors.",
)
@click.option("-v", "--verbose", is_flag=True, envvar="MODELSIGN_VERBOSE", help="Show every file and every note.")
@offline_option
@common
def scan(
    *,
    targets: tuple[str, ...],
    output: Output,
    fail_on: str,
    allow_incomplete: bool,
    exit_zero: bool,
    digest: bool,
    symlinks: str,
    sandbox: str,
    jobs: int | None,
    verbose: bool,
    offline: bool,
) -> int:
    """Find what executes or deceives in model files, without executing anything.

    TARGET is a file, a directory, or - for standard input.
    """
    del offline  # every target of this verb is local so far; the option is a promise that holds anyway
    output.spare(targets)
    links = Links(symlinks)
    gate = Gate(fail_on=FailOn(fail_on), allow_incomplete=allow_incomplete)
    total = None if "-" in targets else sum(size_of(target, links=links) for target in targets)
    interrupt: BaseException | None = None
    reports: list[Report] = []
    with progress_bar("Scanning", total=total, quiet=quiet()) as progress:
        try:
            for target in targets:
                report = scan_target(
                    target, digest=digest, links=links, sandbox=Sandbox(sandbox), jobs=jobs, progress=progress
                )
                reports.append(report)
        except ScanInterrupted as error:
            reports.append(error.report)
            interrupt = error.__cause__
    result = Result(reports=tuple(reports), gate=gate)

    def render(form: str, style: Style) -> str:
        return forms.write(result, form, color=style.color, quiet=style.quiet, verbose=verbose)

    output.publish(render)
    if interrupt is not None:
        raise interrupt
    return Exit.OK if exit_zero else worst(code for report in reports for code in _codes(report, gate))


def _codes(report: Report, gate: Gate) -> list[Exit]:
    codes = [Exit.OK]
    if gate.stopped_by(report):
        codes.append(Exit.DENIED)
    if gate.misses(report):
        codes.append(Exit.INCOMPLETE)
    return codes
