import errno
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelsign.isolation import libc, seccomp
from modelsign.isolation.seccomp import ABSENT, ALLOW, ARCHITECTURES, KILL, REFUSE

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
X86_64 = ARCHITECTURES["x86_64"]
AARCH64 = ARCHITECTURES["aarch64"]


def decide(architecture: seccomp.Architecture, audit: int, number: int) -> int:
    """Run the filter as the kernel would, on a call of `number` under the architecture `audit`."""
    instructions = seccomp.program(architecture)
    accumulator = 0
    position = 0
    while True:
        code, if_true, if_false, operand = instructions[position]
        position += 1
        match code:
            case 0x20:
                accumulator = {0: number, 4: audit}[operand]
            case 0x15:
                position += if_true if accumulator == operand else if_false
            case 0x35:
                position += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_exactly_the_listed_calls_are_allowed(name: str) -> None:
    architecture = ARCHITECTURES[name]
    allowed = {n for n in range(1024) if decide(architecture, architecture.audit, n) == ALLOW}
    assert allowed == set(architecture.calls.values())


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_clone3_looks_absent_and_the_rest_is_refused(name: str) -> None:
    architecture = ARCHITECTURES[name]
    assert decide(architecture, architecture.audit, 435) == ABSENT
    assert decide(architecture, architecture.audit, 9999) == REFUSE


def test_calls_of_another_architecture_are_killed() -> None:
    assert decide(X86_64, 0x4000_0003, 4) == KILL  # i386, where 4 is write
    assert decide(X86_64, AARCH64.audit, 64) == KILL
    assert decide(AARCH64, X86_64.audit, 1) == KILL


def test_calls_in_the_numbering_of_x32_are_killed() -> None:
    assert decide(X86_64, X86_64.audit, 0x4000_0000 | X86_64.calls["write"]) == KILL


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_numbers_agree_with_the_kernel_headers(name: str) -> None:
    header = HEADERS[name]
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    numbers = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    assert {call: int(numbers[call]) for call in ARCHITECTURES[name].calls} == ARCHITECTURES[name].calls


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_no_call_that_opens_connects_starts_or_signals_is_allowed(name: str) -> None:
    rights = re.compile(r"open|socket|connect|bind|exec|clone|fork|kill|ptrace|process_vm|mount|unlink|rename|ioctl")
    assert not [call for call in ARCHITECTURES[name].calls if rights.search(call)]


def test_a_machine_without_a_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine="riscv64"))
    assert seccomp.missing() == "no table of system calls for riscv64 processes of 64 bits"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM])
def test_a_container_that_forbids_filters_says_so(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    if sys.platform != "linux" or os.uname().machine not in ARCHITECTURES:
        pytest.skip("there are no filters of system calls here")
    monkeypatch.setattr(libc, "prctl", lambda *_: -1)
    monkeypatch.setattr(libc, "last_error", lambda: OSError(number, os.strerror(number)))
    assert "this container or emulator forbids them" in (seccomp.missing() or "")


def test_another_platform_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert seccomp.missing() == "seccomp is a feature of Linux, and this is darwin"
