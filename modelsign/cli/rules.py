"""`modelsign rules`: list the rules, or explain one."""

import json

import click

from modelsign.cli.options import Verb, common, reporting
from modelsign.cli.output import Output, Style
from modelsign.config import near
from modelsign.report.json import rule_value
from scanners.findings import Rule
from scanners.registry import ALL_RULES
from scanners.rules.explained import page_of


@click.group()
def rules() -> None:
    """List the rules of `modelsign scan`, or explain one."""


@rules.command(name="list", cls=Verb)
@reporting("human", "json")
@common
def list_rules(*, output: Output) -> None:
    """List every rule: id, usual severity, name, and what it says."""

    def render(form: str, style: Style) -> str:
        del style
        if form == "json":
            return json.dumps({rule.id: rule_value(rule) for rule in ALL_RULES}, indent=2) + "\n"
        width = max(len(rule.name) for rule in ALL_RULES)
        return "".join(
            f"{rule.id}  {rule.severity.value:8}  {rule.name:{width}}  {rule.summary}\n" for rule in ALL_RULES
        )

    output.publish(render)


@rules.command(name="show", cls=Verb)
@click.argument("rule", metavar="ID")
@reporting("human", "json")
@common
def show(*, rule: str, output: Output) -> None:
    """Explain one rule, named by its id (MS101) or its name."""
    found = _find(rule)

    def render(form: str, style: Style) -> str:
        del style
        page = page_of(found.id)
        if form == "json":
            return json.dumps({"id": found.id, **rule_value(found), "page": page}, indent=2) + "\n"
        return page or f"# {found.id} {found.name}\n\n{found.summary}.\n\nHow to fix: {found.fix}\n"

    output.publish(render)


def _find(wanted: str) -> Rule:
    for rule in ALL_RULES:
        if wanted.casefold() in {rule.id.casefold(), rule.name.casefold()}:
            return rule
    names = [name for rule in ALL_RULES for name in (rule.id, rule.name)]
    raise click.UsageError(f"there is no rule {wanted!r}{near(wanted, names)}; `modelsign rules list` names them all")
