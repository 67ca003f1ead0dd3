"""The layers that take a worker's rights away, which of them this machine has, and how they are put on.

| layer | what is gone | where |
|---|---|---|
| process | the address space, the open files and the threads of the program | wherever there is fork |
| rlimits | more memory, processor time, new descriptors, any byte written to a file, core dumps | Unix |
| landlock | every file, TCP port, abstract socket; signals to others | Linux 5.13 and later |
| seccomp | every system call but those of computing on what is open | Linux on x86-64 and aarch64 |
"""

import os
import sys
from enum import Enum
from typing import assert_never

from modelsign.errors import UsageError
from scanners.records import dataclass

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


class Sandbox(Enum):
    """How much isolation a caller asks for."""

    AUTO = "auto"
    """every layer this machine has"""
    REQUIRE = "require"
    """every layer there is, with a worker for each file; or an error"""
    OFF = "off"
    """none: parse in this very process"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one worker may use up. None of it decides a verdict: it ends in `error`."""

    seconds: float = 300
    """wall time for one file"""
    memory: int = 3 << 30
    """bytes of address space beyond what the program has already"""
    answer: int = 64 << 20
    """bytes of its answer"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of isolation, and whether this machine has it."""

    name: str
    available: bool
    detail: str
    """its version where it is there, the reason where it is not"""


def layers() -> tuple[Layer, ...]:
    """Return every layer, outermost first, with what this machine says about it."""
    return (_process(), _rlimits(), _landlock(), _seccomp())


def active_layers(sandbox: Sandbox) -> tuple[str, ...]:
    """Return the names of the layers that workers get here.

    Raises:
        UsageError: ``sandbox`` is `REQUIRE` and a layer is missing.
    """
    match sandbox:
        case Sandbox.OFF:
            return ()
        case Sandbox.AUTO | Sandbox.REQUIRE:
            found = layers()
        case _:
            assert_never(sandbox)
    missing = [f"{layer.name} ({layer.detail})" for layer in found if not layer.available]
    if missing and sandbox is Sandbox.REQUIRE:
        raise UsageError(
            f"--sandbox require: this machine lacks {', '.join(missing)}. `modelsign doctor` shows what it has; "
            "--sandbox auto makes do with that"
        )
    if not found[0].available:
        return ()
    return tuple(layer.name for layer in found if layer.available)


class NotConfinedError(Exception):
    """A layer that the kernel offers could not be put on."""

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"{layer}: {reason}")
        self.layer = layer
        self.reason = reason


def die_with_parent(parent: int) -> None:
    """Let the kernel end this process when its parent ends."""
    if sys.platform == "linux":
        import ctypes
        import signal

        from modelsign.isolation.libc import prctl

        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)  # it ended before we asked


def prepare(names: tuple[str, ...]) -> None:
    """Do once in the parent what every worker would do again, in memory that it would have to copy."""
    if "seccomp" in names:
        from modelsign.isolation import seccomp

        seccomp.filter_code()


def confine(names: tuple[str, ...], bounds: Bounds) -> None:
    """Give this process's rights up, for good. Runs in the worker, once it has imported all it needs.

    Raises:
        NotConfinedError: the kernel refuses a layer.
    """
    inherited = _address_space()
    if sys.platform == "linux" and "process" in names:
        _no_new_rights()
    # In this order: Landlock needs a descriptor, which the limits forbid, and they need a call that seccomp refuses.
    for name, put_on in (
        ("landlock", _put_on_landlock),
        ("rlimits", lambda: _limit_resources(bounds, inherited)),
        ("seccomp", _put_on_seccomp),
    ):
        if name in names:
            try:
                put_on()
            except (OSError, ValueError) as error:
                raise NotConfinedError(name, str(error)) from error


def _put_on_landlock() -> None:
    from modelsign.isolation import landlock

    landlock.restrict()


def _put_on_seccomp() -> None:
    from modelsign.isolation import seccomp

    seccomp.restrict()


def _process() -> Layer:
    if hasattr(os, "fork") and sys.platform != "darwin":
        return Layer(name="process", available=True, detail="forked workers")
    # macOS has fork, but its system libraries crash in children that did not exec.
    return Layer(name="process", available=False, detail=f"workers are not forked on {sys.platform}")


def _rlimits() -> Layer:
    try:
        import resource
    except ImportError:
        return Layer(name="rlimits", available=False, detail=f"{sys.platform} has no resource limits")
    del resource
    return Layer(name="rlimits", available=True, detail="memory, time, descriptors, file size")


def _landlock() -> Layer:
    from modelsign.isolation import landlock

    version = landlock.abi()
    if version:
        return Layer(name="landlock", available=True, detail=f"ABI {version}")
    if sys.platform != "linux":
        return Layer(name="landlock", available=False, detail=f"a feature of Linux, and this is {sys.platform}")
    return Layer(name="landlock", available=False, detail="the kernel is older than 5.13, or boots without it")


def _seccomp() -> Layer:
    from modelsign.isolation import seccomp

    why = seccomp.missing()
    return Layer(name="seccomp", available=why is None, detail=why or "system calls by allowlist")


def _no_new_rights() -> None:
    """Be closed to debuggers, and let no program give rights back (filters ask for that)."""
    import ctypes

    from modelsign.isolation.libc import last_error, prctl

    prctl(_PR_SET_DUMPABLE)
    if prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1)):
        raise NotConfinedError("process", f"no_new_privs: {last_error().strerror}")


def _limit_resources(bounds: Bounds, inherited: int) -> None:
    import resource

    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_CPU, int(bounds.seconds) + 5),
        (resource.RLIMIT_AS, inherited + bounds.memory),
    ]
    for kind, value in limits:
        _, hard = resource.getrlimit(kind)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (ceiling, ceiling))


def _address_space() -> int:
    """Return the bytes of address space in use: inherited, and no fault of the worker's."""
    try:
        descriptor = os.open("/proc/self/statm", os.O_RDONLY)
        try:
            pages = int(os.read(descriptor, 64).split()[0])
        finally:
            os.close(descriptor)
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 1 << 32  # no /proc: more than an interpreter maps
