"""Settings from `modelsign.toml`: where it is looked for, and when it is left out.

The file is read from the working directory and from the user's configuration directory, or from one named place.
It may loosen a gate, so it must never come with the artifact that is being judged: a file that lies inside a target,
and the working directory's own file when a target lies below that directory, are left out, and a notice says so.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from attestations.named_files import read_whole
from modelsign.errors import UsageError
from scanners.records import dataclass

CONFIG_NAME = "modelsign.toml"
_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one configuration file says: options for every verb, and tables with options of one verb."""

    path: Path
    shared: Mapping[str, object]
    verbs: Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The configuration that applies, weakest file first, and notices about files that were left out."""

    settings: tuple[Settings, ...]
    notices: tuple[str, ...]


def is_local(target: str) -> bool:
    """Return whether ``target`` names a place in the file system rather than standard input or a URI."""
    return target != "-" and "://" not in target


def holds(directory: Path, path: Path) -> bool:
    """Return whether ``path`` is ``directory`` or lies below it, links resolved."""
    return path.resolve().is_relative_to(directory.resolve())


def refuse_inside(path: Path, targets: Iterable[str], *, what: str) -> None:
    """Raise `UsageError` when ``path``, which decides about the targets, lies inside one of them."""
    for target in targets:
        if is_local(target) and holds(Path(target), path):
            raise UsageError(
                f"{path}: this {what} lies inside the scanned target {target}, and what is judged must not choose how "
                f"it is judged; copy it to a place outside, look at it, and name that copy"
            )


def user_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the user's configuration directory for this tool (XDG base directory specification)."""
    base = environment.get("XDG_CONFIG_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".config") / "modelsign"


def find(targets: Sequence[str], *, explicit: Path | None, verbs: Collection[str]) -> Found:
    """Return the configuration for a run over ``targets``.

    Args:
        targets: what will be judged, as named by the user; URIs and `-` have no place here.
        explicit: the file named by `--config`; then no other one is read.
        verbs: the names a table may have.

    Raises:
        UsageError: a file is malformed, names an unknown table, or was named although it lies inside a target.
    """
    if explicit is not None:
        refuse_inside(explicit, targets, what="configuration file")
        return Found(settings=(load(explicit, verbs=verbs),), notices=())
    places = [Path(target) for target in targets if is_local(target)]
    settings = []
    notices = []
    for path in (user_directory() / CONFIG_NAME, Path.cwd() / CONFIG_NAME):
        if not path.is_file():
            continue
        why = _travels_with(path, places)
        if why is None:
            settings.append(load(path, verbs=verbs))
        else:
            notices.append(_left_out(path, why, "--config"))
    return Found(settings=tuple(settings), notices=tuple(notices))


def beside(name: str, targets: Sequence[str], *, option: str) -> tuple[Path | None, str | None]:
    """Return the file ``name`` of the working directory, or a notice that it is left out (``option`` names it then)."""
    path = Path.cwd() / name
    if not path.is_file():
        return None, None
    why = _travels_with(path, [Path(target) for target in targets if is_local(target)])
    return (path, None) if why is None else (None, _left_out(path, why, option))


def _left_out(path: Path, why: str, option: str) -> str:
    return (
        f"{path} is left out, because {why}: what is judged must not choose how it is judged. "
        f"If it is yours, keep it outside and name it with {option}."
    )


def _travels_with(config: Path, targets: Iterable[Path]) -> str | None:
    """Say why ``config`` may belong to the artifact that is judged; None when it does not."""
    for target in targets:
        if holds(target, config.parent) or holds(target, config):
            return f"it lies inside the target {target}"
        if holds(config.parent, target):
            return f"the target {target} lies beside or below it"
    return None


def load(path: Path, *, verbs: Collection[str]) -> Settings:
    """Read one configuration file.

    Raises:
        UsageError: it cannot be read, is not TOML, or has a table that is no verb.
    """
    import tomllib  # not needed by the many runs without a configuration file

    try:
        document = tomllib.loads(read_whole(path, _MAX_BYTES).decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: the configuration cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the configuration is not valid TOML: {error}") from error
    shared = {}
    tables = {}
    for key, value in document.items():
        if not isinstance(value, dict):
            shared[key] = value
        elif key in verbs:
            tables[key] = value
        else:
            raise UsageError(f"{path}: unknown table [{key}]{near(key, verbs)}; tables are named after verbs")
    return Settings(path=path, shared=shared, verbs=tables)


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that ``name`` may have meant, or nothing."""
    import difflib  # not needed unless something is wrong

    matches = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
