"""`modelsign policy`: begin a policy, look for mistakes in one, tell what one asks, try it on known models."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from modelsign.cli.exits import Exit
from modelsign.cli.options import Verb, common, offline_option, quiet, reporting
from modelsign.cli.output import Output
from modelsign.errors import UsageError
from modelsign.escape import plain
from modelsign.policy.file import load
from modelsign.publish import replacing_file

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def policy() -> None:
    """Begin a policy, look for mistakes in one, tell what one asks."""


@policy.command(cls=Verb)
@click.option("-o", "--output", "destination", type=_FILE, metavar="FILE", help="Write to FILE instead of showing it.")
@click.option("--name", default="models", show_default=True, help="What to call the policy.")
@click.option(
    "--key", "keys", type=_FILE, multiple=True, metavar="FILE", help="Trust this public key; may be repeated."
)
@click.option("--identity", metavar="NAME", help="Trust this keyless identity; needs --issuer.")
@click.option("--issuer", metavar="URL", help="Who vouches for the identity.")
@click.option("--force", is_flag=True, help="Replace FILE.")
@common
def init(
    destination: Path | None, name: str, keys: tuple[Path, ...], identity: str | None, issuer: str | None, force: bool
) -> None:
    """Write a strict policy to start with."""
    from modelsign.policy.template import template

    if (identity is None) is not (issuer is None):
        raise UsageError("an identity means something only together with its issuer; give both")
    for key in keys:
        if not key.is_file():
            raise UsageError(f"{key}: there is no such key")
    beside = Path.cwd() if destination is None else destination.parent
    today = datetime.now(UTC).date()
    text = template(name=name, keys=keys, identity=identity, issuer=issuer, today=today, beside=beside)
    if destination is None:
        click.echo(text, nl=False)
        return
    with replacing_file(destination, force=force) as file:
        file.write(text.encode("utf-8"))
    if not quiet():
        click.echo(f"Wrote {plain(str(destination))}; look at it, then try `modelsign policy lint` on it")


@policy.command(cls=Verb)
@click.argument("file", type=_FILE)
@reporting("human", "json")
@common
def lint(file: Path, output: Output) -> int:
    """Look for what a policy's author probably did not mean. Exits with 1 when there is something."""
    from modelsign.policy.lint import lint as remarks_on

    remarks = remarks_on(load(file), now=datetime.now(UTC))
    value = {
        "schema": "modelsign.policy-lint/v1",
        "policy": file.name,
        "remarks": [{"code": remark.code, "message": remark.message} for remark in remarks],
    }
    human = "".join(f"{plain(remark.message)}  [{remark.code}]\n" for remark in remarks)
    nothing = "" if output.style.quiet else f"{plain(str(file))}: nothing to remark\n"
    output.publish(
        lambda form, _: json.dumps(value, indent=2, ensure_ascii=True) + "\n" if form == "json" else human or nothing
    )
    return Exit.DENIED if remarks else Exit.OK


@policy.command(cls=Verb)
@click.argument("file", type=_FILE)
@common
def explain(file: Path) -> None:
    """Tell in sentences what a policy asks."""
    from modelsign.policy.explain import explain as sentences

    for sentence in sentences(load(file)):
        click.echo(plain(sentence))


@policy.command(cls=Verb)
@click.argument("file", type=_FILE)
@click.argument("cases", type=_FILE)
@reporting("human", "json")
@offline_option
@common
def test(file: Path, cases: Path, offline: bool, output: Output) -> int:
    """Ask a policy about models with known answers (CASES is TOML; docs/policy.md). Exits with 1 when one differs."""
    from modelsign.policy.cases import load_cases, run

    outcomes = tuple(run(load(file), load_cases(cases), offline=offline))
    value = {
        "schema": "modelsign.policy-test/v1",
        "policy": file.name,
        "cases": [{"name": one.case.name, "passed": one.problem is None, "problem": one.problem} for one in outcomes],
    }
    human = "".join(
        f"{'ok     ' if one.problem is None else 'FAILED '} {plain(one.case.name)}"
        f"{'' if one.problem is None else f': {plain(one.problem)}'}\n"
        for one in outcomes
        if one.problem is not None or not output.style.quiet
    )
    output.publish(lambda form, _: json.dumps(value, indent=2, ensure_ascii=True) + "\n" if form == "json" else human)
    return Exit.OK if all(one.problem is None for one in outcomes) else Exit.DENIED
