"""`modelsign doctor`: what this machine offers."""

import json
from collections.abc import Mapping
from dataclasses import asdict

import click

from modelsign.cli.options import Verb, common, reporting
from modelsign.cli.output import Output
from modelsign.doctor import REFUSED, Examination, examine
from modelsign.escape import plain


@click.command(cls=Verb)
@reporting("human", "json")
@common
def doctor(output: Output) -> None:
    """Tell what this machine offers: versions, layers of the sandbox, trust material, settings.

    The sandbox is tried: a worker attempts what none may do. No connection is opened.
    """
    examination = examine()
    output.publish(lambda form, _: _json(examination) if form == "json" else _human(examination))


def _json(examination: Examination) -> str:
    document = {
        "schema": "modelsign.doctor/v1",
        "versions": dict(examination.versions),
        "packages": dict(examination.packages),
        "extras": dict(examination.extras),
        "sandbox": {
            "layers": [asdict(layer) for layer in examination.layers],
            "trials": dict(examination.trials),
            "require": examination.required_sandbox,
        },
        "trust": [asdict(material) for material in examination.trust],
        "trust_problem": examination.trust_problem,
        "settings": list(examination.settings),
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _human(examination: Examination) -> str:
    sections = {
        "Versions": _table(examination.versions),
        "Packages": _table(examination.packages),
        "Extras": _table(examination.extras),
        "Sandbox": _sandbox(examination),
        "Trust material that needs no network": _trust(examination),
        "Settings": list(examination.settings) or ["no modelsign.toml applies here"],
    }
    return "\n".join(
        f"{title}\n" + "".join(f"  {plain(line)}\n" for line in lines) for title, lines in sections.items()
    )


def _sandbox(examination: Examination) -> list[str]:
    lines = _table(
        {layer.name: ("yes  " if layer.available else "no   ") + layer.detail for layer in examination.layers}
    )
    refused = [name for name, outcome in examination.trials.items() if outcome == REFUSED]
    others = [f"{name} ({outcome})" for name, outcome in examination.trials.items() if outcome != REFUSED]
    if refused:
        lines.append(f"a worker tried in vain to {', '.join(refused)}")
    if others:
        lines.append(f"NOT CONFINED: {', '.join(others)}")
    met = "is met" if examination.required_sandbox else "is not met here and ends with code 2"
    return [*lines, f"--sandbox require {met}"]


def _trust(examination: Examination) -> list[str]:
    lines = []
    for material in examination.trust:
        age = "never refreshed here"
        if material.refreshed:
            age = f"refreshed {material.refreshed}"
        if material.valid_until:
            age += f", counts until {material.valid_until}"
        lines.append(f"{material.instance}: {material.place}")
        lines.append(
            f"  {material.authorities} certificate and {material.timestamp_authorities} timestamp authorities, "
            f"{material.logs} logs; {age}"
        )
    return [*lines, examination.trust_problem] if examination.trust_problem else lines


def _table(rows: Mapping[str, str] | Mapping[str, str | None]) -> list[str]:
    width = max(map(len, rows))
    return [f"{name:<{width}}  {value or 'not installed'}" for name, value in rows.items()]
