"""Requirements files: packages that come from somewhere else than the package index.

Source: pip's "Requirements File Format". No requirement is resolved. A serving system that installs them (MLflow, a
notebook, a Dockerfile) runs what it fetches.
"""

import re

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Reference
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "requirements"
MAXIMUM_TEXT = 4 << 20
_NAMED = late(r"(?:^|[-_./])(?:requirements|constraints)[^/]*\.(?:txt|in)$", re.IGNORECASE)
_OPTION = late(r"^(--index-url|-i|--extra-index-url|--find-links|-f|--trusted-host|-e|--editable)(?:[ =]+|(?=\S))(\S+)")
_URL = late(
    r"(?:^|@\s*|^(?:-r|--requirement|-c|--constraint)[ =]*)((?:[a-z0-9]+\+)?(?:https?|ssh|git|file|svn|hg|ftp)(?:\+[a-z]+)?://\S+)",
    re.IGNORECASE,
)
_LONG = {"-i": "--index-url", "-f": "--find-links", "-e": "--editable"}


def matches(blob: Blob) -> bool:
    """Return whether the blob is named as pip's documentation names such files."""
    return bool(_NAMED.search(blob.name))


def read(blob: Blob, reading: Reading) -> None:
    """State every requirement that is a URL, and every option that changes where packages come from."""
    size = blob.reader.size
    if size > MAXIMUM_TEXT:
        raise LimitExceeded("text", f"{size} bytes of requirements")
    reading.state(Identified(location=reading.at(), format=NAME))
    data = blob.reader.read_at(0, size)
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FormatError("requirements are text, this is not", offset=data.index(b"\0"))
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = re.sub(r"\\\r?\n", " ", data.decode(encoding, "replace"))
    for raw in text.splitlines():
        line = re.sub(r"(?:^|\s)#.*$", "", raw).strip()
        source = source_of(line)
        if source:
            _state(reading, *source)
    reading.parsed(0, size)


def source_of(line: str) -> tuple[str, str] | None:
    """Return (option, or `requirement`; place) of a line that names where packages come from, None for another."""
    option = _OPTION.match(line)
    if option:
        return _LONG.get(option[1], option[1]), option[2]
    url = _URL.search(line)
    return ("requirement", url[1]) if url else None


def _state(reading: Reading, context: str, target: str) -> None:
    reading.state(Reference(location=reading.at(), kind="requirement", target=target[:400], context=context))
