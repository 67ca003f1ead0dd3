"""TorchScript sources: which operators are found, and where."""

import pytest

from scanners.engine import scan_blob
from scanners.errors import LimitExceeded
from scanners.facts import Operator
from scanners.findings import Verdict
from scanners.formats import torchscript
from scanners.formats.torch_zip import SCRIPT_SOURCE
from scanners.formats.torchscript import operators, runs_as_python
from scanners.reader import BytesReader
from tests.builders.readings import read_with
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


PRINTED = """import __torch__.other
op_version_set = 1
class M(Module):
  __parameters__ = ["weight", ]
  __annotations__["0"] = __torch__.a.B
  training : bool
  stride : Final[Tuple[int, int]] = (1, 1)
  name : Final[str] = "f(x)"
  def forward(self: __torch__.M,
    x: Tensor,
    y: Optional[Tuple[int, int]]=None) -> Tensor:
    return torch.add((self).linear(x, ), 1)
class Plain:
  n : int
def function(size: List[int], eps: float=1.0e-05) -> NoneType:
  return None
"""


def test_the_form_in_which_torch_prints_is_no_python() -> None:
    assert not runs_as_python(PRINTED)


@pytest.mark.parametrize(
    "text",
    [
        "import os\n",
        "g()\n",
        "if True:\n  g()\n",
        "class M(Module):\n  x : int = g()\n",
        "class M(Module):\n    x = g()\n",
        "class M(g()):\n  x : int\n",
        "class M:\n  x : int; g()\n",
        "class M:\n  x : int = [g\n()]\n",
        "class M:\n  x : int = g \\\n    ()\n",
        'class M(Module):\n  x : str = f"{g()}"\n',
        "class M:\n  x : int\n  @g\n  def f(self) -> int:\n    return 1\n",
        "def f(a: int=g()) -> int:\n  pass\n",
        "def f() -> int:\n  return 1\ng()\n",
        "def f() -> int: g()\n",
        "def f(\n  a: int=g(\n)) -> int:\n  pass\n",
    ],
)
def test_what_would_run_when_imported_is_python(text: str) -> None:
    assert runs_as_python(text)


def test_other_text_is_neither() -> None:
    assert not runs_as_python("this is no program at all\n")


SCRIPT = """
import sys, torch
from typing import Dict, List, NamedTuple, Optional, Tuple

class Pair(NamedTuple):
    a: torch.Tensor
    b: int

@torch.jit.script
class Counter:
    def __init__(self, n: int):
        self.n = n
    def add(self, m: int = 3) -> int:
        self.n += m
        return self.n

class M(torch.nn.Module):
    name: torch.jit.Final[str]
    def __init__(self):
        super().__init__()
        self.name = "f(x"
        self.table = {"x(": 1}
        self.linear = torch.nn.Linear(2, 2)
        self.layers = torch.nn.ModuleList([torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1)])
        self.lstm = torch.nn.LSTM(2, 2)
    def forward(self, x, y: Optional[Dict[str, List[Tuple[int, int]]]] = None, s: str = "q("):
        counter = Counter(2)
        pair = Pair(x, 1)
        %s
        if y is not None:
            print(y)
        return self.linear(x), counter.add(3) + pair.b
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


@pytest.mark.parametrize(
    "text", ["def f(" + "a,\n" * 300_000, "def f(" + ") -> " * 300_000 + ":\n"], ids=["arguments", "arrows"]
)
def test_a_signature_without_end_is_looked_at_once(text: str) -> None:
    assert not runs_as_python(text)


def test_quotes_without_end_are_followed_once() -> None:
    hostile = "def f(self) -> Tensor:\n  x = " + '"\\' * 200_000
    with pytest.raises(LimitExceeded, match="quotes that do not close"):
        read_with(torchscript, hostile.encode(), name="code/a.py", roles=frozenset({SCRIPT_SOURCE}))


def test_many_literals_on_a_line_are_read_through() -> None:
    words = ", ".join(["'it\\\\'", '"\\"a"'] * 1000)
    text = f"def f(self) -> Tensor:\n  x = [{words}]\n  torch.save(x)\n"
    reading = read_with(torchscript, text.encode(), name="code/a.py", roles=frozenset({SCRIPT_SOURCE}))
    assert [fact.name for fact in reading.facts if isinstance(fact, Operator)] == ["aten::save"]


def test_the_places_of_operators_are_bytes() -> None:
    text = "def f(self) -> Tensor:\n  x = 'é€'\n  torch.save(x)\n  y = 'ü'\n  torch.save(y)\n"
    reading = read_with(torchscript, text.encode(), name="code/a.py", roles=frozenset({SCRIPT_SOURCE}))
    places = [fact.location.offset for fact in reading.facts if isinstance(fact, Operator)]
    assert [text.encode()[place:][:12] for place in places if place is not None] == [b"torch.save(x", b"torch.save(y"]
