import pytest

from attestations.errors import IdentityMismatch
from attestations.signers.key import KeySigner
from attestations.statement import Statement
from attestations.verify import Signer, Verifier, verify_bundle
from modelsign.late_signer import LateSigner, LateVerifier
from tests.builders.signatures import key

STATEMENT = Statement.build(predicate_type="https://example.com/says/v1", subjects=[], predicate={})


def made(asked: list[str]) -> LateSigner:
    def make() -> Signer:
        asked.append("key")
        return KeySigner(key=key())

    def verifier_of(signer: Signer) -> Verifier:
        assert isinstance(signer, KeySigner)
        return signer.verifier(name="release")

    return LateSigner(make, verifier_of=verifier_of)


def test_a_key_is_asked_for_at_the_first_signature_and_once() -> None:
    asked: list[str] = []
    signer = made(asked)
    assert asked == []
    signer.sign(STATEMENT)
    signer.sign(STATEMENT)
    assert asked == ["key"]


def test_a_key_that_was_let_go_is_asked_for_again() -> None:
    asked: list[str] = []
    signer = made(asked)
    signer.sign(STATEMENT)
    signer.let_go()
    signer.sign(STATEMENT)
    assert asked == ["key", "key"]


def test_what_was_signed_is_verified_after_the_key_is_gone() -> None:
    signer = made([])
    bundle = signer.sign(STATEMENT)
    signer.let_go()
    assert verify_bundle(bundle, [LateVerifier(signer)]).signed_by.name == "release"


def test_before_a_signature_nobody_is_trusted() -> None:
    bundle = KeySigner(key=key()).sign(STATEMENT)
    with pytest.raises(IdentityMismatch):
        verify_bundle(bundle, [LateVerifier(made([]))])
    with pytest.raises(IdentityMismatch):
        LateVerifier(made([])).verify(bundle)
