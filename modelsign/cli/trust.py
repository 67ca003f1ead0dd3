"""`modelsign trust`: the roots of Sigstore instances on this machine, and how they get to one without a network."""

import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from attestations.errors import TrustError
from attestations.trust_file import is_ahead
from modelsign import trusting
from modelsign.cli.instance import check_instance
from modelsign.cli.options import Verb, common, offline_option, quiet, reporting
from modelsign.cli.output import Output
from modelsign.cli.trust_options import DURATION
from modelsign.errors import UsageError
from modelsign.escape import plain

P = ParamSpec("P")
R = TypeVar("R")

_FILE = click.Path(path_type=Path, dir_okay=False, readable=False)


@click.group()
def trust() -> None:
    """Show, fetch and carry the roots of Sigstore instances."""


def _instance_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add the options that name an instance, given to the verb as ``name``: None for none of them."""

    @click.option("--staging", is_flag=True, help="Sigstore's staging instance instead of public good.")
    @click.option("--instance", metavar="URL", help="The instance whose TUF repository is here.")
    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        staging, address = kwargs.pop("staging"), kwargs.pop("instance")
        if staging and address is not None:
            raise UsageError("--staging and --instance exclude each other; give one of them")
        check_instance(address, None)  # type: ignore[arg-type]  # click made it
        kwargs["name"] = "staging" if staging else address
        return function(*args, **kwargs)

    return wrapped


_root_option = click.option(
    "--instance-root",
    "bootstrap",
    type=_FILE,
    metavar="FILE",
    help="With --instance, the first time: the first root.json of that repository, from whoever runs it.",
)


@trust.command(cls=Verb)
@click.option("--max-age", type=DURATION, metavar="SPAN", help="Exit with 15 when roots are older, or of unknown age.")
@_instance_options
@reporting("human", "json")
@common
def status(max_age: timedelta | None, name: str | None, output: Output) -> None:
    """Tell which roots --offline would use, and how old they are.

    All that are kept here are listed, unless one instance is named. --max-age asks the one that is named, else those
    that were updated or imported here, else public good.
    """
    now = datetime.now(UTC)
    found = trusting.status(name)
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
    for roots in [one for one in found if one.fetched is not None] or found[:1]:
        age = roots.age(now)
        ahead = roots.fetched is not None and is_ahead(roots.fetched, now)
        if age is None or ahead or age > max_age:
            raise TrustError(
                f"the roots of {roots.instance} are older than {max_age.days} days, of unknown age, or dated in the "
                "future"
            )


def _line(roots: trusting.Roots, now: datetime) -> str:
    age = roots.age(now)
    when = (
        "of unknown age"
        if age is None or roots.fetched is None
        else f"fetched {roots.fetched:%Y-%m-%d}, {max(age.days, 0)} days ago"
    )
    counts = (
        f"certificates of authorities: {roots.authorities}, logs: {roots.logs}, "
        f"timestamp authorities: {roots.timestamp_authorities}"
    )
    return f"{roots.instance}: {when}; {counts}; {roots.place}"


@trust.command(cls=Verb)
@_instance_options
@_root_option
@common
def update(name: str | None, bootstrap: Path | None) -> None:
    """Fetch the roots now, and keep them for --offline."""
    check_instance(_address(name), bootstrap)
    file = trusting.update(name or "public-good", bootstrap=bootstrap)
    if not quiet():
        kept = trusting.stored(file.instance)
        click.echo(plain(f"{file.instance}: fetched {file.fetched:%Y-%m-%d}, kept at {kept}"))


@trust.command(cls=Verb)
@click.option("-o", "--output", "destination", type=_FILE, metavar="FILE", required=True, help="Where to write.")
@_instance_options
@_root_option
@click.option("--force", is_flag=True, help="Replace FILE.")
@offline_option
@common
def export(destination: Path, name: str | None, bootstrap: Path | None, force: bool, offline: bool) -> None:
    """Write the roots with their date into one file, to be carried to a machine without a network.

    They are fetched first; with --offline those that were updated or imported here are taken.
    """
    check_instance(_address(name), bootstrap)
    chosen = name or "public-good"
    file = trusting.at_hand(chosen) if offline else trusting.update(chosen, bootstrap=bootstrap)
    trusting.export(destination, file, force=force)
    if not quiet():
        click.echo(plain(f"Wrote the roots of {file.instance}, fetched {file.fetched:%Y-%m-%d}, to {destination}"))


@trust.command(name="import", cls=Verb)
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Also when the roots here are newer.")
@common
def import_(file: Path, force: bool) -> None:
    """Take roots that another machine exported, for --offline on this one."""
    taken = trusting.import_file(file, force=force)
    if not quiet():
        click.echo(f"{plain(taken.instance)}: fetched {taken.fetched:%Y-%m-%d}, kept for --offline")


def _address(name: str | None) -> str | None:
    return None if name in trusting.INSTANCES else name
