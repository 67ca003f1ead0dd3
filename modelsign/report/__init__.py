"""The forms a scan report can take: one file each, imported when it is asked for.

Every form shows the same findings; what a user accepted stays visible in all of them. A writer returns text, escapes
what an attacker controls, and prints nothing.
"""

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from modelsign.gate import Gate
from scanners.findings import Report
from scanners.records import dataclass

FORMS: dict[str, str] = {
    "human": "modelsign.report.human",
    "json": "modelsign.report.json",
    "jsonl": "modelsign.report.jsonl",
    "sarif": "modelsign.report.sarif",
    "junit": "modelsign.report.junit",
    "markdown": "modelsign.report.markdown",
    "html": "modelsign.report.html",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a writer gets: the reports of one run, and what the user lets pass."""

    reports: tuple[Report, ...]
    """one per target, in the order the user named them"""
    gate: Gate
    environment: Mapping[str, object] | None = None
    """facts about the machine and the time, only where the user asked for them"""
    notices: tuple[str, ...] = ()
    """what the human form should say about waivers: expired ones, unused ones"""


class Writer(Protocol):
    """What every module of this package provides."""

    def write(self, result: Result, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> str:
        """Return the report in this form, with a newline at its end. The flags concern the human form."""
        ...


def write(result: Result, form: str, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> str:
    """Return the report in one of `FORMS`."""
    writer = cast("Writer", importlib.import_module(FORMS[form]))
    return writer.write(result, color=color, quiet=quiet, verbose=verbose)
