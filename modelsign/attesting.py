"""Attach signed statements to a model: what a scan found, what a conversion did."""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from attestations.bundle import Bundle
from attestations.errors import DigestMismatch, EnvelopeError
from attestations.manifest import FILES, Manifest, claims_path, compare, measure, signature_path
from attestations.predicates.model_scan import ModelScan
from attestations.predicates.oms_signature import unproven_manifest_of
from attestations.statement import Statement
from attestations.uris import MODEL_SCAN_V0_1, SLSA_PROVENANCE_V1, TEST_RESULT_V0_1
from attestations.verify import Signer
from modelsign.claims import store
from modelsign.claims.conversion import provenance_of
from modelsign.claims.model_scan import scan_of
from modelsign.claims.subjects import subjects_of
from modelsign.claims.test_result import result_of
from modelsign.conversion.record import Conversion, read_record
from modelsign.errors import SourceError, UsageError
from modelsign.isolation import Sandbox
from modelsign.regular import path_of, read_regular
from modelsign.report import json as json_report
from modelsign.scanning import scan as scan_target
from modelsign.signing import late_signer_of
from scanners.findings import Report

Path_ = str | os.PathLike[str]
Progress = Callable[[int], None]
_MAX_SIGNATURE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What was attested, and where it lies."""

    claims: Path
    """the file the statements were added to"""
    statements: tuple[Statement, ...]
    manifest: Manifest
    """the model as measured"""
    scan: ModelScan | None
    """the scan that was attested, None when there was none"""


def attest(
    target: Path_,
    *,
    key: Path_ | None = None,
    passphrase: str | bytes | None = None,
    signer: Signer | None = None,
    scan: bool = False,
    report: Path_ | Report | None = None,
    conversions: Sequence[Path_ | Conversion] = (),
    test_result: bool = False,
    signature: Path_ | None = None,
    claims: Path_ | None = None,
    name: str | None = None,
    measured: Manifest | None = None,
    sandbox: Sandbox = Sandbox.AUTO,
    progress: Progress | None = None,
) -> Attested:
    """Sign statements about a model and add them to its claims.

    Every statement is about the root digest of the model and about each of its files by name and digest. When there is
    a signature, the model must still be what it signs.

    Args:
        target: a directory, or a model that is one file.
        key: PEM file with the private key to sign with; or else give ``signer``.
        passphrase: of that key, when it is encrypted.
        signer: any signer of `attestations.signers`.
        scan: scan the model now, and attest what was found.
        report: attest this report (a file of `modelsign scan --digest --json`, or a value) instead of scanning.
        conversions: conversion records (files or values) of files that are in the model.
        test_result: attest a scan a second time as in-toto's `test-result`, for tools that know only that.
        signature: where the signature lies, if not in its usual place.
        claims: the file to add to, if not in its usual place.
        name: what the statements call the model, when it is being built under another name than it will have.
        measured: the model as it was measured a moment ago in a place of the caller's own, instead of hashing it again.
        sandbox: which layers of isolation the scan's workers get.
        progress: told how many bytes have been read since the last call.

    Raises:
        UsageError: nothing to attest, no signer, or a report or record that is about something else.
        SourceError: a file cannot be read or written.
        DigestMismatch: the model is not what its signature says.
        AttestationError: the files cannot be hashed, or no signature could be made.
    """
    model = path_of(target)
    if scan and report is not None:
        raise UsageError("scan again, or attest a report that exists: give one of the two")
    if not (scan or report is not None or conversions):
        raise UsageError("nothing to attest: give --scan, --report FILE or --conversion RECORD")
    if test_result and not (scan or report is not None):
        raise UsageError("a test result is made of a scan: give --scan or --report FILE as well")
    if not model.exists():
        raise SourceError(f"{model}: there is no such file or directory")
    place = path_of(claims_path(model) if claims is None else claims)
    sealer = late_signer_of(key, passphrase, signer)
    manifest = measured
    if manifest is None:
        manifest = _measured(model, signature_path(model) if signature is None else Path(signature), progress)
    if name is not None:
        manifest = replace(manifest, name=name)
    subjects = subjects_of(manifest)
    found = None
    if scan:
        found = _scanned(model, manifest, sandbox, progress)
    elif report is not None:
        found = _reported(report, manifest)
    statements: list[Statement] = []
    if found is not None:
        statements.append(
            Statement.build(predicate_type=MODEL_SCAN_V0_1, subjects=subjects, predicate=found.to_predicate())
        )
    if found is not None and test_result:
        statements.append(
            Statement.build(predicate_type=TEST_RESULT_V0_1, subjects=subjects, predicate=result_of(found))
        )
    for conversion in conversions:
        record, finished = _record(conversion)
        provenance = provenance_of(record, manifest, finished=finished)
        statements.append(
            Statement.build(predicate_type=SLSA_PROVENANCE_V1, subjects=subjects, predicate=provenance.to_predicate())
        )
    store.append(place, [sealer.sign(statement) for statement in statements])
    return Attested(claims=place, statements=tuple(statements), manifest=manifest, scan=found)


def _measured(model: Path, signature: Path, progress: Progress | None) -> Manifest:
    """Return the model as whole files with SHA-256, leaving out what its signature leaves out."""
    signed = _signed(signature, model)
    manifest = measure(
        model,
        ignored=() if signed is None else _below_root(signed.ignored),
        allow_symlinks=signed is not None and signed.allow_symlinks,
        progress=progress,
    )
    if signed is None:
        return manifest
    actual = manifest
    if (signed.method, signed.hash_type) != (FILES, "sha256"):
        actual = measure(
            model,
            ignored=_below_root(signed.ignored),
            hash_type=signed.hash_type,
            method=signed.method,
            shard_size=signed.shard_size,
            allow_symlinks=signed.allow_symlinks,
            progress=progress,
        )
    differences = compare(signed, actual)
    if differences:
        name = next(iter(differences.changed + differences.missing + differences.extra))
        raise DigestMismatch(
            f"{model}: the model is not what {signature.name} signs (see {name}); a statement about it would never be "
            "accepted. Sign it again first (`modelsign sign --force`)"
        )
    return manifest


def _below_root(ignored: Sequence[str]) -> tuple[str, ...]:
    # model-signing 1.1.1 may record the root itself; as a name to leave out it means nothing.
    return tuple(name for name in ignored if name not in {"", "."})


def _signed(signature: Path, model: Path) -> Manifest | None:
    """Return the manifest that a signature claims (not verified: it only says what to leave out), None without one."""
    try:
        data = read_regular(signature, _MAX_SIGNATURE_BYTES, what="the signature")
    except FileNotFoundError:
        return None
    payload = Bundle.parse(data).envelope.payload
    files, size = _extent(model)
    try:
        # What lies in the signature itself makes the model no larger.
        return unproven_manifest_of(payload, files=files, size=max(0, size - len(data)))
    except EnvelopeError as error:
        raise EnvelopeError(f"{signature}: {error}") from error


def _extent(model: Path) -> tuple[int, int]:
    """Return how many files lie in a model, whatever they are, and their bytes: roughly what its signature may list."""
    if not model.is_dir():
        return 1, model.stat().st_size
    files = size = 0
    for directory, _, names in os.walk(model):
        for name in names:
            with contextlib.suppress(OSError):  # it is `measure` that will miss it
                size += os.lstat(f"{directory}/{name}").st_size
        files += len(names)
    return files, size


def _scanned(model: Path, manifest: Manifest, sandbox: Sandbox, progress: Progress | None) -> ModelScan:
    started = datetime.now(UTC)
    report = scan_target(model, digest=True, sandbox=sandbox, progress=progress)
    return scan_of(report, manifest, started=started, finished=datetime.now(UTC))


def _reported(report: Path_ | Report, manifest: Manifest) -> ModelScan:
    if isinstance(report, Report):
        now = datetime.now(UTC)
        return scan_of(report, manifest, started=now, finished=now)
    path = Path(report)
    reports = json_report.load(path)
    if len(reports) != 1:
        raise UsageError(f"{path}: reports about {len(reports)} targets; give one about this model only")
    written = _written(path)
    return scan_of(reports[0], manifest, started=written, finished=written)


def _record(conversion: Path_ | Conversion) -> tuple[Conversion, datetime]:
    if isinstance(conversion, Conversion):
        return conversion, datetime.now(UTC)
    path = Path(conversion)
    return read_record(path), _written(path)


def _written(path: Path) -> datetime:
    """Return when a file was written: reports and records carry no time of their own."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError) as error:
        raise SourceError(f"{path}: nothing tells when it was written: {error}") from error
