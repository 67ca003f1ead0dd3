"""Signatures with a bare key pair: OMS v1.0's "key" method.

The bundle names its key by a hint only, and the hint is not signed. It serves to tell "not by this key" from "changed";
what decides is whether the signature holds under a key that the caller gave.
"""

import base64
import binascii
from pathlib import Path

from attestations.algorithms import PrivateKey, PublicKey, key_hint, public_der, public_pem, sign, verify
from attestations.bundle import Bundle, Material
from attestations.digest import sha256_of
from attestations.envelope import Envelope, EnvelopeSignature, pae
from attestations.errors import OtherKey, SignatureInvalid
from attestations.key_files import load_private, load_public, read_key_file
from attestations.records import dataclass
from attestations.statement import Statement
from attestations.timestamps import TimestampAuthority, proven_time, request_timestamp
from attestations.uris import PAYLOAD_TYPE
from attestations.verify import Method, Proof, SignedBy, TimeSource


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySigner:
    """Signs with a private key that lies in a file; `timestamp_url` is an RFC 3161 authority to ask for the time."""

    key: PrivateKey
    timestamp_url: str | None = None

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None, *, timestamp_url: str | None = None) -> "KeySigner":
        """Return a signer with the PEM key in ``path``.

        Raises:
            SigningError: the key cannot be read, decrypted or used.
        """
        return cls(key=load_private(read_key_file(path), passphrase, str(path)), timestamp_url=timestamp_url)

    def sign(self, statement: Statement) -> Bundle:
        """Return the statement in a bundle that names the public key by its hint."""
        envelope = seal(statement, self.key)
        stamps = [request_timestamp(self.timestamp_url, envelope.signatures[0].signature)] if self.timestamp_url else []
        return Bundle.of_key(envelope, hint=key_hint(self.key.public_key()), timestamps=stamps)

    def verifier(self, *, name: str) -> "KeyVerifier":
        """Return a verifier for what this signer signs."""
        return KeyVerifier(key=self.key.public_key(), name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVerifier:
    """Accepts what the holder of one key signed.

    Attributes:
        key: the public key.
        name: how reports call its holder.
        authorities: whose timestamps count.
    """

    key: PublicKey
    name: str
    authorities: tuple[TimestampAuthority, ...] = ()

    @classmethod
    def load(
        cls, path: Path, *, name: str | None = None, authorities: tuple[TimestampAuthority, ...] = ()
    ) -> "KeyVerifier":
        """Return a verifier with the PEM public key in ``path``.

        Raises:
            SigningError: the key cannot be read or used.
        """
        return cls(key=load_public(read_key_file(path), str(path)), name=name or path.name, authorities=authorities)

    @property
    def fingerprint(self) -> str:
        """What signatures call the key: SHA-256 of its PEM text."""
        return key_hint(self.key)

    def handles(self, bundle: Bundle) -> bool:
        return bundle.material is Material.PUBLIC_KEY

    def verify(self, bundle: Bundle) -> Proof:
        named = self._is_named_by(bundle)
        if named is False:
            raise OtherKey(self.name)
        try:
            check(bundle, self.key)
        except SignatureInvalid as error:
            if named:
                raise SignatureInvalid(f"the signature does not hold under the key {self.name}: {error}") from error
            raise SignatureInvalid(
                f"the signature does not hold under the key {self.name}: the statement was changed, or another key "
                "made it (the bundle does not say which)"
            ) from error
        signed_by = SignedBy(method=Method.KEY, name=self.name, key_hint=key_hint(self.key))
        stamped = proven_time(bundle.timestamps, bundle.envelope.signatures[0].signature, self.authorities)
        return Proof(
            payload=bundle.envelope.payload,
            signed_by=signed_by,
            time=stamped,
            time_source=None if stamped is None else TimeSource.AUTHORITY,
        )

    def _is_named_by(self, bundle: Bundle) -> bool | None:
        """Return whether the bundle says that this key signed; None when it does not say."""
        der = public_der(self.key)
        if bundle.key_bytes is not None:
            return _pem_or_der(bundle.key_bytes) in {der, public_pem(self.key).strip()}
        fingerprint = _fingerprint(bundle.key_hint)
        if fingerprint is None:
            return None
        # model-signing hashes the PEM text; other signers the DER, in hexadecimal or base64.
        return fingerprint in {key_hint(self.key), sha256_of(der).hex}


def seal(statement: Statement, key: PrivateKey) -> Envelope:
    """Return the statement in an envelope signed with ``key``.

    Raises:
        SigningError: the key is of no kind that readers verify.
    """
    signature = sign(key, pae(PAYLOAD_TYPE, statement.payload))
    return Envelope(
        payload=statement.payload, payload_type=PAYLOAD_TYPE, signatures=(EnvelopeSignature(signature=signature),)
    )


def check(bundle: Bundle, key: PublicKey) -> None:
    """Return when the one signature of a bundle was made with the private half of ``key``.

    Raises:
        SignatureInvalid: it was not.
        Unsupported: the key is of no kind that this program verifies.
    """
    envelope = bundle.envelope
    # The release that signed another text also took SHA-256 whatever the curve.
    verify(key, envelope.signatures[0].signature, envelope.pae(), always_sha256=envelope.signed is not None)


def _pem_or_der(data: bytes) -> bytes:
    # model-signing up to 1.0.1 puts the PEM text where the specification wants DER.
    return data.strip() if data.lstrip().startswith(b"-----BEGIN") else data


def _fingerprint(hint: str) -> str | None:
    """Return a hint as 64 hexadecimal digits, None when it is no SHA-256."""
    try:
        raw = bytes.fromhex(hint) if len(hint) == 64 else base64.b64decode(hint, validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw.hex() if len(raw) == 32 else None
