import pytest

from scanners.facts import Anomaly
from scanners.formats import secrets
from tests.builders.readings import blob_of, read_with

TOKEN = b"hf_" + b"aB3dE5gH7jK9mN1pQ2sT4vW6xY8zA0cD5f"


def test_a_token_is_stated_shortened_with_its_place() -> None:
    facts = [fact for fact in read_with(secrets, b'{"t": "' + TOKEN + b'"}').facts if isinstance(fact, Anomaly)]
    assert [(fact.code, fact.location.offset, fact.location.length) for fact in facts] == [("secret", 7, 37)]
    assert TOKEN.decode() not in facts[0].message


@pytest.mark.parametrize(
    "text",
    [TOKEN, b"AKIA2B4D6F8H0J1L3N5P", b"-----BEGIN OPENSSH PRIVATE KEY-----", b"glpat-a1B2c3D4e5F6g7H8i9J0"],
)
def test_forms_that_cannot_be_mistaken_are_found(text: bytes) -> None:
    assert secrets.matches(blob_of(text, "config.json"))


@pytest.mark.parametrize(
    "text", [b"hf_" + b"x" * 34, b"AKIAIOSFODNN7EXAMPLE", b"hf_token", b"sk-learn", b"-----BEGIN PUBLIC KEY-----"]
)
def test_placeholders_and_words_are_not(text: bytes) -> None:
    assert not secrets.matches(blob_of(text, "config.json"))


def test_weights_are_not_searched() -> None:
    assert not secrets.matches(blob_of(TOKEN, "model.safetensors"))
