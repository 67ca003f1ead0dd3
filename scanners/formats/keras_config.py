"""Keras model configurations: every object they describe, at any depth.

They lie in a `.keras` file's `config.json`, in the `model_config` and `training_config` attributes of an `.h5` file, in
a SavedModel's object graph, and in `to_json()` and `to_yaml()` files. Sources: keras/src/saving/serialization_lib.py,
legacy/saving/serialization.py, and tf_keras' layers/core/tf_op_layer.py (functions and operators as layers). A
dictionary with a `class_name` describes an object, wherever it stands: layers inside layers, wrappers,
`compile_config`, activations, initialisers. Stated are those that carry code, lead out of Keras, or load something
else; code itself is looked at for the names it uses, never unmarshalled.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import TypeAlias

from scanners import detect
from scanners.facts import Identified, Operator
from scanners.formats.hdf5 import KERAS_CONFIG
from scanners.formats.json_text import Json, document_of, head_of, mentions
from scanners.formats.tensorflow_graph import INTERESTING
from scanners.patterns import late
from scanners.reader import BytesReader
from scanners.reading import Blob, Reading

NAME = "keras-config"

_Object: TypeAlias = "dict[str, Json]"
_LOOKUPS = frozenset({"StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization"})
_EXCERPT = 300
MAXIMUM_STATED = 5000
_FUNCTION_LAYERS = frozenset({"TFOpLambda", "SlicingOpLambda", "InstanceMethod", "InstanceProperty", "ClassMethod"})
_NODE_OPERATOR = late(r"\x12(.)([A-Za-z_>][A-Za-z0-9_>]*)", re.DOTALL)
"""the second field of a NodeDef message: the operator's name behind its length"""
_STREAM = late(r"file://[^'\"]{0,200}")
"""where `tf.print` may write to"""
_JSON_OPERATOR = late(r'"op"\s*:\s*"([^"\\]{1,200})"')
_IDENTIFIER = late(rb"[A-Za-z_][A-Za-z0-9_]{1,60}")


def matches(blob: Blob) -> bool:
    """Return whether the blob is JSON that describes Keras objects."""
    if KERAS_CONFIG in blob.roles:
        return True
    if detect.suffix_of(blob.name) not in {"json", "config", ""}:
        return False
    if detect.suffix_of(blob.name) != "json":
        head = head_of(blob, 4096)
        if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return False
    return mentions(blob, '"class_name"')


def read(blob: Blob, reading: Reading) -> None:
    """State the objects worth judging."""
    document = document_of(blob, reading.budget)
    if isinstance(document.value, dict) and ("class_name" in document.value or "layers" in document.value):
        reading.state(Identified(location=reading.at(0), format=NAME))
    state_objects(document.value, reading)
    reading.parsed(0, blob.reader.size)


def state_objects(value: Json, reading: Reading) -> None:
    """State the objects worth judging that a configuration describes, whatever it was written in."""
    stated = 0
    lambdas: set[str] = set()
    for path, item in _objects(value):
        _graph_operator(item, path, reading)
        if path.endswith(".function") and path.removesuffix(".function").removesuffix(".config") in lambdas:
            continue  # told with its Lambda layer
        for name, arguments in _described(item, reading, path):
            if name == "Lambda":
                lambdas.add(path)
            stated += 1
            if stated > MAXIMUM_STATED:
                reading.unread(f"more than {MAXIMUM_STATED} Keras objects worth judging")
                return
            reading.state(
                Operator(
                    location=reading.at(),
                    framework="keras",
                    name=name[:200],
                    arguments=(("at", path[-_EXCERPT:]), *arguments),
                )
            )


def _objects(value: Json) -> Iterator[tuple[str, _Object]]:
    """Yield (path, dictionary) of every dictionary that describes an object. Walks by loop: depth is hostile."""
    work: list[tuple[Json, str]] = [(value, "")]
    while work:
        item, path = work.pop()
        if isinstance(item, dict):
            if "class_name" in item or "function_type" in item or "registered_name" in item:
                yield path, item
            work += [
                (inner, f"{path}.{key}") for key, inner in reversed(item.items()) if isinstance(inner, (dict, list))
            ]
        elif isinstance(item, list):
            pairs = reversed(list(enumerate(item)))
            work += [(inner, f"{path}[{place}]") for place, inner in pairs if isinstance(inner, (dict, list))]


def _text(item: _Object, key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _described(item: _Object, reading: Reading, path: str) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Yield (operator, arguments) of what one dictionary describes."""
    kind, module, registered = _text(item, "class_name"), _text(item, "module"), _text(item, "registered_name")
    config = item.get("config")
    inner: _Object = config if isinstance(config, dict) else {}
    short = kind.rsplit(">", 1)[-1]
    if short == "Lambda" or registered.rsplit(">", 1)[-1] == "Lambda" or "function_type" in item:
        yield "Lambda", tuple(_code_of(inner.get("function", item.get("function"))))
    elif kind == "__lambda__":
        yield "Lambda", tuple(_code_of(item))
    elif kind == "function":
        name = config if isinstance(config, str) else registered
        if module not in {"", "builtins"} or name:
            yield "function", (("module", module), ("name", name[:_EXCERPT]))
    elif short in {"TFSMLayer", "SavedModelLayer"}:
        yield "TFSMLayer", (("path", str(inner.get("filepath", ""))[:_EXCERPT]),)
    elif short == "TorchModuleWrapper":
        yield "TorchModuleWrapper", ()
        _embedded(inner.get("module"), reading, path)
    elif short in _LOOKUPS:
        for key in ("vocabulary", "idf_weights"):
            value = inner.get(key)
            if isinstance(value, str):
                yield "lookup", (("class", short), ("path", value[:_EXCERPT]))
    elif short in _FUNCTION_LAYERS:
        called = (*(_text(inner, key) for key in ("function", "symbol", "method_name", "class_symbol", "cls_symbol")),)
        stream = _STREAM.search(repr(item.get("inbound_nodes")))
        name = ".".join(part for part in reversed(called) if part)[:_EXCERPT]
        yield "operation", (("function", name), *((("stream", stream[0]),) if stream else ()))
    elif short == "KerasLayer" and isinstance(inner.get("handle"), str):
        yield "hub", (("path", _text(inner, "handle")[:_EXCERPT]),)
    elif short in {"JaxLayer", "FlaxLayer"}:
        yield short, ()
    if kind == "__typespec__":
        short = _text(item, "spec_name")
    if module and kind not in {"function", "__lambda__"}:
        yield (
            "class",
            (("module", module[:_EXCERPT]), ("name", short[:_EXCERPT]), ("registered", registered[:_EXCERPT])),
        )


def _graph_operator(item: _Object, path: str, reading: Reading) -> None:
    """State the operator of a TensorFlowOpLayer, which holds one node of a graph (TensorFlow 2.0 to 2.3)."""
    config = item.get("config")
    if _text(item, "class_name").rsplit(">", 1)[-1] != "TensorFlowOpLayer" or not isinstance(config, dict):
        return
    node = config.get("node_def")
    name = ""
    if isinstance(node, dict):
        name = _text(node, "op")
    elif isinstance(node, str) and node.lstrip().startswith("{"):
        match = _JSON_OPERATOR.search(node)
        name = match[1] if match else ""
    elif isinstance(node, str):
        found = (match[2][: ord(match[1])] for match in _NODE_OPERATOR.finditer(node))
        name = next((one for one in found if one in INTERESTING), "")
    if name in INTERESTING:
        constants = config.get("constants")
        values = list(constants.values()) if isinstance(constants, dict) else []
        arguments = tuple(("constant", value[:_EXCERPT]) for value in values if isinstance(value, str))
        arguments = (*arguments, ("at", path[-_EXCERPT:]))
        reading.state(Operator(location=reading.at(), framework="tensorflow", name=name, arguments=arguments))


def _code_of(function: Json) -> Iterator[tuple[str, str]]:
    """Yield what is known of the code a Lambda carries: its source, or the names its bytecode uses."""
    if isinstance(function, dict):
        inner = function.get("config")
        if isinstance(inner, dict):
            function = inner.get("code", inner.get("value"))
        elif isinstance(inner, str):
            yield "reference", f"{_text(function, 'module')}.{inner}"[:_EXCERPT]
            return
        else:
            function = function.get("value", function.get("code"))
    if isinstance(function, list) and function:
        function = function[0]
    if not isinstance(function, str):
        yield "code", "unknown"
        return
    if function.lstrip().startswith(("lambda", "def ")) or "(" in function:
        yield "source", function[:_EXCERPT]
        names = {word.decode() for word in _IDENTIFIER.findall(function.encode("utf-8", "replace"))}
    else:
        code = _decoded(function)
        # Marshalled code begins with `c`, with or without the flag for references; other text is a function's name.
        if re.fullmatch(r"[A-Za-z_][\w.>]{0,200}", function) and (not code or code[0] & 0x7F != ord("c")):
            yield "reference", function
            return
        yield "code", f"{len(code)} bytes of bytecode" if code else "undecodable"
        names = {word.decode() for word in _IDENTIFIER.findall(code)}
    for name in sorted(names)[:400]:
        yield "uses", name


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii", "replace"), validate=False)
    except binascii.Error:
        return b""


def _embedded(value: Json, reading: Reading, path: str) -> None:
    """Hand on the module of a TorchModuleWrapper: base64 of what torch.save wrote."""
    if isinstance(value, dict):
        inner = value.get("value", value.get("config"))
        value = inner.get("value") if isinstance(inner, dict) else inner
    if not isinstance(value, str):
        return
    data = _decoded(value)
    reading.budget.spend_materialised(len(data))
    reading.child("module.pt", BytesReader(data), span=(0, 0), stored=False, label=f"{path[-200:]}.module")
