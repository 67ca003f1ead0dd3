"""The C library of this process, for the few system calls that Python has no function for (Linux only)."""

import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: object) -> int:
    """Make a system call and return its result, negative for an error (`last_error` tells which)."""
    result: int = LIBC.syscall(number, *arguments)
    return result


def prctl(operation: int, first: object = None, second: object = None) -> int:
    """Call `prctl`; what is not given is zero, as the kernel asks of most operations."""
    nothing = ctypes.c_ulong(0)
    result: int = LIBC.prctl(operation, first or nothing, second or nothing, nothing, nothing)
    return result


def last_error() -> OSError:
    """Return the error of the last failed call."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
