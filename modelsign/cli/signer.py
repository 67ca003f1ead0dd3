"""How to sign, as options that `sign`, `attest` and `release` share; a verb gets ``signer: SignerChoice``.

Nothing secret is ever an argument: passphrases come by prompt or `MODELSIGN_KEY_PASSPHRASE`, identity tokens by file,
standard input or environment.
"""

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from attestations.errors import SignatureInvalid, SigningError
from attestations.key_files import is_encrypted, read_key_file, read_label
from attestations.named_files import read_named
from attestations.signers.key import KeySigner
from attestations.verify import Signer, Verifier
from modelsign.cli.instance import check_instance
from modelsign.errors import SourceError, UsageError
from modelsign.escape import plain
from modelsign.late_signer import LateSigner

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_KMS_SCHEMES = frozenset({"awskms", "gcpkms", "azurekms", "hv", "hashivault"})
"""that of Vault also under cosign's name, which only leads to the right option"""

P = ParamSpec("P")
R = TypeVar("R")

PASSPHRASE_VARIABLE = "MODELSIGN_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
PIN_VARIABLE = "MODELSIGN_PKCS11_PIN"
TOKEN_VARIABLES = ("MODELSIGN_IDENTITY_TOKEN", "SIGSTORE_ID_TOKEN")
_MAX_TOKEN_BYTES = 64 * 1024
_MAX_PIN_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerChoice:
    """What the user said about signing; `make` turns it into a signer, asking what must be asked."""

    key: Path | None
    pkcs11_uri: str | None
    kms: str | None
    certificate: Path | None
    chain: tuple[Path, ...]
    timestamp_url: str | None
    keyless: bool
    token_file: Path | None
    trust_config: Path | None
    staging: bool
    instance: str | None
    instance_root: Path | None
    rekor_version: str | None
    no_browser: bool
    yes: bool

    def make(self) -> Signer:
        """Return the signer.

        Raises:
            UsageError: no method, or two.
            SigningError: the key or the identity cannot be used.
        """
        keyless = self._refuse_contradictions()
        if self.pkcs11_uri is not None:
            return self._token(self.pkcs11_uri)
        if self.kms is not None:
            from attestations.signers.kms import KmsSigner

            return KmsSigner(uri=self.kms, certificates=self._certificates(), timestamp_url=self.timestamp_url)
        if self.key is not None and self.certificate is not None:
            from attestations.signers.certificate import CertificateSigner

            signer = CertificateSigner.load(
                self.key,
                passphrase_for(self.key),
                self.certificate,
                chain=self.chain,
                timestamp_url=self.timestamp_url,
            )
            _warn_of_refusal(signer.certificates[0])
            return signer
        if self.key is not None:
            return KeySigner.load(self.key, passphrase_for(self.key), timestamp_url=self.timestamp_url)
        assert keyless
        return self._keyless()

    def later(
        self, pause: Callable[[], None], *, verifier_of: Callable[[Signer], Verifier] | None = None
    ) -> LateSigner:
        """Return a signer that is made when there is something to sign; what can be refused now is.

        Args:
            pause: called before the user may be asked for something.
            verifier_of: what verifies the signatures of the signer.

        Raises:
            UsageError: no method, two, or an encrypted key and nobody to ask for its passphrase.
            SigningError: the file of the key is none.
        """
        self._refuse_contradictions()
        if self.key is not None:
            refuse_no_key(self.key)

        def make() -> Signer:
            pause()
            return self.make()

        return LateSigner(make, verifier_of=verifier_of)

    def _refuse_contradictions(self) -> bool:
        """Refuse what makes no sense; return whether it is to be signed with an identity."""
        check_instance(self.instance, self.instance_root)
        elsewhere = [self.staging, self.trust_config is not None, self.instance is not None]
        if elsewhere.count(True) > 1:
            raise UsageError("--staging, --trust-config and --instance exclude each other; give one of them")
        keyless = self.keyless or any(elsewhere) or self.token_file is not None
        chosen = [self.key is not None, self.pkcs11_uri is not None, self.kms is not None, keyless].count(True)
        if self.key is not None:
            _refuse_uri(self.key)
        if chosen > 1:
            raise UsageError("--key, --pkcs11-uri, --kms and keyless signing exclude each other; give one of them")
        if self.certificate is None and self.chain:
            raise UsageError("--certificate-chain goes with --signing-certificate")
        if self.certificate is not None and (keyless or not chosen):
            raise UsageError("--signing-certificate needs the key of that certificate: --key, --pkcs11-uri or --kms")
        if self.rekor_version is not None and not keyless:
            raise UsageError("--rekor-version is about the log of keyless signatures; it goes with --keyless")
        if not chosen:
            raise UsageError(
                "how shall it be signed? Give --key FILE (`modelsign keys generate` makes a pair), or --keyless to "
                "sign with an identity through Sigstore, which makes that identity public"
            )
        return keyless

    def _token(self, text: str) -> Signer:
        from attestations.signers.pkcs11 import TokenSigner, TokenUri

        uri = TokenUri.parse(text)
        return TokenSigner(
            uri=uri,
            pin=_pin(uri.pin_source),
            certificates=self._certificates(),
            timestamp_url=self.timestamp_url,
        )

    def _certificates(self) -> "tuple[Certificate, ...]":
        from attestations.signers.certificate import load_certificates

        files = () if self.certificate is None else (self.certificate, *self.chain)
        certificates = tuple(dict.fromkeys(found for path in files for found in load_certificates(path)))
        for leaf in certificates[:1]:
            _warn_of_refusal(leaf)
        return certificates

    def _keyless(self) -> Signer:
        from attestations.signers.sigstore import (
            SigstoreSigner,
            SigstoreTrust,
            ambient_token,
            browser_token,
            signing_services,
            token_identity,
        )

        source = self.trust_config or self.instance or ("staging" if self.staging else "public-good")
        trust = SigstoreTrust(source=source, bootstrap=self.instance_root)
        where = f"the instance of {self.trust_config}" if self.trust_config else f"Sigstore ({trust.source})"
        version = None if self.rekor_version is None else int(self.rekor_version)
        token = self._given_token() or ambient_token()
        if token is None:
            if not sys.stdin.isatty():
                raise UsageError(
                    "keyless signing needs an identity: give --identity-token-file FILE (- for standard input) or "
                    f"{TOKEN_VARIABLES[0]}, or run it in a CI job that may ask for one, or at a terminal to log in"
                )
            services = signing_services(trust, rekor_version=version)
            self._announce("the identity you log in with", where)
            token = browser_token(trust, without_browser=self.no_browser)
        else:
            identity = token_identity(token)
            services = signing_services(trust, rekor_version=version)
            self._announce(f"the identity {identity.identity} (issuer {identity.issuer})", where)
        return SigstoreSigner(
            token=token,
            trust=trust,
            timestamp_url=self.timestamp_url,
            rekor_version=version,
            services=services,
        )

    def _given_token(self) -> str | None:
        if self.token_file is not None:
            return _read_token(self.token_file)
        return next((os.environ[name] for name in TOKEN_VARIABLES if os.environ.get(name)), None)

    def _announce(self, identity: str, where: str) -> None:
        click.echo(
            plain(
                f"modelsign: keyless signing makes public, for ever, in the transparency log of {where}: {identity}, "
                "the time, and a digest of what is signed. Files are not sent; a log of version 1, as public good has, "
                "is sent the statement, with the names of files, and keeps a digest of it."
            ),
            err=True,
        )
        if not self.yes and sys.stdin.isatty():
            click.confirm("Go on?", abort=True, err=True)


def _warn_of_refusal(certificate: "Certificate") -> None:
    """Say what is wrong with a certificate whose signatures readers will refuse."""
    now = datetime.now(UTC)
    wrong = None
    if now > certificate.not_valid_after_utc:
        wrong = f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    elif now < certificate.not_valid_before_utc:
        wrong = f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    if wrong is not None:
        click.echo(f"modelsign: the signing certificate {wrong}; readers will refuse what it signs now", err=True)
    from attestations.signers.certificate import check_usage

    try:
        check_usage(certificate, trusted=certificate.subject == certificate.issuer)
    except SignatureInvalid as error:
        click.echo(plain(f"modelsign: {error}; readers will refuse what it signs"), err=True)


def signer_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add the options that choose how to sign."""

    @click.option(
        "--key",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        metavar="FILE",
        help=f"Sign with this private key (PEM). Its passphrase: asked for, or {PASSPHRASE_VARIABLE}.",
    )
    @click.option(
        "--pkcs11-uri",
        metavar="URI",
        help=f"Sign with a key on a token (RFC 7512). Its PIN: asked for, {PIN_VARIABLE}, or pin-source in the URI.",
    )
    @click.option(
        "--kms",
        metavar="URI",
        help="Sign with a key in a cloud: awskms:…, gcpkms:…, azurekms://…, hv:… (Vault).",
    )
    @click.option(
        "--signing-certificate",
        "certificate",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        metavar="FILE",
        help="Say with this certificate (PEM) whose key --key is.",
    )
    @click.option(
        "--certificate-chain",
        "chain",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        multiple=True,
        metavar="FILE",
        help="Certificates from the issuer towards the root (PEM), to go with the signature; may be repeated.",
    )
    @click.option(
        "--timestamp-url",
        metavar="URL",
        help="Have an RFC 3161 authority say when it was signed, so that the signature outlives its certificate.",
    )
    @click.option("--keyless", is_flag=True, help="Sign with an identity, through Sigstore.")
    @click.option(
        "--identity-token-file",
        "token_file",
        type=click.Path(path_type=Path, dir_okay=False, readable=False, allow_dash=True),
        metavar="FILE",
        help=f"Keyless: read the OIDC token from FILE, - for standard input; or set {TOKEN_VARIABLES[0]}.",
    )
    @click.option(
        "--trust-config",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        metavar="FILE",
        help="Keyless: use the Sigstore instance that this client trust configuration describes.",
    )
    @click.option("--staging", is_flag=True, help="Keyless: use Sigstore's staging instance, for trying out.")
    @click.option(
        "--instance",
        metavar="URL",
        help="Keyless: use the Sigstore instance whose TUF repository is here; the first time with --instance-root.",
    )
    @click.option(
        "--instance-root",
        type=click.Path(path_type=Path, dir_okay=False, readable=False),
        metavar="FILE",
        help="Keyless: the first root.json of that TUF repository, from whoever runs it.",
    )
    @click.option(
        "--rekor-version",
        type=click.Choice(["1", "2"]),
        help="Keyless: which log to use where the instance has both; readers of 2025 and before know version 1 only.",
    )
    @click.option("--no-browser", is_flag=True, help="Keyless: print the address to log in at, and ask for the code.")
    @click.option("-y", "--yes", is_flag=True, help="Do not ask before something becomes public.")
    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        names = (
            *("key", "pkcs11_uri", "kms", "certificate", "chain", "timestamp_url"),
            *("keyless", "token_file", "trust_config", "staging", "instance", "instance_root"),
            *("rekor_version", "no_browser", "yes"),
        )
        kwargs["signer"] = SignerChoice(**{name: kwargs.pop(name) for name in names})  # type: ignore[arg-type]  # click made them
        return function(*args, **kwargs)

    return wrapped


def _refuse_uri(key: Path) -> None:
    """Refuse the URI of a key in the place of a file, without repeating it: it may have a PIN in it.

    Raises:
        UsageError: that is what it is.
    """
    scheme, colon, _ = str(key).partition(":")
    option = "--pkcs11-uri" if scheme == "pkcs11" else "--kms" if scheme in _KMS_SCHEMES else None
    if colon and option is not None and not os.path.lexists(key):
        raise UsageError(f"--key takes a file, and {scheme}:… is a URI; give it with {option}")


def refuse_no_key(key: Path) -> None:
    """Refuse a file that is no private key, as far as its first line tells; the key itself is not read.

    Raises:
        UsageError: it is encrypted, and nobody can be asked for the passphrase.
        SigningError: it is no private key.
    """
    label = read_label(key)
    if "PUBLIC KEY" in label:
        raise SigningError(f"{key}: this is a public key; signing needs the private one")
    if "CERTIFICATE" in label:
        raise SigningError(f"{key}: this is a certificate; signing needs the private key")
    if label.startswith("ENCRYPTED") and not os.environ.get(PASSPHRASE_VARIABLE) and not sys.stdin.isatty():
        raise _nobody_to_ask(key)


def _nobody_to_ask(key: Path) -> UsageError:
    return UsageError(f"{key}: the key is encrypted; set {PASSPHRASE_VARIABLE}, or run this at a terminal")


def passphrase_for(key: Path) -> bytes | None:
    """Return the passphrase of a key file: none, from the environment, or by asking."""
    if not is_encrypted(read_key_file(key)):
        return None
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None and sys.stdin.isatty():
        given = click.prompt(f"Passphrase of {plain(str(key))}", hide_input=True, err=True)
    if not given:
        raise _nobody_to_ask(key)
    return given.encode()


def _pin(source: Path | None) -> str | None:
    """Return a token's PIN: from the file that the URI names, from the environment, or by asking."""
    if source is not None:
        try:
            return read_named(source, _MAX_PIN_BYTES).decode("utf-8").rstrip("\r\n")
        except OSError as error:
            raise SourceError(f"{source}: the PIN cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SourceError(f"{source}: the PIN cannot be read: it is no text") from error
    given = os.environ.get(PIN_VARIABLE)
    if given is None and sys.stdin.isatty():
        given = click.prompt("PIN of the token", hide_input=True, err=True)
    return given


def _read_token(path: Path) -> str:
    try:
        data = sys.stdin.buffer.read(_MAX_TOKEN_BYTES) if str(path) == "-" else read_named(path, _MAX_TOKEN_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: the identity token cannot be read: {error.strerror}") from error
    try:
        token = data.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not an identity token") from error
    if not token:
        raise UsageError(f"{path}: there is no identity token in it")
    return token
