"""ONNX: operators, their domains, local functions, and where tensors that are not in the file lie.

Source: onnx/onnx.proto. Files larger than protobuf's 2 GiB are read all the same: weights are stepped over. Operators
of the standard domains only compute; what is stated are operators of other domains, external data with every key its
entries have (CVE-2022-25882, CVE-2024-27318, CVE-2025-51480: paths; CVE-2026-34445, CVE-2026-34447: keys and links).
"""

from collections.abc import Iterator

from scanners.errors import LimitExceeded
from scanners.facts import Identified, Operator, Reference, Tensor
from scanners.formats.protobuf import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Field,
    Tally,
    fields,
    looks_like,
    packed_numbers,
    text_of,
)
from scanners.reading import Blob, Reading

NAME = "onnx"

_MODEL = {1: VARINT, 5: VARINT, **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), BYTES)}
_EXTENSIONS = frozenset({"ai.onnx.contrib", "com.microsoft.extensions"})
"""domains of onnxruntime-extensions"""
_SERVED = ("Azure", "OpenAI")
"""beginnings of its operators that call a service (operators/azure there)"""
_GRAPH = dict.fromkeys((1, 2, 5, 10, 11, 12, 13, 14, 15, 16), BYTES)
STANDARD_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training"}
)
EXTERNAL_KEYS = frozenset({"location", "offset", "length", "checksum"})
TENSOR_TYPES = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 8: "string", 9: "BOOL", 10: "F16", 11: "F64",
    12: "U32", 13: "U64", 14: "C64", 15: "C128", 16: "BF16", 17: "F8_E4M3", 18: "F8_E4M3FNUZ", 19: "F8_E5M2",
    20: "F8_E5M2FNUZ", 21: "U4", 22: "I4", 23: "F4_E2M1",
}  # fmt: skip
MAXIMUM_GRAPHS = 100_000
MAXIMUM_EXTERNAL = 100_000
LONGEST_PATH = 4096
"""Linux's `PATH_MAX`; what is said behind it is not read, so a path of that length is told"""


def matches(blob: Blob) -> bool:
    """Return whether the blob is a ModelProto, by the shape of its first fields."""
    reader = blob.reader
    if reader.read_at(0, 1) not in {b"\x08", b"\x12", b"\x3a", b"\x0a", b"\x42"}:
        return False
    graph = looks_like(reader, _MODEL, 7)
    if graph is None:
        return False
    end = graph.offset + graph.length
    return any(looks_like(reader, _GRAPH, one, start=graph.offset, end=end) for one in (1, 5, 11, 12, 2))


def read(blob: Blob, reading: Reading) -> None:
    """State operators of foreign domains, external data and tensors."""
    reading.state(Identified(location=reading.at(0), format=NAME))
    _Model(blob, reading).read()
    reading.parsed(0, blob.reader.size)


class _Model:
    """One pass over one file. Graphs inside graphs wait in a list: their depth is hostile."""

    def __init__(self, blob: Blob, reading: Reading) -> None:
        self._blob = blob
        self._reading = reading
        self._tally = Tally()
        self._graphs: list[Field] = []
        self._operators: dict[tuple[str, str], int] = {}
        self._functions: set[tuple[str, str]] = set()
        self._locations: dict[str, None] = {}
        self._external = 0

    def read(self) -> None:
        imports: dict[str, int] = {}
        for field in self._fields(0, self._blob.reader.size):
            if field.kind != BYTES:
                continue
            match field.number:
                case 7:
                    self._graphs.append(field)
                case 8:
                    imports.setdefault(self._text_in(field, 1), field.offset)
                case 20:
                    self._graphs += [one for one in self._within(field) if one.number in {1, 2}]
                case 25:
                    self._function(field)
                case _:
                    pass
        count = 0
        while self._graphs:
            count += 1
            if count > MAXIMUM_GRAPHS:
                raise LimitExceeded("members", f"more than {MAXIMUM_GRAPHS} graphs inside graphs")
            self._graph(self._graphs.pop())
        self._state_operators()

    def _state_operators(self) -> None:
        for (domain, name), offset in self._operators.items():
            if domain in STANDARD_DOMAINS:
                continue
            # Runtimes take a kernel that somebody registered before a function of the model with the same name.
            defined = (("defined", "here"),) if (domain, name) in self._functions else ()
            self._reading.state(
                Operator(
                    location=self._reading.at(offset),
                    framework="onnx",
                    name=name[:200],
                    domain=domain[:200],
                    arguments=defined,
                )
            )

    def _fields(self, start: int, end: int) -> Iterator[Field]:
        return fields(self._blob.reader, start, end, self._tally)

    def _within(self, field: Field) -> Iterator[Field]:
        return self._fields(field.offset, field.offset + field.length)

    def _text(self, field: Field) -> str:
        return text_of(self._blob.reader, field, LONGEST_PATH)

    def _text_in(self, field: Field, number: int) -> str:
        """Return a text field; of two in one message, parsers of protobuf keep the last."""
        text = ""
        for one in self._within(field):
            if one.number == number and one.kind == BYTES:
                text = self._text(one)
        return text

    def _function(self, field: Field) -> None:
        name = domain = ""
        for inner in self._within(field):
            if inner.number == 1:
                name = self._text(inner)
            elif inner.number == 10:
                domain = self._text(inner)
            elif inner.number == 7 and inner.kind == BYTES:
                self._node(inner)
            elif inner.number == 11 and inner.kind == BYTES:
                self._attribute(inner)
        self._functions.add((domain, name))

    def _graph(self, graph: Field) -> None:
        for inner in self._within(graph):
            if inner.kind != BYTES:
                continue
            if inner.number == 1:
                self._node(inner)
            elif inner.number == 5:
                self._tensor(inner)
            elif inner.number == 15:
                for part in self._within(inner):
                    if part.number in {1, 2} and part.kind == BYTES:
                        self._tensor(part)

    def _node(self, node: Field) -> None:
        name = domain = ""
        for inner in self._within(node):
            if inner.kind != BYTES:
                continue
            match inner.number:
                case 4:
                    name = self._text(inner)
                case 7:
                    domain = self._text(inner)
                case 5:
                    self._attribute(inner)
                case _:
                    pass
        self._operators.setdefault((domain, name), node.offset)
        if name == "EPContext":
            self._compiled(node)
        elif name.startswith(_SERVED) and domain in _EXTENSIONS:
            self._served(node, f"{domain}::{name}")

    def _served(self, node: Field, operator: str) -> None:
        """State the address that an operator of onnxruntime-extensions sends its inputs to."""
        attributes = [field for field in self._within(node) if field.number == 5 and field.kind == BYTES]
        targets = [self._text_in(one, 4) for one in attributes if self._text_in(one, 1) == "model_uri"]
        for target in dict.fromkeys(targets or [""]):
            self._reading.state(
                Reference(
                    location=self._reading.at(node.offset), kind="endpoint", target=target[:4096], context=operator
                )
            )

    def _compiled(self, node: Field) -> None:
        """State the file that an execution provider of ONNX Runtime loads a compiled part of the graph from."""
        name, paths, embedded = "", [], True
        for attribute in self._within(node):
            if attribute.number == 3 and attribute.kind == BYTES:
                name = self._text(attribute)
            if attribute.number != 5 or attribute.kind != BYTES:
                continue
            key = self._text_in(attribute, 1)
            if key == "ep_cache_context":
                paths.append(self._text_in(attribute, 4))
            elif key == "embed_mode":
                modes = [one.value for one in self._within(attribute) if one.number == 3 and one.kind == VARINT]
                embedded = embedded and bool(modes) and bool(modes[-1])
        # Of two attributes with one name some runtimes take the first, others the last: all paths count.
        for path in dict.fromkeys(paths) if not embedded else ():
            if path:
                self._reading.state(
                    Reference(
                        location=self._reading.at(node.offset),
                        kind="compiled-context",
                        target=path[:4096],
                        context=name[:200],
                    )
                )

    def _attribute(self, attribute: Field) -> None:
        for inner in self._within(attribute):
            if inner.kind != BYTES:
                continue
            if inner.number in {5, 10}:
                self._tensor(inner)
            elif inner.number in {6, 11}:
                self._graphs.append(inner)
            elif inner.number in {22, 23}:
                for part in self._within(inner):
                    if part.number in {1, 2} and part.kind == BYTES:
                        self._tensor(part)

    def _tensor(self, tensor: Field) -> None:
        name, kind = "", 0
        shape: list[int] = []
        external: list[tuple[str, str]] = []
        stored = 0
        for inner in self._within(tensor):
            match inner.number:
                case 1 if inner.kind == VARINT:
                    shape.append(inner.value)
                case 1 if inner.kind == BYTES:
                    shape += packed_numbers(self._blob.reader.read_at(inner.offset, min(inner.length, 640)))
                case 2:
                    kind = inner.value
                case 8:
                    name = self._text(inner)
                case 13 if inner.kind == BYTES:
                    external.append((self._text_in(inner, 1), self._text_in(inner, 2)))
                case 4 | 5 | 7 | 9 | 10 | 11 if inner.kind in {BYTES, FIXED32, FIXED64}:
                    stored += inner.length
                    self._reading.inert(inner.offset, inner.length)
                case _:
                    pass
        location = self._reading.at(tensor.offset, tensor.length)
        target = next((value for key, value in reversed(external) if key == "location"), "")
        self._reading.state(
            Tensor(
                location=location,
                name=name[:1024],
                dtype=TENSOR_TYPES.get(kind, f"type-{kind}"),
                shape=tuple(shape[:64]),
                stride=None,
                storage=target[:1024] if external else "file",
                storage_offset=0,
                storage_bytes=None if external else stored,
            )
        )
        if external:
            self._outside(tensor, name, external)

    def _outside(self, tensor: Field, name: str, external: list[tuple[str, str]]) -> None:
        """State where an external tensor lies, and what its entries say beyond that."""
        self._external += 1
        if self._external > MAXIMUM_EXTERNAL:
            raise LimitExceeded("members", f"more than {MAXIMUM_EXTERNAL} external tensors")
        reading = self._reading
        for key, value in external:
            if key == "location":
                if len(value) >= LONGEST_PATH:
                    message = f"the location of tensor {name[:100]!r} is longer than any path: {value[:60]!r}"
                    reading.anomaly("onnx-external-key", message, tensor.offset)
                if value not in self._locations:
                    self._locations[value] = None
                    reading.state(
                        Reference(
                            location=reading.at(tensor.offset),
                            kind="external-data",
                            target=value[:4096],
                            context=name[:200],
                        )
                    )
            elif key in {"offset", "length"}:
                if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) < 1 << 63):
                    message = f"the {key} of tensor {name[:100]!r} is {value[:60]!r}, which is no number of 64 bits"
                    reading.anomaly("onnx-external-range", message, tensor.offset)
            elif key not in EXTERNAL_KEYS:
                message = f"the external data of tensor {name[:100]!r} has the key {key[:100]!r} = {value[:100]!r}"
                reading.anomaly("onnx-external-key", message, tensor.offset)
