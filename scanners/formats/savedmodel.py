"""TensorFlow's protobuf files: SavedModel, MetaGraphDef and frozen GraphDef.

Source: tensorflow/core/protobuf/{saved_model,meta_graph}.proto, framework/{graph,node_def,function,attr_value}.proto.
Tensors are stepped over, apart from short strings: they name files. Keras' descriptions of layers inside (the object
graph of a SavedModel, `keras_metadata.pb`) are handed on as Keras configurations.
"""

import re
from collections.abc import Iterator

from scanners.errors import FormatError
from scanners.facts import Identified
from scanners.formats import tensorflow_graph as model
from scanners.formats.hdf5 import KERAS_CONFIG
from scanners.formats.protobuf import BYTES, VARINT, Field, Tally, fields, looks_like, text_of
from scanners.patterns import late
from scanners.reader import Window
from scanners.reading import Blob, Reading

NAME = "tensorflow-graph"
_SAVED_MODEL = {1: VARINT, 2: BYTES}
_META_GRAPH = dict.fromkeys(range(1, 8), BYTES)
_GRAPH = {1: BYTES, 2: BYTES, 3: VARINT, 4: BYTES, 5: BYTES}
_NODE = dict.fromkeys(range(1, 8), BYTES)
_FINGERPRINT = {**dict.fromkeys(range(1, 6), VARINT), 6: BYTES, 7: BYTES}
_KERAS_METADATA = {1: BYTES}
_KERAS_NODE = {2: VARINT, 3: BYTES, 4: BYTES, 5: BYTES, 6: BYTES, 1: VARINT}
_OPERATOR = late(r"[A-Za-z_][A-Za-z0-9_.>/-]*")
_DT_STRING = 7
_LONGEST_TEXT = 4096
_MOST_TEXTS = 64


def matches(blob: Blob) -> bool:
    """Return whether the blob is one of them, by the shape of its first fields."""
    return _kind(blob) is not None


def _kind(blob: Blob) -> str | None:
    reader = blob.reader
    if reader.read_at(0, 1) not in {b"\x08", b"\x0a", b"\x12", b"\x22"}:
        return None
    if blob.name == "fingerprint.pb" and looks_like(reader, _FINGERPRINT, 1):
        return "fingerprint"
    meta = looks_like(reader, _SAVED_MODEL, 2)
    if meta and _inside(blob, meta, _META_GRAPH, 2):
        return "saved-model"
    node = looks_like(reader, _GRAPH, 1)
    if node:
        operator = _inside(blob, node, _NODE, 2)
        if operator and _OPERATOR.fullmatch(text_of(reader, operator, 200)):
            return "graph"
        metadata = looks_like(reader, _KERAS_METADATA, 1) and _inside(blob, node, _KERAS_NODE, 5)
        if metadata and reader.read_at(metadata.offset, 1) == b"{":
            return "keras-metadata"
    graph = looks_like(reader, _META_GRAPH, 2)
    if graph and _inside(blob, graph, _GRAPH, 1):
        return "meta-graph"
    return None


def _inside(blob: Blob, field: Field, shape: dict[int, int], required: int) -> Field | None:
    return looks_like(blob.reader, shape, required, start=field.offset, end=field.offset + field.length)


def read(blob: Blob, reading: Reading) -> None:
    """State the operators worth judging."""
    kind = _kind(blob)
    reading.state(Identified(location=reading.at(0), format=NAME, detail=kind or ""))
    reader = _Reader(blob, reading)
    try:
        match kind:
            case "saved-model":
                reader.saved_model()
            case "meta-graph":
                reader.meta_graph(0, blob.reader.size)
            case "keras-metadata":
                reader.keras_metadata()
            case "fingerprint":
                pass  # five checksums and a version
            case _:
                reader.graph_def(0, blob.reader.size)
    finally:
        # What was read before the file broke off still counts.
        model.state(reader.program, reading)
    reading.parsed(0, blob.reader.size)


class _Reader:
    """One pass over one file."""

    def __init__(self, blob: Blob, reading: Reading) -> None:
        self._blob = blob
        self._reading = reading
        self._tally = Tally()
        self.program = model.Program()

    def _fields(self, start: int, end: int) -> Iterator[Field]:
        return fields(self._blob.reader, start, end, self._tally)

    def _within(self, field: Field) -> Iterator[Field]:
        if field.kind != BYTES:
            raise FormatError(f"protobuf field {field.number} is no message", offset=field.offset)
        return self._fields(field.offset, field.offset + field.length)

    def _text(self, field: Field) -> str:
        return text_of(self._blob.reader, field, _LONGEST_TEXT)

    def saved_model(self) -> None:
        for field in self._fields(0, self._blob.reader.size):
            if field.number == 2:
                self.meta_graph(field.offset, field.offset + field.length)

    def meta_graph(self, start: int, end: int) -> None:
        for field in self._fields(start, end):
            match field.number:
                case 2:
                    self.graph_def(field.offset, field.offset + field.length)
                case 3:
                    self._saver(field)
                case 6:
                    self._asset(field)
                case 7:
                    self._object_graph(field)
                case _:
                    pass

    def _saver(self, field: Field) -> None:
        for inner in self._within(field):
            if inner.number in {1, 2, 3}:
                self.program.savers.add(self._text(inner).split(":")[0])

    def _asset(self, field: Field) -> None:
        for inner in self._within(field):
            if inner.number == 1:
                self.program.asset_tensors.update(self._text(one) for one in self._within(inner) if one.number == 1)
            elif inner.number == 2:
                name = self._text(inner)
                self.program.assets.append(name)
                if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name:
                    message = f"the asset {name[:200]!r} lies outside the model"
                    self._reading.anomaly("tensorflow-asset-outside", message, inner.offset)

    def _object_graph(self, field: Field) -> None:
        """Hand on what Keras wrote about its layers: SavedObjectGraph.nodes[].user_object.metadata."""
        for saved in self._within(field):
            if saved.number != 1 or saved.kind != BYTES:
                continue
            for inner in self._within(saved):
                if inner.number == 4 and inner.kind == BYTES:
                    self._keras(one for one in self._within(inner) if one.number == 3)

    def keras_metadata(self) -> None:
        for saved in self._fields(0, self._blob.reader.size):
            if saved.number == 1:
                self._keras(one for one in self._within(saved) if one.number == 5)

    def _keras(self, texts: Iterator[Field]) -> None:
        for text in texts:
            if text.kind == BYTES and self._blob.reader.read_at(text.offset, 1) == b"{":
                self._reading.child(
                    "metadata.json",
                    Window(self._blob.reader, text.offset, text.length),
                    span=(text.offset, text.length),
                    stored=True,
                    roles=frozenset({KERAS_CONFIG}),
                    label=f"metadata@{text.offset}",
                )

    def graph_def(self, start: int, end: int) -> None:
        graph = model.Graph()
        self.program.graphs.append(graph)
        for field in self._fields(start, end):
            if field.number == 1:
                self.program.add(graph, self._node(field))
            elif field.number == 2:
                for function in self._within(field):
                    if function.number == 1:
                        self._function(function)

    def _function(self, field: Field) -> None:
        graph = model.Graph()
        self.program.graphs.append(graph)
        for inner in self._within(field):
            if inner.number == 1:
                for one in self._within(inner):
                    if one.number == 1:
                        graph.name = self._text(one)
                    elif one.number == 2:
                        graph.arguments += [self._text(name) for name in self._within(one) if name.number == 1]
            elif inner.number == 3:
                self.program.add(graph, self._node(inner))
        self.program.defined.add(graph.name)

    def _node(self, field: Field) -> model.Node:
        node = model.Node(offset=field.offset)
        for inner in self._within(field):
            match inner.number:
                case 1:
                    node.name = self._text(inner)
                case 2:
                    node.op = self._text(inner)
                case 3:
                    node.inputs.append(self._text(inner))
                case 5:
                    self._attribute(node, inner)
                case _:
                    pass
        return node

    def _attribute(self, node: model.Node, field: Field) -> None:
        key = ""
        for inner in self._within(field):
            if inner.number == 1:
                key = self._text(inner)
            elif inner.number == 2:
                self._value(node, key, inner)

    def _value(self, node: model.Node, key: str, field: Field) -> None:
        """Read an AttrValue: text, tensor, function, or a list of them."""
        for inner in self._within(field):
            if inner.kind != BYTES:
                continue
            match inner.number:
                case 1:
                    self._list(node, key, inner)
                case 2:
                    node.attributes.setdefault(key, []).append(self._text(inner))
                case 8:
                    self._tensor(node, inner)
                case 10:
                    node.functions += [self._text(one) for one in self._within(inner) if one.number == 1]
                case _:
                    pass

    def _list(self, node: model.Node, key: str, field: Field) -> None:
        for inner in self._within(field):
            if inner.kind == BYTES and inner.number == 2:
                node.attributes.setdefault(key, []).append(self._text(inner))
            elif inner.kind == BYTES and inner.number == 9:
                node.functions += [self._text(one) for one in self._within(inner) if one.number == 1]

    def _tensor(self, node: model.Node, field: Field) -> None:
        """Read a TensorProto's strings; everything else in it is weights."""
        texts: list[str] = []
        for inner in self._within(field):
            if inner.number == 1 and inner.kind == VARINT and inner.value != _DT_STRING:
                return
            if inner.number == 8 and inner.kind == BYTES and len(texts) < _MOST_TEXTS:
                texts.append(self._text(inner))
        node.texts += texts
