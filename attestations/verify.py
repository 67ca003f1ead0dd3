"""From bundle to proof: the only place where a `VerifiedStatement` is made.

A verifier (one per method, in `signers/`) says which payload bytes were signed, by whom and when. What those bytes say
is read from exactly the bytes that the verifier returned, never from the bundle again. `bind` then tells which files of
a measured model a proven statement speaks about.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from attestations.bundle import Bundle
from attestations.errors import (
    IdentityMismatch,
    LogProofInvalid,
    OtherKey,
    OutsideItsTime,
    SignatureInvalid,
    Unsupported,
    VerificationError,
)
from attestations.manifest import SINGLE_FILE, Manifest, Place
from attestations.predicates.oms_signature import manifest_of
from attestations.records import dataclass
from attestations.statement import Statement
from attestations.uris import OMS_SIGNATURE_V1, PAYLOAD_TYPE

if TYPE_CHECKING:
    from attestations.digest import Digest


class Method(StrEnum):
    """How a statement was signed."""

    SIGSTORE = "sigstore"
    KEY = "key"
    CERTIFICATE = "certificate"


class TimeSource(StrEnum):
    """Who vouches for the time of a signature."""

    LOG = "transparency log"
    AUTHORITY = "timestamp authority"


class Unproven(StrEnum):
    """What a verifier did not look at, because its caller said so."""

    LOG = "transparency log"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBy:
    """Who signed, as proven by a verifier.

    Attributes:
        method: how.
        name: what to show to a person: an e-mail address, a workflow, a key's name.
        names: all names in the certificate's subject alternative name.
        identity: the first of them, or the certificate's subject where there is none; None for bare keys.
        issuer: who vouches for the identity: the OIDC issuer, or the subject of the certificate authority.
        key_hint: SHA-256 of the public key's PEM text, as model-signing computes it.
        certificate: DER of the signing certificate; None for bare keys.
        claims: what else the certificate says: for Sigstore ``repository_id``, ``owner_id``, ``trigger``, ``runner``
            and the others of `certificate_names`; for the certificate method ``subject``, ``common_name``, ``spki``.
    """

    method: Method
    name: str
    key_hint: str
    names: tuple[str, ...] = ()
    identity: str | None = None
    issuer: str | None = None
    certificate: bytes | None = None
    claims: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a verifier found: the payload that was signed, by whom, and when where somebody trusted says so.

    What the caller had opted out of, and was not there to look at, is ``unproven``.
    """

    payload: bytes
    signed_by: SignedBy
    time: datetime | None = None
    time_source: TimeSource | None = None
    unproven: tuple[Unproven, ...] = ()


class Verifier(Protocol):
    """One way of deciding whether a bundle holds, with the trust it was made with."""

    def handles(self, bundle: Bundle) -> bool:
        """Return whether the bundle was signed by this verifier's method."""
        ...

    def verify(self, bundle: Bundle) -> Proof:
        """Return what was signed, by whom and when.

        Raises:
            VerificationError: it does not hold, is not trusted, or cannot be judged.
        """
        ...


class Signer(Protocol):
    """One way of sealing a statement."""

    def sign(self, statement: Statement) -> Bundle:
        """Return the statement in a bundle.

        Raises:
            SigningError: no signature could be made.
        """
        ...


_MINT = object()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStatement:
    """A statement that somebody the caller trusts has signed; only `verify_bundle` makes one.

    Attributes:
        statement: what was said, parsed from the very bytes that were signed.
        signed_by: who said it.
        time: when it was signed, None where nobody but the signer says so.
        time_source: who vouches for the time.
        bundle: the seal, to keep or to show.
        unproven: what was not looked at, because the caller had said so; nothing unless asked for.
    """

    statement: Statement
    signed_by: SignedBy
    time: datetime | None
    time_source: TimeSource | None
    bundle: Bundle
    unproven: tuple[Unproven, ...] = ()
    mint: InitVar[object]

    def __post_init__(self, mint: object) -> None:
        if mint is not _MINT:
            raise TypeError("only attestations.verify makes a VerifiedStatement")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundStatement:
    """A verified statement held against a measured model: the files that it really speaks about.

    Attributes:
        verified: the proof.
        manifest: the model as measured.
        files: names of the files whose name and digest the statement gives, sorted.
        names_root: whether one of its subjects is the root digest of the manifest.
    """

    verified: VerifiedStatement
    manifest: Manifest
    files: tuple[str, ...]
    names_root: bool

    @property
    def covers_all(self) -> bool:
        """Whether the statement speaks about every file of the model."""
        return self.files == self.manifest.files()


def verify_bundle(bundle: Bundle, verifiers: Sequence[Verifier]) -> VerifiedStatement:
    """Return the statement in a bundle, proven by one of the verifiers.

    Raises:
        IdentityMismatch: nobody whom the verifiers trust has signed.
        SignatureInvalid: the signature does not hold.
        LogProofInvalid: a transparency or time proof is missing or does not hold.
        Unsupported: a legal bundle of a kind that is not judged.
        EnvelopeError: what was signed is not a statement.
    """
    _check_envelope(bundle)
    failures: list[VerificationError] = []
    for verifier in verifiers:
        if not verifier.handles(bundle):
            continue
        try:
            proof = verifier.verify(bundle)
        except VerificationError as error:
            failures.append(error)
            continue
        return VerifiedStatement(
            statement=Statement.parse(proof.payload),
            signed_by=proof.signed_by,
            time=proof.time,
            time_source=proof.time_source,
            bundle=bundle,
            unproven=proof.unproven,
            mint=_MINT,
        )
    if not failures:
        raise IdentityMismatch(
            f"the bundle is signed by the method of a {bundle.material.value}, and no trust was given for that method"
        )
    others = [failure.key for failure in failures if isinstance(failure, OtherKey)]
    if len(others) == len(failures):
        raise OtherKey(", ".join(others))
    raise min(failures, key=_weight)


def bind(verified: VerifiedStatement, manifest: Manifest, *, signed: Manifest | None = None) -> BoundStatement:
    """Return the files of ``manifest`` that a verified statement names with the digest that they have.

    A subject counts for a file only when both its name and a digest of the manifest's own algorithm are equal: a scan
    of ``config.json`` says nothing about ``model.safetensors``, whatever their order in a root digest.

    Args:
        verified: the proof.
        manifest: the model as measured.
        signed: what `manifest_of` returned for the statement of a model signature, so that it is not read again.

    Raises:
        EnvelopeError: a model signature with a manifest that is not allowed.
        Unsupported: a model signature of a kind that is not read.
    """
    statement = verified.statement
    root = manifest.root
    said: dict[Place, Digest] = {}
    others: dict[Place, list[Digest]] = {}
    if statement.predicate_type == OMS_SIGNATURE_V1:
        signed = manifest_of(statement) if signed is None else signed
        said = {signed.place(entry): entry.digest for entry in signed.entries}
        comparable = (signed.method, signed.shard_size) == (manifest.method, manifest.shard_size)
    else:
        for subject in statement.subjects:
            name = manifest.name if subject.name == SINGLE_FILE else subject.name
            others.setdefault(name, []).extend(subject.digests)
        # Subjects name whole files; the digests of shards are never compared with them.
        comparable = manifest.shard_size is None
    unnamed: set[str] = set()
    for entry in manifest.entries if comparable else ():
        place = manifest.place(entry)
        digest = said.get(place)
        # Of a large model nearly all are one object.
        if digest is not entry.digest and digest != entry.digest and entry.digest not in others.get(place, ()):
            unnamed.add(manifest.file_name(entry))
    names = [name for name in manifest.files() if name not in unnamed] if comparable else []
    return BoundStatement(
        verified=verified,
        manifest=manifest,
        files=tuple(names),
        names_root=any(root in subject.digests for subject in statement.subjects),
    )


def _check_envelope(bundle: Bundle) -> None:
    if bundle.envelope.payload_type != PAYLOAD_TYPE:
        raise Unsupported(f"the signed payload is of type {bundle.envelope.payload_type!r}, not {PAYLOAD_TYPE}")
    count = len(bundle.envelope.signatures)
    if count == 0:
        raise SignatureInvalid("the envelope has no signature")
    if count > 1:
        # A bundle has one piece of verification material, so at most one of them could be judged.
        raise SignatureInvalid(f"the envelope has {count} signatures; a bundle may have one")


def _weight(error: VerificationError) -> tuple[bool, int]:
    """Order failures by what they tell: who did sign, then a key that should have matched, last keys not meant."""
    other = isinstance(error, OtherKey)
    for weight, kind in enumerate((OutsideItsTime, SignatureInvalid, LogProofInvalid, Unsupported)):
        if isinstance(error, kind):
            return other, weight
    return other, sys.maxsize
