"""XML of model formats (PMML, OpenVINO, custom kernels): declarations that make a parser open something, and code.

No entity is resolved, no DTD fetched. A tokenizer of our own reads the text once: declarations, processing
instructions, and elements with their attributes. Sources: XML 1.0 (entities, document type), PMML 4.4 (`Extension`,
`DefineFunction`), OpenVINO IR and its kernel configuration.
"""

import re
from collections.abc import Iterator

from scanners import detect
from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Operator, Reference
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "xml"

MAXIMUM_DEPTH = 10_000
MAXIMUM_STATED = 500
_SUFFIXES = frozenset({"xml", "pmml", "xsd", "xsl", "xslt"})
_BEGINS = late(rb"\s*(?:<\?xml\s|<PMML[\s>]|<net\s|<!DOCTYPE\s+(?!html))", re.IGNORECASE)
_ENCODING = late(rb"^[\s\xef\xbb\xbf]*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_PIECE = late(
    # Possessive: what does not end here ends nowhere, and a position to come back to for every character is memory.
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?(?P<instruction>.*?)\?>"
    r"|<!DOCTYPE(?P<doctype>(?:[^\[>\"']++|\"[^\"]*+\"|'[^']*+')*+)(?P<subset>\[)?|</(?P<close>[^>\s]++)\s*+>"
    r"|<(?P<open>[^\s<>/!?]++)(?P<attributes>(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>",
    re.DOTALL,
)
_ATTRIBUTE = late(r"([\w:.-]{1,200})\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_ENTITY = late(
    r"<!ENTITY\s+(?P<parameter>%\s+)?(?P<name>[\w:.-]+)\s+(?:(?P<external>SYSTEM|PUBLIC)\s+)?(?P<value>\"[^\"]*\"|'[^']*')"
    r"(?:\s+(?P<second>\"[^\"]*\"|'[^']*'))?",
    re.DOTALL,
)
_CODE = late(
    r"<script|javascript:|Runtime\.getRuntime|ProcessBuilder|java\.lang\.|System\.exec|eval\s*\(|os\.system|subprocess"
    r"|powershell|/bin/(?:ba)?sh|cmd\.exe",
    re.IGNORECASE,
)
_PATHS = {
    "include": ("href",), "xi:include": ("href",), "source": ("filename",), "import": ("schemalocation", "href"),
    "xsl:import": ("href",), "xsl:include": ("href",), "layer": ("library",), "data": ("path", "library", "filename"),
}  # fmt: skip


def matches(blob: Blob) -> bool:
    """Return whether the blob is named or begins like XML (HTML is nobody's model)."""
    named = detect.suffix_of(blob.name) in _SUFFIXES
    head = blob.reader.read_at(0, 65536 if named else 512)
    plain = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if named:
        return plain.startswith(b"<")
    return bool(_BEGINS.match(plain)) and detect.suffix_of(blob.name) not in {"html", "htm", "xhtml", "svg"}


def read(blob: Blob, reading: Reading) -> None:
    """State declarations, references and code."""
    size = blob.reader.size
    if size > reading.budget.limits.text:
        raise LimitExceeded("text", f"{size} bytes of XML, more than {reading.budget.limits.text}")
    text = _decoded(blob.reader.read_at(0, size))
    state = _Document(reading)
    try:
        state.read(text)
    finally:
        reading.state(Identified(location=reading.at(0), format=state.kind))
    reading.parsed(0, size)


def _decoded(data: bytes) -> str:
    """Decode as an XML parser does: byte order mark, then declaration, then UTF-8."""
    encoding = "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif data.startswith(b"<\0?\0"):
        encoding = "utf-16-le"
    elif data.startswith(b"\0<\0?"):
        encoding = "utf-16-be"
    else:
        declared = _ENCODING.match(data)
        if declared:
            encoding = declared[1].decode("ascii").lower()
    if encoding not in {"utf-8", "utf-16", "utf-16-le", "utf-16-be", "us-ascii", "ascii", "iso-8859-1", "latin-1",
                        "windows-1252", "cp1252", "iso-8859-15", "utf8"}:  # fmt: skip
        raise FormatError(f"XML in the encoding {encoding!r} is not read")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FormatError(f"XML that is not {encoding}", offset=error.start) from error


class _Document:
    """One pass over one text."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._stated = 0
        self.kind = NAME

    def read(self, text: str) -> None:
        place, depth = 0, 0
        opened: list[str] = []
        while True:
            place = text.find("<", place)
            if place < 0:
                break
            match = _PIECE.match(text, place)
            if match is None:
                raise FormatError("XML markup that does not end", offset=place)
            place = match.end()
            if match["doctype"] is not None:
                place = self._doctype(match["doctype"], text, place if match["subset"] else None, place)
            elif match["open"] is not None:
                self._element(match["open"], match["attributes"], match.start(), first=not depth and not opened)
                if not match["attributes"].endswith("/"):
                    opened.append(match["open"])
                    depth += 1
                    if len(opened) > MAXIMUM_DEPTH:
                        raise LimitExceeded("depth", f"XML elements nested deeper than {MAXIMUM_DEPTH}")
            elif match["close"] is not None:
                if not opened or opened.pop() != match["close"]:
                    raise FormatError(f"</{match['close'][:60]}> closes nothing", offset=match.start())
            elif match["instruction"] is not None and match["instruction"].startswith("xml-stylesheet"):
                for reference in self._attributes(match["instruction"]):
                    if reference[0] == "href":
                        self._reference(reference[1], "xml-stylesheet", match.start())
        if opened:
            raise FormatError(f"<{opened[-1][:60]}> is not closed", offset=len(text))

    def _doctype(self, declaration: str, text: str, subset: int | None, place: int) -> int:
        external = re.search(r"\b(SYSTEM|PUBLIC)\s+(\"[^\"]*\"|'[^']*')(?:\s+(\"[^\"]*\"|'[^']*'))?", declaration)
        if external:
            target = (external[3] or external[2])[1:-1]
            self._reading.anomaly("xml-external-dtd", f"the document type is fetched from {target[:300]!r}", place)
        if subset is None:
            return place
        end = _subset_end(text, subset)
        for entity in _ENTITY.finditer(text, subset, end):
            self._entity(entity)
        return end + 1

    def _entity(self, entity: re.Match[str]) -> None:
        if entity["external"]:
            target = (entity["second"] or entity["value"])[1:-1]
            message = f"the entity {entity['name'][:60]!r} stands for the content of {target[:300]!r}"
            self._say("xml-external-entity", message, entity.start())
        else:
            references = len(re.findall(r"[&%][\w:.-]+;", entity["value"]))
            code = "xml-entity-bomb" if references > 1 or len(entity["value"]) > 100_000 else "xml-entity"
            self._say(code, f"the entity {entity['name'][:60]!r} is declared in the document", entity.start())

    def _say(self, code: str, message: str, place: int) -> None:
        self._stated += 1
        if self._stated <= MAXIMUM_STATED:
            self._reading.anomaly(code, message, place)

    @staticmethod
    def _attributes(text: str) -> Iterator[tuple[str, str]]:
        for match in _ATTRIBUTE.finditer(text):
            yield match[1].lower(), match[2] if match[2] is not None else match[3]

    def _element(self, name: str, attributes: str, place: int, *, first: bool) -> None:
        lower = name.lower()
        if first:
            self.kind = {"pmml": "pmml", "net": "openvino"}.get(lower, NAME)
        wanted = _PATHS.get(lower)
        if (
            not wanted
            and lower not in {"extension", "apply", "definefunction", "customlayer"}
            and not _CODE.search(attributes)
        ):
            return
        for key, value in self._attributes(attributes):
            if wanted and key in wanted and value:
                self._reference(value, f"{name}@{key}", place)
            elif lower == "apply" and key == "function" and "." in value:
                self._operator("apply", value, place)
            elif lower == "layer" and key == "version" and value == "extension":
                self._operator("layer", name, place)
            elif _CODE.search(value):
                self._operator("code", f"{name}@{key}={value}", place)

    def _operator(self, name: str, text: str, place: int) -> None:
        self._stated += 1
        if self._stated <= MAXIMUM_STATED:
            arguments = (("text", text[:300]),)
            self._reading.state(
                Operator(location=self._reading.at(place), framework=self.kind, name=name, arguments=arguments)
            )

    def _reference(self, target: str, context: str, place: int) -> None:
        self._stated += 1
        if self._stated <= MAXIMUM_STATED:
            location = self._reading.at(place)
            self._reading.state(
                Reference(location=location, kind="xml-reference", target=target[:4096], context=context[:200])
            )


def _subset_end(text: str, place: int) -> int:
    """Return where an internal subset ends; quotes and comments may hold brackets."""
    for match in late(r"<!--.*?-->|\"[^\"]*\"|'[^']*'|\]", re.DOTALL).finditer(text, place):
        if match[0] == "]":
            close = text.find(">", match.end())
            if close >= 0:
                return close
    raise FormatError("a document type does not end", offset=place)
