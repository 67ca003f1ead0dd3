"""What this machine offers: versions, sandbox layers (tried, not only asked for), trust material, settings."""

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from attestations.errors import TrustError
from modelsign import config, isolation, trusting
from modelsign.isolation import Layer, RefusedError, Sandbox, WorkerError
from modelsign.version import __version__
from scanners.knowledge import RULESET
from scanners.reader import Reader

# Distribution -> what is missing without it; the first ones come with the tool itself.
CORE = (
    "click",
    "cryptography",
    "huggingface-hub",
    "Jinja2",
    "lz4",
    "numpy",
    "packaging",
    "rich",
    "safetensors",
    "sigstore",
    "zstandard",
)
EXTRAS = {
    "archives": "py7zr",
    "blake3": "blake3",
    "bulk": "distributed",
    "cel": "common-expression-language",
    "cloud": "obstore",
    "kms": "boto3",
    "pkcs11": "python-pkcs11",
    "postgres": "psycopg",
    "server": "fastapi",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMaterial:
    """Roots of one Sigstore instance that can be used without a network."""

    instance: str
    place: str
    """a file, or the package that brought it"""
    refreshed: str | None
    """when it was last fetched; None for what came with the package"""
    valid_until: str | None
    """when the repository's metadata ends to count, where that is known; the roots themselves may hold longer"""
    authorities: int
    logs: int
    timestamp_authorities: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found."""

    versions: Mapping[str, str]
    packages: Mapping[str, str | None]
    extras: Mapping[str, str | None]
    """extra -> version of its main package, None where it is not installed"""
    layers: tuple[Layer, ...]
    trials: Mapping[str, str]
    """what a worker tried -> what became of it"""
    trust: tuple[TrustMaterial, ...]
    trust_problem: str | None
    settings: tuple[str, ...]
    """configuration files that apply in the working directory"""

    @property
    def required_sandbox(self) -> bool:
        """Whether `--sandbox require` would be met."""
        return all(layer.available for layer in self.layers) and all(
            outcome == REFUSED for outcome in self.trials.values()
        )


REFUSED = "refused"
POSSIBLE = "possible"


def examine() -> Examination:
    """Look at this machine. Opens no connection and changes nothing."""
    trust, problem = _trust()
    return Examination(
        versions={
            "modelsign": __version__,
            "rules": RULESET,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
        packages={name: _version(name) for name in CORE},
        extras={extra: _version(name) for extra, name in sorted(EXTRAS.items())},
        layers=isolation.layers(),
        trials=_try_the_sandbox(),
        trust=trust,
        trust_problem=problem,
        settings=tuple(
            str(path)
            for path in (config.user_directory() / config.CONFIG_NAME, Path.cwd() / config.CONFIG_NAME)
            if path.is_file()
        ),
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _try_the_sandbox() -> Mapping[str, str]:
    """Let a worker try what none may do; empty where there are no workers."""
    import socket

    parent = os.getpid()
    attempts: dict[str, Callable[[], object]] = {
        "open a file": lambda: os.close(os.open(sys.executable, os.O_RDONLY)),
        "open a connection": lambda: socket.socket().close(),
        "start a process": _start_a_process,
        "signal another process": lambda: os.kill(parent, 0),
    }

    def attempt_all(_reader: Reader) -> bytes:
        return json.dumps({name: _attempt(action) for name, action in attempts.items()}).encode()

    if not isolation.active_layers(Sandbox.AUTO):
        return {}
    descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        outcomes = json.loads(isolation.ask(attempt_all, descriptor, 0))
    except (RefusedError, WorkerError) as error:
        return dict.fromkeys(attempts, f"not tried: {error}")
    finally:
        os.close(descriptor)
    return {name: str(outcomes[name]) for name in attempts}


def _start_a_process() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def _attempt(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError:
        return REFUSED
    return POSSIBLE


def _trust() -> tuple[tuple[TrustMaterial, ...], str | None]:
    try:
        from sigstore._internal.tuf import DEFAULT_TUF_URL, STAGING_TUF_URL
    except ImportError as error:
        return (), f"the sigstore package cannot be used: {error}"
    try:
        kept = {roots.instance: _kept(roots) for roots in trusting.kept()}
        known = {"public-good": DEFAULT_TUF_URL, "staging": STAGING_TUF_URL}
        named = {name: kept[name] if name in kept else _material(name, url) for name, url in known.items()}
        return tuple((named | kept).values()), None
    except (OSError, ValueError, KeyError, TypeError, TrustError) as error:
        return (), f"trust material cannot be read: {error}"


def _kept(roots: trusting.Roots) -> TrustMaterial:
    """Return what was imported or updated here, which `--offline` prefers."""
    return TrustMaterial(
        instance=roots.instance,
        place=roots.place,
        refreshed=None if roots.fetched is None else roots.fetched.isoformat(timespec="seconds"),
        valid_until=None,
        authorities=roots.authorities,
        logs=roots.logs,
        timestamp_authorities=roots.timestamp_authorities,
    )


def _material(instance: str, url: str) -> TrustMaterial:
    """Read what sigstore-python would use offline, where it keeps it (it has no public function that tells)."""
    from sigstore._internal.tuf import _get_dirs
    from sigstore._utils import read_embedded

    repository, targets = _get_dirs(url)
    cached = targets / "trusted_root.json"
    stamp = repository / "timestamp.json"
    refreshed = None
    if cached.is_file():
        data = cached.read_bytes()
        place = str(cached)
        if stamp.is_file():
            # A copy of the package's own file lies there too, before the first refresh.
            refreshed = datetime.fromtimestamp(stamp.stat().st_mtime, UTC).isoformat(timespec="seconds")
    else:
        data = read_embedded("trusted_root.json", url)
        place = f"the package sigstore {metadata.version('sigstore')}"
    root = json.loads(data)
    return TrustMaterial(
        instance=instance,
        place=place,
        refreshed=refreshed,
        valid_until=json.loads(stamp.read_bytes())["signed"]["expires"] if refreshed else None,
        authorities=len(root["certificateAuthorities"]),
        logs=len(root["tlogs"]),
        timestamp_authorities=len(root.get("timestampAuthorities", ())),
    )
