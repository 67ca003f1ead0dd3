"""ONNX Runtime's own format (`.ort`): the graph of an ONNX model as a flatbuffer, judged by the rules about ONNX.

Source: onnxruntime/core/flatbuffers/schema/ort.fbs. Nodes with their domains, attributes and graphs inside, and the
initialisers. The format names no files: weights outside lie at an offset of a file that the program gives.
"""

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Operator, Tensor
from scanners.formats.onnx import STANDARD_DOMAINS, TENSOR_TYPES
from scanners.formats.tflite import Tables
from scanners.reading import Blob, Reading

NAME = "onnxruntime-format"
_IDENTIFIER = b"ORTM"
MAXIMUM_GRAPHS = 100_000
MAXIMUM_NODES = 2_000_000


def matches(blob: Blob) -> bool:
    """Return whether the blob has the file identifier."""
    return blob.reader.read_at(4, 4) == _IDENTIFIER


def read(blob: Blob, reading: Reading) -> None:
    """State operators of foreign domains, and tensors."""
    tables = Tables(blob.reader)
    root = tables.number("I", 0)
    reading.state(Identified(location=reading.at(0), format=NAME, detail=tables.text(root, 0)[:40]))
    _Session(tables, reading).read(root)
    reading.parsed(0, blob.reader.size)


class _Session:
    """One pass over one file. Graphs inside graphs wait in a list: offsets may lead back, and depth is hostile."""

    def __init__(self, tables: Tables, reading: Reading) -> None:
        self._tables = tables
        self._reading = reading
        self._graphs: list[int] = []
        self._seen: set[int] = set()
        self._told: set[tuple[str, str]] = set()
        self._nodes = 0

    def read(self, root: int) -> None:
        tables = self._tables
        model = tables.table(root, 1)
        graph = tables.table(model, 7) if model else 0
        if not graph:
            raise FormatError("an ONNX Runtime file without a graph", offset=0)
        self._add(graph)
        while self._graphs:
            graph = self._graphs.pop()
            for tensor in tables.tables(graph, 0):
                self._tensor(tensor)
            for node in tables.tables(graph, 2):
                self._node(node)

    def _add(self, graph: int) -> None:
        if graph and graph not in self._seen:
            self._seen.add(graph)
            if len(self._seen) > MAXIMUM_GRAPHS:
                raise LimitExceeded("members", f"more than {MAXIMUM_GRAPHS} graphs inside graphs")
            self._graphs.append(graph)

    def _node(self, node: int) -> None:
        tables = self._tables
        self._nodes += 1
        if self._nodes > MAXIMUM_NODES:
            raise LimitExceeded("nodes", f"more than {MAXIMUM_NODES} nodes")
        domain, name = tables.text(node, 2), tables.text(node, 5)
        if domain not in STANDARD_DOMAINS and (domain, name) not in self._told:
            self._told.add((domain, name))
            place = self._reading.at(node)
            self._reading.state(Operator(location=place, framework="onnx", name=name[:200], domain=domain[:200]))
        for attribute in tables.tables(node, 10):
            self._add(tables.table(attribute, 7))
            for graph in tables.tables(attribute, 12):
                self._add(graph)

    def _tensor(self, tensor: int) -> None:
        tables = self._tables
        first, count = tables.vector(tensor, 4, 1)
        self._reading.inert(first, count)
        kind = tables.scalar(tensor, 3, "i")
        outside = tables.scalar(tensor, 6, "q", -1)
        self._reading.state(
            Tensor(
                location=self._reading.at(tensor),
                name=tables.text(tensor, 0)[:1024],
                dtype=TENSOR_TYPES.get(kind, f"type-{kind}"),
                shape=tables.longs(tensor, 2)[:64],
                stride=None,
                storage="file" if outside < 0 else "external",
                storage_offset=0,
                storage_bytes=count if outside < 0 else None,
            )
        )
