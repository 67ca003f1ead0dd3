"""The vocabulary of what was *seen* in a file. Facts do not judge; rules do (design: "formats read, rules judge").

`FACTS_SCHEMA` changes whenever the same bytes may give other facts (a new fact, another meaning, new semantics in
`knowledge/semantics.toml`): a registry re-reads what was read under an older one.
"""

from scanners.findings import Location
from scanners.records import dataclass

FACTS_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something seen at a place."""

    location: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Import(Fact):
    """A callable or class that a loader would look up by name."""

    module: str
    name: str
    """may be dotted (protocol 4 and later)"""

    @property
    def dotted(self) -> str:
        """`module.name`; of a module itself, its name."""
        return f"{self.module}.{self.name}" if self.name else self.module


EXHAUSTING = "exhausting"
"""shape of a call that takes very many elements from an iterator, whatever shapes its function has"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Fact):
    """A call that a loader would make, resolved through the indirections of `knowledge/semantics.toml`."""

    function: str
    """dotted name; empty where it could not be resolved to a name"""
    text: str
    """the call as readable Python, literal arguments capped: ``os.system('echo x')``"""
    via: str
    """how it comes about: the opcode (REDUCE, NEWOBJ, OBJ, INST, BUILD …) or the indirection (`functools.partial` …)"""
    arguments: tuple[str, ...] = ()
    """each positional argument as readable Python, capped"""
    shape: str = ""
    """which argument shape of the knowledge base the call matches; empty for none"""
    literal: bool = True
    """whether the function is known by name; False when it is computed from what cannot be computed here"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Fact):
    """A callable that is not called while loading, but kept where a loader or a method will call it."""

    function: str
    text: str
    where: str
    """what will call it: an attribute of an object, a hook, a container's dispatch"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor(Fact):
    """A tensor a checkpoint describes. Sizes, strides and the offset count elements."""

    name: str
    dtype: str
    """safetensors' name where it has one (`BF16`), else the format's own"""
    shape: tuple[int, ...]
    stride: tuple[int, ...] | None
    storage: str
    """the record, storage or range that holds the data"""
    storage_offset: int
    storage_bytes: int | None
    """bytes the storage really has, None when unknown"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference(Fact):
    """Something a loader would fetch or import beyond this file: code, another repository, an external data file."""

    kind: str
    """`code`, `repository`, `file`, `url`, `package`, `callable`, `switch`; `model` and `kernel` of another repository;
    `import` and `requirement` of Python; `python-tag`, `mlflow`; `endpoint` that inputs are sent to; of TensorFlow
    checkpoints `object-graph` (where it lies) and `registered-saver`"""
    target: str
    context: str
    """the key, tag or operator that names it: ``auto_map.AutoModel``"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator(Fact):
    """A graph operator or layer worth judging (reads, writes, calls out, custom), with its constant arguments."""

    framework: str
    """`tensorflow`, `tflite`, `onnx`, `keras`, `torchscript` …"""
    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    domain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template(Fact):
    """A suspicious construct in a template that a server would render."""

    construct: str
    """`dunder-attribute`, `escape-object`, `attr-filter`, `string-building`, `loop-bomb`, `unparsable` …"""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Code(Fact):
    """Source code or bytecode that travels in the file, and what running it would do."""

    language: str
    """`python`, `torchscript`, `python-bytecode`, `shell`, `elf`, `pe` …"""
    action: str
    """`exec`, `process`, `network`, `file-write`, `import`, `obfuscation`, `executable` …"""
    text: str
    runs: str
    """when it would run: `import`, `load`, `call`, `never` (only stored)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly(Fact):
    """A construct that breaks or bends the format's rules, or that two loaders read differently."""

    code: str
    """stable, kebab-case: `pickle-malformed`, `pickle-data-after-stop`, `zip-duplicate-member` …; rules key on it"""
    message: str
    """one sentence with the particulars"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified(Fact):
    """The file was read as this format; once per reading, so that rules about neighbours know what lies where."""

    format: str
    detail: str = ""
