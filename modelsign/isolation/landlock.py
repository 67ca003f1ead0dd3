"""Landlock: the kernel refuses this process every file, TCP port, abstract socket and signal (Linux 5.13 and later).

The ruleset handles every right the running kernel knows and allows none, so what was not open before stays closed.
https://docs.kernel.org/userspace-api/landlock.html · numbers from include/uapi/linux/landlock.h, which are stable.
"""

import ctypes
import os
import struct
import sys

_CREATE_RULESET = 444
_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1

# Rights over files, by the ABI that brought them: 13 in the first, then REFER, TRUNCATE and (in the fifth) IOCTL_DEV.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_ABI = 4
_NETWORK_RIGHTS = 0b11  # bind and connect over TCP
_SCOPE_ABI = 6
_SCOPES = 0b11  # abstract UNIX sockets and signals outside the domain


def abi() -> int:
    """Return the version of Landlock that the running kernel offers, 0 for none."""
    if sys.platform != "linux":
        return 0
    from modelsign.isolation.libc import syscall

    return max(0, syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION)))


def restrict() -> None:
    """Give up every right that Landlock governs, for good. `PR_SET_NO_NEW_PRIVS` must be set.

    Raises:
        OSError: the kernel refuses.
    """
    version = abi()
    files = max((rights for since, rights in _FILE_RIGHTS.items() if since <= version), default=0)
    fields = [files]
    if version >= _NETWORK_ABI:
        fields.append(_NETWORK_RIGHTS)
    if version >= _SCOPE_ABI:
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _checked(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        _checked(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _checked(number: int, *arguments: object) -> int:
    from modelsign.isolation.libc import last_error, syscall

    result = syscall(number, *arguments)
    if result < 0:
        raise last_error()
    return result
