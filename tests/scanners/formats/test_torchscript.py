"""TorchScript sources: which operators are found, and where."""

import pytest

from scanners.engine import scan_blob
from scanners.facts import Operator
from scanners.findings import Verdict
from scanners.formats.torchscript import operators
from scanners.reader import BytesReader
from tests.peers import peer_python, run_peer


def names(text: str) -> list[str]:
    return [name for _, name, _, _ in operators(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('torch.save(x, "a")', ["aten::save"]),
        ('torch . save(x, "a")', []),
        ('y = torch.from_file("a")', ["aten::from_file"]),
        ("ops.aten.save(x)", ["aten::save"]),
        ("ops.evil.run(x)", ["evil::run"]),
        ("ops.quantized.linear(x)", []),
        ("torch.add(x, y)", []),
        ('"torch.save(x)"', []),
        ('"\\"torch.save(x)"', []),
        ("'torch.save(x)'", []),
        ("x = torch.save", []),
        ("torch.saved(x)", []),
        ("mytorch.save(x)", []),
    ],
)
def test_operators_are_found_outside_of_literals(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_unclosed_quote_hides_no_later_line() -> None:
    assert names('x = "\ntorch.save(x, y)') == ["aten::save"]


def test_operator_carries_its_function_and_place() -> None:
    text = "class M(Module):\n  def __setstate__(self):\n    torch.save(x)\n"

    assert list(operators(text)) == [(text.index("torch"), "aten::save", "__setstate__", "torch.save(x)")]


SCRIPT = """
import sys, torch
class M(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
    def forward(self, x):
        %s
        return self.linear(x)
torch.jit.save(torch.jit.script(M()), sys.argv[1])
"""


@pytest.mark.interop
@pytest.mark.parametrize(
    ("line", "verdict"),
    [("x = x + 1", Verdict.CLEAN), ("torch.save(x, '/nowhere/x')", Verdict.MALICIOUS)],
)
def test_what_torch_itself_writes(tmp_path_factory: pytest.TempPathFactory, line: str, verdict: Verdict) -> None:
    peer_python("torch")
    folder = tmp_path_factory.mktemp("torchscript")
    script = folder / "make.py"  # torch reads the source of what it scripts
    script.write_text(SCRIPT % line)
    path = folder / "model.pt"
    run_peer("torch", script, path)

    scanned = scan_blob(BytesReader(path.read_bytes()), "model.pt")
    assert scanned.report.verdict is verdict
    assert scanned.report.coverage.complete
    found = [fact.name for fact in scanned.facts.facts if isinstance(fact, Operator)]
    assert found == ([] if verdict is Verdict.CLEAN else ["aten::save"])
