"""Signatures of model-signing v0.2.0: readable, but only for callers who ask for it by name.

That release signed another text than DSSE defines (capital V, and Python's notation of a bytes object instead of the
bytes), and its statement lists files as subjects, with no digest over all of them. Nothing else is ever judged with the
old encoding: a statement of today's type that was signed that way is not signed.
"""

from dataclasses import replace

from attestations.bundle import Bundle
from attestations.errors import EnvelopeError, Unsupported
from attestations.manifest import Manifest, ManifestEntry, name_problem
from attestations.records import dataclass
from attestations.statement import Statement
from attestations.uris import OMS_DIGESTS_V0_1
from attestations.verify import Proof, Verifier

_WHOLE_FILES = "file-sha256"


def legacy_pae(payload_type: str, payload: bytes) -> bytes:
    """Return what v0.2.0 signed instead of DSSE's pre-authentication encoding."""
    return f"DSSEV1 {len(payload_type)} {payload_type} {len(payload)} {payload!r}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyVerifier:
    """Lets a verifier of keys or certificates judge a signature of v0.2.0."""

    inner: Verifier

    def handles(self, bundle: Bundle) -> bool:
        return is_legacy(bundle) and self.inner.handles(bundle)

    def verify(self, bundle: Bundle) -> Proof:
        envelope = replace(bundle.envelope, signed=legacy_pae(bundle.envelope.payload_type, bundle.envelope.payload))
        return self.inner.verify(replace(bundle, envelope=envelope))


def is_legacy(bundle: Bundle) -> bool:
    """Return whether a bundle holds a statement of v0.2.0."""
    if OMS_DIGESTS_V0_1.encode() not in bundle.envelope.payload:
        # Nothing is proven yet, and a payload may be made to cost more than it should.
        return False
    try:
        return Statement.parse(bundle.envelope.payload).predicate_type == OMS_DIGESTS_V0_1
    except EnvelopeError:
        return False


def legacy_manifest_of(statement: Statement) -> Manifest:
    """Return the manifest that a statement of v0.2.0 claims; it has no name and no root digest of its own.

    Raises:
        EnvelopeError: a statement that two readers could read differently.
        Unsupported: another predicate type, or files hashed in another way than whole with SHA-256.
    """
    if statement.predicate_type != OMS_DIGESTS_V0_1:
        raise Unsupported(f"the signed statement is of type {statement.predicate_type!r}, not {OMS_DIGESTS_V0_1}")
    entries: dict[str, ManifestEntry] = {}
    for subject in statement.subjects:
        problem = name_problem(subject.name)
        if problem:
            raise EnvelopeError(f"the signed file name {subject.name!r} {problem}")
        if subject.name in entries:
            raise EnvelopeError(f"the signature names {subject.name!r} twice")
        digest = subject.digest("sha256")
        if digest is None or subject.annotations.get("actual_hash_algorithm") != _WHOLE_FILES:
            raise Unsupported(f"{subject.name!r} is hashed in a way that this program does not know")
        entries[subject.name] = ManifestEntry(name=subject.name, digest=digest)
    if not entries:
        raise EnvelopeError("the signature covers no file at all")
    ordered = tuple(entry for _, entry in sorted(entries.items()))
    return Manifest(name="model", entries=ordered, ignored=())
