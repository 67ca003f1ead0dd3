import pytest

from scanners.errors import FormatError
from scanners.facts import Operator, Tensor
from scanners.findings import Verdict
from scanners.formats import onnxruntime_format
from tests.builders.flatbuffers import Table, Value, build
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered
from tests.scanners.rules.examples import scan_files


def node(op: str, domain: str = "", *graphs: Table) -> Table:
    inside: list[Table] = [Table({0: "branch", 12: list(graphs)})] if graphs else []
    fields: dict[int, Value] = {2: domain, 5: op}
    return Table({**fields, 10: inside} if inside else fields)


def graph(*nodes: Table, tensors: tuple[Table, ...] = ()) -> Table:
    return Table({0: list(tensors), 2: list(nodes)})


def model(main: Table) -> bytes:
    return build(Table({0: "1.32.0", 1: Table({7: main})}), b"ORTM")


WEIGHT = Table({0: "w", 3: ("i", 1), 4: b"\0" * 8})
ORDINARY = model(graph(node("MatMul"), node("FastGelu", "com.microsoft"), tensors=(WEIGHT,)))


def operators(content: bytes) -> list[tuple[str, str]]:
    facts = read_with(onnxruntime_format, content, name="m.ort").facts
    return [(fact.domain, fact.name) for fact in facts if isinstance(fact, Operator)]


def test_operators_and_tensors_are_stated() -> None:
    reading = read_with(onnxruntime_format, ORDINARY, name="m.ort")
    assert operators(ORDINARY) == [("com.microsoft", "FastGelu")]
    assert [(fact.name, fact.dtype, fact.storage_bytes) for fact in reading.facts if isinstance(fact, Tensor)] == [
        ("w", "F32", 8)
    ]
    assert uncovered(reading) == 0


def test_graphs_in_branches_are_read() -> None:
    inner = graph(node("If", "", graph(node("PyOp", "ai.onnx.contrib"))))
    assert operators(model(graph(node("If", "", inner)))) == [("ai.onnx.contrib", "PyOp")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ORDINARY, Verdict.CLEAN),
        (model(graph(node("PyOp", "ai.onnx.contrib"))), Verdict.MALICIOUS),
        (model(graph(node("Mine", "my.domain"))), Verdict.CLEAN),
    ],
)
def test_operators_are_judged_as_in_onnx(content: bytes, expected: Verdict) -> None:
    assert scan_files({"m.ort": content}).verdict is expected


@pytest.mark.parametrize("content", [build(Table({0: "1"}), b"ORTM"), b"\xff\xff\xff\x7fORTM", b"\4\0\0\0ORTM"])
def test_files_without_a_graph_are_malformed(content: bytes) -> None:
    assert onnxruntime_format.matches(blob_of(content, "m.ort"))
    with pytest.raises(FormatError):
        read_with(onnxruntime_format, content, name="m.ort")


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(onnxruntime_format, [ORDINARY], name="m.ort")
