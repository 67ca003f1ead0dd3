"""What may meet the bytes of a file in a worker that several files share: Python alone.

A decompressor, or the interpreter's own compiler, is C that computes with what it reads; a file that takes such code
over would own the worker, and with it the answers about the files that come after it. So a shared worker stops short of
that code, says so, and the file gets a worker of its own. What remains between two files is the interpreter: its
objects, regular expressions, codecs, the scanner of JSON.
"""

import sys

from scanners import native

_COMPILER = "compile"


class AloneError(BaseException):
    """A file needs a worker of its own. No `Exception`: no parser may swallow it."""


def share() -> None:
    """Let this process stop short of code that only files in workers of their own may reach, for good."""
    sys.addaudithook(_stop)


def _stop(event: str, _arguments: tuple[object, ...]) -> None:
    if event in {native.EVENT, _COMPILER}:
        raise AloneError
