"""What is made with the local stack stands or falls as it would with the real one.

The same verifying code accepts bundles of the real staging instance, and refuses each tampering of ours.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from sigstore._internal.fulcio.client import FulcioClientError
from sigstore.errors import VerificationError
from sigstore.models import Bundle, InvalidBundle, TrustedRoot
from sigstore.verify import Verifier, policy

from tests.sigstore_stack import client, rekor
from tests.sigstore_stack.stack import Fault, SigstoreStack
from tests.vectors import VECTORS, needs_vectors

MESSAGE = b"weights"
STAGING = VECTORS / "oms" / "sigstore-python"
STAGING_ROOT = VECTORS / "oms" / "trusted-roots" / "sigstage.dev" / "trusted_root.json"
BEACON = policy.Identity(
    identity=(
        "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/"
        "extremely-dangerous-oidc-beacon.yml@refs/heads/main"
    ),
    issuer="https://token.actions.githubusercontent.com",
)


@pytest.fixture(scope="module")
def bundle(sigstore_stack: SigstoreStack) -> Bundle:
    # Three entries first, so that the inclusion proof is not empty.
    return [client.sign_artifact(sigstore_stack, MESSAGE) for _ in range(4)][-1]


def refuse(stack: SigstoreStack, bundle: Bundle, match: str, *, message: bytes = MESSAGE) -> None:
    with pytest.raises(VerificationError, match=match):
        client.verifier(stack).verify_artifact(message, bundle, client.developer(stack))


def altered(bundle: Bundle, change: Callable[[Any], None]) -> Bundle:
    document = client.bundle_document(bundle)
    change(document["verificationMaterial"])
    return Bundle.from_json(json.dumps(document))


def test_other_artifact(sigstore_stack: SigstoreStack, bundle: Bundle) -> None:
    refuse(sigstore_stack, bundle, "digest mismatch", message=b"other weights")


def test_other_identity(sigstore_stack: SigstoreStack, bundle: Bundle) -> None:
    other = policy.Identity(identity="boss@example.com", issuer=sigstore_stack.issuer)
    with pytest.raises(VerificationError, match="SANs do not match"):
        client.verifier(sigstore_stack).verify_artifact(MESSAGE, bundle, other)


def test_other_issuer(sigstore_stack: SigstoreStack, bundle: Bundle) -> None:
    other = policy.Identity(identity="dev@example.com", issuer="https://accounts.google.com")
    with pytest.raises(VerificationError, match="OIDCIssuer does not match"):
        client.verifier(sigstore_stack).verify_artifact(MESSAGE, bundle, other)


def test_changed_root_hash(sigstore_stack: SigstoreStack, bundle: Bundle) -> None:
    def change(material: Any) -> None:
        material["tlogEntries"][0]["inclusionProof"]["rootHash"] = base64.b64encode(bytes(32)).decode()

    refuse(sigstore_stack, altered(bundle, change), "invalid root hash")


def test_changed_checkpoint_origin(sigstore_stack: SigstoreStack, bundle: Bundle) -> None:
    def change(material: Any) -> None:
        checkpoint = material["tlogEntries"][0]["inclusionProof"]["checkpoint"]
        checkpoint["envelope"] = checkpoint["envelope"].replace("127.0.0.1", "127.0.0.2", 1)

    refuse(sigstore_stack, altered(bundle, change), "checkpoint: invalid signature")


def test_no_timestamp(sigstore_stack: SigstoreStack, bundle: Bundle) -> None:
    def change(material: Any) -> None:
        del material["timestampVerificationData"]

    with pytest.raises(InvalidBundle, match="timestamp"):
        altered(bundle, change)
    with sigstore_stack.fault(Fault.TSA_UNAVAILABLE), pytest.raises(InvalidBundle, match="timestamp"):
        client.sign_artifact(sigstore_stack, MESSAGE)


def test_timestamp_of_another_signature(sigstore_stack: SigstoreStack, bundle: Bundle) -> None:
    other = client.bundle_document(client.sign_artifact(sigstore_stack, MESSAGE))["verificationMaterial"]

    def change(material: Any) -> None:
        material["timestampVerificationData"] = other["timestampVerificationData"]

    refuse(sigstore_stack, altered(bundle, change), "not enough sources of verified time")


def test_another_trusted_root(other_sigstore_stack: SigstoreStack, bundle: Bundle) -> None:
    with pytest.raises(VerificationError):
        client.verifier(other_sigstore_stack).verify_artifact(MESSAGE, bundle, policy.UnsafeNoOp())


@pytest.mark.parametrize("part", ["tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"])
def test_another_trusted_root_in_one_part(
    sigstore_stack: SigstoreStack, other_sigstore_stack: SigstoreStack, bundle: Bundle, part: str
) -> None:
    mixed = sigstore_stack.trusted_root_document() | {part: other_sigstore_stack.trusted_root_document()[part]}
    with pytest.raises(VerificationError):
        client.verifier_of(mixed).verify_artifact(MESSAGE, bundle, policy.UnsafeNoOp())


def test_timestamp_after_the_certificate_expired(sigstore_stack: SigstoreStack) -> None:
    with sigstore_stack.fault(Fault.TSA_LATE):
        bundle = client.sign_artifact(sigstore_stack, MESSAGE)
    refuse(sigstore_stack, bundle, "cert is not valid at validation time")


def test_bad_sct(sigstore_stack: SigstoreStack) -> None:
    # The signer checks the SCT too, so it is told to trust the stranger's log.
    config = sigstore_stack.trust_config_document()
    config["trustedRoot"]["ctlogs"] = [sigstore_stack.certificate_log_document(stranger=True)]
    with sigstore_stack.fault(Fault.SCT_BY_STRANGER):
        bundle = client.sign_artifact(sigstore_stack, MESSAGE, config=config)
    refuse(sigstore_stack, bundle, "failed to verify SCT")


def test_forged_token(sigstore_stack: SigstoreStack) -> None:
    with pytest.raises(FulcioClientError):
        client.sign_artifact(sigstore_stack, MESSAGE, sigstore_stack.oidc.forged_token("dev@example.com"))


def test_token_of_an_unknown_issuer(sigstore_stack: SigstoreStack) -> None:
    with pytest.raises(FulcioClientError):
        client.sign_artifact(sigstore_stack, MESSAGE, sigstore_stack.token(issuer="https://evil.example"))


def test_checkpoint_signed_by_a_stranger(sigstore_stack: SigstoreStack) -> None:
    with sigstore_stack.fault(Fault.CHECKPOINT_BY_STRANGER):
        bundle = client.sign_artifact(sigstore_stack, MESSAGE)
    refuse(sigstore_stack, bundle, "checkpoint: invalid signature")


def test_proof_for_another_entry(sigstore_stack: SigstoreStack) -> None:
    client.sign_artifact(sigstore_stack, MESSAGE)
    with sigstore_stack.fault(Fault.REKOR_OTHER_ENTRY):
        bundle = client.sign_artifact(sigstore_stack, MESSAGE)
    refuse(sigstore_stack, bundle, "invalid root hash")


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        (Fault.PROMISE_BY_STRANGER, "SET: invalid inclusion promise"),
        (Fault.CHECKPOINT_V1_BY_STRANGER, "checkpoint: invalid signature"),
        (Fault.REKOR_V1_LATE, "cert is not valid at validation time"),
    ],
)
def test_older_log_that_lies(sigstore_stack: SigstoreStack, fault: Fault, match: str) -> None:
    with sigstore_stack.fault(fault):
        bundle = client.sign_artifact(sigstore_stack, MESSAGE, config=sigstore_stack.trust_config_document(rekor=1))
    refuse(sigstore_stack, bundle, match)


def test_entry_of_another_bundle(sigstore_stack: SigstoreStack, bundle: Bundle) -> None:
    other = client.bundle_document(client.sign_artifact(sigstore_stack, MESSAGE))["verificationMaterial"]

    def change(material: Any) -> None:
        material["tlogEntries"] = other["tlogEntries"]

    refuse(sigstore_stack, altered(bundle, change), "inconsistent with other materials")


def test_no_log_entry(bundle: Bundle) -> None:
    def change(material: Any) -> None:
        material["tlogEntries"] = []

    with pytest.raises(InvalidBundle):
        altered(bundle, change)


def test_changed_statement(sigstore_stack: SigstoreStack) -> None:
    document = client.bundle_document(client.sign_statement(sigstore_stack))
    payload = base64.b64decode(document["dsseEnvelope"]["payload"]).replace(b"hello", b"jello")
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(VerificationError, match="DSSE: invalid signature"):
        client.verifier(sigstore_stack).verify_dsse(
            Bundle.from_json(json.dumps(document)), client.developer(sigstore_stack)
        )


@needs_vectors
class TestAgainstTheRealStagingInstance:
    @pytest.fixture
    def staging(self) -> Verifier:
        return Verifier(trusted_root=TrustedRoot.from_file(str(STAGING_ROOT)))

    def test_real_artifact_bundle_verifies(self, staging: Verifier) -> None:
        bundle = Bundle.from_json((STAGING / "staging-rekor-v2.txt.sigstore.json").read_bytes())
        staging.verify_artifact((STAGING / "staging-rekor-v2.txt").read_bytes(), bundle, policy.UnsafeNoOp())

    def test_real_statement_bundle_verifies(self, staging: Verifier) -> None:
        bundle = Bundle.from_json((STAGING / "a.dsse.staging-rekor-v2.txt.sigstore.json").read_bytes())
        payload_type, _ = staging.verify_dsse(bundle, BEACON)
        assert payload_type == "application/vnd.in-toto+json"

    def test_ours_does_not_pass_for_a_real_one(self, staging: Verifier, bundle: Bundle) -> None:
        with pytest.raises(VerificationError):
            staging.verify_artifact(MESSAGE, bundle, policy.UnsafeNoOp())

    def test_a_real_one_does_not_pass_for_ours(self, sigstore_stack: SigstoreStack) -> None:
        real = Bundle.from_json((STAGING / "staging-rekor-v2.txt.sigstore.json").read_bytes())
        with pytest.raises(VerificationError):
            client.verifier(sigstore_stack).verify_artifact(
                (STAGING / "staging-rekor-v2.txt").read_bytes(), real, policy.UnsafeNoOp()
            )

    def test_bundles_have_the_same_fields(self, sigstore_stack: SigstoreStack) -> None:
        real = json.loads((STAGING / "a.dsse.staging-rekor-v2.txt.sigstore.json").read_bytes())
        assert fields(client.bundle_document(client.sign_statement(sigstore_stack))) == fields(real)

    def test_log_bodies_have_the_same_fields_and_canonical_form(self, sigstore_stack: SigstoreStack) -> None:
        real = log_body(json.loads((STAGING / "a.dsse.staging-rekor-v2.txt.sigstore.json").read_bytes()))
        ours = log_body(client.bundle_document(client.sign_statement(sigstore_stack)))
        assert fields(json.loads(ours)) == fields(json.loads(real))
        assert rekor.canonical(json.loads(real)) == real

    def test_older_log_answers_as_the_real_one(self, sigstore_stack: SigstoreStack) -> None:
        """A signature of model-signing 1.1.0, logged by the public-good Rekor v1."""
        real = json.loads((VECTORS / "oms" / "model-transparency" / "v1.1.0-sigstore" / "model.sig").read_bytes())
        config = sigstore_stack.trust_config_document(rekor=1)
        client.sign_statement(sigstore_stack, config=config)
        ours = client.bundle_document(client.sign_statement(sigstore_stack, config=config))
        entries = [document["verificationMaterial"]["tlogEntries"][0] for document in (ours, real)]
        assert fields(entries[0]) == fields(entries[1])
        assert fields(json.loads(log_body(ours))) == fields(json.loads(log_body(real)))
        assert rekor.canonical(json.loads(log_body(real))) == log_body(real)
        notes = [entry["inclusionProof"]["checkpoint"]["envelope"].split("\n") for entry in entries]
        for entry, (origin, size, root, _, signature, end) in zip(entries, notes, strict=True):
            host = origin.partition(" - ")[0]
            assert (size, root, end) == (entry["inclusionProof"]["treeSize"], entry["inclusionProof"]["rootHash"], "")
            assert signature.startswith(f"\N{EM DASH} {host} ")
            assert base64.b64decode(signature.split()[2])[:4] == base64.b64decode(entry["logId"]["keyId"])[:4]

    def test_log_id_is_derived_as_the_real_one(self) -> None:
        for log in json.loads(STAGING_ROOT.read_bytes())["tlogs"]:
            if log["publicKey"]["keyDetails"] == "PKIX_ED25519":
                origin = log["baseUrl"].removeprefix("https://")
                key = client.ed25519_key(base64.b64decode(log["publicKey"]["rawBytes"]))
                assert rekor.log_id(origin, key) == base64.b64decode(log["logId"]["keyId"])


def fields(document: Any) -> Any:
    """Return the document's field names, without values; of lists only the first member."""
    match document:
        case dict():
            return {name: fields(value) for name, value in sorted(document.items())}
        case list():
            return [fields(value) for value in document[:1]]
        case _:
            return type(document).__name__


def log_body(document: Any) -> bytes:
    return base64.b64decode(document["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"])
