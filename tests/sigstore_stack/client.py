"""sigstore-python as a user of the stack: signs, verifies, and knocks at the doors by hand."""

import json
import threading
import urllib.error
import urllib.request
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from sigstore import dsse
from sigstore.models import Bundle, ClientTrustConfig, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootModel

from tests.sigstore_stack.stack import SigstoreStack

PREDICATE = {"says": "hello"}


def _signing_context(config: dict[str, Any]) -> SigningContext:
    return SigningContext.from_trust_config(ClientTrustConfig.from_json(json.dumps(config)))


def sign_artifact(
    stack: SigstoreStack, message: bytes, token: str | None = None, config: dict[str, Any] | None = None
) -> Bundle:
    """Sign ``message``, by default with a fresh token and the stack's own trust configuration."""
    context = _signing_context(config or stack.trust_config_document())
    with context.signer(IdentityToken(token or stack.token())) as signer:
        return signer.sign_artifact(message)


def sign_statement(stack: SigstoreStack, token: str | None = None, config: dict[str, Any] | None = None) -> Bundle:
    """Sign a small in-toto statement as DSSE, by default as `sign_artifact` does."""
    subject = dsse.Subject(name="weights", digest=dsse.DigestSet(root={"sha256": "00" * 32}))
    builder = dsse.StatementBuilder().subjects([subject]).predicate_type("https://example.com/said/v1")
    statement = builder.predicate(PREDICATE).build()
    context = _signing_context(config or stack.trust_config_document())
    with context.signer(IdentityToken(token or stack.token())) as signer:
        return signer.sign_dsse(statement)


def verifier(stack: SigstoreStack) -> Verifier:
    return Verifier(trusted_root=TrustedRoot.from_file(str(stack.trusted_root)))


def verifier_of(trusted_root: dict[str, Any]) -> Verifier:
    """Return a verifier that trusts an altered root."""
    return Verifier(trusted_root=TrustedRoot(TrustedRootModel.from_json(json.dumps(trusted_root))))


def developer(stack: SigstoreStack) -> policy.VerificationPolicy:
    """Return the policy that the default token satisfies."""
    return policy.Identity(identity="dev@example.com", issuer=stack.issuer)


def visit(url: str, *_: object) -> bool:
    """Follow a link as a browser would: in its own time."""
    threading.Thread(target=get, args=(url,), daemon=True).start()
    return True


def get(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
    return body


def post(url: str, body: bytes) -> tuple[int, bytes]:
    """Return status and body of the answer."""
    request = urllib.request.Request(url, data=body, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def bundle_document(bundle: Bundle) -> Any:
    return json.loads(bundle.to_json())


def ed25519_key(encoded: bytes) -> ed25519.Ed25519PublicKey:
    key = serialization.load_der_public_key(encoded)
    assert isinstance(key, ed25519.Ed25519PublicKey)
    return key
