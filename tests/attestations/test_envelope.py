import pytest

from attestations.envelope import Envelope, EnvelopeSignature, decode, pae
from attestations.errors import EnvelopeError


def test_pre_authentication_encoding_is_that_of_the_specification() -> None:
    # The example of secure-systems-lab/dsse protocol.md.
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_lengths_count_bytes() -> None:
    assert pae("é", "é".encode()) == "DSSEv1 2 é 2 é".encode()


def test_what_is_written_is_read_back() -> None:
    envelope = Envelope(
        payload=b"{}", payload_type="t", signatures=(EnvelopeSignature(signature=b"\x00\xff", keyid="k"),)
    )
    assert Envelope.from_document(envelope.to_document()) == envelope


@pytest.mark.parametrize("text", ["-_8=", "+/8=", "-_8"])
def test_both_alphabets_and_missing_padding_are_read(text: str) -> None:
    assert decode(text, "x") == b"\xfb\xff"


@pytest.mark.parametrize("text", ["a", "a b=", "ab==c", "é", 7, None])
def test_what_is_no_base64_is_refused(text: str | int | None) -> None:
    with pytest.raises(EnvelopeError):
        decode(text, "x")


@pytest.mark.parametrize("keyid", [None, "", ...])
def test_absent_key_id_is_empty(keyid: object) -> None:
    signature = {"sig": "AAAA"} if keyid is ... else {"sig": "AAAA", "keyid": keyid}
    read = Envelope.from_document({"payload": "", "payloadType": "t", "signatures": [signature]})  # type: ignore[list-item]  # malformed on purpose
    assert read.signatures[0].keyid == ""


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"payload": "e30="},
        {"payload": "e30=", "payloadType": "t"},
        {"payload": "e30=", "payloadType": 1, "signatures": []},
        {"payload": "e30=", "payloadType": "t", "signatures": [{}]},
        {"payload": "e30=", "payloadType": "t", "signatures": [{"sig": "AA==", "keyid": 3}]},
    ],
)
def test_what_is_no_envelope_is_refused(document: object) -> None:
    with pytest.raises(EnvelopeError):
        Envelope.from_document(document)  # type: ignore[arg-type]  # malformed on purpose
