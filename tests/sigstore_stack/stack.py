"""The services together, and the files that make clients trust them."""

import base64
import contextlib
import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.sigstore_stack.authority import ORGANIZATION, Holder, now
from tests.sigstore_stack.fulcio import Fulcio
from tests.sigstore_stack.oidc import IdentityProvider, spki
from tests.sigstore_stack.rekor import Rekor
from tests.sigstore_stack.rekor_v1 import RekorV1
from tests.sigstore_stack.tsa import PATH, TimestampAuthority

_YESTERDAY = (now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
"""one moment for all documents, so that two of them, made a second apart, are the same"""


class Fault(Enum):
    """A way for the services to misbehave."""

    OIDC_UNAVAILABLE = "the identity provider answers 503"
    OIDC_DENIES = "the identity provider denies whoever comes with a browser"
    FULCIO_UNAVAILABLE = "Fulcio answers 503"
    FULCIO_SHORT_CHAIN = "Fulcio answers with the leaf alone"
    SCT_BY_STRANGER = "certificates carry an SCT of another key"
    REKOR_UNAVAILABLE = "Rekor answers 503"
    REKOR_MALFORMED = "Rekor answers with JSON that is no entry"
    REKOR_OTHER_ENTRY = "Rekor answers with the entry before"
    CHECKPOINT_BY_STRANGER = "checkpoints are signed by another key"
    PROMISE_BY_STRANGER = "Rekor v1 promises with another key"
    CHECKPOINT_V1_BY_STRANGER = "checkpoints of Rekor v1 are signed by another key"
    REKOR_V1_LATE = "Rekor v1's clock is an hour fast"
    TSA_UNAVAILABLE = "the timestamp authority answers 503"
    TSA_LATE = "the timestamp authority's clock is an hour fast"


class SigstoreStack:
    """A Sigstore instance for tests; a context manager that starts and stops it."""

    def __init__(self, directory: Path) -> None:
        self.oidc = IdentityProvider()
        self.fulcio = Fulcio(self.oidc)
        self.rekor = Rekor()
        self.rekor_v1 = RekorV1()
        self.tsa = TimestampAuthority()
        self._services = (self.oidc, self.fulcio, self.rekor, self.rekor_v1, self.tsa)
        self.trust_config = directory / "trust_config.json"
        """a ClientTrustConfig file"""
        self.trust_config_v1 = directory / "trust_config_v1.json"
        """one that names the log with the older API, and no timestamp authority to ask"""
        self.trusted_root = directory / "trusted_root.json"
        """a TrustedRoot file"""
        self.trusted_root.write_text(json.dumps(self.trusted_root_document(), indent=1))
        self.trust_config.write_text(json.dumps(self.trust_config_document(), indent=1))
        older = self.trust_config_document(rekor=1, timestamps=False)
        self.trust_config_v1.write_text(json.dumps(older, indent=1))

    def __enter__(self) -> Self:
        for service in self._services:
            service.start()
        return self

    def __exit__(self, *_: object) -> None:
        for service in self._services:
            service.stop()

    @property
    def issuer(self) -> str:
        """The URL of the identity provider."""
        return self.oidc.url

    def token(self, identity: str = "dev@example.com", issuer: str | None = None, **claims: object) -> str:
        """Return an identity token that Fulcio accepts.

        Args:
            identity: becomes the certificate's subject; with a scheme a URI, else an e-mail address.
            issuer: the stack's own by default; GitHub's and Google's well-known ones are accepted too.
            claims: of a GitHub workflow: `repository`, `ref`, `sha`, `event_name` …
        """
        return self.oidc.token(identity, issuer=issuer, **claims)

    @contextlib.contextmanager
    def fault(self, fault: Fault) -> Iterator[None]:
        """Let the services misbehave for a while."""
        service, attribute, value = self._switches()[fault]
        before = getattr(service, attribute)
        setattr(service, attribute, value)
        try:
            yield
        finally:
            setattr(service, attribute, before)

    def _switches(self) -> dict[Fault, tuple[object, str, object]]:
        return {
            Fault.OIDC_UNAVAILABLE: (self.oidc, "unavailable", True),
            Fault.OIDC_DENIES: (self.oidc, "denies_visitors", True),
            Fault.FULCIO_UNAVAILABLE: (self.fulcio, "unavailable", True),
            Fault.FULCIO_SHORT_CHAIN: (self.fulcio, "short_chain", True),
            Fault.SCT_BY_STRANGER: (self.fulcio, "sct_by_stranger", True),
            Fault.REKOR_UNAVAILABLE: (self.rekor, "unavailable", True),
            Fault.REKOR_MALFORMED: (self.rekor, "malformed", True),
            Fault.REKOR_OTHER_ENTRY: (self.rekor, "other_entry", True),
            Fault.CHECKPOINT_BY_STRANGER: (self.rekor, "checkpoint_by_stranger", True),
            Fault.PROMISE_BY_STRANGER: (self.rekor_v1, "promise_by_stranger", True),
            Fault.CHECKPOINT_V1_BY_STRANGER: (self.rekor_v1, "checkpoint_by_stranger", True),
            Fault.REKOR_V1_LATE: (self.rekor_v1, "offset", 3600),
            Fault.TSA_UNAVAILABLE: (self.tsa, "unavailable", True),
            Fault.TSA_LATE: (self.tsa, "offset", timedelta(hours=1)),
        }

    def trusted_root_document(self) -> dict[str, Any]:
        """Return the TrustedRoot, for a test to alter."""
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                {
                    "baseUrl": self.rekor.url,
                    "hashAlgorithm": "SHA2_256",
                    "publicKey": {
                        "rawBytes": _base64(
                            self.rekor.key.public_key().public_bytes(
                                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
                            )
                        ),
                        "keyDetails": "PKIX_ED25519",
                        "validFor": _since_yesterday(),
                    },
                    "logId": {"keyId": _base64(self.rekor.log_id)},
                },
                {
                    "baseUrl": self.rekor_v1.url,
                    "hashAlgorithm": "SHA2_256",
                    "publicKey": {
                        "rawBytes": _base64(spki(self.rekor_v1.key.public_key())),
                        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                        "validFor": _since_yesterday(),
                    },
                    "logId": {"keyId": _base64(self.rekor_v1.log_id)},
                },
            ],
            "certificateAuthorities": [_authority(self.fulcio.url, self.fulcio.intermediate, self.fulcio.root)],
            "ctlogs": [self.certificate_log_document()],
            "timestampAuthorities": [_authority(f"{self.tsa.url}{PATH}", self.tsa.leaf, self.tsa.root)],
        }

    def certificate_log_document(self, *, stranger: bool = False) -> dict[str, Any]:
        """Return the certificate log's entry in a TrustedRoot, under its own key or the stranger's."""
        key = self.fulcio.stranger_log_key if stranger else self.fulcio.log_key
        return {
            "baseUrl": f"{self.fulcio.url}/ct",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": _base64(spki(key.public_key())),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": _since_yesterday(),
            },
            "logId": {"keyId": _base64(hashlib.sha256(spki(key.public_key())).digest())},
        }

    def trust_config_document(self, *, rekor: int = 2, timestamps: bool = True) -> dict[str, Any]:
        """Return the ClientTrustConfig, for a test to alter.

        Args:
            rekor: the version of the log's API to name for signing.
            timestamps: name the timestamp authority for signing too.
        """
        log = self.rekor_v1 if rekor == 1 else self.rekor
        document: dict[str, Any] = {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root_document(),
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [_service(self.fulcio.url, 1)],
                "oidcUrls": [_service(self.oidc.url, 1)],
                "rekorTlogUrls": [_service(log.url, rekor)],
                "rekorTlogConfig": {"selector": "ANY"},
            },
        }
        if timestamps:
            document["signingConfig"]["tsaUrls"] = [_service(f"{self.tsa.url}{PATH}", 1)]
            document["signingConfig"]["tsaConfig"] = {"selector": "ANY"}
        return document


def _service(url: str, version: int) -> dict[str, Any]:
    return {"url": url, "majorApiVersion": version, "validFor": _since_yesterday(), "operator": ORGANIZATION}


def _authority(uri: str, *chain: Holder) -> dict[str, Any]:
    top = chain[-1].certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    return {
        "subject": {"organization": ORGANIZATION, "commonName": top},
        "uri": uri,
        "certChain": {
            "certificates": [
                {"rawBytes": _base64(holder.certificate.public_bytes(serialization.Encoding.DER))} for holder in chain
            ]
        },
        "validFor": _since_yesterday(),
    }


def _since_yesterday() -> dict[str, str]:
    return {"start": _YESTERDAY}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
