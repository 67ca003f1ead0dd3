"""TensorFlow graphs in protobuf's text format: `saved_model.pbtxt`, `graph.pbtxt`.

Source: protobuf.dev, "Text Format Language Specification". TensorFlow loads `saved_model.pbtxt` where there is no
`.pb`, so what stands in it is judged as the binary form is.
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified
from scanners.formats import tensorflow_graph as model
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "tensorflow-graph-text"

Message: TypeAlias = "list[tuple[str, str | Message]]"

MAXIMUM_TEXT = 16 << 20
MAXIMUM_DEPTH = 100
_LONGEST = 1 << 16
"""characters kept of adjacent strings: paths are shorter, weights are not read"""
_BEGINS = late(
    # Spaces are never given back (`*+`): three runs of them behind `node` would be tried in every division.
    rb"\s*+(?:#[^\n]*\n\s*+)*+(?:saved_model_schema_version\s*+:|meta_graphs\s*+:?\s*+\[?\s*+[{<]"
    rb"|meta_info_def\s*+:?\s*+[{<]|node\s*+:?\s*+\[?\s*+[{<]\s*+(?:#[^\n]*\n\s*+)*+(?:(?:name|op|input|device)\s*+:|attr\b)"
    rb"|graph_def\s*+:?\s*+[{<]|library\s*+:?\s*+[{<]\s*+function|versions\s*+:?\s*+[{<])"
)
_TOKEN = late(
    r"""[\s;,]+|\#[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<mark>[{}<>\[\]:])|(?P<word>[^\s;,\#"'{}<>\[\]:]+)""",
    re.DOTALL,
)
_ESCAPE = late(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def matches(blob: Blob) -> bool:
    """Return whether the blob begins as a graph in text form."""
    return bool(_BEGINS.match(blob.reader.read_at(0, 1 << 20 if blob.name.lower().endswith("pbtxt") else 4096)))


def read(blob: Blob, reading: Reading) -> None:
    """State the operators worth judging."""
    size = blob.reader.size
    if size > MAXIMUM_TEXT:
        raise LimitExceeded("text", f"{size} bytes of text format are more than {MAXIMUM_TEXT}")
    reading.state(Identified(location=reading.at(0), format=NAME))
    message = parse(blob.reader.read_at(0, size).decode("utf-8", "replace"))
    program = model.Program()
    for key, value in message:
        if key == "meta_graphs" and isinstance(value, list):
            _meta_graph(program, value, reading)
    _meta_graph(program, message, reading)
    _graph(program, message)
    model.state(program, reading)
    reading.parsed(0, size)


def parse(text: str) -> Message:
    """Return the message a text describes.

    Raises:
        FormatError: brackets, quotes or keys do not fit.
        LimitExceeded: messages are nested too deeply.
    """
    root: Message = []
    stack = [root]
    lists: list[tuple[int, str]] = []  # of each open list: how deep it lies, and whose values it holds
    key = ""
    named = False
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise FormatError("text that is not protobuf's text format", offset=place)
        place = match.end()
        mark, word, quoted = match["mark"], match["word"], match["text"]
        if lists and lists[-1][0] == len(stack) and "," in match[0] and not (quoted or word):
            key, named = lists[-1][1], True
        if mark in {"{", "<"}:
            inner: Message = []
            stack[-1].append((key, inner))
            stack.append(inner)
            if len(stack) > MAXIMUM_DEPTH:
                raise LimitExceeded("depth", f"messages nested deeper than {MAXIMUM_DEPTH}")
            named = False
        elif mark in {"}", ">"}:
            if len(stack) == 1:
                raise FormatError("a message ends that did not begin", offset=match.start())
            stack.pop()
            named = False
        elif mark == ":":
            named = True
        elif mark == "[" and named:
            lists.append((len(stack), key))
        elif mark == "]" and lists and lists[-1][0] == len(stack):
            lists.pop()
            named = False
        elif quoted is not None:
            value = _unquoted(quoted[1:-1])
            last = stack[-1][-1] if stack[-1] else None
            if not named and last is not None and last[0] == key and isinstance(last[1], str):
                if len(last[1]) < _LONGEST:
                    stack[-1][-1] = (key, last[1] + value)  # adjacent strings are one
            else:
                stack[-1].append((key, value))
            named = False
        elif word is not None:
            if named:
                stack[-1].append((key, word))
                named = False
            else:
                key = word
    if len(stack) > 1:
        raise FormatError(f"{len(stack) - 1} messages do not end", offset=len(text))
    return root


def _unquoted(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 8) & 0xFF)
        return chr(int(match[2], 16)) if match[2] else _NAMED.get(match[3], match[3])

    return _ESCAPE.sub(character, text) if "\\" in text else text


def _texts(message: Message, key: str) -> list[str]:
    return [value for name, value in message if name == key and isinstance(value, str)]


def _messages(message: Message, key: str) -> Iterator[Message]:
    return (value for name, value in message if name == key and isinstance(value, list))


def _meta_graph(program: model.Program, message: Message, reading: Reading) -> None:
    for saver in _messages(message, "saver_def"):
        for key in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
            program.savers.update(text.split(":")[0] for text in _texts(saver, key))
    for asset in _messages(message, "asset_file_def"):
        for tensor in _messages(asset, "tensor_info"):
            program.asset_tensors.update(_texts(tensor, "name"))
        for name in _texts(asset, "filename"):
            if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name:
                reading.anomaly("tensorflow-asset-outside", f"the asset {name[:200]!r} lies outside the model")
    for graph in _messages(message, "graph_def"):
        _graph(program, graph)


def _graph(program: model.Program, message: Message) -> None:
    graph = model.Graph()
    program.graphs.append(graph)
    for node in _messages(message, "node"):
        program.add(graph, _node(node))
    for library in _messages(message, "library"):
        for function in _messages(library, "function"):
            inner = model.Graph()
            for signature in _messages(function, "signature"):
                inner.name = next(iter(_texts(signature, "name")), "")
                for argument in _messages(signature, "input_arg"):
                    inner.arguments += _texts(argument, "name")[:1]
            for node in _messages(function, "node_def"):
                program.add(inner, _node(node))
            program.graphs.append(inner)
            program.defined.add(inner.name)


def _node(message: Message) -> model.Node:
    node = model.Node(inputs=_texts(message, "input"))
    node.name = (_texts(message, "name") or [""])[-1]
    node.op = (_texts(message, "op") or [""])[-1]
    for attribute in _messages(message, "attr"):
        key = (_texts(attribute, "key") or [""])[-1]
        for value in _messages(attribute, "value"):
            _value(node, key, value)
            for items in _messages(value, "list"):
                _value(node, key, items)
    return node


def _value(node: model.Node, key: str, value: Message) -> None:
    for text in _texts(value, "s"):
        node.attributes.setdefault(key, []).append(text)
    for tensor in _messages(value, "tensor"):
        node.texts += _texts(tensor, "string_val")[:64]
    for function in _messages(value, "func"):
        node.functions += _texts(function, "name")
