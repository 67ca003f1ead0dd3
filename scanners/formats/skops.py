"""skops: the schema of a scikit-learn model, a tree of nodes that each name a class and how it is made again.

Source: skops `io/_general.py`, `_numpy.py`, `_sklearn.py`. `skops.io.load` refuses types that its caller does not
trust, but two kinds of nodes made something else than they declared (CVE-2025-54412, CVE-2025-54413), and the model
card reader fell back to joblib (CVE-2025-54886). Every node that names a callable is stated.
"""

from collections.abc import Iterator

from scanners import detect
from scanners.facts import Identified, Reference
from scanners.formats.json_text import Json, document_of, mentions
from scanners.reading import Blob, Reading

NAME = "skops"

_PLAIN_LOADERS = frozenset({"JsonNode", "DictNode", "ListNode", "TupleNode", "SetNode", "SliceNode", "BytesNode"})
_PLAIN_MODULES = (None, "builtins", "str")
MAXIMUM_STATED = 20_000


def matches(blob: Blob) -> bool:
    """Return whether the blob is JSON that describes nodes."""
    if detect.suffix_of(blob.name) != "json":
        return False
    if blob.name.rsplit("/", 1)[-1] != "schema.json":
        return b'"__loader__"' in blob.reader.read_at(0, 4096)
    return mentions(blob, '"__loader__"')  # what skops itself would open: the key may stand anywhere


def read(blob: Blob, reading: Reading) -> None:
    """State every class and function that a node names, once each."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    seen: set[tuple[str, str]] = set()
    for target, context in _nodes(document_of(blob, reading.budget).value):
        if (target, context) in seen:
            continue
        seen.add((target, context))
        if len(seen) > MAXIMUM_STATED:
            reading.unread(f"more than {MAXIMUM_STATED} types")
            return
        reading.state(Reference(location=reading.at(), kind="skops", target=target[:400], context=context[:200]))
    reading.parsed(0, blob.reader.size)


def _nodes(value: Json) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, loader) of each node; for methods and operators also what they are asked for."""
    work: list[Json] = [value]
    while work:
        item = work.pop()
        if isinstance(item, list):
            work += item
        if not isinstance(item, dict):
            continue
        work += list(item.values())
        loader, name, module = item.get("__loader__"), item.get("__class__"), item.get("__module__")
        if not isinstance(loader, str) or (loader in _PLAIN_LOADERS and module in _PLAIN_MODULES):
            continue  # a list of another module's class is made by calling that class
        dotted = f"{module}.{name}"
        yield dotted, loader
        content = item.get("content")
        if loader == "MethodNode" and isinstance(content, dict):
            owner = content.get("obj")
            made = f"{owner.get('__module__')}.{owner.get('__class__')}" if isinstance(owner, dict) else "?"
            yield f"{made}.{content.get('func')}", f"MethodNode of {dotted}"
        elif loader == "OperatorFuncNode":
            for text in _texts(item.get("attrs")):
                yield text, f"OperatorFuncNode of {dotted}"
        elif loader == "FunctionNode" and isinstance(content, dict):
            yield f"{content.get('module_path')}.{content.get('function')}", loader


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        items = value.get("content")
        for item in items if isinstance(items, list) else []:
            text = item.get("content") if isinstance(item, dict) else None
            if isinstance(text, str):
                yield text.strip('"')
