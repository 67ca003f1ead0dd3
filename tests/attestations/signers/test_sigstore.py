import base64
import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from attestations.bundle import Bundle
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
from attestations.signers.sigstore import (
    SigstoreSigner,
    SigstoreTrust,
    SigstoreVerifier,
    ambient_token,
    browser_token,
    token_identity,
)
from attestations.statement import Statement
from attestations.verify import Method, TimeSource, Unproven, VerifiedStatement, verify_bundle
from tests.builders.signatures import altered, oms_payload, resource, sealed
from tests.sigstore_stack import client, oidc
from tests.sigstore_stack.stack import Fault
from tests.sigstore_stack.tsa import PATH
from tests.sigstore_stack.tuf_repository import TufRepository
from tests.vectors import VECTORS, needs_vectors

if TYPE_CHECKING:
    from tests.sigstore_stack.service import Service
    from tests.sigstore_stack.stack import SigstoreStack

# sigstore 4.5.1 shuts the server of the browser flow down without closing its socket.
unclosed_redirect_server = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

STATEMENT = Statement.parse(oms_payload([resource("w")]))
ROOTS = VECTORS / "oms" / "trusted-roots"
PUBLIC_GOOD = SigstoreTrust(source=ROOTS / "sigstore.dev" / "trusted_root.json")
STAGING = SigstoreTrust(source=ROOTS / "sigstage.dev" / "trusted_root.json")


def signed(stack: "SigstoreStack", **claims: Any) -> Bundle:
    return SigstoreSigner(token=stack.token(**claims), trust=SigstoreTrust(source=stack.trust_config)).sign(STATEMENT)


def unchecked(stack: "SigstoreStack", **config: Any) -> Bundle:
    """Sign another statement with sigstore-python, which does not look at what the services answer."""
    document = stack.trust_config_document(**config)
    return Bundle.parse(client.sign_statement(stack, config=document).to_json().encode())


def verified(stack: "SigstoreStack", bundle: Bundle, identity: str = "dev@example.com") -> VerifiedStatement:
    trust = SigstoreTrust(source=stack.trusted_root)
    return verify_bundle(bundle, [SigstoreVerifier(identity=identity, issuer=stack.issuer, trust=trust)])


@pytest.fixture(scope="module")
def bundle(sigstore_stack: "SigstoreStack") -> Bundle:
    return [signed(sigstore_stack) for _ in range(3)][-1]


def test_what_is_signed_verifies(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    proven = verified(sigstore_stack, bundle)
    assert proven.statement == STATEMENT
    assert (proven.signed_by.method, proven.signed_by.identity) == (Method.SIGSTORE, "dev@example.com")
    assert proven.signed_by.issuer == sigstore_stack.issuer
    assert proven.time is not None
    assert proven.time_source is TimeSource.AUTHORITY
    assert abs(datetime.now(UTC) - proven.time) < timedelta(hours=1)


def signed_v1(stack: "SigstoreStack") -> Bundle:
    return SigstoreSigner(token=stack.token(), trust=SigstoreTrust(source=stack.trust_config_v1)).sign(STATEMENT)


def test_what_the_older_log_takes_in_verifies_with_its_time(sigstore_stack: "SigstoreStack") -> None:
    """Rekor v1: the log promises, proves, and tells the time; nobody else stamps it."""
    made = [signed_v1(sigstore_stack) for _ in range(3)][-1]
    assert made.timestamps == ()
    proven = verified(sigstore_stack, made)
    assert (proven.statement, proven.time_source) == (STATEMENT, TimeSource.LOG)
    assert proven.time is not None
    assert abs(datetime.now(UTC) - proven.time) < timedelta(hours=1)


@pytest.mark.parametrize(("version", "kind"), [(None, "hashedrekord"), (1, "dsse"), (2, "hashedrekord")])
def test_log_can_be_chosen_where_there_are_both(
    sigstore_stack: "SigstoreStack", tmp_path: Path, version: int | None, kind: str
) -> None:
    config = sigstore_stack.trust_config_document()
    config["signingConfig"]["rekorTlogUrls"] += sigstore_stack.trust_config_document(rekor=1)["signingConfig"][
        "rekorTlogUrls"
    ]
    (tmp_path / "config.json").write_text(json.dumps(config))
    trust = SigstoreTrust(source=tmp_path / "config.json")
    made = SigstoreSigner(token=sigstore_stack.token(), trust=trust, rekor_version=version).sign(STATEMENT)
    entry: Any = made.log_entries[0]
    assert entry["kindVersion"]["kind"] == kind
    assert verified(sigstore_stack, made).statement == STATEMENT


def test_names_of_files_are_sent_to_the_older_log_only_and_kept_by_none(sigstore_stack: "SigstoreStack") -> None:
    statement = Statement.parse(oms_payload([resource("a-name-of-a-file")]))

    def sent(config: Path, service: "Service") -> bytes:
        service.requests.clear()
        made = SigstoreSigner(token=sigstore_stack.token(), trust=SigstoreTrust(source=config)).sign(statement)
        entry: Any = made.log_entries[0]
        assert b"a-name-of-a-file" not in base64.b64decode(entry["canonicalizedBody"])
        (request,) = service.requests
        return request.body

    newer = json.loads(sent(sigstore_stack.trust_config, sigstore_stack.rekor))
    assert newer["hashedRekordRequestV002"].keys() == {"digest", "signature"}
    older = json.loads(sent(sigstore_stack.trust_config_v1, sigstore_stack.rekor_v1))
    envelope = json.loads(older["spec"]["proposedContent"]["envelope"])
    assert b"a-name-of-a-file" in base64.b64decode(envelope["payload"])


def test_log_that_the_instance_lacks_is_a_signing_error(sigstore_stack: "SigstoreStack") -> None:
    trust = SigstoreTrust(source=sigstore_stack.trust_config)
    with pytest.raises(SigningError, match="No valid Rekor transparency log"):
        SigstoreSigner(token=sigstore_stack.token(), trust=trust, rekor_version=1).sign(STATEMENT)


@pytest.mark.parametrize(
    "changes",
    [
        {"inclusionProof": ...},
        {"inclusionPromise": ...},
        {"inclusionPromise": {"signedEntryTimestamp": "AAAA"}},
        {"integratedTime": ...},
        {"integratedTime": "1700000000"},
        {"logIndex": "1"},
        {"kindVersion.kind": "hashedrekord"},
        {"kindVersion": {"kind": "hashedrekord", "version": "0.0.2"}},
    ],
)
def test_changed_entry_of_the_older_log_does_not_hold(sigstore_stack: "SigstoreStack", changes: dict[str, Any]) -> None:
    with pytest.raises((LogProofInvalid, IdentityMismatch, Unsupported)):
        verified(sigstore_stack, with_entry(signed_v1(sigstore_stack), **changes))


@pytest.mark.parametrize(
    "seconds", [str(1 << 63), str(10**17), "9" * 5000, "-1", "1e9", "\u0661", " 1700000000", 1.5, [], {}]
)
@pytest.mark.parametrize("without_log", [False, True])
def test_time_of_an_entry_that_is_none_is_malformed(
    sigstore_stack: "SigstoreStack", bundle: Bundle, seconds: Any, without_log: bool
) -> None:
    verifier = SigstoreVerifier(
        identity="dev@example.com",
        issuer=sigstore_stack.issuer,
        trust=SigstoreTrust(source=sigstore_stack.trusted_root),
        insecure_ignore_log=without_log,
    )
    for made in (bundle, signed_v1(sigstore_stack)):
        with pytest.raises(EnvelopeError, match="no number of seconds"):
            verify_bundle(with_entry(made, integratedTime=seconds), [verifier])


@pytest.mark.parametrize("fault", [Fault.PROMISE_BY_STRANGER, Fault.CHECKPOINT_V1_BY_STRANGER, Fault.REKOR_V1_LATE])
def test_what_a_lying_older_log_takes_in_does_not_verify(sigstore_stack: "SigstoreStack", fault: Fault) -> None:
    with sigstore_stack.fault(fault):
        made = unchecked(sigstore_stack, rekor=1, timestamps=False)
        with pytest.raises(SigningError, match="what it answered does not verify"):
            signed_v1(sigstore_stack)
    with pytest.raises((LogProofInvalid, IdentityMismatch)):
        verified(sigstore_stack, made)


def test_promise_of_the_older_log_alone_passes_with_both_opt_outs_only(sigstore_stack: "SigstoreStack") -> None:
    promised = with_entry(signed_v1(sigstore_stack), inclusionProof=...)
    with pytest.raises(LogProofInvalid, match="only the log's promise"):
        verified(sigstore_stack, promised)
    with pytest.raises(LogProofInvalid, match="nobody trusted says when"):
        let_pass(sigstore_stack, promised)
    assert let_pass(sigstore_stack, promised, time=True).unproven == (Unproven.LOG, Unproven.TIME)


def test_workflow_claims_are_told(sigstore_stack: "SigstoreStack") -> None:
    workflow = "https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main"
    made = signed(sigstore_stack, identity=workflow, repository="acme/models", ref="refs/heads/main")
    assert verified(sigstore_stack, made, workflow).signed_by.identity == workflow


def test_one_certificate_serves_several_statements(sigstore_stack: "SigstoreStack") -> None:
    signer = SigstoreSigner(token=sigstore_stack.token(), trust=SigstoreTrust(source=sigstore_stack.trust_config))
    assert signer.sign(STATEMENT).certificates == signer.sign(STATEMENT).certificates


def test_bundle_survives_being_written_and_read(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    assert verified(sigstore_stack, Bundle.parse(bundle.to_json())).statement == STATEMENT


def test_other_identity_is_not_trusted(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    with pytest.raises(IdentityMismatch, match=r"signed by dev@example\.com .* expected was boss@example\.com"):
        verified(sigstore_stack, bundle, "boss@example.com")


def test_other_issuer_is_not_trusted(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    trust = SigstoreTrust(source=sigstore_stack.trusted_root)
    verifier = SigstoreVerifier(identity="dev@example.com", issuer="https://accounts.google.com", trust=trust)
    with pytest.raises(IdentityMismatch, match=r"accounts\.google\.com"):
        verify_bundle(bundle, [verifier])


def test_other_instance_is_not_trusted(other_sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    with pytest.raises(IdentityMismatch):
        verified(other_sigstore_stack, bundle)


def test_times_of_strangers_do_not_count_in_the_trusted_instance_either(
    sigstore_stack: "SigstoreStack", other_sigstore_stack: "SigstoreStack", bundle: Bundle, tmp_path: Path
) -> None:
    mixed = sigstore_stack.trusted_root_document()
    mixed["timestampAuthorities"] = other_sigstore_stack.trusted_root_document()["timestampAuthorities"]
    (tmp_path / "mixed.json").write_text(json.dumps(mixed))
    verifier = SigstoreVerifier(
        identity="dev@example.com", issuer=sigstore_stack.issuer, trust=SigstoreTrust(source=tmp_path / "mixed.json")
    )
    with pytest.raises(LogProofInvalid, match="nobody whom the trusted Sigstore instance names"):
        verify_bundle(bundle, [verifier])


def test_predicate_decides_about_the_signer(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    trust = SigstoreTrust(source=sigstore_stack.trusted_root)
    asked: list[str | None] = []

    def refuse(signer: Any) -> bool:
        asked.append(signer.identity)
        return False

    with pytest.raises(IdentityMismatch, match="expected was the release team"):
        verify_bundle(bundle, [SigstoreVerifier(accepts=refuse, expected="the release team", trust=trust)])
    assert asked == ["dev@example.com"]


def test_verifier_that_would_believe_anybody_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="needs an identity and an issuer"):
        SigstoreVerifier(identity="dev@example.com")


ENTRY = "verificationMaterial.tlogEntries"
CHECKPOINT = "inclusionProof"


def with_entry(bundle: Bundle, **changes: Any) -> Bundle:
    entry = json.loads(bundle.to_json())["verificationMaterial"]["tlogEntries"][0]
    for path, value in changes.items():
        parent = entry
        *above, last = path.split(".")
        for step in above:
            parent = parent[step]
        if value is ...:
            del parent[last]
        else:
            parent[last] = value
    return Bundle.parse(altered(bundle, **{ENTRY: [entry]}))


@pytest.mark.parametrize(
    "changes",
    [
        {"dsseEnvelope.payload": "e30="},
        {"dsseEnvelope.signatures": [{"sig": "AAAA"}]},
        {"verificationMaterial.certificate": {"rawBytes": "AAAA"}},
    ],
)
def test_changed_seal_is_invalid(sigstore_stack: "SigstoreStack", bundle: Bundle, changes: dict[str, Any]) -> None:
    with pytest.raises(SignatureInvalid):
        verified(sigstore_stack, Bundle.parse(altered(bundle, **changes)))


def test_certificate_of_another_signature_is_invalid(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    other = json.loads(signed(sigstore_stack).to_json())["verificationMaterial"]["certificate"]
    with pytest.raises(SignatureInvalid):
        verified(sigstore_stack, Bundle.parse(altered(bundle, **{"verificationMaterial.certificate": other})))


@pytest.mark.parametrize(
    "changes",
    [
        {ENTRY: []},
        {ENTRY: ...},
        {"verificationMaterial.timestampVerificationData": ...},
        {"verificationMaterial.timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}},
    ],
)
def test_stripped_proof_is_not_good_enough(
    sigstore_stack: "SigstoreStack", bundle: Bundle, changes: dict[str, Any]
) -> None:
    with pytest.raises(LogProofInvalid):
        verified(sigstore_stack, Bundle.parse(altered(bundle, **changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"inclusionProof": ...},
        {"inclusionProof.rootHash": base64.b64encode(bytes(32)).decode()},
        {"inclusionProof.treeSize": "1"},
        {"inclusionProof.logIndex": "99999"},
        {"inclusionProof.hashes": []},
        {"inclusionProof.checkpoint": ...},
        {"inclusionProof.checkpoint.envelope": "nonsense"},
        {"canonicalizedBody": base64.b64encode(b"{}").decode()},
        {"logId": {"keyId": base64.b64encode(bytes(32)).decode()}},
        {"logIndex": "x"},
    ],
)
def test_changed_log_entry_does_not_hold(
    sigstore_stack: "SigstoreStack", bundle: Bundle, changes: dict[str, Any]
) -> None:
    with pytest.raises(LogProofInvalid):
        verified(sigstore_stack, with_entry(bundle, **changes))


def test_entry_of_another_statement_does_not_hold(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    other = json.loads(signed(sigstore_stack).to_json())["verificationMaterial"]["tlogEntries"]
    with pytest.raises(LogProofInvalid):
        verified(sigstore_stack, Bundle.parse(altered(bundle, **{ENTRY: other})))


@pytest.mark.parametrize("kind", [{"kind": "intoto", "version": "0.0.2"}, {"kind": "new", "version": "9"}, {}])
def test_unknown_kind_of_log_entry_is_unsupported(
    sigstore_stack: "SigstoreStack", bundle: Bundle, kind: dict[str, str]
) -> None:
    with pytest.raises(Unsupported, match="logged as"):
        verified(sigstore_stack, with_entry(bundle, kindVersion=kind))


def test_several_log_entries_are_unsupported(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    entry = json.loads(bundle.to_json())["verificationMaterial"]["tlogEntries"][0]
    with pytest.raises(Unsupported, match="2 log entries"):
        verified(sigstore_stack, Bundle.parse(altered(bundle, **{ENTRY: [entry, entry]})))


def test_log_entry_without_a_kind_is_malformed(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    with pytest.raises(EnvelopeError, match="of which kind"):
        verified(sigstore_stack, with_entry(bundle, kindVersion=...))


def test_key_bundle_is_not_a_matter_of_this_method(sigstore_stack: "SigstoreStack") -> None:
    with pytest.raises(IdentityMismatch, match="public key"):
        verified(sigstore_stack, sealed(STATEMENT.payload))


NONSENSE: list[Any] = [None, 7, "", "AAAA", [], {}, -1, "9" * 400]
HARMLESS = {"keyid", "logIndex", "integratedTime", "inclusionPromise", "timestampVerificationData"}


def test_any_field_replaced_by_nonsense_ends_in_our_errors(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    """Whatever sigstore, pydantic or cryptography raise about a malformed bundle is translated."""

    def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [above] * bool(above) + [path for key, item in items for path in paths(item, (*above, key))]

    document = json.loads(bundle.to_json())
    for path in paths(document):
        for nonsense in NONSENSE:
            changed = json.loads(bundle.to_json())
            parent = changed
            for step in path[:-1]:
                parent = parent[step]
            if parent[path[-1]] == nonsense:
                continue
            parent[path[-1]] = nonsense
            try:
                proven = verified(sigstore_stack, Bundle.parse(json.dumps(changed).encode()))
            except AttestationError:
                continue
            # What may be changed without harm: hints that nobody believes.
            assert proven.statement == STATEMENT
            assert path[-1] in HARMLESS, (path, nonsense)


# Without a log, or without a time, for those who say so

MATERIAL = "verificationMaterial"
STAMPS = "verificationMaterial.timestampVerificationData"


def let_pass(
    stack: "SigstoreStack",
    bundle: Bundle,
    changes: Mapping[str, Any] = MappingProxyType({}),
    *,
    time: bool = False,
    identity: str = "dev@example.com",
) -> VerifiedStatement:
    verifier = SigstoreVerifier(
        identity=identity,
        issuer=stack.issuer,
        trust=SigstoreTrust(source=stack.trusted_root),
        insecure_ignore_log=True,
        insecure_ignore_time=time,
    )
    return verify_bundle(Bundle.parse(altered(bundle, **changes)), [verifier])


@pytest.mark.parametrize("time", [False, True])
def test_opt_out_lets_a_stripped_log_entry_pass_with_its_timestamp(
    sigstore_stack: "SigstoreStack", bundle: Bundle, time: bool
) -> None:
    proven = let_pass(sigstore_stack, bundle, {ENTRY: []}, time=time)
    assert (proven.statement, proven.signed_by.identity) == (STATEMENT, "dev@example.com")
    assert (proven.unproven, proven.time_source) == ((Unproven.LOG,), TimeSource.AUTHORITY)


def test_time_has_an_opt_out_of_its_own(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    with pytest.raises(LogProofInvalid, match="nobody trusted says when"):
        let_pass(sigstore_stack, bundle, {ENTRY: [], STAMPS: ...})
    proven = let_pass(sigstore_stack, bundle, {ENTRY: [], STAMPS: ...}, time=True)
    assert (proven.unproven, proven.time) == ((Unproven.LOG, Unproven.TIME), None)


def test_entry_without_a_time_needs_both_opt_outs(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    with pytest.raises(LogProofInvalid):
        let_pass(sigstore_stack, bundle, {STAMPS: ...})
    assert let_pass(sigstore_stack, bundle, {STAMPS: ...}, time=True).unproven == (Unproven.LOG, Unproven.TIME)


@pytest.mark.parametrize("changes", [{"inclusionProof": ...}, {"kindVersion": {"kind": "intoto", "version": "0.0.2"}}])
def test_opt_out_lets_a_mere_promise_and_an_unknown_entry_pass(
    sigstore_stack: "SigstoreStack", bundle: Bundle, changes: dict[str, Any]
) -> None:
    assert let_pass(sigstore_stack, with_entry(bundle, **changes)).unproven == (Unproven.LOG,)


def test_complete_bundle_is_judged_in_full_despite_the_opt_out(sigstore_stack: "SigstoreStack", bundle: Bundle) -> None:
    assert let_pass(sigstore_stack, bundle, time=True).unproven == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"inclusionProof.rootHash": base64.b64encode(bytes(32)).decode()},
        {"inclusionProof.checkpoint": ...},
        {"canonicalizedBody": base64.b64encode(b"{}").decode()},
    ],
)
def test_log_entry_that_does_not_hold_is_refused_despite_the_opt_out(
    sigstore_stack: "SigstoreStack", bundle: Bundle, changes: dict[str, Any]
) -> None:
    with pytest.raises(LogProofInvalid):
        let_pass(sigstore_stack, with_entry(bundle, **changes), time=True)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"dsseEnvelope.payload": "e30="}, SignatureInvalid),
        ({"dsseEnvelope.signatures": [{"sig": "AAAA"}]}, SignatureInvalid),
        ({STAMPS: {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}}, LogProofInvalid),
        ({"verificationMaterial.certificate": {"rawBytes": "AAAA"}}, SignatureInvalid),
    ],
)
def test_opt_out_lets_nothing_else_pass(
    sigstore_stack: "SigstoreStack", bundle: Bundle, changes: dict[str, Any], error: type[AttestationError]
) -> None:
    with pytest.raises(error):
        let_pass(sigstore_stack, bundle, {ENTRY: [], **changes}, time=True)


def test_identity_and_instance_are_judged_despite_the_opt_out(
    sigstore_stack: "SigstoreStack", other_sigstore_stack: "SigstoreStack", bundle: Bundle
) -> None:
    with pytest.raises(IdentityMismatch, match=r"signed by dev@example\.com .* expected was boss@example\.com"):
        let_pass(sigstore_stack, bundle, {ENTRY: []}, time=True, identity="boss@example.com")
    with pytest.raises(IdentityMismatch, match="not issued by the trusted"):
        let_pass(other_sigstore_stack, bundle, {ENTRY: [], STAMPS: ...}, time=True)


def test_timestamp_of_another_signature_is_refused_despite_the_opt_out(
    sigstore_stack: "SigstoreStack", bundle: Bundle
) -> None:
    other = json.loads(signed(sigstore_stack).to_json())[MATERIAL]["timestampVerificationData"]
    with pytest.raises(LogProofInvalid, match="no timestamp of the bundle is by"):
        let_pass(sigstore_stack, bundle, {ENTRY: [], STAMPS: other}, time=True)


def test_timestamp_after_the_certificate_expired_is_refused_despite_the_opt_out(
    sigstore_stack: "SigstoreStack",
) -> None:
    with sigstore_stack.fault(Fault.TSA_LATE):
        late = unchecked(sigstore_stack)
    with pytest.raises(LogProofInvalid, match="not valid when it signed"):
        let_pass(sigstore_stack, late, {ENTRY: []}, time=True)


def test_promise_of_a_strange_certificate_log_is_refused_despite_the_opt_out(
    sigstore_stack: "SigstoreStack", tmp_path: Path
) -> None:
    config = sigstore_stack.trust_config_document()
    config["trustedRoot"]["ctlogs"] = [sigstore_stack.certificate_log_document(stranger=True)]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with sigstore_stack.fault(Fault.SCT_BY_STRANGER):
        signer = SigstoreSigner(token=sigstore_stack.token(), trust=SigstoreTrust(source=tmp_path / "config.json"))
        made = signer.sign(STATEMENT)
    with pytest.raises(LogProofInvalid, match="the certificate log's promise"):
        let_pass(sigstore_stack, made, {ENTRY: []}, time=True)


def test_no_time_without_no_log_cannot_be_asked_for() -> None:
    with pytest.raises(TypeError, match="insecure_ignore_log is needed"):
        SigstoreVerifier(identity="dev@example.com", issuer="https://x", insecure_ignore_time=True)


@needs_vectors
def test_real_signature_without_its_entry_passes_with_both_opt_outs_only() -> None:
    sample = Bundle.parse((VECTORS / "oms" / "model-transparency" / "v1.0.0-sigstore" / "model.sig").read_bytes())
    stripped = Bundle.parse(altered(sample, **{ENTRY: []}))
    asked: dict[str, Any] = {"accepts": lambda _: True, "trust": PUBLIC_GOOD}
    with pytest.raises(LogProofInvalid, match="no transparency log entry"):
        verify_bundle(stripped, [SigstoreVerifier(**asked)])
    with pytest.raises(LogProofInvalid, match="nobody trusted says when"):
        verify_bundle(stripped, [SigstoreVerifier(**asked, insecure_ignore_log=True)])
    proven = verify_bundle(stripped, [SigstoreVerifier(**asked, insecure_ignore_log=True, insecure_ignore_time=True)])
    assert (proven.signed_by.name, proven.time) == ("stefanb@us.ibm.com", None)


# Signing that goes wrong


@pytest.mark.parametrize(
    "fault",
    [
        Fault.FULCIO_UNAVAILABLE,
        Fault.FULCIO_SHORT_CHAIN,
        Fault.SCT_BY_STRANGER,
        Fault.REKOR_UNAVAILABLE,
        Fault.REKOR_MALFORMED,
    ],
)
def test_failing_service_is_a_signing_error(sigstore_stack: "SigstoreStack", fault: Fault) -> None:
    with sigstore_stack.fault(fault), pytest.raises(SigningError):
        signed(sigstore_stack)


@pytest.mark.parametrize("fault", [Fault.REKOR_OTHER_ENTRY, Fault.CHECKPOINT_BY_STRANGER, Fault.TSA_LATE])
def test_what_lying_services_sign_does_not_verify(sigstore_stack: "SigstoreStack", fault: Fault) -> None:
    with sigstore_stack.fault(fault):
        made = unchecked(sigstore_stack)
        with pytest.raises(SigningError, match="what it answered does not verify"):
            signed(sigstore_stack)
    with pytest.raises((LogProofInvalid, IdentityMismatch)):
        verified(sigstore_stack, made)


def test_asked_timestamp_is_part_of_the_signature(sigstore_stack: "SigstoreStack") -> None:
    """Of an authority that the trusted root names; an instance with the older log need not stamp by itself."""
    trust = SigstoreTrust(source=sigstore_stack.trust_config_v1)
    url = f"{sigstore_stack.tsa.url}{PATH}"
    made = SigstoreSigner(token=sigstore_stack.token(), trust=trust, timestamp_url=url).sign(STATEMENT)
    assert len(made.timestamps) == 1
    assert verified(sigstore_stack, made).statement == STATEMENT
    with sigstore_stack.fault(Fault.TSA_UNAVAILABLE), pytest.raises(SigningError, match="did not answer"):
        SigstoreSigner(token=sigstore_stack.token(), trust=trust, timestamp_url=url).sign(STATEMENT)


def test_timestamp_that_no_reader_believes_harms_nothing_beside_one_that_counts(
    sigstore_stack: "SigstoreStack", other_sigstore_stack: "SigstoreStack"
) -> None:
    trust = SigstoreTrust(source=sigstore_stack.trust_config)
    url = f"{other_sigstore_stack.tsa.url}{PATH}"
    made = SigstoreSigner(token=sigstore_stack.token(), trust=trust, timestamp_url=url).sign(STATEMENT)
    assert len(made.timestamps) == 2
    assert verified(sigstore_stack, made).time_source is TimeSource.AUTHORITY


def test_bundle_of_another_instance_is_said_to_be_one(
    sigstore_stack: "SigstoreStack", other_sigstore_stack: "SigstoreStack"
) -> None:
    with pytest.raises(IdentityMismatch, match="with another Sigstore instance"):
        verified(other_sigstore_stack, signed(sigstore_stack))
    with pytest.raises(IdentityMismatch, match="not issued by the trusted Sigstore instance"):
        verified(other_sigstore_stack, signed_v1(sigstore_stack))


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
def test_text_that_is_no_token_is_a_signing_error(token: str) -> None:
    with pytest.raises(SigningError, match="token"):
        token_identity(token)


def test_token_says_for_whom_it_speaks(sigstore_stack: "SigstoreStack") -> None:
    said = token_identity(sigstore_stack.token() + "\n")
    assert (said.identity, said.issuer) == ("dev@example.com", sigstore_stack.issuer)


@unclosed_redirect_server
def test_browser_gives_a_token(sigstore_stack: "SigstoreStack", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", client.visit)
    token = browser_token(SigstoreTrust(source=sigstore_stack.trust_config))
    assert token_identity(token).issuer == sigstore_stack.issuer


@unclosed_redirect_server
def test_denied_login_is_a_signing_error(sigstore_stack: "SigstoreStack", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", client.visit)
    with sigstore_stack.fault(Fault.OIDC_DENIES), pytest.raises(SigningError):
        browser_token(SigstoreTrust(source=sigstore_stack.trust_config))


# Who runs a CI job: tokens that it gets without being asked


@pytest.fixture
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the CI job that runs the tests."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "GOOGLE_SERVICE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "SIGSTORE_ID_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("id._internal.oidc.ambient._GCP_PRODUCT_NAME_FILE", "/nonexistent")


ROBOT = "robot@acme.iam.gserviceaccount.com"
JOBS = {
    "github": ("https://github.com/acme/model/.github/workflows/sign.yml@refs/heads/main", oidc.GITHUB),
    "gitlab": ("https://gitlab.com/acme/model//.gitlab-ci.yml@refs/heads/main", oidc.GITLAB),
    "buildkite": ("https://buildkite.com/acme/sign-model", oidc.BUILDKITE),
    "google": (ROBOT, oidc.GOOGLE),
    "google-impersonating": (ROBOT, oidc.GOOGLE),
}


def enter_job(stack: "SigstoreStack", job: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set what a CI job of that kind finds around it."""
    identity = JOBS[job][0]
    match job:
        case "github":
            environment = stack.oidc.github_environment(identity)
        case "gitlab":
            environment = stack.oidc.gitlab_environment(identity)
        case "buildkite":
            environment = stack.oidc.buildkite_environment(identity, tmp_path)
        case _:
            stack.oidc.ambient = (identity, {})
            (tmp_path / "product_name").write_text("Google Compute Engine\n")
            library = "id._internal.oidc.ambient"
            monkeypatch.setattr(f"{library}._GCP_PRODUCT_NAME_FILE", str(tmp_path / "product_name"))
            for name, path in (
                ("IDENTITY", f"{oidc.METADATA}/identity"),
                ("TOKEN", f"{oidc.METADATA}/token"),
                ("GENERATEIDTOKEN", oidc.IMPERSONATION),
            ):
                monkeypatch.setattr(f"{library}._GCP_{name}_REQUEST_URL", stack.oidc.url + path)
            environment = {"GOOGLE_SERVICE_ACCOUNT_NAME": identity} if job == "google-impersonating" else {}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("no_job")
@pytest.mark.parametrize("job", JOBS)
def test_ambient_token_signs_in_the_name_of_the_job(
    sigstore_stack: "SigstoreStack", job: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    enter_job(sigstore_stack, job, monkeypatch, tmp_path)
    token = ambient_token()
    assert token is not None
    signer = SigstoreSigner(token=token, trust=SigstoreTrust(source=sigstore_stack.trust_config))
    made = signer.sign(STATEMENT)
    identity, issuer = JOBS[job]
    trust = SigstoreTrust(source=sigstore_stack.trusted_root)
    proven = verify_bundle(made, [SigstoreVerifier(identity=identity, issuer=issuer, trust=trust)])
    assert (proven.signed_by.identity, proven.signed_by.issuer) == (identity, issuer)
    # A release verifies itself.
    assert verify_bundle(made, [signer.verifier()]).signed_by.identity == identity


@pytest.mark.usefixtures("no_job")
@pytest.mark.parametrize("job", ["github", "gitlab"])
def test_token_of_a_workflow_says_what_the_certificate_will_say(
    sigstore_stack: "SigstoreStack", job: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    enter_job(sigstore_stack, job, monkeypatch, tmp_path)
    said = token_identity(ambient_token() or "")
    assert (said.identity, said.issuer) == JOBS[job]


@pytest.mark.usefixtures("no_job")
def test_outside_of_a_job_there_is_no_token() -> None:
    assert ambient_token() is None


@pytest.mark.usefixtures("no_job")
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"GITHUB_ACTIONS": "true"}, "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        ({"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}, "ACTIONS_ID_TOKEN_REQUEST_URL"),
        ({"GITLAB_CI": "true"}, "SIGSTORE_ID_TOKEN not found"),
        ({"BUILDKITE": "true", "PATH": "/nonexistent"}, "could not find Buildkite agent"),
        ({"CIRCLECI": "true", "PATH": "/nonexistent"}, "could not find `circleci`"),
    ],
)
def test_job_that_may_not_ask_for_a_token_is_told_once(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SigningError, match="this CI job gives no identity") as caught:
        ambient_token()
    assert str(caught.value).count(said) == 1


@pytest.mark.usefixtures("no_job")
@pytest.mark.parametrize("job", ["github", "buildkite", "google", "google-impersonating"])
def test_service_that_refuses_a_token_is_a_signing_error(
    sigstore_stack: "SigstoreStack", job: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    enter_job(sigstore_stack, job, monkeypatch, tmp_path)
    (tmp_path / "buildkite-agent").write_text("#!/bin/sh\necho no permission\nexit 1\n")
    with (
        sigstore_stack.fault(Fault.OIDC_UNAVAILABLE),
        pytest.raises(SigningError, match=r"this CI job gives no identity .*(503|no permission)"),
    ):
        ambient_token()


def test_signer_trusts_its_own_certificates_only(sigstore_stack: "SigstoreStack") -> None:
    signer = SigstoreSigner(token=sigstore_stack.token(), trust=SigstoreTrust(source=sigstore_stack.trust_config))
    verifier = signer.verifier()
    made = signer.sign(STATEMENT)
    assert verify_bundle(made, [verifier]).statement == STATEMENT
    with pytest.raises(IdentityMismatch, match=r"the bearer of the token of dev@example\.com"):
        verify_bundle(signed(sigstore_stack), [verifier])


# Trust material


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"mediaType": "x"}', b"\xff", b"{" * 10])
def test_file_that_is_no_trust_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trust.json").write_bytes(content)
    with pytest.raises(TrustError, match=r"trust\.json"):
        SigstoreTrust(source=tmp_path / "trust.json").trusted_root()


def test_missing_trust_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="cannot be read"):
        SigstoreTrust(source=tmp_path / "none.json").trusted_root()


def test_trusted_root_alone_is_not_enough_to_sign(sigstore_stack: "SigstoreStack") -> None:
    with pytest.raises(TrustError, match="names the services"):
        SigstoreTrust(source=sigstore_stack.trusted_root).client_config()


def test_unknown_instance_is_refused() -> None:
    with pytest.raises(TrustError, match="no Sigstore instance"):
        SigstoreTrust(source="somewhere").trusted_root()


@pytest.mark.parametrize("source", ["public-good", "staging"])
def test_offline_trust_opens_no_socket_and_says_nothing(
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr("socket.socket.connect", pytest.fail)
    assert SigstoreTrust(source=source, offline=True).trusted_root().get_fulcio_certs()
    assert caplog.records == []


def test_unreachable_repository_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sigstore.models.DEFAULT_TUF_URL", "http://127.0.0.1:1")
    with pytest.raises(TrustError, match="--offline"):
        SigstoreTrust().trusted_root()


# A private instance by its TUF repository


@pytest.fixture
def repository(
    sigstore_stack: "SigstoreStack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TufRepository]:
    """A repository that publishes the stack, and an empty cache."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository = TufRepository()
    repository.publish(sigstore_stack.trust_config_document())
    repository.start()
    yield repository
    repository.stop()


def published(repository: TufRepository, tmp_path: Path, **changes: Any) -> SigstoreTrust:
    return SigstoreTrust(source=repository.url, bootstrap=repository.write_root(tmp_path / "root.json"), **changes)


def test_instance_of_a_repository_signs_and_verifies(
    sigstore_stack: "SigstoreStack", repository: TufRepository, tmp_path: Path
) -> None:
    trust = published(repository, tmp_path)
    made = SigstoreSigner(token=sigstore_stack.token(), trust=trust).sign(STATEMENT)
    verifier = SigstoreVerifier(identity="dev@example.com", issuer=sigstore_stack.issuer, trust=trust)
    assert verify_bundle(made, [verifier]).statement == STATEMENT


def test_repository_is_known_after_the_first_time_and_refreshed(
    other_sigstore_stack: "SigstoreStack", repository: TufRepository, tmp_path: Path
) -> None:
    before = published(repository, tmp_path).trusted_root().get_fulcio_certs()
    assert SigstoreTrust(source=repository.url).trusted_root().get_fulcio_certs() == before
    repository.publish(other_sigstore_stack.trust_config_document())
    assert SigstoreTrust(source=repository.url).trusted_root().get_fulcio_certs() != before


def test_cached_repository_is_used_offline_without_a_connection(
    repository: TufRepository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = published(repository, tmp_path).trusted_root().get_fulcio_certs()
    repository.requests.clear()
    assert SigstoreTrust(source=repository.url, offline=True).trusted_root().get_fulcio_certs() == before
    assert (repository.requests, caplog.records) == ([], [])


def test_age_of_a_repository_is_that_of_its_refresh(repository: TufRepository, tmp_path: Path) -> None:
    assert published(repository, tmp_path, max_age=timedelta(days=1)).trusted_root().get_fulcio_certs()
    with pytest.raises(TrustError, match="nothing says how old"):
        published(repository, tmp_path, max_age=timedelta(days=1), offline=True).trusted_root()


def test_unknown_repository_is_not_believed_by_itself(repository: TufRepository) -> None:
    with pytest.raises(TrustError, match="--instance-root"):
        SigstoreTrust(source=repository.url).trusted_root()
    with pytest.raises(TrustError, match=r"no roots of http.* on this machine; `modelsign trust import FILE`"):
        SigstoreTrust(source=repository.url, offline=True).trusted_root()


def test_repository_under_another_root_is_not_believed(repository: TufRepository, tmp_path: Path) -> None:
    stranger = TufRepository()
    stranger.start()
    stranger.stop()
    other = stranger.write_root(tmp_path / "other.json")
    with pytest.raises(TrustError, match="cannot be refreshed"):
        SigstoreTrust(source=repository.url, bootstrap=other).trusted_root()


def test_changed_target_is_not_believed(repository: TufRepository, tmp_path: Path) -> None:
    name = next(name for name in repository.published if name.endswith("trusted_root.json"))
    repository.published[name] = repository.published[name].replace(b"sigstore", b"sigstorm", 1) + b" "
    with pytest.raises(TrustError, match="cannot be refreshed"):
        published(repository, tmp_path).trusted_root()


def test_expired_repository_is_not_believed(
    sigstore_stack: "SigstoreStack", repository: TufRepository, tmp_path: Path
) -> None:
    repository.lifetime = timedelta(days=-1)
    repository.publish(sigstore_stack.trust_config_document())
    with pytest.raises(TrustError, match="cannot be refreshed"):
        published(repository, tmp_path).trusted_root()


def test_repository_without_services_says_so(
    sigstore_stack: "SigstoreStack", repository: TufRepository, tmp_path: Path
) -> None:
    document = sigstore_stack.trust_config_document()
    del document["signingConfig"]
    repository.publish(document)
    with pytest.raises(TrustError, match="no signing config"):
        published(repository, tmp_path).client_config()
    assert published(repository, tmp_path).trusted_root().get_fulcio_certs()


# Bundles of others


@needs_vectors
@pytest.mark.parametrize("version", ["v0.3.1", "v1.0.0", "v1.0.1", "v1.1.0"])
def test_signatures_of_model_signing_releases_verify(version: str) -> None:
    sample = VECTORS / "oms" / "model-transparency" / f"{version}-sigstore" / "model.sig"
    issuer = "https://sigstore.verify.ibm.com/oauth2"
    verifier = SigstoreVerifier(identity="stefanb@us.ibm.com", issuer=issuer, trust=PUBLIC_GOOD)
    proven = verify_bundle(Bundle.parse(sample.read_bytes()), [verifier])
    assert (proven.signed_by.name, proven.time_source) == ("stefanb@us.ibm.com", TimeSource.LOG)


def judged(path: Path, trust: SigstoreTrust) -> VerifiedStatement:
    verifier = SigstoreVerifier(accepts=lambda _: True, expected="anybody", trust=trust)
    return verify_bundle(Bundle.parse(path.read_bytes()), [verifier])


@needs_vectors
def test_bundle_of_the_real_staging_rekor_v2_verifies() -> None:
    proven = judged(VECTORS / "oms" / "sigstore-python" / "a.dsse.staging-rekor-v2.txt.sigstore.json", STAGING)
    assert proven.time_source is TimeSource.AUTHORITY
    assert proven.signed_by.claims["repository_id"] == "632596897"
    assert proven.signed_by.claims["trigger"] == "workflow_dispatch"
    assert proven.signed_by.claims["runner"] == "github-hosted"


ATTESTATIONS = VECTORS / "attestations"


@needs_vectors
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("cosign/oci-attestation.sigstore.json", "cody@soyland.com"),
        (
            "slsa-verifier/bcr/MODULE.bazel.intoto.jsonl",
            "https://github.com/bazel-contrib/publish-to-bcr/.github/workflows/publish.yaml@refs/tags/v0.0.1",
        ),
        (
            "slsa-verifier/bcr/MODULE-wrong-signer.bazel.intoto.jsonl",
            "https://github.com/loosebazooka/aa-test/.github/workflows/malicious_attestation.yaml@refs/heads/main",
        ),
    ],
)
def test_real_attestations_verify_and_name_their_signer(path: str, name: str) -> None:
    assert judged(ATTESTATIONS / path, PUBLIC_GOOD).signed_by.name == name


@needs_vectors
@pytest.mark.parametrize(
    "path",
    [
        "ampel/github-actions-bundle.json",
        "sigstore-go/bundle-provenance.json",
        "sigstore-go/dsse.sigstore.json",
        "sigstore-go/othername.sigstore.json",
    ],
)
def test_what_sigstore_cannot_judge_is_unsupported_not_invalid(path: str) -> None:
    with pytest.raises(Unsupported):
        judged(ATTESTATIONS / path, PUBLIC_GOOD)


@needs_vectors
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("sigstore-go/dsse-2sigs.sigstore.json", SignatureInvalid),
        ("pypi/rfc8785-0.1.2-py3-none-any.whl.sigstore", IdentityMismatch),
    ],
)
def test_bad_bundles_of_others_are_refused(path: str, error: type[AttestationError]) -> None:
    with pytest.raises(error):
        judged(ATTESTATIONS / path, PUBLIC_GOOD)
