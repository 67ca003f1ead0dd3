"""What a parser that was taken over may try. Each function runs in a real worker, on this machine's own sandbox."""

import _socket
import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelsign import isolation
from modelsign.isolation import Bounds, RefusedError, Sandbox, WorkerError
from scanners.reader import Reader

pytestmark = pytest.mark.skipif(
    not all(layer.available for layer in isolation.layers()),
    reason="this machine lacks a layer of isolation",
)

PARENT = os.getpid()


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "model").write_bytes(b"weights")
    # Wider than we ever open a file: the worker must not write to it all the same.
    with (tmp_path / "model").open("r+b") as file:
        yield file.fileno()


def attempt(descriptor: int, action: Callable[[], object], *, bounds: Bounds | None = None) -> bytes:
    def function(_reader: Reader) -> bytes:
        return repr(action()).encode()

    return isolation.ask(function, descriptor, 7, sandbox=Sandbox.REQUIRE, bounds=bounds)


def refused(descriptor: int, action: Callable[[], object], kind: str = "PermissionError") -> None:
    with pytest.raises(RefusedError) as raised:
        attempt(descriptor, action)
    assert raised.value.kind == kind, raised.value


def test_reads_what_it_was_given(descriptor: int) -> None:
    assert isolation.ask(lambda reader: reader.read_at(0, 3), descriptor, 7, sandbox=Sandbox.REQUIRE) == b"wei"


def test_read_another_file(descriptor: int) -> None:
    refused(descriptor, lambda: os.open("/etc/hostname", os.O_RDONLY))
    refused(descriptor, lambda: os.open(sys.executable, os.O_RDONLY))


def test_look_at_names_and_sizes(descriptor: int) -> None:
    refused(descriptor, lambda: list(Path("/").iterdir()))
    refused(descriptor, lambda: Path("/etc/hostname").stat())
    refused(descriptor, lambda: Path("/proc/self/exe").readlink())


def test_read_what_the_parent_has_open(descriptor: int, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with (tmp_path / "secret").open("rb") as secret:
        number = secret.fileno()
        refused(descriptor, lambda: os.pread(number, 6, 0), "OSError")


def test_write_a_new_file(descriptor: int, tmp_path: Path) -> None:
    refused(descriptor, lambda: os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT))
    assert not (tmp_path / "new").exists()


def test_write_to_the_file_it_was_given(descriptor: int, tmp_path: Path) -> None:
    refused(descriptor, lambda: os.pwrite(descriptor, b"evil", 0))
    refused(descriptor, lambda: os.write(descriptor, b"evil"), "OSError")
    refused(descriptor, lambda: os.ftruncate(descriptor, 0))
    assert (tmp_path / "model").read_bytes() == b"weights"


def test_remove_and_rename(descriptor: int, tmp_path: Path) -> None:
    refused(descriptor, (tmp_path / "model").unlink)
    refused(descriptor, lambda: (tmp_path / "model").rename(tmp_path / "other"))
    refused(descriptor, (tmp_path / "directory").mkdir)
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


@pytest.mark.parametrize("family", [_socket.AF_INET, _socket.AF_INET6, _socket.AF_UNIX])
def test_connect(descriptor: int, family: int) -> None:
    refused(descriptor, lambda: _socket.socket(family, _socket.SOCK_STREAM))


def test_resolve_a_name(descriptor: int) -> None:
    refused(descriptor, lambda: _socket.getaddrinfo("example.com", 80), "gaierror")


def test_execute(descriptor: int) -> None:
    refused(descriptor, lambda: os.execv("/bin/true", ["true"]))
    refused(descriptor, lambda: os.posix_spawn("/bin/true", ["true"], {}))


def test_fork(descriptor: int) -> None:
    refused(descriptor, os.fork)


def test_start_a_thread(descriptor: int) -> None:
    refused(descriptor, lambda: threading.Thread(target=print).start(), "RuntimeError")


def test_signal_the_parent(descriptor: int) -> None:
    refused(descriptor, lambda: os.kill(PARENT, 0))
    refused(descriptor, lambda: os.killpg(0, 0))


def test_read_the_memory_of_the_parent(descriptor: int) -> None:
    def trace() -> None:
        if ctypes.CDLL(None, use_errno=True).ptrace(16, PARENT, 0, 0) < 0:  # PTRACE_ATTACH
            raise OSError(ctypes.get_errno(), "ptrace")

    refused(descriptor, trace)


def test_give_itself_rights_again(descriptor: int) -> None:
    import resource

    refused(descriptor, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)), "ValueError")
    refused(descriptor, lambda: os.setuid(0))


def test_new_descriptors(descriptor: int) -> None:
    refused(descriptor, lambda: os.dup(descriptor))
    refused(descriptor, os.pipe)


def test_write_to_the_terminal_goes_nowhere(descriptor: int, capfd: pytest.CaptureFixture[str]) -> None:
    attempt(descriptor, lambda: [os.write(number, b"hello") for number in (1, 2)])
    assert capfd.readouterr() == ("", "")


def test_answer_a_gigabyte(descriptor: int) -> None:
    def flood() -> None:
        for number in range(3, 64):
            with contextlib.suppress(OSError):
                for _ in range(1024):
                    os.write(number, bytes(1 << 20))

    with pytest.raises(WorkerError, match="answered more than 1000000 bytes"):
        attempt(descriptor, flood, bounds=Bounds(answer=1_000_000))


def test_crash(descriptor: int) -> None:
    with pytest.raises(WorkerError, match="ended by SIGSEGV"):
        attempt(descriptor, lambda: ctypes.string_at(0))


def test_end_early(descriptor: int) -> None:
    with pytest.raises(WorkerError, match="0 answers to 1 question"):
        attempt(descriptor, lambda: os._exit(0))
    with pytest.raises(WorkerError, match="ended with code 3"):
        attempt(descriptor, lambda: os._exit(3))


def test_hang(descriptor: int) -> None:
    with pytest.raises(WorkerError, match=r"took longer than 0.2 seconds"):
        attempt(descriptor, forever, bounds=Bounds(seconds=0.2))


def test_hang_with_its_pipe_closed(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def close_all() -> None:
        os.closerange(0, 1 << 16)
        forever()

    monkeypatch.setattr("modelsign.isolation.workers._END_SECONDS", 0.1)
    with pytest.raises(WorkerError, match="it did not end"):
        attempt(descriptor, close_all)


def test_out_of_memory(descriptor: int) -> None:
    with pytest.raises(WorkerError, match="out of memory"):
        attempt(descriptor, lambda: bytearray(1 << 32), bounds=Bounds(memory=1 << 28))


def test_out_of_memory_little_by_little(descriptor: int) -> None:
    def hoard() -> None:
        kept = []
        while True:
            kept.append(bytearray(1 << 20))

    with pytest.raises(WorkerError, match="out of memory"):
        attempt(descriptor, hoard, bounds=Bounds(memory=1 << 28))


def test_no_handler_of_the_parent_runs(descriptor: int) -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert attempt(descriptor, lambda: signal.getsignal(signal.SIGTERM)) == repr(signal.SIG_DFL).encode()
    finally:
        signal.signal(signal.SIGTERM, before)


def forever() -> None:
    while True:
        pass
