"""in-toto statements: a claim of some type about subjects, kept with the exact bytes that were or will be signed.

Spec: in-toto/attestation spec/v1/statement.md. A `Statement` proves nothing; `attestations.verify` makes proofs of it.
Unknown fields stay in `payload`, so a statement that is passed on is passed on unchanged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field

from attestations.digest import Digest
from attestations.errors import EnvelopeError
from attestations.records import dataclass
from attestations.strict_json import Json, list_of, object_of, parse_object, text_of, write
from attestations.uris import STATEMENT_V1

STATEMENT_V0_1 = "https://in-toto.io/Statement/v0.1"
"""The type of SLSA v0.2 times: the same fields, still found on package indexes"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a statement is about: a name (may be empty) and digests."""

    name: str
    digests: tuple[Digest, ...]
    annotations: Mapping[str, Json] = field(default_factory=dict)

    def digest(self, algorithm: str) -> Digest | None:
        """Return the digest of that algorithm, when the subject has one."""
        return next((digest for digest in self.digests if digest.algorithm == algorithm), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A claim: `payload` is what a signature covers, the other fields are read from it."""

    payload: bytes
    predicate_type: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Json]

    @classmethod
    def parse(cls, payload: bytes) -> "Statement":
        """Return the statement in ``payload``.

        Raises:
            EnvelopeError: the bytes are not an in-toto statement v1 (or v0.1).
        """
        document = parse_object(payload, "the statement")
        kind = text_of(document.get("_type"), "the statement's _type")
        if kind not in {STATEMENT_V1, STATEMENT_V0_1}:
            raise EnvelopeError(f"the signed document is of type {kind!r}, not {STATEMENT_V1}")
        return cls(
            payload=payload,
            predicate_type=text_of(document.get("predicateType"), "the statement's predicateType"),
            subjects=tuple(_subject(item) for item in list_of(document.get("subject"), "the statement's subject")),
            predicate=object_of(document.get("predicate", {}), "the statement's predicate"),
        )

    @classmethod
    def build(cls, *, predicate_type: str, subjects: Sequence[Subject], predicate: Mapping[str, Json]) -> "Statement":
        """Return a statement with reproducible bytes: sorted keys, subjects in the order given."""
        payload = write(
            {
                "_type": STATEMENT_V1,
                "subject": [_subject_document(subject) for subject in subjects],
                "predicateType": predicate_type,
                "predicate": dict(predicate),
            }
        )
        return cls(payload=payload, predicate_type=predicate_type, subjects=tuple(subjects), predicate=predicate)


def _subject(value: Json) -> Subject:
    document = object_of(value, "a subject")
    name = text_of(document.get("name", ""), "a subject's name")
    digests = object_of(document.get("digest", {}), f"the digest of subject {name!r}")
    return Subject(
        name=name,
        digests=tuple(
            Digest.parse(algorithm, text_of(text, f"a digest of subject {name!r}"))
            for algorithm, text in sorted(digests.items())
        ),
        annotations=object_of(document.get("annotations", {}), f"the annotations of subject {name!r}"),
    )


def _subject_document(subject: Subject) -> dict[str, Json]:
    document: dict[str, Json] = {
        "name": subject.name,
        "digest": {digest.algorithm: digest.hex for digest in subject.digests},
    }
    if subject.annotations:
        document["annotations"] = dict(subject.annotations)
    return document
