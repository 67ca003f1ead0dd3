r"""The part of YAML that matters here: tags, and the scalar values of mappings with the path that leads to them.

No YAML library: a tag is found wherever YAML would accept one, handles (`%TAG`), verbatim tags and `%2f` escapes
resolved; mappings are followed by indentation, flow collections by their brackets. What looks like a tag in the middle
of a plain text is taken for one: too many is the safe side, and rare.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scanners.errors import FormatError, LimitExceeded
from scanners.formats.json_text import Json
from scanners.patterns import late

MAXIMUM_LINES = 1_000_000
MAXIMUM_TEXT = 16 << 20

_STANDARD = "tag:yaml.org,2002:"
_TAG = late(r"(?:^|(?<=[\s\[{,(?:-]))(!<[^>\s]{1,400}>|!\S{0,400})")
_ANCHOR = late(r"(?:^|(?<=[\s\[{,:-]))([&*])([\w-]{1,100})")
_INDICATORS = frozenset("{}[],#&*!|>%@`")
_BREAK = late("\r\n|[\r\x85\u2028\u2029]")
"""where a line ends besides at a line feed, in YAML 1.1"""
_PROPERTY = late(r"(?:[&!]\S{0,400}\s+)+")
"""the anchor and the tag before a key"""
_ALIASED_KEY = late(r"(\*[\w-]{1,100})\s+:(?:\s+|$)")
_LONGEST_QUOTED = 1000
"""lines that one quoted text may go on for"""
_OPEN = 64
"""anchors inside anchors that are counted; each alias is added to all of them"""
EXPANSION_LIMIT = 1 << 40
_ANCHORED = late(r"&([\w-]{1,100}) (.+)")
_CLOSED = late(r'"(?:[^"\\]|\\.)*"')
_MARKS = late(r"(?:([-?]) +)++")
"""what begins items of lists and complex keys, several on one line; the last one is kept"""
_PAIR = late(r"\\.")
_ESCAPED = late(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_HANDLE = late(r"^%TAG\s+(!\w*!?)\s+(\S+)")
_ESCAPE = late(r"%([0-9A-Fa-f]{2})")
_QUOTED_KEY = late(r"""(?:"((?:[^"\\]|\\.){0,400})"|'((?:[^']|''){0,400})')\s{0,8}:(?:\s+|$)""")
_COLON = late(r":(?:\s+|$)")
_FLOW_PAIR = late(
    r"""(?:"((?:[^"\\]|\\.){0,400})"|'([^']{0,400})'|(?<![\w.$/-])([\w.$/-]{1,400}))\s{0,8}:\s{0,8}"""
    r"""(?:"((?:[^"\\]|\\.){0,4096})"|'([^']{0,4096})'|([^,{}\[\]"'\s][^,{}\[\]]{0,4096}))""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag, resolved: `tag:yaml.org,2002:python/object/apply:os.system`."""

    name: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A scalar value of a mapping."""

    path: tuple[str, ...]
    value: str
    line: int


def text_of(data: bytes) -> str:
    """Decode as YAML does: UTF-16 with a byte order mark, else UTF-8."""
    if len(data) > MAXIMUM_TEXT:
        raise LimitExceeded("text", f"{len(data)} bytes of YAML are more than {MAXIMUM_TEXT}")
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FormatError("YAML that is not text", offset=error.start) from error
    if "\0" in text:
        raise FormatError("YAML does not allow NUL", offset=data.find(b"\0"))
    text = _BREAK.sub("\n", text.removeprefix("\ufeff"))
    if text.count("\n") > MAXIMUM_LINES:
        raise LimitExceeded("text", f"YAML of more than {MAXIMUM_LINES} lines")
    return text


def tags(text: str) -> Iterator[Tag]:
    """Yield every tag of a document."""
    handles = {"!!": _STANDARD}
    for number, raw in enumerate(text.split("\n"), 1):
        if raw.startswith("%TAG"):
            handle = _HANDLE.match(raw)
            if handle:
                handles[handle[1]] = handle[2]
            continue
        if "!" not in raw:
            continue
        # Behind a quotation mark, `#` need not begin a comment: the text may have begun lines ago.
        for match in _TAG.finditer(raw if '"' in raw or "'" in raw else _uncommented(raw)):
            yield Tag(name=_resolved(match[1], handles), line=number)


def _uncommented(line: str) -> str:
    return "" if line.lstrip().startswith("#") else line.split(" #", 1)[0]


def _resolved(tag: str, handles: dict[str, str]) -> str:
    tag = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), tag.rstrip(",]}"))
    if tag.startswith("!<"):
        return tag[2:].removesuffix(">")
    for handle in sorted(handles, key=len, reverse=True):
        if tag.startswith(handle):
            return handles[handle] + tag[len(handle) :]
    return tag


def expansion(text: str) -> int:
    """Return how many nodes a document has once every alias is replaced by what it stands for, roughly.

    An anchor stands for the rest of its line and the deeper lines below it.
    """
    sizes: dict[str, int] = {}
    still_open: list[tuple[int, str]] = []
    total = 0
    for line in text.split("\n"):
        if "&" not in line and "*" not in line and not still_open:
            continue
        indent = len(line) - len(line.lstrip(" "))
        while still_open and line.strip() and indent <= still_open[-1][0]:
            still_open.pop()
        for match in _ANCHOR.finditer(_uncommented(line)):
            if match[1] == "&":
                sizes[match[2]] = 1
                still_open.append((indent, match[2]))
                del still_open[:-_OPEN]
            elif match[2] in sizes:
                size = sizes[match[2]]
                total = min(total + size, EXPANSION_LIMIT)
                for _, name in still_open:
                    if name != match[2]:
                        sizes[name] = min(sizes[name] + size, EXPANSION_LIMIT)
    return total


def entries(text: str) -> Iterator[Entry]:
    """Yield the scalar entries of all mappings, in order; of texts in blocks, their first line."""
    anchors: dict[str, str] = {}
    for entry in _entries(text):
        anchor = _ANCHORED.match(entry.value)
        value = _unquoted(anchor[2]) if anchor else entry.value
        if anchor:
            anchors[anchor[1]] = value
        elif value.startswith("*"):
            value = anchors.get(value[1:].strip(), value)
        path = tuple(anchors.get(key[1:], key) if key.startswith("*") else key for key in entry.path)
        yield Entry(path=path, value=value, line=entry.line)


def tree(found: Iterable[Entry]) -> dict[str, Json]:
    """Put entries together again: a key that comes a second time begins the next mapping of a list.

    Lists of lists and empty collections are lost, and numbers stay texts.
    """
    root: dict[str, Json] = {}
    for entry in found:
        place = root
        in_list = entry.path[-1:] == ("[]",)
        *above, last = (entry.path[:-1] if in_list else entry.path) or ("",)
        for depth, key in enumerate(above):
            inner: Json = place.get(key)
            if isinstance(inner, list) and isinstance(inner[-1], dict):
                inner = inner[-1]
            if not isinstance(inner, dict):
                inner = place[key] = {}
            if depth == len(above) - 1 and last in inner and not in_list:
                held, inner = place[key], {}
                if isinstance(held, list):
                    held.append(inner)
                else:
                    place[key] = [held, inner]
            place = inner
        if in_list:
            held = place.get(last)
            if isinstance(held, list):
                held.append(entry.value)
            else:
                place[last] = [entry.value]
        else:
            place[last] = entry.value
    return root


def _entries(text: str) -> Iterator[Entry]:
    stack: list[tuple[int, str]] = []
    block: int | None = None
    first = False  # whether the next line is the first of a block
    flow: list[str] = []
    flow_line = flow_depth = 0
    quoted: list[str] = []  # the lines so far of a text in double quotes, its key before it
    question: int | None = None  # where `? |` stands: the key is the text below
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        indent = len(line) - len(line.lstrip(" "))
        if quoted:
            quoted.append(stripped)
            if '"' in _PAIR.sub("", stripped) or len(quoted) > _LONGEST_QUOTED:
                value = _uncommented(_folded(quoted)).strip()
                yield Entry(path=tuple(name for _, name in stack), value=_unquoted(value), line=number)
                quoted = []
            continue
        if flow:
            flow.append(stripped)
            flow_depth += _depth(stripped)
            if flow_depth <= 0 or len(flow) > 100_000:
                yield from _flow_entries(" ".join(flow), tuple(key for _, key in stack), flow_line)
                flow = []
            continue
        if question is not None and stripped:
            while stack and stack[-1][0] >= question:
                stack.pop()
            stack.append((question, stripped))
            question = None
            continue
        if block is not None:
            if not stripped or indent > block:
                if stripped and first:
                    first = False
                    yield Entry(path=tuple(name for _, name in stack), value=stripped, line=number)
                continue
            block = None
        if not stripped or stripped.startswith(("#", "...", "%")):
            continue
        content = line[indent:]
        if content.startswith("---"):
            if indent:
                continue
            stack.clear()
            content = content[3:].lstrip()  # a document may begin behind its marker
            if not content or content.startswith(("#", "-")):
                continue
        asked = ""
        if marks := _MARKS.match(content):
            asked = marks[1]
            indent += marks.end()
            content = content[marks.end() :]
        if asked == "?" and content[:1] in {"|", ">"}:
            question = indent - 2
            continue
        if content.startswith(": ") and stack:
            content = f"{stack[-1][1]}{content}"  # the value of the key that `? ` put above
        elif asked == "?" and content and _split(content)[0] is None:
            content = f"{_unquoted(content.strip())}:"
            indent -= 2
        while stack and stack[-1][0] >= indent:
            stack.pop()
        key, value = _split(content)
        if key is not None:
            stack.append((indent, key))
        value = _plain(value)
        if value[:1] == '"' and stack and not _CLOSED.match(value):
            quoted = [value.strip()]
            continue
        value = _uncommented(value).strip()
        if value[:1] in {"|", ">"}:
            block = indent if key is not None else indent - 1
            first = key is not None
        elif value[:1] in {"{", "["}:
            flow, flow_line, flow_depth = [value], number, _depth(value)
            if flow_depth <= 0:
                yield from _flow_entries(value, tuple(name for _, name in stack), number)
                flow = []
        elif value and key is not None:
            yield Entry(path=tuple(name for _, name in stack), value=_unquoted(value), line=number)
        elif value and stack:
            yield Entry(path=(*(name for _, name in stack), "[]"), value=_unquoted(value), line=number)


def _split(content: str) -> tuple[str | None, str]:
    """Return (key, value) of a line of a mapping, or (None, line)."""
    if content[:1] in {'"', "'"}:
        quoted = _QUOTED_KEY.match(content)
        if not quoted:
            return None, content
        key = _unquoted(f'"{quoted[1]}"') if quoted[1] else quoted[2] or ""
        return key, content[quoted.end() :]
    aliased = _ALIASED_KEY.match(content)
    if aliased:
        return aliased[1], content[aliased.end() :]
    before = _PROPERTY.match(content)
    if before:
        key, value = _split(content[before.end() :])
        return (key, value) if key is not None else (None, content)
    colon = _COLON.search(content)
    if colon is None or colon.start() > 400 or content[:1] in _INDICATORS:
        return None, content
    return content[: colon.start()].strip(), content[colon.end() :]


def _folded(lines: list[str]) -> str:
    """Join the lines of a text in double quotes, as YAML does: with a space, or without at a backslash."""
    text = lines[0]
    for line in lines[1:]:
        text = text[:-1] + line.removeprefix("\\") if text.endswith("\\") else f"{text} {line}"
    return text


def _plain(value: str) -> str:
    """Return a value without the tags before it, and with its anchor only where it is a scalar."""
    anchor = ""
    while value[:1] in {"!", "&"}:
        parts = value.split(None, 1)
        if value[0] == "&":
            anchor = f"{parts[0]} "
        value = parts[1] if len(parts) > 1 else ""
    return value if not value or value[0] in "{[|>" else anchor + value


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return _ESCAPED.sub(_character, value[1:-1]) if value[0] == '"' and "\\" in value else value[1:-1]
    return value


def _character(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    return chr(min(int(code, 16), 0x10FFFF)) if code else match[4]


def _depth(line: str) -> int:
    """Return how many more brackets a line opens than it closes."""
    text = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'", "", line)
    return text.count("{") + text.count("[") - text.count("}") - text.count("]")


def _flow_entries(text: str, path: tuple[str, ...], line: int) -> Iterator[Entry]:
    for match in _FLOW_PAIR.finditer(text):
        keys, values = match.groups()[:3], match.groups()[3:]
        key = next(part for part in keys if part is not None)
        value = next(part for part in values if part is not None)
        if keys[0] is not None:
            key = _unquoted(f'"{key}"')
        if values[0] is not None:
            value = _unquoted(f'"{value}"')
        yield Entry(path=(*path, key), value=value.strip(), line=line)
