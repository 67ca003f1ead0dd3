"""Scan speed beside picklescan, on the same files in one run: `make bench-scan` (after `make peers`).

Machines are shared and noisy, so each case alternates the two tools and keeps the best of several runs. Everything is
made here, in a temporary directory; nothing is loaded.

    archives    300 torch archives of 1000 tensors each
    huge        one 2 GiB torch archive: its directory and data.pkl are read, its weights are not
    opcodes     one pickle of 8.4 million opcodes
    start       `modelsign scan small.pt`, start of the interpreter included
"""

import argparse
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(os.environ.get("MODELSIGN_PEERS", ROOT / ".peers"))
CASES = ("archives", "huge", "opcodes", "start")


def state_dict_pickle(tensors: int) -> bytes:
    """A state dict of float tensors as torch 2.13 writes it, opcode by opcode: what repeats comes from the memo."""
    out = bytearray(b"\x80\x02")
    memo: dict[bytes, int] = {}
    count = 0

    def put() -> bytes:
        nonlocal count
        count += 1
        return struct.pack("<BB", 0x71, count - 1) if count <= 256 else struct.pack("<BI", 0x72, count - 1)

    def once(opcodes: bytes) -> bytes:
        """The opcodes and a PUT; a GET when they come again."""
        if opcodes in memo:
            index = memo[opcodes]
            return struct.pack("<BB", 0x68, index) if index < 256 else struct.pack("<BI", 0x6A, index)
        memo[opcodes] = count
        return opcodes + put()

    def text(value: str) -> bytes:
        return once(b"X" + struct.pack("<I", len(value)) + value.encode())

    ordered = b"ccollections\nOrderedDict\n"
    out += once(ordered) + b")R" + put() + b"("
    for index in range(tensors):
        out += text(f"model.layers.{index}.weight")
        out += once(b"ctorch._utils\n_rebuild_tensor_v2\n") + b"(("
        out += text("storage") + once(b"ctorch\nFloatStorage\n") + text(str(index)) + text("cpu")
        out += b"K\x10t" + put() + b"QK\x00K\x04K\x04\x86" + put() + b"K\x04K\x01\x86" + put()
        out += b"\x89" + once(ordered) + b")R" + put() + b"t" + put() + b"R" + put()
    return bytes(out + b"u.")


def write_archive(path: Path, tensors: int, storage: bytes) -> None:
    """A torch archive whose storages all hold ``storage``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", state_dict_pickle(tensors))
        archive.writestr("archive/byteorder", "little")
        for index in range(tensors):
            archive.writestr(f"archive/data/{index}", storage)
        archive.writestr("archive/version", "3\n")


def timed(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return wall seconds, CPU seconds and peak memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:
        raise SystemExit(f"{command}: exit {process.returncode}\n{errors.decode()}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def make(case: str, work: Path) -> None:
    """Make the files of a case."""
    if case == "archives":
        (work / case).mkdir()
        for index in range(300):
            write_archive(work / case / f"{index}.pt", 1000, b"\0" * 64)
    elif case == "huge":
        write_archive(work / case, 32, b"\0" * (64 << 20))
    elif case == "opcodes":
        # A list of small ints: one opcode a value, and one APPENDS for each thousand.
        (work / case).write_bytes(pickle.dumps([index % 200 for index in range(8_390_000)]))
    else:
        write_archive(work / case, 4, b"\0" * 64)


def compare(ours: list[str], theirs: list[str] | None, repeat: int) -> dict[str, tuple[float, float, float]]:
    """Alternate the two commands and return the best of each."""
    commands = {"modelsign": ours} if theirs is None else {"modelsign": ours, "picklescan": theirs}
    best: dict[str, tuple[float, float, float]] = {}
    for _ in range(repeat):
        for tool, command in commands.items():
            wall, cpu, memory = timed(command)
            known = best.get(tool, (wall, cpu, memory))
            best[tool] = (min(known[0], wall), min(known[1], cpu), min(known[2], memory))
    return best


def main() -> None:
    """Run both tools over each case alternately, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="*", default=CASES)
    arguments = parser.parse_args()
    if arguments.make is not None:
        for case in arguments.cases:
            make(case, arguments.make)
        return
    peer = PEERS / "picklescan" / "bin" / "picklescan"
    if not peer.exists():
        print(f"picklescan is not installed at {PEERS}: run `make peers`; only our own numbers follow")
    os.environ["PYTHONPATH"] = str(ROOT)

    results = {}
    for case in arguments.cases:
        with tempfile.TemporaryDirectory() as directory:
            # In a process of its own: what a command is charged for memory begins with what its parent has at the fork.
            subprocess.run([sys.executable, __file__, "--make", directory, case], check=True)
            target = str(Path(directory, case))
            ours = [sys.executable, "-P", "-m", "modelsign", "scan", target]
            theirs = [str(peer), "-l", "ERROR", "-p", target] if peer.exists() else None
            results[case] = compare(ours, theirs, arguments.repeat)

    print(f"{'case':10} {'tool':11} {'wall s':>8} {'CPU s':>8} {'MiB':>6} {'CPU of the other':>17}")
    for case, best in results.items():
        for tool, (wall, cpu, memory) in best.items():
            others = [other for name, (_, other, _) in best.items() if name != tool]
            ratio = f"{others[0] / cpu:.2f} x" if others else ""
            print(f"{case:10} {tool:11} {wall:8.3f} {cpu:8.3f} {memory:6.0f} {ratio:>17}")


if __name__ == "__main__":
    main()
