"""seccomp-bpf: the kernel answers EPERM to every system call but the few that computing on open files takes.

An allowlist: reading and writing what is open, memory, time, signals to oneself, the end. Opening, connecting,
forking, executing, signalling and everything invented later are refused. The architecture is checked first, because a
process may call in another one's numbers; a foreign one is killed.
https://docs.kernel.org/userspace-api/seccomp_filter.html · numbers from arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h (aarch64).
"""

import ctypes
import errno
import functools
import os
import struct
import sys

from scanners.records import dataclass

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2

_INSTRUCTION = struct.Struct("=HBBI")

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

KILL = 0x8000_0000
ALLOW = 0x7FFF_0000
_ERRNO = 0x0005_0000
REFUSE = _ERRNO | errno.EPERM
# glibc tries clone3 first and takes ENOSYS for "use clone", which is refused then; EPERM would end in an abort.
ABSENT = _ERRNO | errno.ENOSYS

_NUMBER_OFFSET = 0  # of struct seccomp_data
_ARCHITECTURE_OFFSET = 4
_X32_BIT = 0x4000_0000
_CLONE3 = 435


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a filter must know about a processor."""

    audit: int
    """AUDIT_ARCH_* of include/uapi/linux/audit.h"""
    calls: dict[str, int]
    """the system calls a worker keeps"""
    x32: bool = False
    """whether the same architecture number also serves another numbering"""


ARCHITECTURES: dict[str, Architecture] = {
    "x86_64": Architecture(
        audit=0xC000_003E,
        x32=True,
        calls={
            "read": 0,
            "write": 1,
            "close": 3,
            "fstat": 5,
            "lseek": 8,
            "mmap": 9,
            "mprotect": 10,
            "munmap": 11,
            "brk": 12,
            "rt_sigaction": 13,
            "rt_sigprocmask": 14,
            "rt_sigreturn": 15,
            "pread64": 17,
            "sched_yield": 24,
            "mremap": 25,
            "madvise": 28,
            "getpid": 39,
            "exit": 60,
            "gettimeofday": 96,
            "getrusage": 98,
            "sysinfo": 99,
            "times": 100,
            "sigaltstack": 131,
            "gettid": 186,
            "futex": 202,
            "restart_syscall": 219,
            "clock_gettime": 228,
            "clock_getres": 229,
            "clock_nanosleep": 230,
            "exit_group": 231,
            "getrandom": 318,
        },
    ),
    "aarch64": Architecture(
        audit=0xC000_00B7,
        calls={
            "close": 57,
            "lseek": 62,
            "read": 63,
            "write": 64,
            "pread64": 67,
            "fstat": 80,
            "exit": 93,
            "exit_group": 94,
            "futex": 98,
            "clock_gettime": 113,
            "clock_getres": 114,
            "clock_nanosleep": 115,
            "sched_yield": 124,
            "restart_syscall": 128,
            "sigaltstack": 132,
            "rt_sigaction": 134,
            "rt_sigprocmask": 135,
            "rt_sigreturn": 139,
            "times": 153,
            "getrusage": 165,
            "gettimeofday": 169,
            "getpid": 172,
            "gettid": 178,
            "sysinfo": 179,
            "brk": 214,
            "munmap": 215,
            "mremap": 216,
            "mmap": 222,
            "mprotect": 226,
            "madvise": 233,
            "getrandom": 278,
        },
    ),
}


def missing() -> str | None:
    """Return why there is no system call filter here, None where there is one."""
    if sys.platform != "linux":
        return f"seccomp is a feature of Linux, and this is {sys.platform}"
    if os.uname().machine not in ARCHITECTURES or struct.calcsize("P") != 8:
        return f"no table of system calls for {os.uname().machine} processes of {struct.calcsize('P') * 8} bits"
    from modelsign.isolation.libc import last_error, prctl

    # A filter at no address is looked for in vain (EFAULT) by a kernel that would take one.
    if prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER)) and last_error().errno == errno.EFAULT:
        return None
    return "the kernel was built without filters of system calls, or this container or emulator forbids them"


def program(architecture: Architecture) -> list[tuple[int, int, int, int]]:
    """Return the filter as BPF instructions: code, jump if true, jump if false, operand."""
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    if architecture.x32:
        instructions += [(_JUMP_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, KILL)]
    for number in sorted(architecture.calls.values()):
        instructions += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, ALLOW)]
    instructions += [(_JUMP_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, ABSENT), (_RETURN, 0, 0, REFUSE)]
    return instructions


@functools.cache
def filter_code() -> bytes:
    """Return the filter for this machine as the kernel takes it, an array of `struct sock_filter`."""
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program(ARCHITECTURES[os.uname().machine]))


def restrict() -> None:
    """Keep only the system calls of the table, for good. `PR_SET_NO_NEW_PRIVS` must be set.

    Raises:
        OSError: the kernel refuses.
    """
    from modelsign.isolation.libc import last_error, prctl

    code = filter_code()
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a 16-bit length, padding, a pointer.
    header = struct.pack("@HP", len(code) // _INSTRUCTION.size, ctypes.addressof(buffer))
    if prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.c_char_p(header)):
        raise last_error()
