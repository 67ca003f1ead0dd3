"""TensorFlow graphs, whatever they were written in: nodes, functions, and what the operators worth judging get to see.

Most operators compute. The ones listed here read or write files, call Python, or talk to other machines; they are
stated with the constants that reach their inputs, followed through the operators that only pass or join text, and
through the calls between functions. An input that no constant explains is stated as `dynamic`: whoever calls the model
chooses it.
"""

from collections.abc import Iterator
from dataclasses import field

from scanners.errors import LimitExceeded
from scanners.facts import Operator
from scanners.patterns import late
from scanners.reading import Reading
from scanners.records import dataclass

MAXIMUM_NODES = 2_000_000
MAXIMUM_STATED = 2000
MAXIMUM_INPUTS = 2000
"""inputs of one operator that are followed; calls of large functions have some hundreds"""
_STEPS = 400
_QUEUED = 20
"""values of one queue operation that are followed"""
_TEXT = 4096
"""as long as a path may be: where a shorter piece is kept, `..` may stand behind it"""

# Operator: the inputs that name files or addresses.
INTERESTING: dict[str, tuple[int, ...]] = {
    # writes
    "WriteFile": (0,), "Save": (0,), "SaveSlices": (0,), "SaveV2": (0,), "MergeV2Checkpoints": (0, 1),
    "DistributedSave": (0, 1, 2), "DatasetToTFRecord": (1,), "ExperimentalDatasetToTFRecord": (1,), "SaveDataset": (1,),
    "SaveDatasetV2": (1,), "SnapshotDataset": (1,), "SnapshotDatasetV2": (1,), "CacheDataset": (1,),
    "CacheDatasetV2": (1,), "CreateSummaryFileWriter": (1,), "CreateSummaryDbWriter": (1,), "PrintV2": (0,),
    "CalibrationStatisticsSaver": (),
    # reads
    "ReadFile": (0,), "MatchingFiles": (0,), "MatchingFilesDataset": (0,), "ExperimentalMatchingFilesDataset": (0,),
    "WholeFileReader": (), "WholeFileReaderV2": (), "TextLineReader": (), "TextLineReaderV2": (),
    "FixedLengthRecordReader": (), "FixedLengthRecordReaderV2": (), "TFRecordReader": (), "TFRecordReaderV2": (),
    "LMDBReader": (), "LMDBDataset": (0,), "ExperimentalLMDBDataset": (0,), "TextLineDataset": (0,),
    "TFRecordDataset": (0,), "TFRecordDatasetV2": (0,), "FixedLengthRecordDataset": (0,),
    "FixedLengthRecordDatasetV2": (0,), "LoadDataset": (0,), "ListSnapshotChunksDataset": (0,), "RecordInput": (),
    "DecodeProtoV2": (), "EncodeProto": (),
    "ImmutableConst": (), "RestoreV2": (0,), "DTensorRestoreV2": (0,), "Restore": (0,), "RestoreSlice": (0,),
    "InitializeTableFromTextFile": (1,), "InitializeTableFromTextFileV2": (1,), "GenerateVocabRemapping": (0, 1),
    "CSVDataset": (0,), "CSVDatasetV2": (0,), "ExperimentalCSVDataset": (0,), "LoadAndRemapMatrix": (0,),
    "SqlDataset": (0, 1, 2), "ExperimentalSqlDataset": (0, 1, 2),
    # Python
    "PyFunc": (), "PyFuncStateless": (), "EagerPyFunc": (),
    # other machines
    "DebugIdentity": (), "DebugIdentityV2": (), "DebugIdentityV3": (), "DebugNanCount": (), "DebugNumericSummary": (),
    "DataServiceDataset": (2, 3), "DataServiceDatasetV2": (2, 3), "DataServiceDatasetV3": (2, 3),
    "DataServiceDatasetV4": (2, 3), "RegisterDataset": (1, 2), "RegisterDatasetV2": (1, 2),
    "RpcClient": (0,), "RpcServer": (0,), "RpcServerStart": (), "RpcCall": (),
    "RemoteCall": (0,), "FileSystemSetConfiguration": (0, 1, 2),
    # machine code
    "XlaCustomCall": (), "XlaCustomCallV2": (), "TRTEngineOp": (),
}  # fmt: skip

_PASSES = frozenset(
    "Identity IdentityN StopGradient Snapshot Reshape ExpandDims Squeeze Pack ConcatV2 Concat StringJoin StringStrip"
    " ShardedFilename ShardedFilespec Select SelectV2 Switch Merge RefSwitch PlaceholderWithDefault Fill Tile"
    " StringFormat StringLower StringUpper GatherV2 StridedSlice Cast EnsureShape PreventGradient AsString ReduceJoin"
    " RegexReplace StaticRegexReplace Substr DecodeBase64 StringSplit StringSplitV2 TensorListStack".split()
)
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall", "StatelessIf", "If", "While", "StatelessWhile"})
_SAVE_SCOPE = late(r"save(?:_\d+)?")


@dataclass(slots=True, kw_only=True)
class Node:
    """One operator in a graph."""

    name: str = ""
    op: str = ""
    inputs: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """strings of its `value` tensor"""
    attributes: dict[str, list[str]] = field(default_factory=dict)
    """text attributes"""
    functions: list[str] = field(default_factory=list)
    """functions it calls"""
    offset: int = 0


@dataclass(slots=True, kw_only=True)
class Graph:
    """The main graph (no name) or one function of the library."""

    name: str = ""
    arguments: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Program:
    """Everything one file holds."""

    graphs: list[Graph] = field(default_factory=list)
    asset_tensors: set[str] = field(default_factory=set)
    """tensors a loader overwrites with the path of an asset"""
    assets: list[str] = field(default_factory=list)
    savers: set[str] = field(default_factory=set)
    """nodes that a saver uses"""
    defined: set[str] = field(default_factory=set)
    """names of functions: calling one is no custom operator"""
    nodes: int = 0

    def add(self, graph: Graph, node: Node) -> None:
        """Add a node, within the budget."""
        self.nodes += 1
        if self.nodes > MAXIMUM_NODES:
            raise LimitExceeded("nodes", f"more than {MAXIMUM_NODES} graph nodes")
        graph.nodes.append(node)


def registered() -> frozenset[str]:
    """Return the operators TensorFlow itself brings."""
    from scanners.knowledge.tensorflow_operators import REGISTERED  # a large table, for few files

    return REGISTERED


def state(program: Program, reading: Reading) -> None:
    """State the operators worth judging, and custom ones once each."""
    resolver = _Resolver(program)
    custom: set[str] = set()
    stated = 0
    for graph in program.graphs:
        for node in graph.nodes:
            if node.op in INTERESTING:
                stated += 1
                if stated > MAXIMUM_STATED:
                    raise LimitExceeded("facts", f"more than {MAXIMUM_STATED} operators that touch files")
                _operator(reading, node, tuple(resolver.arguments(graph, node)))
            elif node.op and node.op not in registered() and node.op not in program.defined and node.op not in custom:
                custom.add(node.op)
                _operator(reading, node, (("custom", "yes"), ("node", node.name[:_TEXT])))


def _operator(reading: Reading, node: Node, arguments: tuple[tuple[str, str], ...]) -> None:
    reading.state(
        Operator(location=reading.at(node.offset), framework="tensorflow", name=node.op[:200], arguments=arguments)
    )


class _Resolver:
    """Finds the constants behind inputs."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._nodes = {id(graph): {node.name: node for node in graph.nodes} for graph in program.graphs}
        self._arguments = {
            id(graph): {name: place for place, name in enumerate(graph.arguments)} for graph in program.graphs
        }
        self._queues: dict[int, tuple[tuple[str, str], ...]] = {}
        self._callers: dict[str, list[tuple[Graph, Node]]] = {}
        for graph in program.graphs:
            for node in graph.nodes:
                for name in node.functions or ([node.op] if node.op in program.defined else []):
                    self._callers.setdefault(name, []).append((graph, node))

    def arguments(self, graph: Graph, node: Node) -> Iterator[tuple[str, str]]:
        """Yield (key, value) of what the operator gets."""
        yield "node", node.name[:_TEXT]
        if graph.name:
            yield "function", graph.name[:_TEXT]
        if self._saves(graph, node):
            yield "saver", "yes"
        for key, values in sorted(node.attributes.items()):
            if key in {
                "output_stream",
                "debug_urls",
                "memory_region_name",
                "file_pattern",
                "token",
                "call_target_name",
                "descriptor_source",
            }:
                for value in values:
                    yield key, value[:_TEXT]
        if "Reader" in node.op:
            yield from self._queued(graph)
        for place in INTERESTING[node.op]:
            data = _data(node)
            if place < len(data):
                yield from self._texts(graph, data[place])

    def _queued(self, graph: Graph) -> Iterator[tuple[str, str]]:
        """Yield what is put into the queues of a graph: readers take the names of their files from one."""
        known = self._queues.get(id(graph))
        if known is None:
            queued = [node for node in graph.nodes if node.op.startswith("QueueEnqueue")]
            texts = (self._texts(graph, one) for node in queued[:_STEPS] for one in _data(node)[1:_QUEUED])
            known = self._queues[id(graph)] = tuple(dict.fromkeys(text for found in texts for text in found))[:_STEPS]
        yield from known

    def _saves(self, graph: Graph, node: Node) -> bool:
        """Return whether a node stands where TensorFlow itself saves and restores variables."""
        if graph.name:
            return "traced_save" in graph.name or "traced_restore" in graph.name
        scope = node.name.split("/")[0]
        # TensorFlow 1 puts its saver into a scope of this name, also where the export leaves the SaverDef out.
        return _SAVE_SCOPE.fullmatch(scope) is not None or scope in {one.split("/")[0] for one in self._program.savers}

    def _texts(self, graph: Graph, start: str) -> Iterator[tuple[str, str]]:
        pending = [(graph, start)]
        seen: set[tuple[int, str]] = set()
        found: dict[tuple[str, str], None] = {}
        while pending:
            graph, reference = pending.pop()
            name = reference.split(":")[0]
            if (id(graph), name) in seen:
                continue
            seen.add((id(graph), name))
            if len(seen) > _STEPS:
                found["dynamic", "too many steps"] = None
                break
            node = self._nodes[id(graph)].get(name)
            if node is None:
                pending += self._from_callers(graph, name, found)
            elif node.op == "Const":
                asset = f"{name}:0" in self._program.asset_tensors or name in self._program.asset_tensors
                for text in node.texts:
                    found["asset" if asset else "constant", text[:_TEXT]] = None
            elif node.op in _PASSES:
                pending += [(graph, one) for one in reversed(_data(node)[:_STEPS])]
            elif f"{name}:0" in self._program.asset_tensors:
                found["asset", ""] = None
            else:
                found["dynamic", node.op[:80]] = None
        yield from found

    def _from_callers(self, graph: Graph, name: str, found: dict[tuple[str, str], None]) -> list[tuple[Graph, str]]:
        """Return what callers pass for an argument of a function."""
        place = self._arguments[id(graph)].get(name)
        if place is None or not self._callers.get(graph.name):
            found["dynamic", "argument"] = None
            return []
        passed = []
        for caller, node in self._callers[graph.name][:_STEPS]:
            data = _data(node)
            shift = 1 if node.op in {"If", "StatelessIf"} else 0
            if place + shift < len(data):
                passed.append((caller, data[place + shift]))
            else:
                found["dynamic", "argument"] = None
        return passed


def _data(node: Node) -> list[str]:
    """Return the inputs that carry values, without control edges."""
    return [one for one in node.inputs[:MAXIMUM_INPUTS] if not one.startswith("^")]
