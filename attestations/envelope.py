"""DSSE envelopes: payload bytes, their type, and signatures over both.

Spec: secure-systems-lab/dsse envelope.md and protocol.md. What is signed is the pre-authentication encoding, never the
payload alone, so that a signature cannot be moved to another payload type.
"""

import base64
import binascii
import re

from attestations.errors import EnvelopeError
from attestations.records import dataclass
from attestations.strict_json import Json, list_of, object_of, text_of

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeSignature:
    """One signature, with the unauthenticated hint which key made it."""

    signature: bytes
    keyid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A sealed payload. Nothing here says whether the seal holds."""

    payload: bytes
    payload_type: str
    signatures: tuple[EnvelopeSignature, ...]
    signed: bytes | None = None
    """what the signatures cover where it is not DSSE's encoding (see `attestations.legacy`)"""

    def pae(self) -> bytes:
        """Return the bytes that a signature covers."""
        return pae(self.payload_type, self.payload) if self.signed is None else self.signed

    @classmethod
    def from_document(cls, value: Json) -> "Envelope":
        """Return the envelope in a parsed JSON object (``dsseEnvelope`` of a bundle).

        Raises:
            EnvelopeError: a field is missing or of the wrong kind. An empty list of signatures is read as such: it is
                for the verifier to refuse.
        """
        document = object_of(value, "the envelope")
        return cls(
            payload=decode(document.get("payload"), "the envelope's payload"),
            payload_type=text_of(document.get("payloadType"), "the envelope's payloadType"),
            signatures=tuple(
                _signature(item) for item in list_of(document.get("signatures"), "the envelope's signatures")
            ),
        )

    def to_document(self) -> dict[str, Json]:
        """Return the envelope as a JSON object."""
        return {
            "payload": encode(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"sig": encode(item.signature), "keyid": item.keyid} for item in self.signatures],
        }


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding of a payload and its type."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def encode(data: bytes) -> str:
    """Return ``data`` in standard base64."""
    return base64.b64encode(data).decode("ascii")


def decode(value: Json, what: str) -> bytes:
    """Return the bytes of a base64 field: standard or URL-safe (DSSE allows both), padded or not (protobuf JSON does).

    Raises:
        EnvelopeError: the value is not base64 text.
    """
    # A payload may have megabytes, so it is copied only where it is not standard base64 already.
    text = text_of(value, what)
    if "-" in text or "_" in text:
        text = text.translate(_URL_SAFE)
    if not _BASE64.match(text):
        raise EnvelopeError(f"{what} is not base64")
    if len(text) % 4:
        text = text.rstrip("=")
        text += "=" * (-len(text) % 4)
    try:
        return binascii.a2b_base64(text)
    except binascii.Error as error:
        raise EnvelopeError(f"{what} is not base64") from error


_URL_SAFE = str.maketrans("-_", "+/")


def _signature(value: Json) -> EnvelopeSignature:
    document = object_of(value, "a signature of the envelope")
    keyid = document.get("keyid")
    return EnvelopeSignature(
        signature=decode(document.get("sig"), "a signature of the envelope"),
        keyid="" if keyid is None else text_of(keyid, "the keyid of a signature"),
    )
