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
