"""One question to one worker: a function over an open file, its answer bytes."""

from collections.abc import Callable
from typing import TypeAlias

from modelsign.isolation.confinement import Bounds, Sandbox
from modelsign.isolation.preparing import pickle_data, prepare
from modelsign.isolation.workers import Served, results
from scanners.reader import FileReader, Reader
from scanners.records import dataclass


class WorkerError(Exception):
    """The worker crashed, hung, ran out of memory or misbehaved; the text says which."""


class RefusedError(Exception):
    """The function raised an error of its own in the worker."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        """the name of the error's class: a claim of the worker's, to be compared with the names one expects"""


def ask(
    function: Callable[[Reader], bytes],
    descriptor: int,
    size: int,
    *,
    sandbox: Sandbox = Sandbox.AUTO,
    bounds: Bounds | None = None,
) -> bytes:
    """Call ``function`` on an open file in a worker without rights and return its answer, which proves nothing.

    Args:
        function: reads untrusted bytes and returns an answer that the caller checks against a schema. It is inherited
            by the worker, so it may be a closure. What it reads from files of ours must have been read before; what
            the pickle machine reads is.
        descriptor: the file, open for reading.
        size: its length in bytes.
        sandbox: which layers of isolation to ask for.
        bounds: what the worker may use up.

    Raises:
        RefusedError: the function raised an `Exception`.
        WorkerError: the worker crashed, hung, ran out of memory, or misbehaved.
        UsageError: the sandbox is required and this machine lacks a layer.
    """
    prepare(pickle_data())
    question = _Question(function=function, descriptor=descriptor, size=size)
    [outcome] = results(_Asking(), [question], sandbox=sandbox, bounds=bounds, workers=1)
    if isinstance(outcome, bytes):
        return outcome
    raise outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    function: Callable[[Reader], bytes]
    descriptor: int
    size: int


_Outcome: TypeAlias = bytes | RefusedError | WorkerError


class _Asking:
    """The work, as `workers.Work`."""

    def descriptor(self, task: _Question) -> int:
        return task.descriptor

    def size(self, task: _Question) -> int:
        return task.size

    def group(self, _task: _Question) -> str | None:
        return None

    def serve(self, task: _Question) -> Served:
        return Served(task.function(FileReader(task.descriptor, task.size)), quiet=True)

    def quiet(self, _result: _Outcome) -> bool:
        return True

    def read(self, _task: _Question, answer: bytes) -> _Outcome:
        return answer

    def refused(self, _task: _Question, kind: str, message: str) -> _Outcome:
        return RefusedError(kind, message)

    def failed(self, _task: _Question, reason: str) -> _Outcome:
        return WorkerError(f"the worker that read the file failed: {reason}")
