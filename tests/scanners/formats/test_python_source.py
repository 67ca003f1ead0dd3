import pytest

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Code
from scanners.formats import python_source
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered

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
        ("import os\nf = lambda: os.system('id')\nf()", ("process", "call")),
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
        ("import socket\nsocket.socket()", ("network", "import")),
        ("open('/tmp/x', 'w')", ("file-write", "import")),
        ("from pathlib import Path\nPath('x').write_text('y')", ("file-write", "import")),
        ("import ctypes\nctypes.CDLL('x.so')", ("native", "import")),
        ("import torch\ntorch.load('x')", ("deserialize", "import")),
        ("import pickle\npickle.loads(b'')", ("deserialize", "import")),
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
