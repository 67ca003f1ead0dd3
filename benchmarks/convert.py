"""Conversion beside `cp`, a hash of the file, and torch's ways: `python benchmarks/convert.py` (after `make peers`).

Everything is made here, in a temporary directory, and runs side by side: each round runs every contender once, in
order, and best and median of the rounds are printed, because machines are shared and noisy; the load and the
processors are printed too. The page cache is warm. Nobody writes into memory that was just freed or never used, which
on a virtual machine its host may have to provide first (up to 12 s were seen for the 4 GiB that take 1.4 s
otherwise): outputs stay until newer ones have taken their place in the page cache, which is filled before the first
round and after each contender that leaves more than 1 GiB of it free, and are flushed to the disk between two
contenders. Peak memory is that of one process (ru_maxrss, never less than this script's own); ours are two, the
larger counts, and both are listed below the table. The last column is processor time beside that of the SHA-256 pass,
which depends less on who else uses the machine; work that two threads share counts in full.

    cp              `cp` of the same file: what the disk allows
    sha256          one single-threaded pass over the file
    copy            `modelsign convert --no-verify`
    verify          `modelsign convert`: checksums, digests of tensors, comparison byte by byte, flushed to the disk
    torch mmap      torch.load(mmap=True) and safetensors.torch.save_file
    torch           torch.load and safetensors.torch.save_file
    hub             huggingface_hub.save_torch_state_dict, where the peer has it
    convert_file    the same steps as safetensors' bindings/python/convert.py: load, save, load again, compare
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from operator import itemgetter
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(os.environ.get("MODELSIGN_PEERS", ROOT / ".peers"))

MAKE = """
import sys, torch
path, count, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rows = max(1, each // 2048)
torch.save({f"model.layers.{i}.weight": torch.randint(0, 1 << 14, (rows, 1024), dtype=torch.int16).view(torch.bfloat16)
            for i in range(count)}, path)
"""

MAKE_WITHOUT_TORCH = """
import os, sys
sys.path.insert(0, "")
from tests.builders.checkpoints import tensor, torch_zip
path, count, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rows = max(1, each // 2048)
data = os.urandom(rows * 2048)
value = {f"layers.{i}": tensor(str(i), (rows, 1024), dtype="bfloat16") for i in range(count)}
with open(path, "wb") as file:
    file.write(torch_zip(value, {str(i): data for i in range(count)}))
"""

TORCH = """
import sys, torch
from safetensors.torch import save_file
how, source, target = sys.argv[1:]
state = torch.load(source, map_location="cpu", weights_only=True, mmap=how == "mmap")
if how == "hub":
    from huggingface_hub import save_torch_state_dict
    save_torch_state_dict(state, target)
else:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, target, metadata={"format": "pt"})
if how == "check":
    from safetensors.torch import load_file
    again = load_file(target)
    for name, tensor in state.items():
        if not torch.equal(tensor, again[name]):
            raise SystemExit(f"{name} differs")
"""

HASH = "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"


TARGET = "<target>"


class Targets:
    """Names for outputs, each kept until others have taken its place in the page cache."""

    def __init__(self, folder: Path, size: int) -> None:
        """Count how many outputs of ``size`` bytes fill the memory; none is kept where the disk has no room."""
        self._folder = folder
        self._given: deque[Path] = deque()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self.kept = memory // size + 1
        if self.kept > 10 or (self.kept + 2) * size > shutil.disk_usage(folder).free:
            print("  outputs are removed at once: they are too small, or the disk is, to fill the memory with them")
            self.kept = 0

    def new(self) -> Path:
        """Return a name that is free, after writing to the disk what waits for it and removing outputs of long ago."""
        os.sync()
        while len(self._given) > self.kept:
            remove(self._given.popleft())
        self._given.append(self._folder / f"out-{time.monotonic_ns()}.safetensors")
        return self._given[-1]

    def clear(self) -> None:
        """Remove them all."""
        while self._given:
            remove(self._given.popleft())


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run(command: list[str], targets: Targets) -> dict[str, float] | None:
    """Run a command with a new target; return wall and CPU seconds and peak memory, None where it fails."""
    target = str(targets.new())
    command = [target if part == TARGET else part for part in command]
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status):
        print(f"  {command[0]} failed: {errors.decode(errors='replace').strip()[-200:]}", file=sys.stderr)
        return None
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss / 1024}


PEAKS = """
import resource, sys
from modelsign import convert
convert(sys.argv[1], sys.argv[2], force=True, verify=sys.argv[3] == "verify")
with open("/proc/self/status") as file:
    print(next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def peaks(source: Path, mode: str) -> tuple[float, float]:
    """Return the peak memory of the process that copies and of the worker that parses, in MiB."""
    target = source.with_name("peaks.safetensors")
    found = subprocess.run(
        [sys.executable, "-P", "-c", PEAKS, source, target, mode],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    parent, worker = map(float, found.stdout.split())
    target.unlink()
    return parent, worker


def contenders(source: Path) -> dict[str, list[str]]:
    """Return every command, with `TARGET` for its output."""
    ours = [sys.executable, "-P", "-m", "modelsign", "convert", "-q", str(source), TARGET]
    found = {
        "cp": ["cp", str(source), TARGET],
        "sha256": [sys.executable, "-c", HASH, str(source)],
        "copy": [*ours, "--no-verify"],
        "verify": ours,
    }
    torch = PEERS / "torch/bin/python"
    if torch.exists():
        found["torch mmap"] = [str(torch), "-c", TORCH, "mmap", str(source), TARGET]
        found["torch"] = [str(torch), "-c", TORCH, "load", str(source), TARGET]
        found["convert_file"] = [str(torch), "-c", TORCH, "check", str(source), TARGET]
        if subprocess.run([torch, "-c", "import huggingface_hub"], check=False, capture_output=True).returncode == 0:
            found["hub"] = [str(torch), "-c", TORCH, "hub", str(source), TARGET]
    return found


def make(source: Path, tensors: int, size: int) -> None:
    torch = PEERS / "torch/bin/python"
    if torch.exists():
        subprocess.run([torch, "-c", MAKE, source, str(tensors), str(size // tensors)], check=True)
        return
    command = [sys.executable, "-c", MAKE_WITHOUT_TORCH, str(source), str(tensors), str(size // tensors)]
    subprocess.run(command, check=True, cwd=ROOT)


def measure(title: str, tensors: int, size: int, rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    source = folder / "model.pt"
    make(source, tensors, size)
    with source.open("rb") as file:
        while file.read(1 << 24):
            pass
    size = source.stat().st_size
    targets = Targets(folder, size)
    commands = contenders(source)
    free: float = targets.kept * size
    all_found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name, command in commands.items():
            for _ in range(math.ceil(free / size) if targets.kept else 0):
                run(commands["cp"], targets)
            found = run(command, targets)
            free = found["rss"] * (1 << 20) if found is not None and found["rss"] > 1024 else 0
            if found is not None:
                all_found.setdefault(name, []).append(found)
    best = {
        name: {**min(found, key=itemgetter("wall")), "median": median(row["wall"] for row in found)}
        for name, found in all_found.items()
    }
    targets.clear()
    base = max(best["cp"]["wall"], best["sha256"]["wall"])
    print(f"\n{title}: {size} bytes, {tensors} tensors, best of {rounds}; load {os.getloadavg()[0]:.1f}")
    columns = ("wall s", "x cp", "x max(cp, sha256)", "median s", "CPU s", "peak MiB", "CPU x sha256")
    print("  " + " " * 14 + "".join(f"  {column:>7}" for column in columns))
    for name, row in best.items():
        values = (
            row["wall"],
            row["wall"] / best["cp"]["wall"],
            row["wall"] / base,
            row["median"],
            row["cpu"],
            row["rss"],
            row["cpu"] / best["sha256"]["cpu"],
        )
        print(
            f"  {name:14}"
            + "".join(f"  {value:{max(7, len(column))}.2f}" for column, value in zip(columns, values, strict=True))
        )
    for mode in ("copy", "verify"):
        parent, worker = peaks(source, mode)
        print(f"  peak MiB of {mode}: {parent:.0f} where it copies, {worker:.0f} where it parses")
    source.unlink()
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=4 << 30, help="bytes of the large checkpoint")
    parser.add_argument("--folder", type=Path, default=None, help="where to write (default: the temporary directory)")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    print(f"Python {sys.version.split()[0]}, {len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}")
    try:
        figures = {
            "small": measure("small", 300, 200_000_000, options.rounds, folder),
            "many": measure("many", 50_000, 50_000 * 2048, options.rounds, folder),
            "large": measure("large", 400, options.large, options.rounds, folder),
        }
    finally:
        shutil.rmtree(folder)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
