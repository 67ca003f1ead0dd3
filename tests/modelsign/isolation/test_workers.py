"""Batches, order, retries and lies, with a work of our own."""

import errno
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from modelsign.errors import SourceError, UsageError
from modelsign.isolation import confinement, landlock
from modelsign.isolation.confinement import Bounds, NotConfinedError, Sandbox
from modelsign.isolation.workers import ALONE, ANSWER, NEEDED, REFUSAL, InvalidAnswerError, Served, results
from scanners import native

pytestmark = pytest.mark.skipif(not confinement.layers()[0].available, reason="nothing is forked here")


class Letters:
    """Tasks are names; the answer to each is itself in JSON, unless `acts` does something else."""

    def __init__(self, descriptor: int, acts: dict[str, Callable[[], object]] | None = None) -> None:
        self._descriptor = descriptor
        self._acts = acts or {}

    def descriptor(self, _task: str) -> int:
        return self._descriptor

    def size(self, _task: str) -> int:
        return 1

    def group(self, _task: str) -> str | None:
        return "all"

    def serve(self, task: str) -> Served:
        if task in self._acts:
            self._acts[task]()
        answer = f"{task} by {os.getpid()}" if "pids" in self._acts else task
        return Served(json.dumps(answer).encode(), quiet=self.quiet(answer))

    def quiet(self, result: str) -> bool:
        return not result.startswith("LOUD")

    def read(self, task: str, answer: bytes) -> str:
        value = json.loads(answer)
        if not isinstance(value, str) or not value.startswith(task):
            raise InvalidAnswerError(f"about {value!r}, not {task!r}")
        return value

    def refused(self, task: str, kind: str, message: str) -> str:
        return f"{task} refused: {kind}: {message}"

    def failed(self, task: str, reason: str) -> str:
        return f"{task} failed: {reason}"


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb") as file:
        yield file.fileno()


def frame(payload: bytes) -> bytes:
    return struct.pack(">Q", len(payload)) + payload


def pipe() -> int:
    """Find the worker's pipe as an intruder would: the only thing but standard output that can be written to."""
    for number in range(3, 256):
        try:
            os.write(number, b"")
        except OSError:
            continue
        return number
    raise AssertionError


def test_results_come_in_order(descriptor: int) -> None:
    tasks = [f"t{number}" for number in range(200)]
    assert list(results(Letters(descriptor), tasks, workers=3)) == tasks


def test_small_tasks_share_a_worker(descriptor: int) -> None:
    found = list(results(Letters(descriptor, {"pids": bool}), [f"t{n}" for n in range(64)], workers=2))
    assert len({line.partition(" by ")[2] for line in found}) == 2


def test_tasks_without_a_group_do_not(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Letters, "group", lambda *_: None)
    found = list(results(Letters(descriptor, {"pids": bool}), ["a", "b", "c"], workers=2))
    assert len({line.partition(" by ")[2] for line in found}) == 3


def workers_of(found: list[str]) -> list[int]:
    """Which worker did which task, workers numbered as they come."""
    pids = [line.partition(" by ")[2] for line in found]
    order = list(dict.fromkeys(pids))
    return [order.index(pid) for pid in pids]


def test_few_tasks_keep_all_processors_busy(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Letters, "size", lambda *_: 400 << 10)
    found = list(results(Letters(descriptor, {"pids": bool}), "abcdefgh", workers=2))
    assert workers_of(found) == [0, 1, 2, 2, 3, 3, 4, 4]


def test_a_large_task_is_alone(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Letters, "size", lambda _, task: 5 << 20 if task == "b" else 1)
    assert workers_of(list(results(Letters(descriptor, {"pids": bool}), "abcd", workers=2))) == [0, 1, 2, 2]


def test_who_requires_every_layer_gets_a_worker_per_task(descriptor: int) -> None:
    if not all(layer.available for layer in confinement.layers()):
        pytest.skip("this machine lacks a layer of isolation")
    found = list(results(Letters(descriptor, {"pids": bool}), "abcd", sandbox=Sandbox.REQUIRE))
    assert workers_of(found) == [0, 1, 2, 3]


def inflate() -> None:
    native.meet("zlib")


@pytest.mark.parametrize("act", [inflate, lambda: compile("1", "of a stranger", "eval")])
def test_what_needs_more_than_python_is_alone(descriptor: int, act: Callable[[], object]) -> None:
    found = list(results(Letters(descriptor, {"pids": bool, "b": act}), "abcd", workers=1))
    assert workers_of(found) == [0, 1, 0, 0]


def test_what_takes_a_decompressor_over_has_nobody_to_lie_about(descriptor: int) -> None:
    def overflow() -> None:
        native.meet("zlib")
        for name in "cd":
            os.write(pipe(), frame(ANSWER + json.dumps(f"{name} is clean").encode()))
        os._exit(0)

    assert list(results(Letters(descriptor, {"b": overflow}), "abcd")) == [
        "a",
        "b failed: its answer is not valid: 2 answers to 1 questions",
        "c",
        "d",
    ]


def test_a_remarkable_task_ends_the_word_of_its_worker(descriptor: int) -> None:
    found = list(results(Letters(descriptor, {"pids": bool}), ["a", "b", "LOUD", "c", "d"], workers=1))
    assert workers_of(found) == [0, 0, 0, 1, 1]


def test_a_worker_that_goes_on_after_a_remarkable_task_is_not_believed(descriptor: int) -> None:
    def answer_for_all() -> None:
        for name in ("LOUD", "b is clean", "c is clean"):
            os.write(pipe(), frame(ANSWER + json.dumps(name).encode()))
        os._exit(0)

    [first, *others] = results(Letters(descriptor, {"LOUD": answer_for_all}), ["LOUD", "b", "c"])
    assert first == "LOUD failed: its answer is not valid: 3 answers to 1 questions"
    assert others == ["b", "c"]


def test_nor_one_that_goes_on_after_an_error(descriptor: int) -> None:
    def fail_and_answer() -> None:
        os.write(pipe(), frame(REFUSAL + b"ValueError\nx"))
        os.write(pipe(), frame(ANSWER + b'"b is clean"'))
        os._exit(0)

    [_, second] = results(Letters(descriptor, {"a": fail_and_answer}), "ab")
    assert second == "b"


def test_answers_that_were_given_cannot_be_taken_back(descriptor: int) -> None:
    def answer_again() -> None:
        os.write(pipe(), frame(ANSWER + b'"a is something else"'))
        os._exit(0)

    assert list(results(Letters(descriptor, {"b": answer_again}), "ab")) == [
        "a",
        "b failed: its answer is not valid: about 'a is something else', not 'b'",
    ]


def test_a_task_that_is_alone_cannot_ask_to_be(descriptor: int) -> None:
    def ask() -> None:
        os.write(pipe(), frame(ALONE))
        os._exit(0)

    [found] = results(Letters(descriptor, {"a": ask}), ["a"])
    assert found == "a failed: its answer is not valid: a frame of no known kind"


def test_what_was_done_before_an_import_is_not_done_again(descriptor: int, tmp_path: Path) -> None:
    def need() -> None:
        import encodings.cp1026  # noqa: F401 - the import is the act

    found = list(results(Letters(descriptor, {"pids": bool, "c": need}), "abcd", workers=1))
    assert workers_of(found) == [0, 0, 1, 1]


def test_a_worker_that_lacks_nothing_any_more_asks_for_nothing(descriptor: int) -> None:
    def ask() -> None:
        os.write(pipe(), frame(ANSWER + b'"a"'))
        os.write(pipe(), frame(NEEDED + b"encodings.cp037"))
        os._exit(0)

    [found] = results(Letters(descriptor, {"a": ask}), ["a"])
    assert found.startswith("a failed: its answer is not valid")


def test_no_tasks(descriptor: int) -> None:
    assert list(results(Letters(descriptor), [])) == []


def test_a_crash_costs_one_task(descriptor: int) -> None:
    work = Letters(descriptor, {"c": os.abort})
    found = list(results(work, "abcde"))
    assert found[2].startswith("c failed: it was ended by SIG")  # which one: abort() may not signal either
    assert found[:2] + found[3:] == ["a", "b", "d", "e"]


def test_an_early_end_costs_one_task(descriptor: int) -> None:
    work = Letters(descriptor, {"c": lambda: os._exit(0)})
    assert list(results(work, "abcde")) == [
        "a",
        "b",
        "c failed: its answer is not valid: 0 answers to 1 questions",
        "d",
        "e",
    ]


def test_a_hang_costs_one_task(descriptor: int) -> None:
    def forever() -> None:
        while True:
            pass

    work = Letters(descriptor, {"b": forever})
    found = list(results(work, "abc", bounds=Bounds(seconds=4)))
    assert found == ["a", "b failed: it took longer than 4 seconds", "c"]


def test_an_error_costs_one_task_and_keeps_its_text(descriptor: int) -> None:
    def wrong() -> None:
        raise KeyError("x")

    assert list(results(Letters(descriptor, {"b": wrong}), "abc")) == ["a", "b refused: KeyError: 'x'", "c"]


def test_answers_for_others_are_not_believed(descriptor: int) -> None:
    def answer_for_all() -> None:
        for name in ("a", "b", "c"):
            os.write(pipe(), frame(ANSWER + json.dumps(f"{name} is clean").encode()))

    found = list(results(Letters(descriptor, {"a": answer_for_all}), "abc"))
    assert found == ["a failed: its answer is not valid: 4 answers to 1 questions", "b", "c"]


def test_an_answer_about_another_task_is_not_believed(descriptor: int) -> None:
    def answer_about_b() -> None:
        os.write(pipe(), frame(ANSWER + b'"b is clean"'))
        os._exit(0)

    found = list(results(Letters(descriptor, {"a": answer_about_b}), "ab"))
    assert found == ["a failed: its answer is not valid: about 'b is clean', not 'a'", "b"]


@pytest.mark.parametrize(
    "garbage",
    [b"\0", frame(b""), frame(b"+")[:-1], struct.pack(">Q", 1 << 62), frame(b"-no line"), frame(b"-not a name\nx")],
)
def test_garbage_is_not_believed(descriptor: int, garbage: bytes) -> None:
    def write() -> None:
        os.write(pipe(), garbage)
        os._exit(0)

    [first, second] = results(Letters(descriptor, {"a": write}), "ab")
    assert first.startswith("a failed: its answer is not valid")
    assert second == "b"


def test_a_worker_gets_only_modules_of_the_list(descriptor: int) -> None:
    def ask(name: bytes) -> Callable[[], None]:
        def act() -> None:
            os.write(pipe(), frame(NEEDED + name))
            os._exit(0)

        return act

    [found] = results(Letters(descriptor, {"a": ask(b"antigravity")}), ["a"])
    assert found == "a failed: it asked for the module 'antigravity', which workers do not get"
    [found] = results(Letters(descriptor, {"a": ask(b"encodings...os")}), ["a"])
    assert "which workers do not get" in found


def test_a_worker_that_keeps_asking_is_given_up(descriptor: int) -> None:
    def ask() -> None:
        os.write(pipe(), frame(NEEDED + b"encodings.cp037"))
        os._exit(0)

    [found] = results(Letters(descriptor, {"a": ask}), ["a"])
    assert "which workers do not get" in found


def test_two_workers_may_need_the_same_module(descriptor: int) -> None:
    def need() -> None:
        import encodings.cp1140  # noqa: F401 - the import is the act

    work = Letters(descriptor, dict.fromkeys(("t0", "t32"), need))
    assert list(results(work, [f"t{n}" for n in range(64)], workers=2)) == [f"t{n}" for n in range(64)]


def children() -> set[str]:
    """Process ids of our children, dead ones that nobody has waited for included."""
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def test_closing_the_results_ends_the_workers(descriptor: int) -> None:
    before = children()  # another test of this process may have left some

    def forever() -> None:
        while True:
            pass

    stream = results(Letters(descriptor, {"t40": forever}), [f"t{n}" for n in range(64)], workers=2)
    assert next(stream) == "t0"
    assert isinstance(stream, Generator)
    assert children() - before
    stream.close()
    assert children() <= before


def test_no_descriptor_is_left_open(descriptor: int) -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of this process
    list(results(Letters(descriptor, {"c": os.abort}), "abcde"))
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - another thread may have closed some of its own


def test_a_file_may_have_the_number_of_standard_input(descriptor: int) -> None:
    standard = os.dup(0)
    os.dup2(descriptor, 0)
    try:
        assert list(results(Letters(0), "ab")) == ["a", "b"]
    finally:
        os.dup2(standard, 0)
        os.close(standard)


def test_no_more_files_are_open_than_may_be(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (240, 240))
    done = 0
    most = 0

    def tasks() -> Iterator[str]:
        nonlocal most
        for number in range(400):
            most = max(most, number + 1 - done)
            yield f"t{number}"

    def slow() -> None:
        time.sleep(0.3)

    for _ in results(Letters(descriptor, {"t0": slow}), tasks(), workers=4):
        done += 1
    assert done == 400
    assert most <= 240 // 3 + 1


def test_beside_threads(descriptor: int) -> None:
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        assert list(results(Letters(descriptor), "abc")) == ["a", "b", "c"]
    finally:
        stop.set()
        other.join()


def test_off_runs_here(descriptor: int) -> None:
    [found] = results(Letters(descriptor, {"pids": bool}), ["a"], sandbox=Sandbox.OFF)
    assert found == f"a by {os.getpid()}"


def test_off_reports_errors_alike(descriptor: int) -> None:
    def wrong() -> None:
        raise KeyError("x")

    assert list(results(Letters(descriptor, {"b": wrong}), "ab", sandbox=Sandbox.OFF)) == [
        "a",
        "b refused: KeyError: 'x'",
    ]


def broken(*_: object) -> None:
    raise OSError(1, "Operation not permitted")


def test_auto_goes_on_without_a_layer_that_the_kernel_refuses(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 7)
    monkeypatch.setattr(landlock, "restrict", broken)
    assert list(results(Letters(descriptor), "ab")) == ["a", "b"]
    assert "without landlock: [Errno 1] Operation not permitted" in caplog.text


def test_auto_goes_on_when_several_workers_are_refused_a_layer_at_once(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Letters, "group", lambda *_: None)
    monkeypatch.setattr(landlock, "abi", lambda: 7)
    monkeypatch.setattr(landlock, "restrict", broken)
    monkeypatch.setattr(confinement, "_no_new_rights", lambda: broken_layer("process"))
    assert list(results(Letters(descriptor), "abcdef", workers=4)) == [*"abcdef"]
    said = [record.getMessage() for record in caplog.records if "seccomp" not in record.getMessage()]
    assert sorted(said) == [  # seccomp is refused as well to who is not root, without the first
        "workers run without landlock: [Errno 1] Operation not permitted",
        "workers run without process: Operation not permitted",
    ]


def broken_layer(name: str) -> None:
    raise NotConfinedError(name, "Operation not permitted")


def test_where_no_more_processes_can_be_started_those_that_run_do_the_work(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Letters, "group", lambda *_: None)
    real = os.fork
    started = iter([real, real, no_room])

    def start() -> int:
        return next(started, real)()

    monkeypatch.setattr(os, "fork", start)
    assert list(results(Letters(descriptor), "abcdef", workers=4)) == [*"abcdef"]


def no_room() -> int:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_where_no_process_can_be_started_at_all_the_way_out_is_named(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", no_room)
    with pytest.raises(SourceError, match=r"Resource temporarily unavailable\. .*--sandbox off"):
        list(results(Letters(descriptor), "ab"))


def test_require_does_not(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "layers", lambda: (confinement._process(), confinement._rlimits()))
    monkeypatch.setattr(confinement, "_limit_resources", broken)
    with pytest.raises(UsageError, match="rlimits cannot be put on"):
        list(results(Letters(descriptor), "ab", sandbox=Sandbox.REQUIRE))


KILLED = """
import os, signal
from modelsign import isolation

signal.signal(signal.SIGINT, signal.default_int_handler)   # programs in the background are born without

fork = os.fork

def announced():
    pid = fork()
    if pid:
        print(pid, flush=True)
    return pid

def forever(_reader):
    while True:
        pass

os.fork = announced
isolation.ask(forever, os.open(os.devnull, os.O_RDONLY), 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_worker_does_not_outlive_its_parent(number: signal.Signals) -> None:
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(number)
        parent.wait(timeout=30)
    for _ in range(3000):
        if not lives(worker):
            return
        time.sleep(0.01)
    os.kill(worker, signal.SIGKILL)
    raise AssertionError("the worker goes on")


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # nobody may be there to reap it
