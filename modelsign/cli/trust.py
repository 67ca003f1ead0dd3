"""`modelsign trust`: the roots of Sigstore instances on this machine, and how they get to one without a network."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from attestations.errors import TrustError
from modelsign import trusting
from modelsign.cli.options import Verb, common, offline_option, quiet, reporting
from modelsign.cli.output import Output
from modelsign.cli.trust_options import DURATION
from modelsign.escape import plain

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def trust() -> None:
    """Show, fetch and carry the roots of Sigstore instances."""


@trust.command(cls=Verb)
@click.option("--max-age", type=DURATION, metavar="SPAN", help="Exit with 15 when roots are older, or of unknown age.")
@reporting("human", "json")
@common
def status(max_age: timedelta | None, output: Output) -> None:
    """Tell which roots --offline would use, and how old they are."""
    now = datetime.now(UTC)
    found = trusting.status()
    value = {
        "schema": "modelsign.trust-status/v1",
        "instances": [
            {
                "instance": roots.instance,
                "place": roots.place,
                "fetched": None if roots.fetched is None else roots.fetched.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "certificate_authorities": roots.authorities,
                "logs": roots.logs,
                "timestamp_authorities": roots.timestamp_authorities,
            }
            for roots in found
        ],
    }
    human = "".join(f"{plain(_line(roots, now))}\n" for roots in found)
    output.publish(lambda form, _: json.dumps(value, indent=2, ensure_ascii=True) + "\n" if form == "json" else human)
    if max_age is None:
        return
    for roots in found:
        age = roots.age(now)
        if roots.instance == "public-good" and (age is None or age > max_age):
            raise TrustError(f"the roots of {roots.instance} are older than {max_age.days} days, or of unknown age")


def _line(roots: trusting.Roots, now: datetime) -> str:
    age = roots.age(now)
    when = (
        "of unknown age"
        if age is None or roots.fetched is None
        else f"fetched {roots.fetched:%Y-%m-%d}, {max(age.days, 0)} days ago"
    )
    counts = (
        f"{roots.authorities} certificates of authorities, {roots.logs} logs, "
        f"{roots.timestamp_authorities} timestamp authorities"
    )
    return f"{roots.instance}: {when}; {counts}; {roots.place}"


@trust.command(cls=Verb)
@click.option("--staging", is_flag=True, help="Sigstore's staging instance instead of public good.")
@common
def update(staging: bool) -> None:
    """Fetch the roots now, and keep them for --offline."""
    file = trusting.update(_name(staging=staging))
    if not quiet():
        click.echo(
            f"{file.instance}: fetched {file.fetched:%Y-%m-%d}, kept at {plain(str(trusting.stored(file.instance)))}"
        )


@trust.command(cls=Verb)
@click.option("-o", "--output", "destination", type=_FILE, metavar="FILE", required=True, help="Where to write.")
@click.option("--staging", is_flag=True, help="Sigstore's staging instance instead of public good.")
@click.option("--force", is_flag=True, help="Replace FILE.")
@offline_option
@common
def export(destination: Path, staging: bool, force: bool, offline: bool) -> None:
    """Write the roots with their date into one file, to be carried to a machine without a network.

    They are fetched first; with --offline those that were updated or imported here are taken.
    """
    name = _name(staging=staging)
    file = trusting.at_hand(name) if offline else trusting.update(name)
    trusting.export(destination, file, force=force)
    if not quiet():
        click.echo(f"Wrote the roots of {file.instance}, fetched {file.fetched:%Y-%m-%d}, to {plain(str(destination))}")


@trust.command(name="import", cls=Verb)
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Also when the roots here are newer.")
@common
def import_(file: Path, force: bool) -> None:
    """Take roots that another machine exported, for --offline on this one."""
    taken = trusting.import_file(file, force=force)
    if not quiet():
        click.echo(f"{plain(taken.instance)}: fetched {taken.fetched:%Y-%m-%d}, kept for --offline")


def _name(*, staging: bool) -> str:
    return "staging" if staging else "public-good"
