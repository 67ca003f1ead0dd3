"""Pictures in SVG, as far as they carry scripts: whoever opens one in a browser runs them.

Everything else in a picture is a picture. Source: SVG 2, section 15 (scripting): `script` elements, event attributes
and `javascript:` addresses. Document types are left alone: drawing programs write them, and no browser fetches them.
"""

from scanners import detect
from scanners.errors import LimitExceeded
from scanners.facts import Identified, Operator
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "svg"

_SCRIPT = late(
    rb"<(?:\w+:)?script\b[^>]{0,200}>?|<[^<>]{0,2000}?\s(on(?:load|begin|end|error|click|mouse\w+|focus\w*)\s*=\s*[\"'][^\"'<>]{1,200})"
    rb"|(?:href|src)\s*=\s*[\"']\s*javascript:[^\"']{0,200}"
)
_MOST_TOLD = 20


def matches(blob: Blob) -> bool:
    """Return whether the blob is named like a picture of this kind."""
    return detect.suffix_of(blob.name) == "svg" and b"<" in blob.reader.read_at(0, 256)


def read(blob: Blob, reading: Reading) -> None:
    """State scripts."""
    size = blob.reader.size
    if size > reading.budget.limits.text:
        raise LimitExceeded("text", f"{size} bytes of SVG")
    reading.state(Identified(location=reading.at(0), format=NAME))
    data = blob.reader.read_at(0, size)
    text = data.decode("utf-16", "replace").encode() if data.startswith((b"\xff\xfe", b"\xfe\xff")) else data
    for count, match in enumerate(_SCRIPT.finditer(text)):
        if count >= _MOST_TOLD:
            break
        shown = (match[1] or match[0]).decode("utf-8", "replace")[:200]
        location = reading.at(match.start())
        reading.state(Operator(location=location, framework="xml", name="code", arguments=(("text", shown),)))
    reading.parsed(0, size)
