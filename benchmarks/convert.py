"""Conversion beside `cp`, a hash of the file, and torch's ways: `python benchmarks/convert.py` (after `make peers`).

Everything is made here, in a temporary directory, and runs side by side: each round runs every contender once, in
order, and the best of the rounds is printed, because machines are shared and noisy. The page cache is warm. Peak memory
is of the process that does the work; ours counts the larger of its two processes.

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
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(os.environ.get("MODELSIGN_PEERS", ROOT / ".peers"))

MAKE = """
import sys, torch
path, count, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rows = max(1, each // 2048)
torch.save({f"model.layers.{i}.weight": torch.randint(0, 1 << 14, (rows, 1024), dtype=torch.int16).view(torch.bfloat16)
            for i in range(count)}, path)
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


def run(command: list[str], target: Path) -> dict[str, float] | None:
    """Run a command with a fresh target; return wall and CPU seconds and peak memory, None where it fails."""
    for old in target.parent.glob("out*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
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


def contenders(source: Path, target: Path) -> dict[str, list[str]]:
    """Return every command."""
    ours = [sys.executable, "-P", "-m", "modelsign", "convert", "-q", str(source), str(target)]
    found = {
        "cp": ["cp", str(source), str(target)],
        "sha256": [sys.executable, "-c", HASH, str(source)],
        "copy": [*ours, "--no-verify"],
        "verify": ours,
    }
    torch = PEERS / "torch/bin/python"
    if torch.exists():
        found["torch mmap"] = [str(torch), "-c", TORCH, "mmap", str(source), str(target)]
        found["torch"] = [str(torch), "-c", TORCH, "load", str(source), str(target)]
        found["convert_file"] = [str(torch), "-c", TORCH, "check", str(source), str(target)]
        if subprocess.run([torch, "-c", "import huggingface_hub"], check=False, capture_output=True).returncode == 0:
            found["hub"] = [str(torch), "-c", TORCH, "hub", str(source), str(target.with_name("out-hub"))]
    return found


def make(source: Path, tensors: int, size: int) -> None:
    torch = PEERS / "torch/bin/python"
    if torch.exists():
        subprocess.run([torch, "-c", MAKE, source, str(tensors), str(size // tensors)], check=True)
        return
    sys.path.insert(0, str(ROOT))
    from tests.builders.checkpoints import tensor, torch_zip

    rows = max(1, size // tensors // 2048)
    data = os.urandom(rows * 2048)
    value = {f"layers.{index}": tensor(str(index), (rows, 1024), dtype="bfloat16") for index in range(tensors)}
    source.write_bytes(torch_zip(value, {str(index): data for index in range(tensors)}))


def measure(title: str, tensors: int, size: int, rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    source, target = folder / "model.pt", folder / "out.safetensors"
    make(source, tensors, size)
    with source.open("rb") as file:
        while file.read(1 << 24):
            pass
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name, command in contenders(source, target).items():
            found = run(command, target)
            if found is not None and (name not in best or found["wall"] < best[name]["wall"]):
                best[name] = found
    base = max(best["cp"]["wall"], best["sha256"]["wall"])
    print(f"\n{title}: {source.stat().st_size} bytes, {tensors} tensors, best of {rounds}")
    print(f"  {'':14} {'wall s':>8} {'x cp':>7} {'x max(cp, sha256)':>18} {'CPU s':>8} {'peak MiB':>9}")
    for name, row in best.items():
        print(
            f"  {name:14} {row['wall']:8.2f} {row['wall'] / best['cp']['wall']:7.2f} {row['wall'] / base:18.2f} "
            f"{row['cpu']:8.2f} {row['rss']:9.0f}"
        )
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
    try:
        figures = {
            "small": measure("small", 300, 200_000_000, options.rounds, folder),
            "many": measure("many", 50_000, 50_000 * 2048, options.rounds, folder),
            "large": measure("large", 400, options.large, options.rounds, folder),
        }
    finally:
        shutil.rmtree(folder)
    print(
        f"\npeak memory of this script's children: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10} MiB"
    )
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
