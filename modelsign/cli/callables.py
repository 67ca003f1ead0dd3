"""`modelsign callables`: explain how the scanner judges a callable, and what it computes through it."""

import json
from typing import NamedTuple

import click

from modelsign.cli.options import Verb, common, reporting
from modelsign.cli.output import Output, Style
from modelsign.escape import plain
from scanners.knowledge.tables import Effect, Judgement, Standing, effect_of, judge, python3_name

_MEANING = {
    Standing.HARMLESS: "may be called, built and kept: it only makes a value",
    Standing.SHAPED: "may be called with arguments of the shapes below; otherwise it stops the default gate",
    Standing.CODE: "makes functions, classes or modules out of what the file holds: suspicious; malicious if run",
    Standing.DANGEROUS: "malicious when a file calls or names it",
    Standing.UNKNOWN: "nobody has judged it: suspicious when a file calls it, keeps it or only names it",
}


class Explained(NamedTuple):
    """All that is known about one callable."""

    name: str
    mapped: str
    judgement: Judgement
    effect: Effect | None


@click.group()
def callables() -> None:
    """Explain how a callable is judged."""


@callables.command(name="explain", cls=Verb)
@click.argument("name", metavar="MODULE.NAME")
@reporting("human", "json")
@common
def explain(*, name: str, output: Output) -> None:
    """Say what is known about one callable, named in full (os.system, torch._utils._rebuild_tensor_v2)."""
    found = explained(name)

    def render(form: str, style: Style) -> str:
        del style
        return as_json(found) if form == "json" else as_text(found)

    output.publish(render)


def explained(name: str) -> Explained:
    """Look a callable up by its full name; raises `click.UsageError` for what is no name."""
    name = name.replace(":", ".").strip()
    module, _, last = name.rpartition(".")
    if not module or not all(part.isidentifier() for part in name.split(".")):
        raise click.UsageError(f"{plain(name)!r} is no full name; write module.name, as in os.system")
    mapped = ".".join(python3_name(module, last))
    return Explained(name=name, mapped=mapped, judgement=judge(name), effect=effect_of(mapped))


def as_text(found: Explained) -> str:
    """Return what a person reads."""
    judgement = found.judgement
    lines = [f"{found.name} is {judgement.standing.value}: {_MEANING[judgement.standing]}."]
    if found.mapped != found.name:
        lines.append(f"Python 3 name: {found.mapped}")
    if judgement.nature:
        lines.append(f"Nature: {judgement.nature}")
    lines.append(f"Why: {judgement.reason}")
    if judgement.shapes:
        lines.append(f"Shapes: {', '.join(sorted(judgement.shapes))}")
        lines.append(f"Kept for later: {'harmless' if judgement.kept else 'unknown'}")
    if judgement.source:
        lines.append(f"Source: {judgement.source}")
    if judgement.entry:
        lines.append(f"Entry of judgement.toml: {judgement.entry}")
    if found.effect is not None:
        lines.append(f"Computed through as: {found.effect.kind}")
    return "\n".join(lines) + "\n"


def as_json(found: Explained) -> str:
    """Return the same for programs."""
    judgement = found.judgement
    document = {
        "name": found.name,
        "python3_name": found.mapped,
        "standing": judgement.standing.name.lower(),
        "meaning": _MEANING[judgement.standing],
        "nature": judgement.nature or None,
        "reason": judgement.reason,
        "source": judgement.source or None,
        "shapes": sorted(judgement.shapes),
        "kept": judgement.kept or judgement.standing is Standing.HARMLESS,
        "entry": judgement.entry or None,
        "effect": found.effect.kind if found.effect is not None else None,
    }
    return json.dumps(document, indent=2) + "\n"
