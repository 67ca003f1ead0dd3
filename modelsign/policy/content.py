"""The model as it lies here, or as others say it does, held against what was signed."""

import functools
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import PurePosixPath

from attestations.bundle import Bundle
from attestations.errors import AttestationError, ContentChanged, LinkRefused, ManifestError, NotRegular
from attestations.manifest import (
    CLAIMS_NAME,
    FILES,
    SIGNATURE_NAME,
    Comparison,
    Differences,
    Manifest,
    compare,
    measure,
    measure_against,
)
from attestations.predicates.oms_signature import manifest_of
from attestations.statement import Statement
from modelsign.errors import SourceError, UsageError
from modelsign.policy.decision import Code, Covered, Level, Reason
from modelsign.policy.failure import reason_of
from modelsign.policy.request import Request
from modelsign.policy.rules import ModelRules
from modelsign.regular import read_regular
from scanners.records import dataclass

_MAX_OTHER_SIGNATURES = 16
_OTHER_SIGNATURE_BYTES = 1 << 20
_BYTES_PER_ENTRY = 2048
_MAX_LISTED = 1000
"""differing files of one kind that become reasons of their own"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What came of holding the model against its signed manifest."""

    comparison: Comparison
    allowed_unsigned: tuple[str, ...] = ()
    """names that the policy lets lie there unsigned, and that do"""

    def unsigned(self, rules: ModelRules) -> tuple[str, ...]:
        """Return all files that nobody signed and that do not end the verification."""
        extra = self.comparison.differences.extra if rules.unsigned_files is Level.WARN else ()
        return tuple(sorted({*extra, *self.allowed_unsigned}))

    def check(self, request: Request) -> None:
        """Walk again, and raise `ContentChanged` when a file came, went or was written since the first look."""
        if request.claimed is None:
            self.comparison.check_same(request.model)


def look(request: Request, signed: Manifest) -> Content | Reason:
    """Measure the model and compare it with ``signed``; a reason where what lies there cannot be a model at all.

    Raises:
        UsageError: the part that was asked for has no file, or claimed digests are of another kind than the signed.
    """
    if request.claimed is not None:
        return _claimed(signed, request.claimed)
    may_be_unsigned = request.rules.may_be_unsigned
    signed = held(signed, request.rules)
    if not signed.entries:
        message = "the policy lets every signed file change (unsigned_files): nothing would be verified"
        return Reason(code=Code.CONTENT, message=message, passed=False)
    exempt = {SIGNATURE_NAME, CLAIMS_NAME}
    ignored: tuple[str, ...] = ()
    if request.model.is_dir():
        exempt |= {*may_be_unsigned, *_own_files(request), *_other_signatures(request, signed)}
        ignored = (*request.ignored, *sorted(exempt))
    try:
        comparison = _measured(request, signed, ignored)
    except LinkRefused as error:
        if not signed.allow_symlinks:
            return reason_of(error)
        how = "--allow-symlinks follows" if request.policy is None else 'symlinks = "warn" in the policy follows'
        message = f"{error}. It was signed that way; {how} links that stay inside of the model"
        return Reason(code=Code.SYMLINKS, message=message, passed=False)
    except (ContentChanged, NotRegular) as error:
        return reason_of(error)
    if request.partial and len(comparison.left) == len(signed.files()):
        raise UsageError(f"no signed file matches {' or '.join(request.partial)}: nothing would be verified")
    left_out = set(comparison.actual.unsigned)
    below = _below_files(exempt - set(request.ignored), left_out)
    if below:
        found = comparison.differences
        found = replace(found, extra=tuple(sorted({*found.extra, *below})))
        comparison = replace(comparison, differences=found)
    return Content(
        comparison=comparison,
        allowed_unsigned=tuple(name for name in may_be_unsigned if name in left_out),
    )


def _measured(request: Request, signed: Manifest, ignored: tuple[str, ...]) -> Comparison:
    """Hold the model against ``signed``, through links only where both its signer and the reader let them be there.

    Raises:
        LinkRefused: a link, and one of the two did not; neither is one followed that leads out of the model.
    """
    against = functools.partial(
        measure_against,
        signed,
        request.model,
        ignored=ignored,
        unsigned_allowed=request.rules.unsigned_files is Level.WARN,
        partial=request.partial,
        every=request.every,
        progress=request.progress,
    )
    try:
        return against()
    except LinkRefused:
        if not signed.allow_symlinks or request.rules.symlinks is Level.DENY:
            raise
    return against(allow_symlinks=True)


def held(signed: Manifest, rules: ModelRules) -> Manifest:
    """Return the part of ``signed`` that must be as it was signed: without what the policy lets change."""
    if not rules.may_be_unsigned:
        return signed
    free = set(rules.may_be_unsigned)
    return replace(signed, entries=tuple(entry for entry in signed.entries if signed.file_name(entry) not in free))


def _below_files(exempt: AbstractSet[str], left_out: Iterable[str]) -> list[str]:
    """Return what lies below names that are let pass as files: a directory of that name may hold anything."""
    return [name for name in left_out if any(str(above) in exempt for above in PurePosixPath(name).parents)]


def _claimed(signed: Manifest, claimed: Manifest) -> Content:
    try:
        differences = compare(signed, claimed)
    except ManifestError as error:
        raise UsageError(
            f"the model was signed as {signed.method} with {signed.hash_type}; digests of whole files with SHA-256 "
            "cannot be compared with that"
        ) from error
    return Content(comparison=Comparison(actual=claimed, differences=differences, complete=True))


def _own_files(request: Request) -> list[str]:
    """Return the signatures and the claims, where the caller put them into the model under names of their own."""
    root = request.model.resolve()
    places = [path.parent.resolve() / path.name for path in (request.signature, request.claims, *request.cosignatures)]
    return [place.relative_to(root).as_posix() for place in places if place.is_relative_to(root)]


def _other_signatures(request: Request, manifest: Manifest) -> list[str]:
    """Return other signatures of this very model in its root: JSON that no loader reads, and that says the same.

    They are recognised by what they hold, not by their name: anything else that is called ``*.sig`` is a file of the
    model, signed or not.
    """
    known = {SIGNATURE_NAME, *_own_files(request)}
    others = [path for path in sorted(request.model.glob("*.sig")) if path.name not in known]
    wanted = {(entry.resource, entry.digest) for entry in manifest.entries} if others else set()
    found = []
    # Nobody vouches for them, so they are not read and parsed at any cost.
    most = _OTHER_SIGNATURE_BYTES + _BYTES_PER_ENTRY * len(manifest.entries)
    for path in others[:_MAX_OTHER_SIGNATURES]:
        try:
            data = read_regular(path, 2 * most, what="the other signature", follow=False)
            payload = Bundle.parse(data).envelope.payload
            if len(payload) > most:
                continue
            said = manifest_of(Statement.parse(payload))
        except (AttestationError, SourceError, OSError):
            continue
        if {(entry.resource, entry.digest) for entry in said.entries} == wanted:
            found.append(path.name)
    return [name for name in found if name not in set(manifest.files())]


def differences(request: Request, signed: Manifest, comparison: Comparison) -> list[Reason]:
    """Return a reason for each file that is missing, changed or, where that denies, not signed."""
    found = comparison.differences
    reasons = [
        *_other_forms(found),
        *_missing(request, found.missing),
        *_listed(Code.FILE_CHANGED, found.changed, "is not what was signed"),
    ]
    if request.rules.unsigned_files is Level.DENY:
        left_out = set(signed.ignored) - set(comparison.actual.ignored)
        reasons += [_unsigned(name, left_out) for name in found.extra[:_MAX_LISTED]]
        if len(found.extra) > _MAX_LISTED:
            reasons += _listed(Code.FILE_UNSIGNED, found.extra[_MAX_LISTED:], "was never signed")
    if reasons and not comparison.complete:
        message = "the verification ended at the first difference; --all finds every one"
        reasons.append(Reason(code=Code.CONTENT, message=message, passed=False))
    return reasons


def _other_forms(found: Differences) -> list[Reason]:
    """Return what to say about names that look the same: nobody could tell the missing from the added file."""
    added = {unicodedata.normalize("NFC", name): name for name in found.extra if not name.isascii()}
    pairs = [(name, added.get(unicodedata.normalize("NFC", name))) for name in found.missing if not name.isascii()]
    return [
        Reason(
            code=Code.FILE_MISSING,
            message=f"{name} was signed as {name!a} and lies here as {other!a}, the same letters in another "
            "Unicode form; whatever copied the model changed it",
            passed=False,
            subject=name,
        )
        for name, other in pairs[:_MAX_LISTED]
        if other is not None
    ]


def _missing(request: Request, names: Sequence[str]) -> list[Reason]:
    """Return what to say about signed files that are not there, or that the caller himself left out."""
    left_out = [name for name in names if _above(name, request.ignored) is not None]
    gone = [name for name in names if name not in set(left_out)]
    ignored = "was signed, so it cannot be ignored; take --ignore away, or verify a part with --partial"
    return [
        *_listed(Code.FILE_MISSING, gone, "was signed and is not here"),
        *_listed(Code.FILE_MISSING, left_out, ignored),
    ]


def _above(name: str, names: Collection[str]) -> str | None:
    """Return which of ``names`` is this file or a directory above it."""
    parts = name.split("/")
    return next((part for end in range(1, len(parts) + 1) if (part := "/".join(parts[:end])) in names), None)


def _listed(code: Code, names: Sequence[str], what: str) -> list[Reason]:
    reasons = [Reason(code=code, message=f"{name} {what}", passed=False, subject=name) for name in names[:_MAX_LISTED]]
    more = len(names) - len(reasons)
    if more:
        reasons.append(Reason(code=code, message=f"and {more} more files", passed=False))
    return reasons


def _unsigned(name: str, left_out: set[str]) -> Reason:
    above = _above(name, left_out)
    message = f"{name} was never signed; remove it, or have the model signed with it"
    if above is not None:
        message = f"{name} was left out by whoever signed; if that is right for you, give --ignore {above}"
    return Reason(code=Code.FILE_UNSIGNED, message=message, passed=False, subject=name)


def matches(request: Request, comparison: Comparison) -> list[Reason]:
    """Return what to say about content without differences."""
    actual = comparison.actual
    files = f"{len(actual.files())} files"
    if request.claimed is not None:
        return [
            Reason(code=Code.CONTENT, message=f"{files} have the digests that were signed", passed=True),
            Reason(
                code=Code.DIGESTS_MEASURED,
                message="these are digests claimed by others: nothing was measured here. Verify again where the files "
                + ("lie" if request.accept_claimed else "lie, or say --accept-claimed-digests"),
                passed=False,
                level=Level.WARN if request.accept_claimed else Level.DENY,
            ),
        ]
    message = f"{files} with {actual.size} bytes are what was signed"
    if comparison.left:
        message += f"; {len(comparison.left)} signed files were not looked at"
    if comparison.beside:
        message += f"; {len(comparison.beside)} files that nobody signed lie beside that part"
    return [Reason(code=Code.CONTENT, message=message, passed=True)]


def covered(request: Request, signed: Manifest, comparison: Comparison) -> Covered:
    """Return what the answer speaks about."""
    actual = comparison.actual
    return Covered(
        root=signed.root,
        files=len(actual.files()),
        size=actual.size,
        ignored=tuple(name for name in actual.unsigned if name not in {SIGNATURE_NAME, CLAIMS_NAME}),
        unsigned=tuple(sorted((*comparison.differences.extra, *comparison.beside))),
        unchecked=tuple(sorted((*comparison.left, *comparison.beside))) if comparison.complete else (),
        claimed=request.claimed is not None,
    )


def whole_files(request: Request, actual: Manifest) -> Manifest:
    """Return what was measured as whole files with SHA-256, which is how statements name files."""
    if actual.method == FILES and actual.hash_type == "sha256":
        return actual
    whole = measure(
        request.model,
        ignored=actual.ignored,
        allow_symlinks=actual.allow_symlinks,
        progress=request.progress,
    )
    names = set(actual.files())
    return replace(whole, entries=tuple(entry for entry in whole.entries if whole.file_name(entry) in names))
