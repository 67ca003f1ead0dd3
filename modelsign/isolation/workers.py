"""Forked workers: one batch of one target each, no rights, bounded answers over a pipe.

A worker inherits what the program has imported and the open files of its batch, nothing else; it gives its rights up
(`confinement`), does its batch in order and ends. It answers with frames: eight bytes of length, then that many bytes,
the first of which says what follows. What a frame is about is the parent's own knowledge, so a worker can lie only
about what it was given. In a batch of several, a file that needs more than Python is left to a worker of its own
(`sharing`), and a worker's word ends with the first answer that is not quiet: what comes after is done by another.

What a worker said counts only if it ended well. Otherwise nothing it said is believed, and its files are done again,
each by a worker of its own; what fails then has failed for good, and costs one file.
"""

import contextlib
import gc
import os
import selectors
import signal
import struct
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Generic, NamedTuple, NoReturn, Protocol, TypeVar

from modelsign.errors import SourceError, UsageError
from modelsign.isolation import confinement
from modelsign.isolation.confinement import Bounds, NotConfinedError, Sandbox, active_layers, confine, die_with_parent
from modelsign.isolation.imports import NeededModuleError, Provider, Stop
from modelsign.isolation.sharing import AloneError, share
from scanners.records import dataclass

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)

ANSWER = b"+"
REFUSAL = b"-"
ALONE = b"="
NEEDED = b"!"
CONFINED = b"."
UNCONFINED = b"?"

_SIGNALS = frozenset(signal.valid_signals()) if hasattr(signal, "pthread_sigmask") else frozenset()
_BATCH_FILES = 32
_BATCH_BYTES = 8 << 20
_SMALL = 4 << 20
"""bytes up to which a task may share a worker"""
_FIRST_BYTES = 512 << 10
"""bytes of the first batches: they double from round to round, so that few files keep all processors busy too"""
_BATCH_SECONDS = 20.0
"""wall time for a batch of small files; what takes longer is done file by file, with the full time each"""
_AHEAD = 256
"""results that may wait for an earlier one: each holds a file open, and many systems allow a process 1024"""
_READ = 1 << 20
_LENGTH = struct.Struct(">Q")
_END_SECONDS = 2.0
"""wall time between a worker's last byte and its end"""
_MESSAGE = 2000
"""characters of an error's text"""
_COLLECT = 100_000
"""objects between two collections: most workers end before the first"""
_OUT_OF_MEMORY = 77
_FAILED = 70


class InvalidAnswerError(Exception):
    """A worker's answer breaks the schema; `Work.read` raises it."""


class Served(NamedTuple):
    """What came of a task in the worker."""

    answer: bytes
    quiet: bool
    """as `Work.quiet` will say of the result"""


class Work(Protocol[T_contra, R]):
    """What is to be done with each task."""

    def descriptor(self, task: T_contra, /) -> int:
        """Return the open file of the task; it stays open until the task's result is there."""
        ...

    def size(self, task: T_contra, /) -> int:
        """Return how much work the task is, in bytes."""
        ...

    def group(self, task: T_contra, /) -> str | None:
        """Return with which others the task may share a worker, None for nobody."""
        ...

    def serve(self, task: T_contra, /) -> Served:
        """Do the task and return the answer. Runs in the worker."""
        ...

    def read(self, task: T_contra, /, answer: bytes) -> R:
        """Turn an answer into the result. Runs in the parent and believes nothing.

        Raises:
            InvalidAnswerError: the answer breaks the schema.
        """
        ...

    def quiet(self, result: R, /) -> bool:
        """Return whether nothing about the task is remarkable, so that its worker may go on to the next one."""
        ...

    def refused(self, task: T_contra, /, kind: str, message: str) -> R:
        """Return the result of a task that ended in an error of its own: the class's name and the text."""
        ...

    def failed(self, task: T_contra, /, reason: str) -> R:
        """Return the result of a task whose worker crashed, hung, ran out of memory or misbehaved."""
        ...


def results(
    work: Work[T, R],
    tasks: Iterable[T],
    *,
    sandbox: Sandbox = Sandbox.AUTO,
    bounds: Bounds | None = None,
    workers: int | None = None,
) -> Iterator[R]:
    """Yield the result of every task, in order.

    Args:
        work: what to do.
        tasks: taken as workers become free.
        sandbox: which layers to ask for; with `OFF`, and where nothing can be forked, the tasks run in this process.
        bounds: what one worker may use up.
        workers: how many at once; as many as there are processors by default.

    Raises:
        UsageError: the sandbox is required and this machine lacks a layer.
    """
    names = active_layers(sandbox)
    if not names:
        return _here(work, tasks)
    confinement.prepare(names)
    return _Parent(
        work,
        tasks,
        names=names,
        required=sandbox is Sandbox.REQUIRE,
        bounds=bounds or Bounds(),
        workers=workers or _processors(),
    ).run()


def _here(work: Work[T, R], tasks: Iterable[T]) -> Iterator[R]:
    """Do the tasks without workers, through the same encoding."""
    for task in tasks:
        try:
            answer = work.serve(task).answer
        except MemoryError:
            yield work.failed(task, "it ran out of memory")
        except Exception as error:  # noqa: BLE001 - the border that a worker's end is elsewhere
            yield work.refused(task, type(error).__name__, str(error))
        else:
            yield work.read(task, answer)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _room_ahead() -> int:
    """Return how many tasks may be on their way: each has a file open, and the program needs some for itself."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _AHEAD if soft == resource.RLIM_INFINITY else max(1, min(_AHEAD, soft // 3 - _BATCH_FILES))


@dataclass(slots=True)
class _Batch(Generic[T]):
    tasks: list[tuple[int, T]] = field(default_factory=list)
    size: int = 0
    asked: frozenset[str] = frozenset()
    """modules that its workers have asked for: none asks twice"""


@dataclass(slots=True)
class _Worker(Generic[T]):
    pid: int
    pipe: int
    batch: _Batch[T]
    names: tuple[str, ...]
    """the layers it was told to put on"""
    deadline: float
    received: bytearray = field(default_factory=bytearray)


class _Parent(Generic[T, R]):
    """The parent's side: starts workers, collects their frames, ends them."""

    def __init__(
        self,
        work: Work[T, R],
        tasks: Iterable[T],
        *,
        names: tuple[str, ...],
        required: bool,
        bounds: Bounds,
        workers: int,
    ) -> None:
        self._work = work
        # One worker per file is a layer of its own: who requires every layer there is gets that one too.
        self._fresh = _batches(work, tasks, workers=workers, share=not required)
        self._again: deque[_Batch[T]] = deque()
        self._names = names
        self._required = required
        self._bounds = bounds
        self._at_once = workers
        self._selector = selectors.DefaultSelector()
        self._running: dict[int, _Worker[T]] = {}
        self._results: dict[int, R] = {}
        self._next = 0
        self._taken = 0
        self._exhausted = False
        self._ahead = _room_ahead()
        self._provider = Provider()

    def run(self) -> Iterator[R]:
        try:
            while True:
                while len(self._running) < self._at_once and (batch := self._choose()):
                    self._begin(batch)
                while self._next in self._results:
                    yield self._results.pop(self._next)
                    self._next += 1
                if self._running:
                    self._collect()
                elif self._exhausted and not self._again:
                    return
        finally:
            for worker in list(self._running.values()):
                self._dismiss(worker, kill=True)
            self._selector.close()

    def _choose(self) -> "_Batch[T] | None":
        if self._again:
            return self._again.popleft()
        if self._taken - self._next >= self._ahead:
            return None  # a slow one holds up the rest, whose files are open
        batch = next(self._fresh, None)
        if batch is None:
            self._exhausted = True
        else:
            self._taken += len(batch.tasks)
        return batch

    def _begin(self, batch: _Batch[T]) -> None:
        """Start a worker; where this user or machine has no room for one more, go on with those that run."""
        try:
            self._start(batch)
        except OSError as error:
            if not self._running:
                raise SourceError(
                    f"no worker can be started: {error.strerror}. End other programs or raise the limits of processes "
                    "and open files (ulimit -u, ulimit -n); --sandbox off parses without workers"
                ) from error
            self._again.appendleft(batch)
            self._at_once = len(self._running)

    def _start(self, batch: _Batch[T]) -> None:
        seconds = self._bounds.seconds if len(batch.tasks) == 1 else min(self._bounds.seconds, _BATCH_SECONDS)
        reading, writing = os.pipe()
        parent = os.getpid()
        # A signal that arrived in the child before `_serve` guards it would unwind the parent's stack a second time;
        # one that arrived here before the worker is noted would leave it behind.
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of forks beside threads: they may leave a lock held. A worker takes none: it does
                # not log, print or import, and collects none of the parent's garbage.
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    pid = os.fork()
                except OSError:
                    os.close(reading)
                    os.close(writing)
                    raise
            if pid == 0:
                _serve(self._work, batch, self._names, self._bounds, self._provider.absent, parent, writing)
            os.close(writing)
            os.set_blocking(reading, False)
            worker = _Worker(pid=pid, pipe=reading, batch=batch, names=self._names, deadline=time.monotonic() + seconds)
            self._running[reading] = worker
            self._selector.register(reading, selectors.EVENT_READ, worker)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)

    def _collect(self) -> None:
        """Wait for something to happen to a worker, and deal with it."""
        nearest = min(worker.deadline for worker in self._running.values())
        for key, _ in self._selector.select(max(0.0, nearest - time.monotonic())):
            self._receive(key.data)
        now = time.monotonic()
        for worker in list(self._running.values()):
            if now >= worker.deadline:
                self._dismiss(worker, kill=True)
                self._give_up(worker.batch, f"it took longer than {self._bounds.seconds:g} seconds")

    def _receive(self, worker: "_Worker[T]") -> None:
        try:
            data = os.read(worker.pipe, _READ)
        except BlockingIOError:
            return
        if not data:
            self._ended(worker)
            return
        worker.received += data
        # Small files together get no more room than one large one: no honest answer comes near.
        if len(worker.received) > self._bounds.answer:
            self._dismiss(worker, kill=True)
            self._give_up(worker.batch, f"it answered more than {self._bounds.answer} bytes")

    def _ended(self, worker: "_Worker[T]") -> None:
        why = self._dismiss(worker)
        batch = worker.batch
        if why is not None:
            self._give_up(batch, why)
            return
        try:
            self._believe(worker, _frames(worker.received))
        except InvalidAnswerError as error:
            self._give_up(batch, f"its answer is not valid: {error}")

    def _believe(self, worker: "_Worker[T]", frames: list[bytes]) -> None:
        """Take over what a worker said that ended well, and see to what it left undone."""
        batch = worker.batch
        # Said before the first byte of a file was read, so these are words of ours.
        if frames and frames[0][:1] == UNCONFINED:
            self._do_without(worker, *frames[0][1:].decode().split("\n", 1))
            return
        needed = frames.pop()[1:].decode("ascii", "replace") if frames and frames[-1][:1] == NEEDED else None
        answered, alone = self._read_all(batch, frames[1:], unfinished=needed is not None)
        asked = batch.asked
        if needed is not None:
            if needed in asked or not self._provider.provide(needed):
                self._give_up(batch, f"it asked for the module {needed[:80]!r}, which workers do not get")
                return
            asked = asked | {needed}
        self._results.update(answered)
        rest = batch.tasks[len(answered) + len(alone) :]
        if rest:
            self._again.appendleft(_Batch(rest, asked=asked))
        self._again.extendleft(_Batch([task]) for task in reversed(alone))

    def _read_all(
        self, batch: "_Batch[T]", frames: list[bytes], *, unfinished: bool
    ) -> tuple[dict[int, R], list[tuple[int, T]]]:
        """Return the results of a batch as far as it got, and the tasks that need a worker of their own.

        Args:
            batch: what the worker was given.
            frames: its answers, in the order of the tasks.
            unfinished: whether it said why it ended before the last one.
        """
        answered: dict[int, R] = {}
        alone: list[tuple[int, T]] = []
        wrong = InvalidAnswerError(f"{len(frames)} answers to {len(batch.tasks)} questions")
        if len(frames) > len(batch.tasks):
            raise wrong
        over = False
        for (index, task), frame in zip(batch.tasks, frames, strict=False):
            if over:
                raise InvalidAnswerError("it went on after the answer that ends its word")
            if frame == ALONE and len(batch.tasks) > 1:
                alone.append((index, task))
                continue
            answered[index] = self._read(task, frame)
            over = frame[:1] == REFUSAL or not self._work.quiet(answered[index])
        if over and unfinished:
            raise InvalidAnswerError("it went on after the answer that ends its word")
        # Only what ends its word, or what it lacks, lets a worker end before its batch; and it lacks nothing after it.
        if not over and unfinished is not (len(frames) < len(batch.tasks)):
            raise wrong
        return answered, alone

    def _read(self, task: T, frame: bytes) -> R:
        if frame[:1] == ANSWER:
            return self._work.read(task, frame[1:])
        kind, separator, message = frame[1:].decode("utf-8", "replace").partition("\n")
        if frame[:1] != REFUSAL or not separator or not kind.isidentifier():
            raise InvalidAnswerError("a frame of no known kind")
        return self._work.refused(task, kind, message[:_MESSAGE])

    def _do_without(self, worker: "_Worker[T]", layer: str, reason: str) -> None:
        """Go on without a layer that the kernel offered and then refused, unless all are required."""
        if self._required or layer not in worker.names:
            raise UsageError(f"the sandbox layer {layer} cannot be put on: {reason}. `modelsign doctor` tells more")
        if layer in self._names:  # else another worker, started before that one ended, has told already
            import logging  # takes longer than the scan of a small file, and is seldom needed

            logging.getLogger(__name__).warning("workers run without %s: %s", layer, reason)
            self._names = tuple(name for name in self._names if name != layer)
        self._again.appendleft(worker.batch)

    def _give_up(self, batch: "_Batch[T]", reason: str) -> None:
        """Do a batch again file by file; or, of a single file, put up with the failure."""
        if len(batch.tasks) > 1:
            self._again.extend(_Batch([task]) for task in batch.tasks)
            return
        [(index, task)] = batch.tasks
        self._results[index] = self._work.failed(task, reason)

    def _dismiss(self, worker: "_Worker[T]", *, kill: bool = False) -> str | None:
        """End a worker that has closed its pipe or shall not go on; return what was wrong with its end."""
        del self._running[worker.pipe]
        self._selector.unregister(worker.pipe)
        os.close(worker.pipe)
        if kill:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
        return _end(worker.pid)


def _batches(work: Work[T, R], tasks: Iterable[T], *, workers: int, share: bool) -> Iterator[_Batch[T]]:
    """Put small tasks of one group that follow each other together."""
    batch: _Batch[T] = _Batch()
    current: str | None = None
    room = _FIRST_BYTES
    count = 0
    for index, task in enumerate(tasks):
        size = work.size(task)
        group = work.group(task) if share and size <= _SMALL else None
        full = len(batch.tasks) >= _BATCH_FILES or batch.size + size > room
        if batch.tasks and (full or group is None or group != current):
            yield batch
            batch = _Batch()
            count += 1
            if count % workers == 0:
                room = min(room * 2, _BATCH_BYTES)
        batch.tasks.append((index, task))
        batch.size += size
        current = group
    if batch.tasks:
        yield batch


def _end(pid: int) -> str | None:
    """Reap a worker; kill it where it lingers. Return None for a good end, else what kind of end it was."""
    deadline = time.monotonic() + _END_SECONDS
    pause = 0.0001
    killed = False
    while True:
        try:
            found, status = os.waitpid(pid, 0 if killed else os.WNOHANG)
        except ChildProcessError:
            return None  # the program around us reaps all children; the frames must tell
        if found:
            break
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed = True
        else:
            time.sleep(pause)
            pause = min(pause * 2, 0.01)
    if killed:
        return "it did not end"
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"it was ended by {signal.Signals(-code).name}"
        return f"it was ended by signal {-code}"
    if code == _OUT_OF_MEMORY:
        return "it ran out of memory"
    return None if code == 0 else f"it ended with code {code}"


def _frames(received: bytearray) -> list[bytes]:
    frames = []
    position = 0
    while position < len(received):
        if position + _LENGTH.size > len(received):
            raise InvalidAnswerError("it ends within a length")
        (length,) = _LENGTH.unpack_from(received, position)
        position += _LENGTH.size
        if length > len(received) - position:
            raise InvalidAnswerError("it ends within a frame")
        frames.append(bytes(received[position : position + length]))
        position += length
    return frames


def _serve(
    work: Work[T, R],
    batch: _Batch[T],
    names: tuple[str, ...],
    bounds: Bounds,
    absent: frozenset[str],
    parent: int,
    pipe: int,
) -> NoReturn:
    """Be the worker. Never returns, and runs no clean-up of the parent's."""
    code = _FAILED
    try:
        gc.freeze()  # what the parent made is the parent's to collect
        gc.set_threshold(_COLLECT)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _keep_only({pipe, *(work.descriptor(task) for _, task in batch.tasks)})
        die_with_parent(parent)
        try:
            confine(names, bounds)
        except NotConfinedError as error:
            _write(pipe, UNCONFINED + f"{error.layer}\n{error.reason}".encode())
            os._exit(0)
        sys.meta_path.insert(0, Stop(absent))
        _write(pipe, CONFINED)
        if len(batch.tasks) > 1:
            share()
        for _, task in batch.tasks:
            frame, quiet = _answered(work, task)
            _write(pipe, frame)
            if not quiet:
                break
        code = 0
    except NeededModuleError as error:
        _write(pipe, NEEDED + error.name.encode("ascii", "replace"))
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    except BaseException:  # noqa: BLE001 - nothing may leave this function: the parent's stack lies below it
        code = _FAILED
    finally:
        os._exit(code)


def _answered(work: Work[T, R], task: T) -> tuple[bytes, bool]:
    """Return the frame that answers for a task, and whether the worker's word counts beyond it."""
    try:
        answer, quiet = work.serve(task)
    except AloneError:
        return ALONE, True  # it stopped before anything happened
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the worker's border; the parent decides what it means
        return REFUSAL + f"{type(error).__name__}\n{str(error)[:_MESSAGE]}".encode("utf-8", "replace"), False
    return ANSWER + answer, quiet


def _write(pipe: int, payload: bytes) -> None:
    view = memoryview(_LENGTH.pack(len(payload)) + payload)  # at once: each write wakes the parent
    while view:
        view = view[os.write(pipe, view) :]


def _keep_only(descriptors: set[int]) -> None:
    """Close every other descriptor; standard input, output and error lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        if number not in descriptors:
            os.dup2(nowhere, number)
    previous = 2
    for number in sorted(number for number in descriptors if number > previous):
        os.closerange(previous + 1, number)
        previous = number
    os.closerange(previous + 1, _highest_descriptor())


def _highest_descriptor() -> int:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 31 if hard == resource.RLIM_INFINITY else hard + 1
