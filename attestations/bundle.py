"""Sigstore bundles: a DSSE envelope and what is needed to verify it.

Spec: sigstore/protobuf-specs ``sigstore_bundle.proto`` and OMS v1.0 section 6.6 with appendix A. The reader is
tolerant, because real bundles differ (no ``tlogEntries`` in key bundles of other programs, four spellings of the media
type, public keys given as hint or as bytes); judging is left to `attestations.verify`, and is not tolerant.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

from attestations.digest import Digest
from attestations.envelope import Envelope, decode, encode
from attestations.errors import EnvelopeError, Unsupported
from attestations.records import dataclass
from attestations.strict_json import Json, list_of, object_of, parse_object, text_of, write
from attestations.uris import BUNDLE_V0_3

MEDIA_TYPES = {
    "application/vnd.dev.sigstore.bundle+json;version=0.1": "0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2": "0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3": "0.3",
    BUNDLE_V0_3: "0.3",
}
_MAX_CERTIFICATES = 32
_MAX_TIMESTAMPS = 32
_AT_ONCE = 3 * 16 * 1024
"""bytes of a payload whose base64 needs no padding in between"""
_MAX_VALUES = 100_000
"""JSON values beside the payload, which is one"""


class Material(StrEnum):
    """Which kind of verification material a bundle carries."""

    PUBLIC_KEY = "public key"
    CERTIFICATE = "certificate"
    CERTIFICATE_CHAIN = "certificate chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An envelope with its verification material, as read or made; nothing here is verified.

    Attributes:
        document: the bundle as JSON, unknown fields and all: in one piece, or in the two around a payload that `pieces`
            can write again as it was. That of a large model has megabytes.
        material: the kind of verification material.
        key_hint: what the bundle says about the public key (unauthenticated), "" when it says nothing.
        key_bytes: a public key that the bundle itself carries (never a reason to trust it).
        certificates: DER, leaf first.
        log_entries: transparency log entries, as JSON.
        timestamps: RFC 3161 responses, DER.
    """

    document: tuple[bytes, ...]
    media_type: str
    envelope: Envelope
    material: Material
    key_hint: str = ""
    key_bytes: bytes | None = None
    certificates: tuple[bytes, ...] = ()
    log_entries: tuple[Json, ...] = ()
    timestamps: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> "Bundle":
        """Return the bundle in ``data``.

        Raises:
            EnvelopeError: the bytes are not a Sigstore bundle.
            Unsupported: a bundle of a version or with a content that this program does not read.
        """
        if sum(map(data.count, b"{[,")) > _MAX_VALUES:
            # A payload is base64 and has none of these; parsed, they would take thirty times their bytes in memory.
            raise EnvelopeError(f"the bundle has more than {_MAX_VALUES} values, which none has that was signed")
        document = _parsed(data)
        media_type = _media_type(document)
        if "dsseEnvelope" not in document:
            if "messageSignature" in document:
                raise Unsupported("the bundle signs bare bytes (messageSignature), not a statement (dsseEnvelope)")
            raise EnvelopeError("the bundle has no dsseEnvelope")
        if document.get("messageSignature") is not None:
            # A protobuf oneof: of the two, one reader takes this and another one that.
            raise EnvelopeError("the bundle has two contents, a dsseEnvelope and a messageSignature")
        material = object_of(document.get("verificationMaterial"), "the bundle's verificationMaterial")
        kind, certificates = _certificates(material)
        hint, key_bytes = _public_key(material.get("publicKey"))
        entries = material.get("tlogEntries")
        envelope = Envelope.from_document(document["dsseEnvelope"])
        return cls(
            document=_around_payload(document, envelope),
            media_type=media_type,
            envelope=envelope,
            material=kind,
            key_hint=hint,
            key_bytes=key_bytes,
            certificates=certificates,
            log_entries=() if entries is None else tuple(list_of(entries, "the bundle's tlogEntries")),
            timestamps=_timestamps(material.get("timestampVerificationData")),
        )

    @classmethod
    def of_key(cls, envelope: Envelope, *, hint: str, timestamps: Sequence[bytes] = ()) -> "Bundle":
        """Return a bundle for a signature by a key that the reader already has."""
        return cls(
            document=_document(envelope, {"publicKey": {"hint": hint}}, timestamps),
            media_type=BUNDLE_V0_3,
            envelope=envelope,
            material=Material.PUBLIC_KEY,
            key_hint=hint,
            timestamps=tuple(timestamps),
        )

    @classmethod
    def of_chain(
        cls, envelope: Envelope, *, certificates: Sequence[bytes], timestamps: Sequence[bytes] = ()
    ) -> "Bundle":
        """Return a bundle for a signature by the first of ``certificates`` (DER, leaf first)."""
        chain: list[Json] = [{"rawBytes": encode(certificate)} for certificate in certificates]
        return cls(
            document=_document(envelope, {"x509CertificateChain": {"certificates": chain}}, timestamps),
            media_type=BUNDLE_V0_3,
            envelope=envelope,
            material=Material.CERTIFICATE_CHAIN,
            certificates=tuple(certificates),
            timestamps=tuple(timestamps),
        )

    @property
    def version(self) -> str:
        """The version of the bundle format: "0.1", "0.2" or "0.3"."""
        return MEDIA_TYPES[self.media_type]

    def to_json(self) -> bytes:
        """Return the bundle as one line of JSON, without a line end; unknown fields are kept."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """Yield the pieces of `to_json`, none of them large where the payload is."""
        before, *after = self.document
        yield before
        payload = memoryview(self.envelope.payload)
        for piece in after:
            for start in range(0, len(payload), _AT_ONCE):
                yield base64.b64encode(payload[start : start + _AT_ONCE])
            yield piece

    def digest(self) -> Digest:
        """Return the SHA-256 digest of `to_json`."""
        whole = hashlib.sha256()
        for piece in self.pieces():
            whole.update(piece)
        return Digest(algorithm="sha256", hex=whole.hexdigest())


def _around_payload(document: dict[str, Json], envelope: Envelope) -> tuple[bytes, ...]:
    """Return ``document`` as JSON in the two pieces around its payload, or in one where that would not give it back."""
    sealed = object_of(document["dsseEnvelope"], "the envelope")
    if sealed["payload"] == encode(envelope.payload):
        pieces = _around(write({**document, "dsseEnvelope": {**sealed, "payload": ""}}))
        if len(pieces) == 2:
            return pieces
    return (write(document),)


def _around(written: bytes) -> tuple[bytes, ...]:
    """Return what stands before and behind the payload of a bundle that is written without it."""
    pieces = written.split(b'"payload":""')
    # Fields that we do not know may look the same.
    return (pieces[0] + b'"payload":"', b'"' + pieces[1]) if len(pieces) == 2 else (written,)


def _document(envelope: Envelope, material: dict[str, Json], timestamps: Sequence[bytes]) -> tuple[bytes, ...]:
    # model-signing 1.1.1 needs tlogEntries to be there, even when it is empty.
    material["tlogEntries"] = []
    if timestamps:
        material["timestampVerificationData"] = {
            "rfc3161Timestamps": [{"signedTimestamp": encode(timestamp)} for timestamp in timestamps]
        }
    sealed = replace(envelope, payload=b"").to_document()
    pieces = _around(write({"mediaType": BUNDLE_V0_3, "verificationMaterial": material, "dsseEnvelope": sealed}))
    assert len(pieces) == 2
    return pieces


def _parsed(data: bytes) -> dict[str, Json]:
    if not data.strip():
        raise EnvelopeError("the signature is an empty file")
    try:
        document = parse_object(data, "the bundle")
    except EnvelopeError as error:
        from attestations import foreign  # good bundles, of which there are more, need nothing of it

        if name := foreign.name_of_text(data):
            raise Unsupported(f"this is {name}, and what is judged here are Sigstore bundles") from error
        raise
    if "mediaType" not in document:
        from attestations import foreign

        if name := foreign.name_of_document(document):
            raise Unsupported(f"this is {name}, and what is judged here are Sigstore bundles")
    return document


def _media_type(document: dict[str, Json]) -> str:
    if "mediaType" not in document:
        raise EnvelopeError("not a Sigstore bundle: there is no mediaType")
    media_type = text_of(document["mediaType"], "the bundle's mediaType")
    if media_type in MEDIA_TYPES:
        return media_type
    if media_type.startswith("application/vnd.dev.sigstore.bundle"):
        raise Unsupported(f"the bundle is of version {media_type!r}, which this program does not read")
    raise EnvelopeError(f"the bundle's mediaType is {media_type!r}, not {BUNDLE_V0_3}")


def _certificates(material: dict[str, Json]) -> tuple[Material, tuple[bytes, ...]]:
    given = [name for name in ("publicKey", "certificate", "x509CertificateChain") if material.get(name) is not None]
    if len(given) != 1:
        listed = " and ".join(given) or "none"
        raise EnvelopeError(
            f"the bundle must have one of publicKey, certificate, x509CertificateChain; it has {listed}"
        )
    if given == ["publicKey"]:
        return Material.PUBLIC_KEY, ()
    if given == ["certificate"]:
        return Material.CERTIFICATE, (_raw_bytes(material["certificate"]),)
    chain = object_of(material["x509CertificateChain"], "the bundle's x509CertificateChain")
    listed_certificates = list_of(chain.get("certificates"), "the bundle's certificates")
    if not 1 <= len(listed_certificates) <= _MAX_CERTIFICATES:
        raise EnvelopeError(f"the bundle has {len(listed_certificates)} certificates, not 1 to {_MAX_CERTIFICATES}")
    return Material.CERTIFICATE_CHAIN, tuple(_raw_bytes(item) for item in listed_certificates)


def _raw_bytes(value: Json) -> bytes:
    return decode(object_of(value, "a certificate of the bundle").get("rawBytes"), "a certificate of the bundle")


def _public_key(value: Json) -> tuple[str, bytes | None]:
    if value is None:
        return "", None
    key = object_of(value, "the bundle's publicKey")
    hint = key.get("hint")
    raw = key.get("rawBytes")
    return (
        "" if hint is None else text_of(hint, "the bundle's key hint"),
        None if raw is None else decode(raw, "the bundle's public key"),
    )


def _timestamps(value: Json) -> tuple[bytes, ...]:
    if value is None:
        return ()
    listed = object_of(value, "the bundle's timestampVerificationData").get("rfc3161Timestamps")
    if listed is None:
        return ()
    timestamps = list_of(listed, "the bundle's rfc3161Timestamps")
    if len(timestamps) > _MAX_TIMESTAMPS:
        raise EnvelopeError(f"the bundle has more than {_MAX_TIMESTAMPS} timestamps")
    return tuple(
        decode(object_of(item, "a timestamp").get("signedTimestamp"), "a timestamp of the bundle")
        for item in timestamps
    )
