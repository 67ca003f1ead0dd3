"""Workers with no rights: descriptors in, bounded answers out.

Untrusted bytes are parsed in forked workers that can open, connect, execute, fork and signal nothing. The parent opens
the files, and believes of an answer only what fits its schema. docs/isolation.md tells what each layer does.

    scan_files(jobs, ...)        files of one target -> what each came to, in order
    ask(function, descriptor)    one file -> the bytes that a function made of it
"""

from typing import TYPE_CHECKING

from modelsign.isolation.asking import RefusedError, WorkerError, ask
from modelsign.isolation.confinement import Bounds, Layer, Sandbox, active_layers, layers

if TYPE_CHECKING:
    from modelsign.isolation.scanning import Job, scan_files

__all__ = [
    "Bounds",
    "Job",
    "Layer",
    "RefusedError",
    "Sandbox",
    "WorkerError",
    "active_layers",
    "ask",
    "layers",
    "scan_files",
]


def __getattr__(name: str) -> object:
    # Who asks a worker one question does not pay for all formats and rules.
    if name in {"Job", "scan_files"}:
        from modelsign.isolation import scanning

        return getattr(scanning, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
