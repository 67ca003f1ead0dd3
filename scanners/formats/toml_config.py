"""TOML files beside a model: the same references that JSON configuration can hold.

Read with the standard library's parser, which knows no includes, tags or code; Hydra-style `_target_` keys and switches
are looked for as in JSON, and what `pip install` of the project would fetch from elsewhere than the index. Sources:
TOML v1.0.0; "Writing your pyproject.toml" (packaging.python.org); Poetry's and uv's tables of dependencies.
"""

from collections.abc import Iterator
from typing import Any

from scanners import detect
from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Reference
from scanners.formats.json_config import references
from scanners.formats.requirements import source_of
from scanners.reading import Blob, Reading

NAME = "toml"

_MAXIMUM_BYTES = 4 << 20
"""the parser is written in Python; no configuration is larger"""
_MAXIMUM_DOTS = 2000


def matches(blob: Blob) -> bool:
    """Return whether the blob is called TOML: its text cannot be told from other text."""
    return detect.suffix_of(blob.name) == "toml"


def read(blob: Blob, reading: Reading) -> None:
    """State references to code and repositories."""
    import tomllib  # few files need it, and its import takes as long as a small scan

    if blob.reader.size > _MAXIMUM_BYTES:
        raise LimitExceeded("text", f"{blob.reader.size} bytes of TOML, more than {_MAXIMUM_BYTES}")
    try:
        text = blob.reader.read_at(0, blob.reader.size).decode("utf-8")
        # The parser remembers each beginning of a dotted key: the square of its length, in time and memory.
        if any(part.count(".") > _MAXIMUM_DOTS for line in text.split("\n") for part in line.split("=")):
            raise LimitExceeded("depth", f"a line of TOML with more than {_MAXIMUM_DOTS} dots")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise FormatError("TOML text that is not UTF-8", offset=error.start) from error
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"no TOML: {error}") from error
    except RecursionError as error:
        raise FormatError("TOML nested too deeply for its parser") from error
    reading.state(Identified(location=reading.at(), format=NAME))
    reading.parsed(0, blob.reader.size)
    if blob.name.rsplit("/", 1)[-1].lower() == "pyproject.toml":
        for target in _from_elsewhere(document):
            reading.state(
                Reference(location=reading.at(), kind="requirement", target=target[:400], context="dependencies")
            )
    # Dates and times, which JSON has not, are no references either.
    for kind, target, context in references(document, blob.name):
        reading.state(Reference(location=reading.at(), kind=kind, target=target, context=context))


def _from_elsewhere(document: dict[str, Any]) -> Iterator[str]:
    """Yield the URLs that requirements of a project name: texts with `@ URL`, tables with `git` or `url`."""
    work: list[tuple[object, bool]] = [(document, False)]
    while work:
        item, inside = work.pop()
        if isinstance(item, dict):
            for key, value in reversed(item.items()):
                if inside and key in {"git", "url"} and isinstance(value, str):
                    yield value
                work.append(
                    (value, inside or "dependencies" in key or key in {"requires", "sources", "dependency-groups"})
                )
        elif isinstance(item, list):
            work += [(one, inside) for one in reversed(item)]
        elif inside and isinstance(item, str):
            source = source_of(item)
            if source and "://" in item and "@" in item:
                yield source[1]
