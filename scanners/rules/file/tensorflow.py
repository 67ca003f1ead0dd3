"""TensorFlow operators that leave the graph: files, Python, other machines, machine code.

They run when the model is called or, in an initialiser, when it is loaded (`tf.saved_model.load`, TensorFlow Serving);
there is no safe mode. What every SavedModel has for its own variables (SaveV2 and RestoreV2 with a prefix that the
loader passes in) is quiet, and so are tables read from the model's own assets.
"""

import re
from collections.abc import Iterator

from scanners.facts import Anomaly, Operator, Reference
from scanners.findings import Finding, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found

WRITES = Rule(
    id="MS520",
    name="tensorflow-writes-file",
    severity=Severity.HIGH,
    summary="A TensorFlow graph writes files when it is loaded or called",
    fix="Export the model without the operator; a model returns tensors and writes nothing.",
    cwe="CWE-73",
)
READS = Rule(
    id="MS521",
    name="tensorflow-reads-file",
    severity=Severity.HIGH,
    summary="A TensorFlow graph reads files outside its own assets",
    fix="Feed the content as an input, or export the file as an asset of the model.",
    cwe="CWE-73",
)
PYTHON = Rule(
    id="MS522",
    name="tensorflow-calls-python",
    severity=Severity.HIGH,
    summary="A TensorFlow graph calls Python functions of the process that runs it",
    fix="Replace py_function and numpy_function by TensorFlow operators, and export again.",
    cwe="CWE-94",
)
NETWORK = Rule(
    id="MS523",
    name="tensorflow-talks-to-network",
    severity=Severity.MEDIUM,
    summary="A TensorFlow graph sends tensors to, or takes them from, another machine",
    fix="Export the model for inference, without debugging and data service operators.",
    cwe="CWE-918",
)
CUSTOM = Rule(
    id="MS524",
    name="tensorflow-custom-operator",
    severity=Severity.LOW,
    summary="A TensorFlow graph needs operators that only a separate native library brings",
    fix="Know the library before you load it; TensorFlow refuses the model without it.",
    cwe="CWE-829",
)
NATIVE = Rule(
    id="MS525",
    name="tensorflow-machine-code",
    severity=Severity.MEDIUM,
    summary="A TensorFlow graph carries or calls machine code",
    fix="Export the model without compiled parts, and compile it where it runs.",
    cwe="CWE-829",
)
ASSET = Rule(
    id="MS526",
    name="tensorflow-asset-outside-model",
    severity=Severity.HIGH,
    summary="A SavedModel names an asset outside its own directory",
    fix="Do not load the model; assets lie in its `assets` folder.",
    cwe="CWE-22",
)

SAVER = Rule(
    id="MS527",
    name="tensorflow-registered-saver",
    severity=Severity.LOW,
    summary="A TensorFlow checkpoint is restored by a function that the program has to register",
    fix="Know the library that registers it; TensorFlow refuses to restore the object without it.",
    cwe="CWE-829",
)

RULES: tuple[Rule, ...] = (WRITES, READS, PYTHON, NETWORK, CUSTOM, NATIVE, ASSET, SAVER)

SAVING_OPERATORS = frozenset({"SaveV2", "MergeV2Checkpoints", "Save", "SaveSlices", "DistributedSave"})
_RESTORERS = frozenset({"RestoreV2", "Restore", "RestoreSlice", "DTensorRestoreV2"})
WRITING_OPERATORS = frozenset(
    "WriteFile DatasetToTFRecord ExperimentalDatasetToTFRecord SaveDataset SaveDatasetV2 SnapshotDataset"
    " SnapshotDatasetV2 CacheDataset CacheDatasetV2 CreateSummaryFileWriter CreateSummaryDbWriter"
    " CalibrationStatisticsSaver".split()
)
PYTHON_OPERATORS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
DEBUG_OPERATORS = frozenset(
    {"DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount", "DebugNumericSummary"}
)
NETWORK_OPERATORS = frozenset(
    "DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 RpcClient RpcServer"
    " RpcServerStart RpcCall RemoteCall FileSystemSetConfiguration RegisterDataset RegisterDatasetV2".split()
)
_DESCRIBED = frozenset({"DecodeProtoV2", "EncodeProto"})
_INSIDE = ("local://", "bytes://")
"""descriptors that the process has, or that the attribute itself holds"""
_OUTSIDE_CODES = frozenset({"tensorflow-asset-outside", "tensorflow-checkpoint-outside"})
_NATIVE = frozenset({"XlaCustomCall", "XlaCustomCallV2", "TRTEngineOp"})
BY_CALLER_OPERATORS = frozenset({"ReadFile", "MatchingFiles"})
_OUTSIDE = re.compile(r"^(?:/|\\|~|[A-Za-z]:[/\\]|[a-z][a-z0-9+.-]*://)|(?:^|[/\\])\.\.(?:[/\\]|$)")


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge each operator by what reaches its inputs."""
    for fact in facts.facts:
        if isinstance(fact, Anomaly) and fact.code in _OUTSIDE_CODES:
            yield found(ASSET, facts, fact.location, fact.message, severity=ASSET.severity)
        elif isinstance(fact, Reference) and fact.kind == "registered-saver":
            message = f"restoring {fact.context!r} calls what the program registered as {fact.target!r}"
            yield found(SAVER, facts, fact.location, message)
        elif isinstance(fact, Operator) and fact.framework == "tensorflow":
            judged = _judged(fact)
            if judged is not None:
                rule, severity, message = judged
                yield found(rule, facts, fact.location, message, severity=severity, evidence=_call(fact))


def _call(fact: Operator) -> str:
    arguments = ", ".join(f"{key}={value!r}" for key, value in fact.arguments if key != "custom")
    return f"{fact.name}({arguments})"


def _values(fact: Operator, key: str) -> list[str]:
    return [value for name, value in fact.arguments if name == key]


def _judged(fact: Operator) -> tuple[Rule, Severity, str] | None:
    name = fact.name
    outside = [value for value in _values(fact, "constant") if _OUTSIDE.search(value)]
    if _values(fact, "custom"):
        return CUSTOM, Severity.LOW, f"{name} is no operator of TensorFlow itself"
    if name in PYTHON_OPERATORS:
        return PYTHON, Severity.HIGH, f"{name} calls a Python function that the process has registered"
    if name == "PrintV2":
        streams = [value for value in _values(fact, "output_stream") if value.startswith("file:")]
        return (WRITES, Severity.HIGH, f"PrintV2 appends to {streams[0]}") if streams else None
    if name in SAVING_OPERATORS:
        return _saver(fact, outside)
    if name in WRITING_OPERATORS:
        return _writer(fact, outside)
    if name in DEBUG_OPERATORS:
        urls = _values(fact, "debug_urls")
        return (NETWORK, Severity.HIGH, f"{name} sends tensors to {urls[0]}") if urls else None
    if name in NETWORK_OPERATORS:
        return NETWORK, Severity.MEDIUM, f"{name} talks to another machine"
    if name in _NATIVE:
        severity = Severity.LOW if name == "TRTEngineOp" else Severity.MEDIUM
        return NATIVE, severity, f"{name} runs machine code that is not TensorFlow's"
    return _reader(fact, outside)


def _saver(fact: Operator, outside: list[str]) -> tuple[Rule, Severity, str] | None:
    if outside:
        return WRITES, Severity.HIGH, f"{fact.name} writes to {outside[0]}, whatever prefix the caller gives"
    if _values(fact, "saver"):
        return None
    return WRITES, Severity.MEDIUM, f"{fact.name} stands outside the part of the model that saves its variables"


def _writer(fact: Operator, outside: list[str]) -> tuple[Rule, Severity, str] | None:
    constants, dynamic = _values(fact, "constant"), _values(fact, "dynamic")
    if fact.name.startswith("CacheDataset") and not any(constants) and not dynamic:
        return None  # an empty name means: in memory
    if outside or fact.name == "WriteFile":
        target = outside[0] if outside else next(iter(constants), "a path that its caller chooses")
        return WRITES, Severity.HIGH, f"{fact.name} writes to {target}"
    return WRITES, Severity.MEDIUM, f"{fact.name} writes files"


def _reader(fact: Operator, outside: list[str]) -> tuple[Rule, Severity, str] | None:
    constants, dynamic = _values(fact, "constant"), _values(fact, "dynamic")
    if fact.name in _DESCRIBED:
        sources = [one for one in _values(fact, "descriptor_source") if one and not one.startswith(_INSIDE)]
        return (READS, Severity.HIGH, f"{fact.name} reads its descriptors from {sources[0]}") if sources else None
    regions = _values(fact, "memory_region_name") + _values(fact, "file_pattern")
    restores = fact.name in _RESTORERS
    if outside:
        severity = Severity.MEDIUM if restores or fact.name.startswith("InitializeTable") else Severity.HIGH
        return READS, severity, f"{fact.name} reads {outside[0]}"
    if restores:
        if _values(fact, "saver"):
            return None
        return READS, Severity.LOW, f"{fact.name} stands outside the part of the model that restores its variables"
    if regions and any(_OUTSIDE.search(region) for region in regions):
        return READS, Severity.HIGH, f"{fact.name} reads {regions[0]}"
    if (_values(fact, "asset") and not dynamic) or fact.name.startswith("InitializeTable"):
        return None  # tables are filled from assets, whose path the loader puts in
    if dynamic and fact.name in BY_CALLER_OPERATORS:
        return READS, Severity.MEDIUM, f"{fact.name} reads a file that the model's caller names"
    if constants and fact.name in BY_CALLER_OPERATORS:
        return READS, Severity.MEDIUM, f"{fact.name} reads {constants[0]}"
    if not (constants or dynamic or regions):
        return READS, Severity.MEDIUM, f"{fact.name} reads files, and nothing in the graph says which"
    return READS, Severity.LOW, f"{fact.name} reads files"
