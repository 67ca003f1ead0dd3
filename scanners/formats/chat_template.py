"""Templates inside JSON files: `chat_template` of a tokenizer or processor, and other values that are Jinja.

A tokenizer may have one template, or a list of `{"name": …, "template": …}`, or an object of named ones. Each becomes a
blob of its own that the Jinja reader takes; the rest of the file is other readers' business.
"""

from collections.abc import Iterator

from scanners import detect
from scanners.formats import jinja
from scanners.formats.json_text import Json, document_of
from scanners.reader import BytesReader
from scanners.reading import Blob, Reading

NAME = "chat-template"
MAXIMUM_TEMPLATES = 1000


def matches(blob: Blob) -> bool:
    """Return whether the blob is JSON that speaks of templates (tokenizer files put them at the end, or anywhere)."""
    if detect.suffix_of(blob.name) not in {"json", "config"}:
        return False
    place, step = 0, 1 << 20
    while place < blob.reader.size:
        piece = blob.reader.read_at(place, step + 16)
        if b"emplate" in piece or b"\\u00" in piece:  # the key may be written with escapes
            return True
        place += step
    return False


def read(blob: Blob, reading: Reading) -> None:
    """Hand every template on."""
    document = document_of(blob, reading.budget)
    for count, (path, text) in enumerate(templates(document.value)):
        if count >= MAXIMUM_TEMPLATES:
            reading.unread(f"more than {MAXIMUM_TEMPLATES} templates")
            return
        data = text.encode("utf-8", "replace")
        reading.budget.spend_materialised(len(data))
        # The text lies in the file in escaped form, so its bytes are accounted for as JSON.
        reading.child(path, BytesReader(data), span=(0, 0), stored=False, roles=frozenset({jinja.ROLE}))


def templates(value: Json) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every template."""
    work: list[tuple[Json, str, bool]] = [(value, "", False)]
    while work:
        item, path, inside = work.pop()
        if isinstance(item, dict):
            for key, inner in reversed(item.items()):
                named = inside or "template" in key.lower()
                work.append((inner, f"{path}.{key}" if path else key, named))
        elif isinstance(item, list):
            work += [(inner, f"{path}[{place}]", inside) for place, inner in reversed(list(enumerate(item)))]
        elif isinstance(item, str) and inside and ("{{" in item or "{%" in item):
            yield path, item
