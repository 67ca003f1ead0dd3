"""Keyless signatures with Sigstore: an OIDC identity, a short-lived certificate, a transparency log.

Certificate chains, SCTs, inclusion proofs and timestamps are sigstore-python's work (spec: sigstore/architecture-docs
client-spec.md). Added here: what it cannot judge is told apart from what does not hold, the DSSE signature is checked
once more by ourselves, and whatever it raises ends in our errors. sigstore takes a third of a second to import, so it
is imported where it is used.
"""

import base64
import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from attestations.algorithms import key_hint, verify
from attestations.bundle import Bundle, Material
from attestations.causes import cause_of, first_line
from attestations.errors import (
    AttestationError,
    EnvelopeError,
    IdentityMismatch,
    LogProofInvalid,
    SignatureInvalid,
    SigningError,
    TrustError,
    Unsupported,
)
from attestations.signers.certificate_names import fulcio_claims, issuer_of, load_certificate, subject_names
from attestations.signers.closed import import_without_sockets
from attestations.signers.unlogged import check_issuer, judge_certificate
from attestations.statement import Statement
from attestations.strict_json import Json, object_of, parse_object, text_of, write
from attestations.timestamps import TimestampAuthority, proven_time
from attestations.trust_file import TrustFile, is_ahead, is_trust_file, read_trust_file
from attestations.verify import Method, Proof, SignedBy, TimeSource, Unproven

if TYPE_CHECKING:
    from sigstore import oidc as sigstore_oidc
    from sigstore import sign as sigstore_sign
    from sigstore.models import ClientTrustConfig, TrustedRoot

_logger = logging.getLogger(__name__)

Accepts: TypeAlias = Callable[[SignedBy], bool]

_TRUST_CONFIG_TYPE = "application/vnd.dev.sigstore.clienttrustconfig"

# The log entries that sigstore-python 4.5 compares with a DSSE envelope. Others are legal (`intoto` 0.0.2 of npm and
# older GitHub attestations) and are told apart from broken ones.
_JUDGED_ENTRIES = frozenset({("dsse", "0.0.1"), ("hashedrekord", "0.0.2")})
_KNOWN_ENTRIES = frozenset({"dsse", "hashedrekord", "intoto"})
_SECONDS = re.compile(r"[0-9]{1,11}")
"""since 1970, up to the year 5138"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigstoreTrust:
    """Which Sigstore instance to use and to believe: public good, staging, or a private one.

    Attributes:
        source: "public-good", "staging", the path of a trusted root or client trust configuration (JSON), or the
            address (https://…) of a TUF repository that publishes the one, and for signing the other too.
        bootstrap: the first root of that TUF repository (``root.json``), which no network can vouch for; needed until
            sigstore-python has it in its cache, and then held against the repository each time it is given.
        offline: open no connection for trust material; use what is cached or came with the sigstore package.
        max_age: refuse roots that were fetched longer ago, or whose age is not known.
    """

    source: str | Path = "public-good"
    bootstrap: Path | None = None
    offline: bool = False
    max_age: timedelta | None = None

    @property
    def needs_no_network(self) -> bool:
        """Whether verifying with it opens no connection."""
        return self.offline or isinstance(self.source, Path)

    def trusted_root(self) -> "TrustedRoot":
        """Return the certificates and log keys to verify with.

        Raises:
            TrustError: they cannot be read or refreshed.
        """
        if self.needs_no_network:
            import_without_sockets()
        if not isinstance(self.source, Path):
            if self.offline:
                self._check_age(None)
            if is_address(self.source):
                return self._published_root(self.source)
            return self._published(self.source, to_sign=False).trusted_root
        data = read_trust_file(self.source)
        if is_trust_file(_document(data, self.source)):
            file = TrustFile.parse(data, str(self.source))
            self._check_age(file.fetched)
            return root_of(file)
        self._check_age(None)
        if _is_client_config(data, self.source):
            return self.client_config().trusted_root
        return _root_from(data, self.source)

    def _published_root(self, address: str) -> "TrustedRoot":
        """Return what a TUF repository publishes to verify with; many publish no services to sign with."""
        from sigstore._internal.tuf import TrustUpdater  # it has no public name, and ClientTrustConfig wants both
        from sigstore.models import TrustedRoot

        with _trust_errors(address), _quiet():
            path = TrustUpdater(address, self.offline, self.bootstrap).get_trusted_root_path()
            return TrustedRoot.from_file(path)

    def _check_age(self, fetched: datetime | None) -> None:
        if self.max_age is None:
            return
        if fetched is None:
            raise TrustError(
                f"{self.source}: nothing says how old these roots are, and they may be {self.max_age.days} days old at "
                "most; use a file of `modelsign trust export`, which carries its date"
            )
        now = datetime.now(UTC)
        if is_ahead(fetched, now):
            raise TrustError(
                f"{self.source}: the roots are dated {fetched:%Y-%m-%d}, which is in the future, so nothing says how "
                "old they are; check the clocks, and get new ones (`modelsign trust update`, or `trust export`)"
            )
        age = now - fetched
        if age > self.max_age:
            raise TrustError(
                f"{self.source}: the roots were fetched on {fetched:%Y-%m-%d}, {age.days} days ago, and may be "
                f"{self.max_age.days} days old at most; get new ones (`modelsign trust update`, or `trust export` on a "
                "machine with a network)"
            )

    def client_config(self) -> "ClientTrustConfig":
        """Return the services to sign with, along with the trusted root.

        Raises:
            TrustError: they cannot be read or refreshed, or the file describes no services.
        """
        from sigstore.models import ClientTrustConfig

        if isinstance(self.source, Path):
            data = read_trust_file(self.source)
            if not _is_client_config(data, self.source):
                raise TrustError(
                    f"{self.source}: a trusted root only; signing needs a client trust configuration, "
                    "which names the services too"
                )
            with _trust_errors(self.source):
                config = ClientTrustConfig.from_json(data.decode("utf-8"))
                config.trusted_root.rekor_keyring  # noqa: B018 - an attribute of a malformed root raises here
                return config
        return self._published(self.source, to_sign=True)

    def _published(self, source: str, *, to_sign: bool) -> "ClientTrustConfig":
        from sigstore.models import ClientTrustConfig

        with _trust_errors(source, to_sign=to_sign), _quiet():
            if source == "public-good":
                return ClientTrustConfig.production(offline=self.offline)
            if source == "staging":
                return ClientTrustConfig.staging(offline=self.offline)
            if is_address(source):
                return ClientTrustConfig.from_tuf(source, self.offline, self.bootstrap)
        raise TrustError(
            f"{source!r} is no Sigstore instance; use 'public-good', 'staging', a file or an https address"
        )


def is_address(source: str) -> bool:
    """Return whether a source is the address of a TUF repository. TUF's signatures protect plain http as well."""
    return source.startswith(("https://", "http://"))


def root_of(file: TrustFile) -> "TrustedRoot":
    """Return the certificates and log keys of a trust file.

    Raises:
        TrustError: they are not such.
    """
    import_without_sockets()
    return _root_from(write(file.trusted_root), f"the roots of {file.instance}")


def _root_from(data: bytes, name: str | Path) -> "TrustedRoot":
    from sigstore.models import TrustedRoot

    # sigstore-python reads a trusted root from a file only.
    with _trust_errors(name), tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return TrustedRoot.from_file(file.name)


# How Fulcio names the workflows of these issuers: by a claim of their own, not by their subject
# (https://github.com/sigstore/fulcio/blob/main/docs/oidc.md).
_WORKFLOWS = {
    "https://token.actions.githubusercontent.com": ("https://github.com/", "job_workflow_ref"),
    "https://gitlab.com": ("https://", "ci_config_ref_uri"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIdentity:
    """Who an identity token says its bearer is: what becomes public when it is used."""

    identity: str
    issuer: str


class SigstoreSigner:
    """Signs with a certificate for the bearer of an identity token; one certificate serves several statements.

    Args:
        token: what vouches for the signer.
        trust: the instance to sign with.
        timestamp_url: an RFC 3161 authority to ask for the time besides those of the instance; readers believe it where
            their trusted root names it.
        rekor_version: of the log's API, 1 or 2, for readers who cannot judge entries of the other one; the newest that
            the instance offers where it is None.
        services: what `signing_services` has said about this instance and this version; asked when it is needed where
            it is None.
    """

    def __init__(
        self,
        *,
        token: str,
        trust: SigstoreTrust | None = None,
        timestamp_url: str | None = None,
        rekor_version: int | None = None,
        services: "ClientTrustConfig | None" = None,
    ) -> None:
        self._services = services
        self._token = token
        self._trust = trust or SigstoreTrust()
        self._timestamp_url = timestamp_url
        self._rekor_version = rekor_version
        self._signer: sigstore_sign.Signer | None = None
        self._root: TrustedRoot | None = None
        self._authorities = 0
        self._certificates: set[bytes] = set()

    def sign(self, statement: Statement) -> Bundle:
        """Return the statement in a bundle. It is now public in the instance's log, and cannot be taken back.

        Raises:
            SigningError: a service did not answer, or what came back does not verify.
        """
        from sigstore import dsse

        with _signing_errors():
            signer = self._signer or self._introduced()
            made = Bundle.parse(signer.sign_dsse(dsse.Statement(statement.payload)).to_json().encode())
        if self._timestamp_url is not None and len(made.timestamps) < self._authorities:
            # sigstore-python goes on without the time that was asked for.
            raise SigningError(f"a timestamp authority did not answer; asked was {self._timestamp_url} among others")
        self._certificates.add(made.certificates[0])
        verifier = self.verifier()
        verifier._root = self._root  # noqa: SLF001 - our own: fetched once
        try:
            verifier.verify(made)
        except AttestationError as error:
            raise SigningError(f"Sigstore signed, and what it answered does not verify: {error}") from error
        return made

    def _introduced(self) -> "sigstore_sign.Signer":
        """Return a signer after the identity has got its certificate."""
        from sigstore._internal.timestamp import TimestampAuthorityClient  # it has no public name
        from sigstore.sign import SigningContext

        config = self._services or signing_services(self._trust, rekor_version=self._rekor_version)
        self._root, services = config.trusted_root, config.signing_config
        authorities = services.get_tsas()
        if self._timestamp_url is not None:
            authorities.append(TimestampAuthorityClient(self._timestamp_url))
        self._authorities = len(authorities)
        context = SigningContext(
            fulcio=services.get_fulcio(),
            rekor=services.get_tlogs()[0],
            trusted_root=config.trusted_root,
            tsa_clients=authorities,
        )
        with context.signer(_identity_token(self._token)) as signer:
            self._signer = signer
            return signer

    def verifier(self) -> "SigstoreVerifier":
        """Return a verifier for what this signer signs: its instance, its own certificates.

        Not its identity: what Fulcio makes of a workflow's token is Fulcio's affair.
        """
        return SigstoreVerifier(
            trust=self._trust,
            accepts=lambda signed_by: signed_by.certificate in self._certificates,
            expected=f"the bearer of the token of {token_identity(self._token).identity}",
        )


def signing_services(trust: SigstoreTrust, *, rekor_version: int | None = None) -> "ClientTrustConfig":
    """Return the services of an instance, all that signing needs; nothing is made public yet.

    Raises:
        TrustError: the instance or the file describes no services, or cannot be read or refreshed.
        SigningError: one of them is missing.
    """
    with _signing_errors():
        config = trust.client_config()
        config.force_tlog_version = rekor_version
        config.signing_config  # noqa: B018 - this attribute raises where a service is missing
        return config


def token_identity(token: str) -> TokenIdentity:
    """Return who a token speaks for, without any check of its signature.

    Raises:
        SigningError: the text is no identity token for Sigstore, or it has expired.
    """
    with _signing_errors():
        read = _identity_token(token)
        issuer = read.federated_issuer
        prefix, claim = _WORKFLOWS.get(issuer, ("", ""))
        workflow = parse_object(_claims(token), "the identity token").get(claim)
        return TokenIdentity(
            identity=f"{prefix}{workflow}" if isinstance(workflow, str) else read.identity, issuer=issuer
        )


def _claims(token: str) -> bytes:
    """Return what a token says, as JSON; sigstore-python has found it well-formed."""
    payload = token.strip().split(".")[1]
    return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))


def ambient_token() -> str | None:
    """Return the identity token of the CI job we run in (GitHub, GitLab, Buildkite, CircleCI, GCP), None elsewhere.

    Raises:
        SigningError: a CI job that may not ask for a token.
    """
    from sigstore.oidc import IdentityError, detect_credential

    with _signing_errors():
        try:
            return detect_credential()
        except IdentityError as error:
            raise SigningError(
                f"this CI job gives no identity to sign with ({first_line(error)}); it needs the right to ask for a "
                "token with the audience 'sigstore'"
            ) from error


def browser_token(trust: SigstoreTrust, *, without_browser: bool = False) -> str:
    """Return an identity token after the user has logged in with a browser.

    Args:
        trust: the instance whose identity provider to ask.
        without_browser: print an address to open elsewhere and read the code from the terminal.

    Raises:
        SigningError: nobody logged in, or the provider does not answer.
    """
    from sigstore.oidc import Issuer

    with _signing_errors():
        url = trust.client_config().signing_config.get_oidc_url()
        return str(Issuer(url).identity_token(force_oob=without_browser))


class SigstoreVerifier:
    """Accepts what was signed keyless by an identity that the caller expects.

    Args:
        trust: the instance to believe.
        identity: the exact identity (subject alternative name), together with ``issuer``.
        issuer: the exact OIDC issuer.
        accepts: instead of the two, decides about a proven signer; for patterns and several identities.
        expected: how to call in messages whom ``accepts`` takes.
        insecure_ignore_log: accept what no log entry proves, or one that is only promised or of a kind not judged; an
            entry that can be judged and does not hold is refused all the same.
        insecure_ignore_time: accept, besides, what nobody trusted gives a time to.
    """

    def __init__(
        self,
        *,
        trust: SigstoreTrust | None = None,
        identity: str | None = None,
        issuer: str | None = None,
        accepts: Accepts | None = None,
        expected: str | None = None,
        insecure_ignore_log: bool = False,
        insecure_ignore_time: bool = False,
    ) -> None:
        if insecure_ignore_time and not insecure_ignore_log:
            raise TypeError("without a time no log entry can be judged: insecure_ignore_log is needed as well")
        if accepts is None:
            if not identity or not issuer:
                raise TypeError("a SigstoreVerifier needs an identity and an issuer, or `accepts`")
            self._accepts: Accepts = lambda signer: (signer.identity, signer.issuer) == (identity, issuer)
            self._expected = f"{identity} (issuer {issuer})"
        else:
            self._accepts = accepts
            self._expected = expected or "an identity that is trusted"
        self._trust = trust or SigstoreTrust()
        self._ignore_log = insecure_ignore_log
        self._ignore_time = insecure_ignore_time
        self._root: TrustedRoot | None = None

    def handles(self, bundle: Bundle) -> bool:
        # Before version 0.3 a keyless bundle carried a chain, as bundles of the certificate method do today.
        return bundle.material is Material.CERTIFICATE or (
            bundle.material is Material.CERTIFICATE_CHAIN and (bool(bundle.log_entries) or bundle.version != "0.3")
        )

    def verify(self, bundle: Bundle) -> Proof:
        if self._trust.needs_no_network:
            import_without_sockets()
        logged = self._is_logged(bundle)
        certificate = load_certificate(bundle.certificates[0])
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            # sigstore-python verifies envelopes with SHA-256 whatever the curve; Fulcio's clients make P-256 keys.
            raise Unsupported("the Sigstore certificate's key is not an ECDSA P-256 key")
        verify(key, bundle.envelope.signatures[0].signature, bundle.envelope.pae())
        signed_by = _signed_by(certificate, key)
        if not logged:
            return self._verify_unlogged(bundle, certificate, signed_by)
        payload = self._verify_with_sigstore(bundle, signed_by)
        time, source = self._time(bundle)
        return Proof(payload=payload, signed_by=signed_by, time=time, time_source=source)

    def _is_logged(self, bundle: Bundle) -> bool:
        """Return whether there are a log entry and a time to judge; what is missing is refused unless it is ignored."""
        try:
            _check_judgeable(bundle)
        except (LogProofInvalid, Unsupported):
            if not self._ignore_log:
                raise
            return False
        return _has_time(bundle) or not self._ignore_time

    def _verify_unlogged(self, bundle: Bundle, certificate: x509.Certificate, signed_by: SignedBy) -> Proof:
        root = self._trusted_root()
        time = judge_certificate(
            bundle,
            certificate,
            root=root,
            authorities=timestamp_authorities(root),
            without_time=self._ignore_time,
        )
        if not self._accepts(signed_by):
            raise IdentityMismatch(_other(signed_by, self._expected))
        # The signature over exactly these bytes has been verified with the certificate's key.
        return Proof(
            payload=bundle.envelope.payload,
            signed_by=signed_by,
            time=time,
            time_source=None if time is None else TimeSource.AUTHORITY,
            unproven=(Unproven.LOG,) if time is not None else (Unproven.LOG, Unproven.TIME),
        )

    def _verify_with_sigstore(self, bundle: Bundle, signed_by: SignedBy) -> bytes:
        from sigstore import errors, models
        from sigstore import verify as sigstore_verify

        policy = _Policy(signed_by, self._accepts, self._expected)
        try:
            verifier = sigstore_verify.Verifier(trusted_root=self._trusted_root())
            with warnings.catch_warnings(action="ignore"):  # cryptography's, about odd certificates
                parsed = models.Bundle.from_json(bundle.to_json())
                payload_type, payload = verifier.verify_dsse(parsed, policy)
        except errors.CertValidationError as error:
            raise IdentityMismatch(
                f"the certificate of {signed_by.name} was not issued by the trusted Sigstore instance, or was not "
                "valid when it signed"
            ) from error
        except models.IncompatibleEntry as error:
            raise Unsupported(f"sigstore cannot judge this log entry: {first_line(error)}") from error
        except models.InvalidBundle as error:
            raise LogProofInvalid(f"not a complete Sigstore bundle: {first_line(error)}") from error
        except errors.Error as error:
            if policy.refused:
                raise IdentityMismatch(str(error)) from error
            if str(error) == _NO_TIME:
                check_issuer(load_certificate(bundle.certificates[0]), self._trusted_root())
                raise LogProofInvalid(
                    "nobody whom the trusted Sigstore instance names says when it was signed"
                ) from error
            raise LogProofInvalid(f"the proofs of the signature do not hold: {first_line(error)}") from error
        except _SIGSTORE_LEAKS as error:
            raise LogProofInvalid(f"the proofs of the signature cannot be read: {first_line(error)}") from error
        if not policy.asked or policy.refused:
            raise SignatureInvalid("sigstore returned a statement without asking who signed it")
        if (payload_type, payload) != (bundle.envelope.payload_type, bundle.envelope.payload):
            raise SignatureInvalid("sigstore verified another statement than the one in the bundle")
        return bytes(payload)

    def _trusted_root(self) -> "TrustedRoot":
        if self._root is None:
            self._root = self._trust.trusted_root()
        return self._root

    def _time(self, bundle: Bundle) -> tuple[datetime, TimeSource]:
        """Return the earliest time proven; `verify_dsse` has made sure that there is one."""
        times: list[tuple[datetime, TimeSource]] = []
        entry = object_of(bundle.log_entries[0], "a log entry")
        # The log's time counts where its promise (SET) covers it; the promise has been verified above.
        integrated = _integrated_time(entry)
        if entry.get("inclusionPromise") and integrated:
            times.append((datetime.fromtimestamp(integrated, tz=UTC), TimeSource.LOG))
        stamped = proven_time(
            bundle.timestamps, bundle.envelope.signatures[0].signature, timestamp_authorities(self._trusted_root())
        )
        if stamped is not None:
            times.append((stamped, TimeSource.AUTHORITY))
        if not times:
            raise LogProofInvalid("nobody trusted says when the signature was made")
        return min(times, key=lambda item: item[0])


def timestamp_authorities(root: "TrustedRoot") -> tuple[TimestampAuthority, ...]:
    """Return the authorities of a trusted root, to be believed by other methods too."""
    found: list[TimestampAuthority] = []
    for authority in root.get_timestamp_authorities():
        chain = authority.certificates(allow_expired=True)
        if len(chain) >= 2:
            found.append(
                TimestampAuthority(
                    leaf=chain[0],
                    intermediates=tuple(chain[1:-1]),
                    roots=(chain[-1],),
                    valid_from=authority.validity_period_start,
                    valid_until=authority.validity_period_end,
                )
            )
    return tuple(found)


# What sigstore-python 4.5.1 lets through from pydantic, cryptography and its own look-ups when a bundle is malformed.
_SIGSTORE_LEAKS = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
    InvalidSignature,
)


# What sigstore-python says before it looks at who issued the certificate; another instance's authorities tell no time.
_NO_TIME = "not enough sources of verified time"


class _Policy:
    """Asks the caller about the certificate that sigstore-python has traced to the trusted root."""

    def __init__(self, signed_by: SignedBy, accepts: Accepts, expected: str) -> None:
        self._signed_by = signed_by
        self._accepts = accepts
        self._expected = expected
        self.asked = False
        self.refused = False

    def verify(self, cert: x509.Certificate) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding
        from sigstore.errors import VerificationError

        self.asked = True
        if cert.public_bytes(Encoding.DER) != self._signed_by.certificate or not self._accepts(self._signed_by):
            self.refused = True
            raise VerificationError(_other(self._signed_by, self._expected))


def _other(signed_by: SignedBy, expected: str) -> str:
    return f"signed by {signed_by.name} (issuer {signed_by.issuer or 'unknown'}), expected was {expected}"


def _has_time(bundle: Bundle) -> bool:
    """Return whether anything tells a time: a timestamp, or the log where its promise covers it."""
    entry = object_of(bundle.log_entries[0], "a log entry")
    return bool(bundle.timestamps) or bool(entry.get("inclusionPromise") and _integrated_time(entry))


def _integrated_time(entry: Mapping[str, Json]) -> int:
    """Return the seconds since 1970 at which the log says that it took the entry in, 0 where it does not say.

    Raises:
        EnvelopeError: no time that there can be; sigstore-python and the calendar fail on such in ways of their own.
    """
    value = entry.get("integratedTime")
    if value is None:
        return 0
    text = str(value) if isinstance(value, int) else value
    if not isinstance(text, str) or not _SECONDS.fullmatch(text):
        raise EnvelopeError("the time of the bundle's log entry is no number of seconds")
    return int(text)


def _check_judgeable(bundle: Bundle) -> None:
    if not bundle.log_entries:
        raise LogProofInvalid(
            "the bundle has no transparency log entry; without one nobody can tell when and by whom it was signed"
        )
    if len(bundle.log_entries) > 1:
        raise Unsupported(f"the bundle has {len(bundle.log_entries)} log entries, and this program judges one")
    entry = object_of(bundle.log_entries[0], "a log entry")
    _integrated_time(entry)
    kind_version = entry.get("kindVersion")
    if kind_version is None:
        raise EnvelopeError("the bundle's log entry does not say of which kind it is")
    fields = object_of(kind_version, "the kind of the log entry")
    kind, version = (text_of(fields.get(name, ""), "the kind of the log entry") for name in ("kind", "version"))
    if (kind, version) in _JUDGED_ENTRIES:
        if entry.get("inclusionProof") is None:
            raise LogProofInvalid("the bundle's log entry has no inclusion proof, only the log's promise")
        return
    if kind in _KNOWN_ENTRIES:
        raise Unsupported(f"the signature is logged as {kind} {version}, which is legal but not judged here")
    raise Unsupported(f"the signature is logged as {kind!r} {version!r}, which is not known here")


def _signed_by(certificate: x509.Certificate, key: ec.EllipticCurvePublicKey) -> SignedBy:
    from cryptography.hazmat.primitives.serialization import Encoding

    names = subject_names(certificate)
    claims: Mapping[str, str] = fulcio_claims(certificate)
    if len(names) != 1:
        # Fulcio writes exactly one; of several, a reader could take one and a policy mean another.
        raise SignatureInvalid(f"the Sigstore certificate has {len(names)} identities, not one")
    return SignedBy(
        method=Method.SIGSTORE,
        name=names[0],
        names=names,
        identity=names[0],
        issuer=issuer_of(certificate),
        key_hint=key_hint(key),
        certificate=certificate.public_bytes(Encoding.DER),
        claims=claims,
    )


def _identity_token(token: str) -> "sigstore_oidc.IdentityToken":
    from sigstore.oidc import IdentityToken

    return IdentityToken(token.strip())


@contextmanager
def _signing_errors() -> Iterator[None]:
    import requests
    from sigstore import errors
    from sigstore._internal.fulcio.client import ExpiredCertificate, FulcioClientError  # they have no public name
    from sigstore._internal.rekor import RekorClientError
    from sigstore.oidc import ExpiredIdentity, IssuerError

    try:
        yield
    except (ExpiredIdentity, ExpiredCertificate) as error:
        raise SigningError("the identity token or its certificate has expired; get a new one and sign again") from error
    except (FulcioClientError, RekorClientError, IssuerError, errors.Error, requests.RequestException) as error:
        raise SigningError(f"Sigstore did not sign: {_with_cause(error)}") from error
    except ValueError as error:  # malformed answers of services
        raise SigningError(f"Sigstore answered something unexpected: {first_line(error)}") from error


@contextmanager
def _trust_errors(source: str | Path, *, to_sign: bool = False) -> Iterator[None]:
    from sigstore import errors

    by_address = isinstance(source, str) and is_address(source)
    try:
        yield
    except errors.TUFError as error:
        if by_address and isinstance(error.__cause__, FileNotFoundError):
            raise TrustError(
                f"nothing on this machine says whom to believe about {source}: get the first root.json of its TUF "
                "repository from whoever runs it, and name it with --instance-root"
            ) from error
        hint = "" if to_sign else "; use those at hand with --offline, or a file with --trusted-root"
        raise TrustError(
            f"the trusted roots of the {source} instance cannot be refreshed ({cause_of(error)}){hint}"
        ) from error
    except FileNotFoundError as error:
        raise TrustError(
            f"there are no roots of {source} on this machine; `modelsign trust import FILE` takes those that another "
            f"one exported with `modelsign trust export --instance {source}`"
        ) from error
    except (errors.Error, ValueError, KeyError, TypeError, OSError) as error:
        raise TrustError(f"{source}: not a usable Sigstore trust file: {first_line(error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep sigstore's and TUF's warnings about offline use, which the caller asked for, off the terminal."""
    loggers = [logging.getLogger("sigstore._internal.tuf"), logging.getLogger("tuf")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _document(data: bytes, path: Path) -> dict[str, Json]:
    try:
        return parse_object(data, str(path))
    except EnvelopeError as error:
        raise TrustError(f"{path}: not a Sigstore trust file: {error}") from error


def _is_client_config(data: bytes, path: Path) -> bool:
    media_type = _document(data, path).get("mediaType")
    return isinstance(media_type, str) and media_type.startswith(_TRUST_CONFIG_TYPE)


def _with_cause(error: BaseException) -> str:
    said, cause = first_line(error) or type(error).__name__, cause_of(error)
    return said if cause in said else f"{said}: {cause}"
