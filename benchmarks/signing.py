"""Speed of hashing, signing and verifying beside a bare loop and model-signing, on the same files in one run.

    python benchmarks/signing.py [--gib 4] [--rounds 5] [CASE…]

Machines are shared and noisy, so the contenders take turns and the best round of each counts: of wall seconds, which
say little on a machine with other work to do, and of CPU seconds. Every contender is a process of its own that reports
them (start-up aside) and its peak memory. model-signing runs where `make peers` put it.

    eight       GiB in 8 files: the same hash over the same files in a bare loop, with as many threads
    one         GiB in one file
    blake3      GiB in 8 files with blake3 (needs the extra)
    small       20 000 files of 4 KiB, CPU seconds: scandir, read, SHA-256, and nothing else
    verbs       the same files by `modelsign sign` and `modelsign verify --no-scan`, CPU seconds of the whole command
                less those for a model of one small file
    start       `modelsign verify --key` of a small model, CPU seconds, start of the interpreter included
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(os.environ.get("MODELSIGN_PEERS", ROOT / ".peers"))

REPORT = """
import json, resource, sys, time
def report(work):
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    used = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(used | {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""

BARE = (
    REPORT
    + """
import hashlib, os
from concurrent.futures import ThreadPoolExecutor
def paths(directory):
    pending = [directory]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(entry.path)
                else:
                    yield entry.path
def start(kind):
    if kind == "blake3":
        from blake3 import blake3
        return blake3()
    return hashlib.sha256()
def large(path, kind):
    whole, buffer = start(kind), memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            whole.update(buffer[:count])
    return whole.digest()
def small(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).digest()
def work():
    directory, kind = sys.argv[1], sys.argv[2]
    if kind == "small":
        return [small(path) for path in paths(directory)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda path: large(path, kind), paths(directory)))
report(work)
"""
)

OURS = (
    REPORT
    + """
from pathlib import Path
from attestations.manifest import measure
hash_type = "blake3" if sys.argv[2] == "blake3" else "sha256"
report(lambda: measure(Path(sys.argv[1]), hash_type=hash_type))
"""
)

THEIRS = (
    REPORT
    + """
from model_signing import hashing
hash_type = "blake3" if sys.argv[2] == "blake3" else "sha256"
config = hashing.Config().use_file_serialization(hashing_algorithm=hash_type)
report(lambda: config.hash(sys.argv[1]))
"""
)


def measured(python: Path, program: str, directory: Path, kind: str) -> dict[str, float] | None:
    """Run a contender once; None where it cannot run."""
    if not python.exists():
        return None
    done = subprocess.run(
        [str(python), "-c", program, str(directory), kind],
        env={**os.environ, "PYTHONPATH": str(ROOT)} if program is OURS else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    used: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return used


def compare(name: str, directory: Path, kind: str, rounds: int) -> None:
    """Let the contenders take turns and print the best round of each, and ratios to the bare loop."""
    ours = Path(sys.executable)
    contenders = {
        "bare loop": (ours, BARE),
        "modelsign": (ours, OURS),
        "model-signing": (PEERS / "model-signing" / "bin" / "python", THEIRS),
    }
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for contender, (python, program) in contenders.items():
            used = measured(python, program, directory, kind)
            if used is not None:
                so_far = best.get(contender, used)
                best[contender] = {unit: min(used[unit], so_far[unit]) for unit in used}
    base = best["bare loop"]
    for contender, used in best.items():
        times = "  ".join(
            f"{used[unit]:7.3f} s {unit} {used[unit] / base[unit]:5.2f} x bare" for unit in ("wall", "cpu")
        )
        print(f"{name:8}  {contender:14} {times}  {used['mib']:5.0f} MiB")


def write_large(directory: Path, gib: float, count: int) -> None:
    block = os.urandom(1 << 20)
    for number in range(count):
        with (directory / f"shard-{number}.safetensors").open("wb") as file:
            for _ in range(int(gib * 1024 / count)):
                file.write(block)


def write_small(directory: Path) -> None:
    for number in range(20_000):
        path = directory / f"{number % 100:02}" / f"file-{number}.txt"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(os.urandom(4096))


def run(*arguments: str) -> tuple[float, float]:
    """Run modelsign and return its CPU seconds, workers included, and its own peak memory in MiB."""
    command = [sys.executable, "-m", "modelsign", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    _, status, used = os.wait4(os.posix_spawn(command[0], command, environment, file_actions=quiet), 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def small_model(directory: Path) -> tuple[Path, str, str]:
    """Return a signed model of one small file, and the paths of a private and a public key."""
    model = directory / "small"
    model.mkdir()
    (model / "config.json").write_text("{}")
    run("keys", "generate", "--no-passphrase", "-o", str(directory), "--name", "bench")
    run("sign", str(model), "--key", str(directory / "bench.key"))
    return model, str(directory / "bench.key"), str(directory / "bench.pub")


def verbs(directory: Path, rounds: int) -> None:
    """Print what whole commands take for many small files, beside the bare loop."""
    little, private, public = small_model(directory)
    model = directory / "model"
    write_small(model)
    commands = {"sign": ["--key", private, "--force"], "verify": ["--key", public, "--no-scan"]}
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        bare = measured(Path(sys.executable), BARE, model, "small")
        assert bare is not None
        taken = {"bare loop": (bare["cpu"], bare["mib"])}
        for verb, options in commands.items():
            taken[f"start of {verb}"] = run(verb, str(little), *options)
            taken[verb] = run(verb, str(model), *options)
        best = {name: min(used, best.get(name, used)) for name, used in taken.items()}
    for verb in commands:
        seconds, mib = best[verb]
        seconds -= best[f"start of {verb}"][0]
        print(f"verbs     {verb:14} {seconds:8.3f} s cpu  {seconds / best['bare loop'][0]:6.2f} x bare  {mib:6.0f} MiB")


def start(directory: Path, rounds: int) -> None:
    """Print the CPU seconds of a whole `modelsign verify`."""
    model, _, public = small_model(directory)
    for label, more in (("without scan", ["--no-scan"]), ("with scan", [])):
        seconds, mib = min(run("verify", str(model), "--key", public, *more) for _ in range(rounds))
        print(f"start     {label:14} {seconds:8.3f} s cpu {'':13}  {mib:6.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="which cases to run; all unless given")
    parser.add_argument("--gib", type=float, default=4.0, help="size of the large cases")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    large: dict[str, tuple[int, str]] = {"eight": (8, "sha256"), "one": (1, "sha256"), "blake3": (8, "blake3")}
    for name in options.cases or [*large, "small", "verbs", "start"]:
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary)
            if name in large:
                count, kind = large[name]
                write_large(directory, options.gib, count)
                compare(name, directory, kind, options.rounds)
            elif name == "small":
                write_small(directory)
                compare(name, directory, name, options.rounds)
            elif name == "verbs":
                verbs(directory, options.rounds)
            elif name == "start":
                start(directory, options.rounds)
            else:
                parser.error(f"no such case: {name}")


if __name__ == "__main__":
    main()
