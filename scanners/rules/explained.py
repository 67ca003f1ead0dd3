"""The page of a rule: shipped beside the rules in a wheel, read from `docs/rules` in a checkout."""

from pathlib import Path

_SHIPPED = Path(__file__).parent / "pages"
_CHECKOUT = Path(__file__).parents[2] / "docs" / "rules"


def page_of(rule_id: str) -> str | None:
    """Return the Markdown page of a rule, None where it is not to be found.

    Args:
        rule_id: the id of a rule that exists; it becomes a file name.
    """
    for directory in (_SHIPPED, _CHECKOUT):
        try:
            return (directory / f"{rule_id}.md").read_text(encoding="utf-8")
        except OSError:
            continue
    return None
