"""Patterns of files to leave out of a scan, in the syntax of gitignore(5).

The file lies outside of the artifact (what is judged must not choose how it is judged), and every file it leaves out
makes the report incomplete: not looked at is never clean.
"""

import re
from pathlib import Path

from attestations.named_files import read_whole
from modelsign.errors import UsageError
from scanners.records import dataclass

_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    text: str
    expression: re.Pattern[str]
    takes_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """An ordered list of patterns; the last one that matches decides."""

    patterns: tuple[_Pattern, ...]

    def pattern_for(self, path: str) -> str | None:
        """Return the pattern that leaves ``path`` out, None when it is scanned."""
        for pattern in reversed(self.patterns):
            if pattern.expression.match(path):
                return None if pattern.takes_back else pattern.text
        return None


def load(path: Path) -> Ignore:
    """Read a file of patterns.

    Raises:
        UsageError: it cannot be read, or a pattern makes no sense.
    """
    try:
        lines = read_whole(path, _MAX_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the ignore file cannot be read: {error}") from error
    try:
        return parse(lines)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def parse(lines: list[str]) -> Ignore:
    """Return the patterns of ``lines``; empty lines and lines that begin with `#` say nothing."""
    return Ignore(
        patterns=tuple(
            _pattern(number, line.rstrip())
            for number, line in enumerate(lines, 1)
            if line.strip() and not line.startswith("#")
        )
    )


def _pattern(number: int, text: str) -> _Pattern:
    takes_back = text.startswith("!")
    body = text.removeprefix("!").removeprefix("\\")
    # gitignore(5): a slash at the beginning or in the middle anchors the pattern at the root; one at the end makes it
    # match directories, whose files all go.
    anchored = "/" in body.rstrip("/")
    inside = body.endswith("/")
    body = body.strip("/")
    if not body:
        raise UsageError(f"line {number}: the pattern {text!r} matches nothing")
    start = "" if anchored else "(?:.*/)?"
    end = "/.*" if inside else "(?:/.*)?"
    try:
        expression = re.compile(f"{start}{_expression(body)}{end}\\Z", re.DOTALL)
    except re.error as error:
        raise UsageError(f"line {number}: the pattern {text!r} is malformed: {error}") from error
    return _Pattern(text=text, expression=expression, takes_back=takes_back)


def _expression(body: str) -> str:
    pieces = []
    position = 0
    while position < len(body):
        if body.startswith("**/", position):
            pieces.append("(?:.*/)?")
            position += 3
        elif body.startswith("**", position):
            pieces.append(".*")
            position += 2
        elif (close := body.find("]", position + 2)) > 0 and body[position] == "[":
            inner = body[position + 1 : close].replace("\\", "\\\\")
            pieces.append(f"[^{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]")
            position = close + 1
        else:
            pieces.append({"*": "[^/]*", "?": "[^/]"}.get(body[position]) or re.escape(body[position]))
            position += 1
    return "".join(pieces)
