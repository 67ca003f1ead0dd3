"""Scan speed beside picklescan, on the same files in one run: `make bench-scan` (after `make peers`).

Prints a ratio per case; machines are shared and noisy, so each case alternates the two tools and keeps the best of
several runs. Everything is made here, in a temporary directory; nothing is loaded.

    archives    300 torch archives of 1000 tensors each
    huge        one 2 GiB torch archive: its directory and data.pkl are read, its weights are not
    opcodes     one pickle of 8.4 million opcodes
    start       `modelsign scan small.pt`, start of the interpreter included (CPU seconds)
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


def state_dict_pickle(tensors: int) -> bytes:
    """A state dict of float tensors as torch writes it, opcode by opcode."""
    out = bytearray(b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(")
    memo = 2

    def text(value: str) -> bytes:
        nonlocal memo
        memo += 1
        return b"X" + struct.pack("<I", len(value)) + value.encode() + b"r" + struct.pack("<I", memo)

    for index in range(tensors):
        out += text(f"model.layers.{index}.weight")
        out += b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n"
        out += text(str(index)) + text("cpu") + b"K\x10tQK\x00K\x04K\x04\x86K\x04K\x01\x86\x89"
        out += b"ccollections\nOrderedDict\n)RtR"
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


def compare(name: str, ours: list[str], theirs: list[str] | None, repeat: int) -> None:
    """Alternate the two commands and print the best of each."""
    results: dict[str, list[tuple[float, float, float]]] = {"modelsign": [], "picklescan": []}
    for _ in range(repeat):
        results["modelsign"].append(timed(ours))
        if theirs is not None:
            results["picklescan"].append(timed(theirs))
    best = {tool: tuple(map(min, zip(*runs, strict=True))) for tool, runs in results.items() if runs}
    for tool, (wall, cpu, memory) in best.items():
        print(f"{name:10} {tool:11} {wall:8.3f} s wall {cpu:8.3f} s CPU {memory:7.0f} MiB")
    if theirs is not None:
        ratio = best["picklescan"][1] / best["modelsign"][1]
        print(f"{name:10} {'ratio':11} {ratio:8.2f} x less CPU than picklescan")


def main() -> None:
    """Make the files, run both tools alternately, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("cases", nargs="*", default=["archives", "huge", "opcodes", "start"])
    arguments = parser.parse_args()
    modelsign = [sys.executable, "-P", "-m", "modelsign", "scan", "-q"]
    peer = PEERS / "picklescan" / "bin" / "picklescan"
    picklescan = [str(peer), "-l", "ERROR", "-p"] if peer.exists() else None
    if picklescan is None:
        print(f"picklescan is not installed at {PEERS}: run `make peers`; only our own numbers follow")
    os.environ["PYTHONPATH"] = str(ROOT)

    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)

        def run(name: str, path: Path) -> None:
            theirs = None if picklescan is None else [*picklescan, str(path)]
            compare(name, [*modelsign, str(path)], theirs, arguments.repeat)

        if "archives" in arguments.cases:
            (work / "archives").mkdir()
            for index in range(300):
                write_archive(work / "archives" / f"{index}.pt", 1000, b"\0" * 64)
            run("archives", work / "archives")
        if "huge" in arguments.cases:
            write_archive(work / "huge.pt", 32, b"\0" * (64 << 20))
            run("huge", work / "huge.pt")
            (work / "huge.pt").unlink()
        if "opcodes" in arguments.cases:
            # A list of small ints: one opcode a value, and one APPENDS for each thousand.
            (work / "opcodes.pkl").write_bytes(pickle.dumps([index % 200 for index in range(8_390_000)]))
            run("opcodes", work / "opcodes.pkl")
        if "start" in arguments.cases:
            write_archive(work / "small.pt", 4, b"\0" * 64)
            run("start", work / "small.pt")


if __name__ == "__main__":
    main()
