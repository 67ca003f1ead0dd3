"""Signatures with a key that never leaves its token (PKCS#11): as a bare key, or with a certificate.

The key is named by a URI of RFC 7512: ``pkcs11:token=acme;object=release?module-path=/usr/lib/softhsm/libsofthsm2.so``.
A PIN in the URI would end up in shell histories, so it comes from elsewhere. The token hashes nothing: it gets the
digest, which every token can sign, and what it returns is verified before it is published.

Readers need no token: these signatures are verified as those of the "key" and "certificate" methods.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from attestations.algorithms import PublicKey, problem
from attestations.bundle import Bundle
from attestations.errors import SigningError
from attestations.signers.remote import bundle_of, to_be_signed, verifier_of
from attestations.statement import Statement
from attestations.verify import Verifier

if TYPE_CHECKING:
    import pkcs11

MODULE_VARIABLE = "MODELSIGN_PKCS11_MODULE"

# Where distributions keep modules, for URIs that give a module's name only.
_MODULE_DIRECTORIES = (
    "/usr/lib/softhsm",
    "/usr/lib/x86_64-linux-gnu/softhsm",
    "/usr/lib/aarch64-linux-gnu/softhsm",
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib/aarch64-linux-gnu/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/lib/pkcs11",
    "/usr/lib64",
    "/usr/lib",
    "/opt/homebrew/lib/pkcs11",
)

_CURVES: dict[bytes, tuple[ec.EllipticCurve, str]] = {
    bytes.fromhex("06082a8648ce3d030107"): (ec.SECP256R1(), "sha256"),
    bytes.fromhex("06052b81040022"): (ec.SECP384R1(), "sha384"),
    bytes.fromhex("06052b81040023"): (ec.SECP521R1(), "sha512"),
}
_OCTET_STRING = 0x04
_UNCOMPRESSED = 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUri:
    """What a PKCS#11 URI says: which token and object, and which module to load."""

    module: Path
    token: str | None = None
    serial: str | None = None
    label: str | None = None
    id: bytes | None = None
    pin_source: Path | None = None

    @classmethod
    def parse(cls, uri: str) -> "TokenUri":
        """Return the parts of a URI.

        Raises:
            SigningError: it is malformed, names no key, carries a PIN, or its module cannot be found.
        """
        scheme, _, rest = uri.partition(":")
        if scheme != "pkcs11":
            raise SigningError(f"{uri!r} is not a PKCS#11 URI (pkcs11:token=…;object=…)")
        path, _, query = rest.partition("?")
        attributes = _attributes(path, ";")
        options = _attributes(query, "&")
        if "pin-value" in options:
            raise SigningError(
                "a PIN in the URI can be read by everybody on this machine; give MODELSIGN_PKCS11_PIN, a file with "
                "pin-source=file:…, or type it"
            )
        unknown = sorted(attributes.keys() - {"token", "serial", "object", "id", "type", "manufacturer", "model"})
        if unknown:
            raise SigningError(f"the PKCS#11 URI has attributes that are not known here: {', '.join(unknown)}")
        label, key_id = attributes.get("object"), attributes.get("id")
        if label is None and key_id is None:
            raise SigningError("the PKCS#11 URI names no key; add object=LABEL or id=%01")
        source = options.get("pin-source")
        return cls(
            module=_module(options),
            token=_text(attributes.get("token")),
            serial=_text(attributes.get("serial")),
            label=_text(label),
            id=key_id,
            pin_source=None if source is None else Path(os.fsdecode(source).removeprefix("file:")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSigner:
    """Signs with a key on a token; with `certificates` (leaf first) as the "certificate" method."""

    uri: TokenUri
    pin: str | None
    certificates: tuple[x509.Certificate, ...] = ()
    timestamp_url: str | None = None

    def sign(self, statement: Statement) -> Bundle:
        """Return the statement in a bundle.

        Raises:
            SigningError: the token, its PIN or its key cannot be used.
        """
        with _errors(has_pin=self.pin is not None), self._session() as session:
            public = _public_key(session, self.uri)
            signature = _sign(_private_key(session, self.uri), public, to_be_signed(statement))
        return bundle_of(statement, signature, public, certificates=self.certificates, timestamp_url=self.timestamp_url)

    def verifier(self) -> Verifier:
        """Return a verifier for what this signer signs.

        Raises:
            SigningError: the token, its PIN or its key cannot be used.
        """
        with _errors(has_pin=self.pin is not None), self._session() as session:
            return verifier_of(_public_key(session, self.uri), self.certificates)

    @contextmanager
    def _session(self) -> "Iterator[pkcs11.Session]":
        try:
            import pkcs11
        except ImportError as error:
            raise SigningError(
                "signing with a token needs the extra package: pip install 'modelsign-suite[pkcs11]'"
            ) from error
        try:
            library = pkcs11.lib(str(self.uri.module))
        except RuntimeError as error:
            raise SigningError(f"{self.uri.module}: not a PKCS#11 module: {error}") from error
        serial = None if self.uri.serial is None else self.uri.serial.encode()
        token = library.get_token(token_label=self.uri.token, token_serial=serial)
        with token.open(user_pin=self.pin) as session:
            yield session


def _attributes(text: str, separator: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if not equals or name in found:
            raise SigningError(f"the PKCS#11 URI is malformed at {part!r}")
        found[name] = unquote_to_bytes(value)
    return found


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SigningError("a name in the PKCS#11 URI is not UTF-8 text") from error


def _module(options: dict[str, bytes]) -> Path:
    if "module-path" in options:
        path = Path(os.fsdecode(options["module-path"]))
        if not path.is_absolute():
            raise SigningError(f"module-path={path}: give the whole path of the PKCS#11 module")
        return path
    if "module-name" in options:
        name = os.fsdecode(options["module-name"])
        names = (f"lib{name}.so", f"{name}.so", f"lib{name}.dylib")
        found = (Path(directory, file) for directory in _MODULE_DIRECTORIES for file in names if "/" not in name)
        module = next((path for path in found if path.exists()), None)
        if module is None:
            raise SigningError(f"no PKCS#11 module {name!r} in the usual places; give module-path= in the URI")
        return module
    given = os.environ.get(MODULE_VARIABLE)
    if not given:
        raise SigningError(f"which PKCS#11 module? Add ?module-path=… to the URI, or set {MODULE_VARIABLE}")
    return Path(given)


class _SigningKey(Protocol):
    """What we use of a private key on a token."""

    def sign(self, data: bytes, *, mechanism: object, mechanism_param: object = None) -> bytes: ...


def _private_key(session: "pkcs11.Session", uri: TokenUri) -> _SigningKey:
    from pkcs11 import ObjectClass

    found: object = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=uri.label, id=uri.id)
    return cast("_SigningKey", found)


def _public_key(session: "pkcs11.Session", uri: TokenUri) -> PublicKey:
    from pkcs11 import Attribute, KeyType, ObjectClass

    found = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=uri.label, id=uri.id)
    kind = found.key_type
    key: PublicKey
    if kind == KeyType.EC:
        parameters = bytes(found[Attribute.EC_PARAMS])
        if parameters not in _CURVES:
            raise SigningError("the key on the token is on a curve that no reader of model signatures verifies")
        key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[parameters][0], _point(found[Attribute.EC_POINT]))
    elif kind == KeyType.EC_EDWARDS:
        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes(found[Attribute.EC_POINT])[-32:])
    elif kind == KeyType.RSA:
        exponent, modulus = (int.from_bytes(found[name]) for name in (Attribute.PUBLIC_EXPONENT, Attribute.MODULUS))
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    else:
        raise SigningError(f"the key on the token is of a kind that cannot sign models: {kind}")
    wrong = problem(key)
    if wrong:
        raise SigningError(f"the key on the token cannot be used: {wrong}")
    return key


def _point(value: bytes) -> bytes:
    """Return an EC point without the OCTET STRING that most tokens put around it."""
    data = bytes(value)
    if data[0] == _OCTET_STRING and data[1] == len(data) - 2 and data[2] == _UNCOMPRESSED:
        return data[2:]
    if data[:2] == bytes((_OCTET_STRING, 0x81)) and data[2] == len(data) - 3:
        return data[3:]
    return data


def _sign(private: _SigningKey, public: PublicKey, data: bytes) -> bytes:
    from pkcs11 import MGF, Mechanism

    if isinstance(public, ec.EllipticCurvePublicKey):
        name = next(name for curve, name in _CURVES.values() if curve.name == public.curve.name)
        raw = bytes(private.sign(hashlib.new(name, data).digest(), mechanism=Mechanism.ECDSA))
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
    if isinstance(public, ed25519.Ed25519PublicKey):
        return bytes(private.sign(data, mechanism=Mechanism.EDDSA))
    parameters = (Mechanism.SHA256, MGF.SHA256, 32)
    digest = hashlib.sha256(data).digest()
    return bytes(private.sign(digest, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=parameters))


@contextmanager
def _errors(*, has_pin: bool) -> Iterator[None]:
    try:
        import pkcs11
    except ImportError:
        yield  # said where the module is loaded
        return
    try:
        yield
    except (pkcs11.PinIncorrect, pkcs11.PinLocked, pkcs11.PinInvalid, pkcs11.UserNotLoggedIn) as error:
        raise SigningError(f"the token does not accept the PIN ({type(error).__name__})") from error
    except pkcs11.NoSuchToken as error:
        raise SigningError("there is no such token; is it plugged in, and its label right?") from error
    except pkcs11.NoSuchKey as error:
        raise SigningError(f"the token has no such key{'' if has_pin else ', or hides it without a PIN'}") from error
    except (pkcs11.MultipleObjectsReturned, pkcs11.MultipleTokensReturned) as error:
        raise SigningError("the URI leads to more than one key; add id= or the token's serial=") from error
    except pkcs11.PKCS11Error as error:
        raise SigningError(f"the token refuses: {str(error) or type(error).__name__}") from error
