import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attestations.bundle import Bundle
from attestations.digest import sha256_of
from attestations.errors import (
    EnvelopeError,
    IdentityMismatch,
    LogProofInvalid,
    OtherKey,
    OutsideItsTime,
    SignatureInvalid,
    Unsupported,
    VerificationError,
)
from attestations.manifest import measure
from attestations.predicates.oms_signature import manifest_statement
from attestations.statement import Statement, Subject
from attestations.verify import (
    Method,
    Proof,
    SignedBy,
    VerifiedStatement,
    bind,
    verify_bundle,
)
from tests.builders.signatures import altered, oms_payload, resource, sealed, verifier, write_model

PAYLOAD = oms_payload([resource("w")])


class Failing:
    """A verifier that ends in a given error."""

    def __init__(self, error: VerificationError) -> None:
        self.error = error

    def handles(self, bundle: Bundle) -> bool:
        return bundle.version == "0.3"

    def verify(self, bundle: Bundle) -> Proof:
        raise self.error if bundle.envelope.signatures else AssertionError


def test_signed_statement_is_proven() -> None:
    proven = verify_bundle(sealed(PAYLOAD), [verifier()])
    assert (proven.statement.payload, proven.signed_by.name, proven.time) == (PAYLOAD, "release", None)


def test_nobody_else_makes_a_proof() -> None:
    signed_by = SignedBy(method=Method.KEY, name="me", key_hint="")
    with pytest.raises(TypeError, match=r"only attestations\.verify"):
        VerifiedStatement(
            statement=Statement.parse(PAYLOAD),
            signed_by=signed_by,
            time=None,
            time_source=None,
            bundle=sealed(PAYLOAD),
            mint=object(),
        )


def test_proof_cannot_be_given_another_content() -> None:
    proven = verify_bundle(sealed(PAYLOAD), [verifier()])
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(proven, time=datetime(2030, 1, 1, tzinfo=UTC))  # type: ignore[call-arg]  # that is the point
    with pytest.raises(dataclasses.FrozenInstanceError):
        proven.time = datetime(2030, 1, 1, tzinfo=UTC)  # type: ignore[misc]  # that is the point


def test_one_of_several_keys_is_enough() -> None:
    proven = verify_bundle(sealed(PAYLOAD, name="new"), [verifier("old"), verifier("new")])
    assert proven.signed_by.name == "new"


def test_key_that_nobody_trusts_is_not_trusted() -> None:
    with pytest.raises(IdentityMismatch, match="another key"):
        verify_bundle(sealed(PAYLOAD, name="stranger"), [verifier("old"), verifier("new")])


def test_keys_that_did_not_sign_are_all_named() -> None:
    with pytest.raises(OtherKey, match=r"^signed with another key than old, older$"):
        verify_bundle(sealed(PAYLOAD, name="stranger"), [verifier("old"), verifier("older")])


def test_whoever_signed_at_the_wrong_time_is_told_before_keys_that_did_not() -> None:
    late = Failing(OutsideItsTime("the key old counts until 2020"))
    with pytest.raises(OutsideItsTime, match="the key old counts until 2020"):
        verify_bundle(sealed(PAYLOAD, name="old"), [verifier("new"), Failing(SignatureInvalid("x")), late])


def test_no_trust_for_the_method_is_not_trusted() -> None:
    with pytest.raises(IdentityMismatch, match="no trust was given"):
        verify_bundle(sealed(PAYLOAD), [])


def test_changed_payload_is_invalid() -> None:
    bundle = Bundle.parse(altered(sealed(PAYLOAD), **{"dsseEnvelope.payload": "e30="}))
    with pytest.raises(SignatureInvalid, match="does not hold"):
        verify_bundle(bundle, [verifier("other"), verifier()])


def test_other_payload_type_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="text/plain"):
        verify_bundle(sealed(PAYLOAD, payload_type="text/plain"), [verifier()])


@pytest.mark.parametrize("count", [0, 2])
def test_number_of_signatures_other_than_one_is_refused(count: int) -> None:
    signature = {"sig": "AAAA"}
    bundle = Bundle.parse(altered(sealed(PAYLOAD), **{"dsseEnvelope.signatures": [signature] * count}))
    with pytest.raises(SignatureInvalid, match="signature"):
        verify_bundle(bundle, [verifier()])


def test_signed_bytes_that_are_no_statement_are_refused() -> None:
    with pytest.raises(EnvelopeError):
        verify_bundle(sealed(b"[]"), [verifier()])


def test_what_tells_most_is_told() -> None:
    errors = [IdentityMismatch("1"), Unsupported("2"), SignatureInvalid("3"), LogProofInvalid("4")]
    with pytest.raises(SignatureInvalid, match="3"):
        verify_bundle(sealed(PAYLOAD), [Failing(error) for error in errors])


# Which files a statement speaks about


def bound(model: Path, statement: Statement) -> tuple[tuple[str, ...], bool, bool]:
    proven = verify_bundle(sealed(statement.payload), [verifier()])
    result = bind(proven, measure(model))
    return result.files, result.covers_all, result.names_root


def about(*subjects: Subject) -> Statement:
    return Statement.build(predicate_type="https://example.com/scan", subjects=subjects, predicate={})


def test_model_signature_speaks_about_all_files(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", {"a": b"1", "b": b"2"})
    assert bound(model, manifest_statement(measure(model))) == (("a", "b"), True, True)


def test_model_signature_does_not_speak_about_changed_and_new_files(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", {"a": b"1", "b": b"2"})
    statement = manifest_statement(measure(model))
    write_model(model, {"b": b"3", "c": b"2"})
    assert bound(model, statement) == (("a",), False, False)


def test_renamed_file_is_not_spoken_about_though_the_root_is_the_same(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", {"model.safetensors": b"1"})
    statement = manifest_statement(measure(model))
    (model / "model.safetensors").rename(model / "modeling_x.py")
    assert bound(model, statement) == ((), False, True)


def test_statement_about_one_file_says_nothing_of_the_others(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", {"config.json": b"{}", "w": b"1"})
    statement = about(Subject(name="config.json", digests=(sha256_of(b"{}"),)))
    assert bound(model, statement) == (("config.json",), False, False)


def test_right_digest_under_the_wrong_name_says_nothing(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", {"evil.py": b"1", "w": b"2"})
    statement = about(Subject(name="w", digests=(sha256_of(b"1"),)), Subject(name="x", digests=(sha256_of(b"2"),)))
    assert bound(model, statement) == ((), False, False)


def test_root_alone_covers_no_file(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", {"w": b"1"})
    assert bound(model, about(Subject(name="m", digests=(measure(model).root,)))) == ((), False, True)


def test_single_file_is_spoken_about_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    statement = about(Subject(name="m.gguf", digests=(sha256_of(b"GGUF"),)))
    assert bound(tmp_path / "m.gguf", statement) == (("m.gguf",), True, False)


def test_digest_of_a_file_is_not_taken_for_that_of_a_shard(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", {"w": b"1"})
    proven = verify_bundle(sealed(about(Subject(name="w", digests=(sha256_of(b"1"),))).payload), [verifier()])
    assert bind(proven, measure(model, method="shards", shard_size=4096)).files == ()
