"""From the patterns a person gives to the exact names that a manifest records.

A signature that recorded a pattern would leave out whatever is added later under a fitting name, and model-signing
reads patterns as plain names. So patterns are resolved against the files at hand, and only names are kept.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from attestations.errors import ManifestError
from attestations.manifest import name_problem

_PATTERN = re.compile(r"[*?\[]")


def resolve_ignored(model: Path, patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the names below ``model`` that ``patterns`` mean, sorted.

    A plain name means itself, whether or not it exists. In a pattern ``*`` and ``?`` stay within one name, ``**/``
    means any depth; a directory that matches is left out with all that is below.

    Raises:
        ManifestError: a pattern that matches nothing (a typing mistake would sign what should be left out), or that is
            not relative to the model's root.
    """
    plain: set[str] = set()
    expressions: dict[str, re.Pattern[str]] = {}
    for given in patterns:
        name = given.removeprefix("./").rstrip("/")
        problem = name_problem(name)
        if problem:
            raise ManifestError(f"cannot ignore {given!r}: it {problem}; give a path relative to the model's root")
        if _PATTERN.search(name):
            try:
                expressions[given] = _expression(name)
            except re.error as error:
                raise ManifestError(f"cannot ignore {given!r}: the pattern is malformed: {error}") from error
        else:
            plain.add(name)
    if not expressions:
        return tuple(sorted(plain))
    found = {given: _matching(model, expression) for given, expression in expressions.items()}
    for given, names in found.items():
        if not names:
            raise ManifestError(f"cannot ignore {given!r}: it matches no file in {model}")
    return tuple(sorted(plain.union(*found.values())))


def _matching(model: Path, expression: re.Pattern[str]) -> list[str]:
    matches: list[str] = []
    for directory, directories, files in os.walk(model):
        prefix = os.path.relpath(directory, model).replace(os.sep, "/")
        prefix = "" if prefix == "." else f"{prefix}/"
        taken = [name for name in directories if expression.fullmatch(prefix + name)]
        matches.extend(prefix + name for name in taken)
        directories[:] = [name for name in directories if name not in taken]
        matches.extend(prefix + name for name in files if expression.fullmatch(prefix + name))
    return matches


def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_tokens(pattern)))


def _tokens(pattern: str) -> Sequence[str]:
    tokens: list[str] = []
    position = 0
    while position < len(pattern):
        if pattern.startswith("**/", position):
            tokens.append("(?:[^/]+/)*")
            position += 3
        elif pattern.startswith("**", position):
            tokens.append(".*")
            position += 2
        elif pattern[position] == "*":
            tokens.append("[^/]*")
            position += 1
        elif pattern[position] == "?":
            tokens.append("[^/]")
            position += 1
        elif pattern[position] == "[" and (end := pattern.find("]", position + 2)) > 0:
            members = pattern[position + 1 : end]
            negated = members.startswith("!")
            tokens.append(f"[{'^/' if negated else ''}{_members(members.removeprefix('!'))}]")
            position = end + 1
        else:
            tokens.append(re.escape(pattern[position]))
            position += 1
    return tokens


def _members(text: str) -> str:
    # A range keeps its hyphen; everything else in the brackets is literal.
    return re.sub(r"([\\\]\[^&~|])", r"\\\1", text)
