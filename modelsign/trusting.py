"""Roots of Sigstore instances on this machine: where they are, how old, and how they reach one without a network.

Online, sigstore-python refreshes its own cache (TUF) with each verification. For a site without a network, `export`
writes the roots with the day they were fetched into one file, `import_file` puts it into the user's configuration
directory, and `--offline` prefers what lies there. An import never replaces newer roots by older ones.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from attestations.errors import TrustError
from attestations.strict_json import parse_object
from attestations.trust_file import TrustFile, is_ahead, read_trust_file
from modelsign.config import user_directory
from modelsign.errors import UsageError
from modelsign.publish import replacing_file

if TYPE_CHECKING:
    from attestations.signers.sigstore import SigstoreTrust

INSTANCES = ("public-good", "staging")
ADDRESSES = ("https://", "http://")
"""what names of other instances begin with: the addresses of their TUF repositories"""
_MAX_NAME = 200
"""of an address as the name of a file"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """What there is for one instance."""

    instance: str
    place: str
    """a file, or how the roots came here"""
    fetched: datetime | None
    """None where nothing says when"""
    authorities: int
    logs: int
    timestamp_authorities: int

    def age(self, now: datetime) -> timedelta | None:
        """Return how long ago the roots were fetched."""
        return None if self.fetched is None else now - self.fetched


def stored(instance: str) -> Path:
    """Return where imported or updated roots of an instance lie: one of `INSTANCES`, or the address of another."""
    return _directory() / f"{quote(instance.rstrip('/'), safe='')}.json"


def _directory() -> Path:
    return user_directory() / "trust"


def _is_known(instance: str) -> bool:
    """Return whether roots of an instance may be kept under its name."""
    return instance in INSTANCES or (instance.startswith(ADDRESSES) and len(quote(instance, safe="")) <= _MAX_NAME)


def instance(
    source: str | Path | None, *, offline: bool, max_age: timedelta | None, bootstrap: Path | None = None
) -> "SigstoreTrust":
    """Return the trust to verify with.

    Args:
        source: one of `INSTANCES`, a file, the address of a TUF repository, or None for public good.
        bootstrap: the first root of that repository.
        offline: open no connection; roots that were imported or updated here come first.
        max_age: how long ago they may have been fetched.
    """
    from attestations.signers.sigstore import SigstoreTrust

    named = "public-good" if source is None else source
    if isinstance(named, str) and _is_known(named) and offline and stored(named).is_file():
        return SigstoreTrust(source=stored(named), offline=True, max_age=max_age)
    return SigstoreTrust(source=named, bootstrap=bootstrap, offline=offline, max_age=max_age)


def fetch(name: str, *, bootstrap: Path | None = None) -> TrustFile:
    """Fetch the roots of an instance over the network.

    Args:
        name: one of `INSTANCES`, or the address of a TUF repository.
        bootstrap: the first root of that repository, needed the first time.

    Raises:
        TrustError: it does not answer, or what it says does not hold.
        UsageError: a name that cannot be kept.
    """
    if not _is_known(name):
        raise UsageError(f"{name}: roots can be kept for {' and '.join(INSTANCES)}, and for https addresses")
    return _file(name, offline=False, fetched=datetime.now(UTC), bootstrap=bootstrap)


def at_hand(name: str) -> TrustFile:
    """Return the roots of an instance that are on this machine and carry a date.

    Raises:
        TrustError: there are none.
    """
    if stored(name).is_file():
        return _read(stored(name))
    raise TrustError(
        f"there are no roots of {name} with a date on this machine; `modelsign trust update` fetches them, `modelsign "
        "trust import FILE` takes those of another machine"
    )


def update(name: str, *, bootstrap: Path | None = None) -> TrustFile:
    """Fetch the roots of an instance and keep them for `--offline`; see `fetch`."""
    file = fetch(name, bootstrap=bootstrap)
    _store(file)
    return file


def export(path: Path, file: TrustFile, *, force: bool) -> None:
    """Write roots with their date into one file, to be carried elsewhere."""
    with replacing_file(path, force=force) as output:
        output.write(file.to_json())


def import_file(path: Path, *, force: bool = False) -> TrustFile:
    """Take roots that another machine exported.

    Args:
        path: the file.
        force: also when this machine has newer ones.

    Raises:
        TrustError: the file is not usable.
        UsageError: it is of no known instance, is dated in the future, or would replace newer roots.
    """
    file = _read(path)
    _counted(file)
    if not _is_known(file.instance):
        raise UsageError(
            f"{path}: roots of {file.instance!r}; known are {' and '.join(INSTANCES)}, and instances by https address"
        )
    if is_ahead(file.fetched, datetime.now(UTC)):
        raise UsageError(f"{path}: dated {file.fetched:%Y-%m-%d}, which is in the future; check the clocks")
    place = stored(file.instance)
    if place.is_file() and not force:
        present = _read(place)
        if present.fetched > file.fetched:
            raise UsageError(
                f"{path}: from {file.fetched:%Y-%m-%d}, older than the roots here ({present.fetched:%Y-%m-%d}); older "
                "roots may trust what was revoked since. --force takes them all the same"
            )
    _store(file)
    return file


def status(name: str | None = None) -> tuple[Roots, ...]:
    """Return what `--offline` would use for each instance, or for one of them."""
    if name is not None:
        return (_status(name),)
    return tuple(_status(one) for one in (*INSTANCES, *_others()))


def kept() -> tuple[Roots, ...]:
    """Return what was imported or updated here."""
    return tuple(_status(name) for name in (*INSTANCES, *_others()) if stored(name).is_file())


def _others() -> list[str]:
    """Return the addresses of the instances whose roots are kept here."""
    named = (unquote(path.name.removesuffix(".json")) for path in _directory().glob("http*.json"))
    return sorted(name for name in named if _is_known(name) and name not in INSTANCES)


def _status(name: str) -> Roots:
    place = stored(name)
    if place.is_file():
        return _roots(_read(place), str(place), dated=True)
    return _roots(
        _file(name, offline=True, fetched=datetime.now(UTC)), "the cache of the sigstore package", dated=False
    )


def _roots(file: TrustFile, place: str, *, dated: bool) -> Roots:
    authorities, logs, timestamps = _counted(file)
    return Roots(
        instance=file.instance,
        place=place,
        fetched=file.fetched if dated else None,
        authorities=authorities,
        logs=logs,
        timestamp_authorities=timestamps,
    )


def _counted(file: TrustFile) -> tuple[int, int, int]:
    """Read the roots as a verification would, and count authorities, logs and timestamp authorities."""
    from attestations.signers.sigstore import root_of

    root = root_of(file)
    return len(root.get_fulcio_certs()), len(_list(file, "tlogs")), len(root.get_timestamp_authorities())


def _list(file: TrustFile, key: str) -> list[object]:
    value = file.trusted_root.get(key)
    return [*value] if isinstance(value, list) else []


def _file(name: str, *, offline: bool, fetched: datetime, bootstrap: Path | None = None) -> TrustFile:
    from attestations.signers.sigstore import SigstoreTrust

    root = SigstoreTrust(source=name, bootstrap=bootstrap, offline=offline).trusted_root()
    # sigstore-python has no public way to write a trusted root down.
    document = parse_object(root._inner.to_json().encode(), f"the roots of {name}")  # noqa: SLF001
    return TrustFile(instance=name.rstrip("/"), fetched=fetched, trusted_root=document)


def _read(path: Path) -> TrustFile:
    return TrustFile.parse(read_trust_file(path), str(path))


def _store(file: TrustFile) -> None:
    place = stored(file.instance)
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(place, force=True) as output:
        output.write(file.to_json())
