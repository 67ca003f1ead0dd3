"""The main job in one go: scan, convert, scan again, sign, attest, and verify what came of it.

The release is built beside its place and renamed when its own verification has allowed it; until then, and for ever
when anything is wrong, nothing is there. Nothing is uploaded (keyless signing makes an identity and a digest public).
"""

import fnmatch
import glob
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attestations.manifest import CLAIMS_NAME, DEFAULT_IGNORED
from attestations.signers.key import KeySigner
from attestations.verify import Signer, Verifier
from modelsign.attesting import Attested, attest
from modelsign.conversion.converting import Options, convert_file, default_target
from modelsign.conversion.directory import convert_directory
from modelsign.conversion.record import Conversion
from modelsign.conversion.refusals import UnknownFormatError
from modelsign.errors import NothingToDo, SourceError, UsageError
from modelsign.gate import Gate
from modelsign.isolation import Sandbox
from modelsign.late_signer import LateSigner, LateVerifier
from modelsign.policy.decision import Decision
from modelsign.publish import is_leftover, replacing_directory
from modelsign.regular import path_of
from modelsign.scanning import scan
from modelsign.signing import Signed, late_signer_of, sign
from modelsign.sources import Entry, Source, source_of
from modelsign.verification import verify
from scanners.findings import Report

PathLike = str | os.PathLike[str]
Progress = Callable[[int], None]

_COPY_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What came of a release. Where it was stopped, the later parts are None and nothing was published."""

    target: Path
    source: Report
    """the scan of what was given"""
    conversions: tuple[Conversion, ...] = ()
    """at most one, of all checkpoints together"""
    copied: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """files of the source that are not in the release"""
    result: Report | None = None
    """the scan of what was made"""
    signed: Signed | None = None
    attested: Attested | None = None
    decision: Decision | None = None

    @property
    def published(self) -> bool:
        """Whether the release is in its place."""
        return self.decision is not None and self.decision.allowed


class _Stopped(Exception):  # noqa: N818 - control flow: whatever was built goes away, what is known is returned
    def __init__(self, released: Released) -> None:
        super().__init__()
        self.released = released


def release(
    source: PathLike,
    target: PathLike,
    *,
    key: PathLike | None = None,
    passphrase: str | bytes | None = None,
    signer: Signer | None = None,
    verifier: Verifier | None = None,
    leave_out: Sequence[str] = (),
    allow_incomplete: bool = False,
    force: bool = False,
    sandbox: Sandbox = Sandbox.AUTO,
    progress: Progress | None = None,
) -> Released:
    """Make a signed, scanned, pickle-free release of a model, and verify it.

    Args:
        source: a checkpoint, or a directory with checkpoints and what belongs to them.
        target: the directory to make: absent or empty.
        key: PEM file with the private key to sign with; or else give ``signer`` and ``verifier``.
        passphrase: of that key, when it is encrypted.
        signer: any signer of `attestations.signers`.
        verifier: accepts what ``signer`` signs; the release is verified with it.
        leave_out: shell patterns of files of the source that shall not be in the release.
        allow_incomplete: go on where something could not be analysed.
        force: replace the target.
        sandbox: which layers of isolation the workers get that parse the model.
        progress: told how many bytes have been read since the last call.

    Returns:
        What was done. A source that the gate stops is no error: look at `Released.published`.

    Raises:
        UsageError: no signer, or a target that exists.
        SourceError: a file cannot be read or written.
        ConversionError: a checkpoint cannot be converted safely.
        AttestationError: no signature could be made.
    """
    origin, place = path_of(source), path_of(target)
    _refuse_places(origin, place, force=force)
    sealer, judge = _signer(key, passphrase, signer, verifier)
    gate = Gate(allow_incomplete=allow_incomplete)
    found = scan(origin, sandbox=sandbox, progress=progress)
    released = Released(target=place, source=found)
    if _stops(gate, _kept(found, leave_out)):
        return released
    try:
        with replacing_directory(place, force=force) as building:
            released = _built(released, origin, building, leave_out, sandbox, progress)
            released = _sealed(released, building, gate, sealer, judge, sandbox, progress)
    except _Stopped as stopped:
        return stopped.released
    return released


def _sealed(
    released: Released,
    building: Path,
    gate: Gate,
    sealer: Signer,
    judge: Verifier,
    sandbox: Sandbox,
    progress: Progress | None,
) -> Released:
    """Scan, sign, attest and verify what was built; raise `_Stopped` where it must not be published."""
    name = released.target.absolute().name
    result = replace(scan(building, digest=True, sandbox=sandbox, progress=progress), target=name)
    released = replace(released, result=result)
    if _stops(gate, result):
        raise _Stopped(released)
    signed = sign(building, signer=sealer, name=name, progress=progress)
    # Not hashed again: a keyless certificate lives ten minutes, and nobody else writes here.
    attested = attest(
        building, signer=sealer, report=result, conversions=released.conversions, measured=signed.manifest
    )
    if isinstance(sealer, LateSigner):
        sealer.let_go()
    decision = verify(
        building,
        verifiers=(judge,),
        allow_incomplete=gate.allow_incomplete,
        every=True,
        sandbox=sandbox,
        progress=progress,
    )
    released = replace(
        released,
        signed=replace(signed, signature=released.target / signed.signature.name),
        attested=replace(attested, claims=released.target / attested.claims.name),
        decision=replace(decision, target=name),
    )
    if not decision.allowed:
        raise _Stopped(released)
    return released


def _refuse_places(source: Path, target: Path, *, force: bool) -> None:
    if not source.exists():
        raise SourceError(f"{source}: there is no such file or directory")
    if os.path.lexists(target) and not force and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target}: exists and is not empty; give --force to replace it, or choose another directory")
    if not target.absolute().parent.is_dir():
        raise SourceError(f"{target.absolute().parent}: there is no such directory to make the release in")
    real_source, real_target = source.resolve(), target.resolve()
    if real_target == real_source or real_target.is_relative_to(real_source):
        raise UsageError(f"{target}: the release would lie inside its own source; choose another directory")
    if real_source.is_relative_to(real_target):
        raise UsageError(f"{target}: the source lies inside it, and the release would replace both")


def _signer(
    key: PathLike | None, passphrase: str | bytes | None, signer: Signer | None, verifier: Verifier | None
) -> tuple[Signer, Verifier]:
    sealer = late_signer_of(key, passphrase, signer)
    if verifier is not None:
        return sealer, verifier
    if isinstance(sealer, LateSigner):
        return sealer, LateVerifier(sealer)
    if isinstance(sealer, KeySigner):
        return sealer, sealer.verifier(name="the release key")
    raise UsageError("a release verifies itself: give the verifier for what the signer signs")


def _kept(report: Report, leave_out: Sequence[str]) -> Report:
    return replace(report, files=tuple(file for file in report.files if not _matches(file.path, leave_out)))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _stops(gate: Gate, report: Report) -> bool:
    return bool(gate.stopped_by(report)) or gate.misses(report)


def _built(
    released: Released,
    origin: Path,
    building: Path,
    leave_out: Sequence[str],
    sandbox: Sandbox,
    progress: Progress | None,
) -> Released:
    """Fill ``building``: checkpoints converted, everything else copied, signatures of the source left behind."""
    source = source_of(origin)
    names = {entry.path for entry in source.entries() if not entry.is_directory}
    unwanted = (*leave_out, *(glob.escape(name) for name in sorted(names) if _is_seal(name)))
    conversion = _converted(origin, building, unwanted, Options(digest=True, sandbox=sandbox, progress=progress))
    if conversion is None:
        kept = {name for name in names if not _matches(name, unwanted)}
        for entry in source.entries():
            if entry.path in kept and not entry.is_directory:
                _copy(source, entry, building)
    made = {path.relative_to(building).as_posix() for path in building.rglob("*") if path.is_file()}
    if not made:
        raise NothingToDo(f"{origin}: nothing of it would be in the release")
    targets = set() if conversion is None else {file.name for file in conversion.targets}
    converted = set() if conversion is None else {file.name for file in conversion.sources}
    return replace(
        released,
        conversions=() if conversion is None else (conversion,),
        copied=tuple(sorted(made - targets)),
        left_out=tuple(sorted(names - made - converted)),
    )


def _converted(origin: Path, building: Path, unwanted: Sequence[str], options: Options) -> Conversion | None:
    """Convert the checkpoints of ``origin`` and copy what belongs to them; None where there is no checkpoint."""
    if origin.is_file():
        try:
            return convert_file(origin, building / default_target(origin).name, options).conversion
        except UnknownFormatError:
            return None
    # Into a directory of its own: the converter builds beside its target and renames, as we do.
    inner = building / secrets.token_hex(16)
    try:
        conversion = convert_directory(origin, inner, options, exclude=unwanted)
    except NothingToDo:
        return None
    for child in inner.iterdir():
        child.rename(building / child.name)
    inner.rmdir()
    return conversion


def _is_seal(name: str) -> bool:
    """Return whether a file of the source speaks about it, and would say something false about the release."""
    top = name.split("/", 1)[0]
    return top in DEFAULT_IGNORED or name.endswith((".sig", f".{CLAIMS_NAME}")) or is_leftover(name.rsplit("/", 1)[-1])


def _copy(source: Source, entry: Entry, building: Path) -> None:
    if entry.why_not is not None:
        raise SourceError(f"{entry.path}: {entry.why_not}, so it cannot be in the release; see --leave-out")
    target = building / entry.path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = source.open(entry)
        with os.fdopen(descriptor, "rb") as read, target.open("xb") as written:
            shutil.copyfileobj(read, written, _COPY_CHUNK)
    except OSError as error:
        raise SourceError(f"{entry.path}: cannot be copied: {error.strerror}") from error
