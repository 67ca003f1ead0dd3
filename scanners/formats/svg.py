"""Pictures in SVG, as far as they carry scripts: whoever opens one in a browser runs them.

Everything else in a picture is a picture. Source: SVG 2, section 15 (scripting): `script` elements, event attributes
and `javascript:` addresses, in any attribute, because an animation can give them to a link. Document types are left
alone, drawing programs write them and no browser fetches them; but what an entity stands for is looked at as well.
"""

from collections.abc import Iterator

from scanners import detect
from scanners.errors import LimitExceeded
from scanners.facts import Identified, Operator
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "svg"

# Nothing that was passed is given back (`++`): brackets and quotes without end are passed once.
_TAG = late(rb"<([A-Za-z_\x80-\xff][\w:.\x80-\xff-]*+)((?:[^\"'<>]++|\"[^\"]*+\"|'[^']*+')*+)")
_ATTRIBUTE = late(rb"(?<![\w:.-])([\w:.-]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)')")
_ENTITY = late(rb"<!ENTITY\s[%\w:.\s\x80-\xff-]++(?:\"([^\"]*+)\"|'([^']*+)')")
_EVENT = late(rb"on[a-z]{3,40}")
_SCHEME = "javascript:"
_PASSED_OVER = dict.fromkeys(range(0x21))
"""what browsers pass over before and inside the name of a scheme"""
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
    for count, (place, shown) in enumerate(_scripts(_as_utf8(blob.reader.read_at(0, size)))):
        if count >= _MOST_TOLD:
            break
        text = shown.decode("utf-8", "replace")[:200]
        reading.state(Operator(location=reading.at(place), framework="xml", name="code", arguments=(("text", text),)))
    reading.parsed(0, size)


def _as_utf8(data: bytes) -> bytes:
    """Return a text of any encoding that browsers tell by the first bytes in UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    if data.startswith((b"<\0", b"\0<")):
        order = "utf-16-le" if data[0] else "utf-16-be"
        return data.decode(order, "replace").encode("utf-8", "replace")
    return data


def _unescape(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    if b"&" not in value:
        return text
    import html  # its table of entities is not needed elsewhere

    return html.unescape(text)


def _scripts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield where a script is, and how it begins."""
    yield from _in_tags(data)
    for entity in _ENTITY.finditer(data):
        value = entity[1] if entity[1] is not None else entity[2]
        content = _unescape(value) if b"&" in value else None
        plain = value if content is None else content.encode("utf-8", "replace")
        if _is_script(plain):
            yield entity.start(), plain[:200]
        elif content is not None:  # otherwise it has been seen as part of the whole
            yield from ((entity.start(), shown) for _, shown in _in_tags(plain))


def _in_tags(data: bytes) -> Iterator[tuple[int, bytes]]:
    for tag in _TAG.finditer(data):
        if tag[1].rpartition(b":")[2] == b"script":
            yield tag.start(), tag[0][:200]
            continue
        for attribute in _ATTRIBUTE.finditer(tag[2]):
            value = attribute[2] if attribute[2] is not None else attribute[3]
            if (_EVENT.fullmatch(attribute[1]) and value.strip()) or _is_script(value):
                yield tag.start(2) + attribute.start(), attribute[0][:200]


def _is_script(value: bytes) -> bool:
    """Return whether an address runs a script, behind references to characters and what browsers pass over."""
    begin = _unescape(value.lstrip()[:1000])
    return begin.translate(_PASSED_OVER)[: len(_SCHEME)].lower() == _SCHEME
