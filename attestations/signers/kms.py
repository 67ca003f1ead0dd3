"""Signatures with a key that a cloud keeps: AWS, Google, Azure, HashiCorp Vault, through securesystemslib's signers.

The key is named by securesystemslib's URIs: ``awskms:KEY``, ``gcpkms:projects/…/cryptoKeyVersions/1``,
``azurekms://VAULT.vault.azure.net/keys/NAME`` and ``hv:NAME``. Credentials are the ambient ones of each vendor's tools.
The cloud sees a digest only; Vault, whose Ed25519 keys sign whole messages, sees the statement with the names of files.
What comes back is verified before it is published; readers verify it as any key's.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509

from attestations.algorithms import PublicKey
from attestations.bundle import Bundle
from attestations.errors import SigningError
from attestations.key_files import load_public
from attestations.signers.remote import bundle_of, to_be_signed, verifier_of
from attestations.statement import Statement
from attestations.verify import Verifier

if TYPE_CHECKING:
    from securesystemslib.signer._key import SSlibKey
    from securesystemslib.signer._signer import Signer

SCHEMES = ("awskms", "gcpkms", "azurekms", "hv")

# Readers verify RSA as PSS with SHA-256 and ECDSA with the hash of the curve's strength, nothing else.
_VERIFIED = frozenset(
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsassa-pss-sha256", "ed25519"}
)

# securesystemslib takes the vault's name and asks in this domain, whatever the URI says.
_AZURE_DOMAIN = ".vault.azure.net"

# Roots of what the vendors' libraries raise, as far as they are installed.
_VENDOR_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("hvac.exceptions", "VaultError"),
    ("requests", "RequestException"),
    ("securesystemslib.signer._azure_signer", "UnsupportedKeyType"),  # derived from Exception alone
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsSigner:
    """Signs with a key in a cloud; with `certificates` (leaf first) as the "certificate" method."""

    uri: str
    certificates: tuple[x509.Certificate, ...] = ()
    timestamp_url: str | None = None

    def sign(self, statement: Statement) -> Bundle:
        """Return the statement in a bundle.

        Raises:
            SigningError: the URI, the credentials or the key cannot be used.
        """
        signer, public = self._connect()
        errors = _errors()
        try:
            signature = bytes.fromhex(signer.sign(to_be_signed(statement)).signature)
        except errors as error:
            raise SigningError(f"{self.uri}: the key service did not sign: {_said(error)}") from error
        return bundle_of(statement, signature, public, certificates=self.certificates, timestamp_url=self.timestamp_url)

    def verifier(self) -> Verifier:
        """Return a verifier for what this signer signs.

        Raises:
            SigningError: the URI, the credentials or the key cannot be used.
        """
        _, public = self._connect()
        return verifier_of(public, self.certificates)

    def _connect(self) -> "tuple[Signer, PublicKey]":
        scheme = self.uri.partition(":")[0]
        if scheme not in SCHEMES:
            raise SigningError(f"{self.uri!r} names no key service; use one of {', '.join(SCHEMES)}")
        try:
            from securesystemslib import signer as signers
        except ImportError as error:
            raise SigningError(
                "signing with a key service needs the extra package: pip install 'modelsign-suite[kms]'"
            ) from error
        # Through `vars`, because the package does not declare what it re-exports.
        kind = vars(signers)["SIGNER_FOR_URI_SCHEME"][scheme]
        try:
            uri, key = kind.import_(*_key_names(self.uri))
            _check_version(self.uri, uri)
            signer = kind.from_priv_key_uri(uri, key)
        except _errors() as error:
            if type(error).__name__ == "UnsupportedLibraryError":
                raise SigningError(
                    f"{self.uri}: the vendor's library is not installed: pip install 'modelsign-suite[kms]'"
                ) from error
            raise SigningError(f"{self.uri}: the key cannot be used: {_said(error)}") from error
        return signer, _public(self.uri, key)


def _key_names(uri: str) -> tuple[str, ...]:
    """Return what securesystemslib asks for to find a key."""
    scheme, _, rest = uri.partition(":")
    if scheme == "hv":
        return (rest.partition("/")[0],)
    if scheme != "azurekms":
        return (rest,)
    parts = urlsplit(uri)
    names = parts.path.strip("/").split("/")
    vault = (parts.hostname or "").removesuffix(_AZURE_DOMAIN)
    if not vault or "." in vault or len(names) not in {2, 3} or names[0] != "keys":
        raise SigningError(f"{uri!r} is not azurekms://VAULT{_AZURE_DOMAIN}/keys/NAME")
    return vault, names[1]


def _check_version(asked: str, found: str) -> None:
    """Refuse a version of a key other than the newest, which is the one that securesystemslib finds by its name."""
    scheme, _, rest = asked.partition(":")
    if scheme == "hv":
        version = rest.partition("/")[2]
    elif scheme == "azurekms":
        version = "/".join(urlsplit(asked).path.strip("/").split("/")[2:])
    else:
        return
    newest = found.rpartition("/")[2]
    if version and version != newest:
        raise SigningError(f"{asked}: the service signs with the newest version of the key only, and that is {newest}")


def _public(uri: str, key: "SSlibKey") -> PublicKey:
    if key.scheme not in _VERIFIED:
        raise SigningError(f"{uri}: readers of model signatures do not verify {key.scheme}")
    text = key.keyval["public"]
    if key.scheme == "ed25519":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    return load_public(text.encode(), uri)


def _errors() -> tuple[type[Exception], ...]:
    from securesystemslib.exceptions import Error

    found: list[type[Exception]] = [Error, ValueError, KeyError, OSError]
    for module, name in _VENDOR_ERRORS:
        try:
            found.append(getattr(importlib.import_module(module), name))
        except ImportError:
            continue
    return tuple(found)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
