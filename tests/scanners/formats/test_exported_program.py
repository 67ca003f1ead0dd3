import json
import zipfile
from pathlib import Path

import pytest

from scanners.facts import Operator
from scanners.findings import Verdict
from scanners.formats import exported_program
from tests.builders.readings import blob_of, read_with, survive_mutations
from tests.peers import run_peer
from tests.scanners.rules.examples import scan_files


def _program(*expressions: str, target: str = "torch.ops.aten.add.Tensor") -> bytes:
    sizes = {str(place): {"as_expr": {"expr_str": one, "hint": None}} for place, one in enumerate(expressions)}
    nodes = [{"target": target, "inputs": [], "outputs": []}]
    return json.dumps({"graph_module": {"graph": {"nodes": nodes, "sym_int_values": sizes}}}).encode()


def _stated(data: bytes) -> list[str]:
    facts = read_with(exported_program, data, name="model.json").facts
    return [dict(fact.arguments)["text"] for fact in facts if isinstance(fact, Operator)]


@pytest.mark.parametrize(
    "expression",
    [
        "s77",
        "Symbol('s77', positive=True, integer=True)",
        "Add(Mul(Integer(-1), Symbol('u0', integer=True)), Integer(1))",
        "FloorDiv(s0, 2) + Mod(s1, 8)",
        "Max(1, s0) * 2**3",
        "Float('0.5', precision=53)",
        "And(Ge(Symbol('s1'), Integer(2)), Ne(s0, s1))",
        "s0 >= 2",
        "OpaqueUnaryFn_sqrt(ToFloat(s0))",
    ],
)
def test_sizes_that_the_exporter_writes_are_not_stated(expression: str) -> None:
    assert _stated(_program(expression)) == []


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('id')",
        "exec('import os')",
        "().__class__.__base__.__subclasses__()",
        "[1 for _ in (1,)]",
        "(lambda: 1)()",
        "Symbol(exec('1'))",
        "Symbol('s', positive=exec('1'))",
        "Add(Integer(1), getattr(s0, 'x'))",
        "Integer('__import__(1)')",
        "f'{s0}'",
        "s0 if exec('1') else 1",
        "9**9**9",
        "sympify('1')",
        "(",
        "1" * 30_000,
    ],
)
def test_other_expressions_are_stated(expression: str) -> None:
    assert len(_stated(_program("s77", expression))) == 1


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.hub.load",
        "torch.load",
        "torch.ops.load_library",
        "torch.ops.aten.__class__.mro",
        "_operator.methodcaller",
        "_operator.call",
    ],
)
def test_targets_that_are_no_operators_are_stated(target: str) -> None:
    assert _stated(_program(target=target)) == [target]


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.__and__.Tensor",
        "torch.ops.higher_order.cond",
        "torch.sym_max",
        "_operator.mul",
        "math.floor",
        "x",
    ],
)
def test_operators_are_not_stated(target: str) -> None:
    assert _stated(_program(target=target)) == []


def test_an_archive_that_evaluates_code_is_malicious(tmp_path: Path) -> None:
    archive = tmp_path / "m.pt2"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("m/archive_format", "pt2")
        members.writestr("m/models/model.json", _program("__import__('os').system('id')"))
    assert scan_files({"m.pt2": archive.read_bytes()}).verdict is Verdict.MALICIOUS


def test_other_json_is_not_taken() -> None:
    assert not exported_program.matches(blob_of(b'{"model_type": "bert"}', "config.json"))
    assert not exported_program.matches(blob_of(_program("s0"), "model.bin"))
    assert exported_program.matches(blob_of(b"{}", "serialized_exported_program.json"))


def test_more_than_are_kept_leave_the_file_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported_program, "MAXIMUM_STATED", 2)
    reading = read_with(exported_program, _program("a.b", "a.c", "a.d"), name="model.json")
    assert reading.reasons


_EXPORT = """
import sys
import torch
from torch.export import Dim, export, save

class Model(torch.nn.Module):
    def forward(self, x, y):
        rows = x.shape[0]
        return y.repeat(rows), torch.sym_max(rows, 3) * 2, rows / 2, torch.zeros(rows + 1)

rows = Dim("rows", min=4, max=64)
save(export(Model(), (torch.randn(6, 4), torch.randn(3)), dynamic_shapes=({0: rows}, None)), sys.argv[1])
"""


def test_what_torch_exports_is_quiet(tmp_path: Path) -> None:
    file = tmp_path / "m.pt2"
    run_peer("torch", "-c", _EXPORT, file)
    with zipfile.ZipFile(file) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith("models/model.json"))
        assert b"expr_str" in archive.read(name)
    report = scan_files({"m.pt2": file.read_bytes()})
    assert "MS577" not in {finding.rule.id for finding in report.findings}


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(exported_program, [_program("s0 + 1", "a.b")], name="model.json", rounds=150)
