from typing import TYPE_CHECKING

import pytest

from attestations.errors import LogProofInvalid, SigningError
from attestations.timestamps import TimestampAuthority, proven_time, request_timestamp
from tests.sigstore_stack.service import Response, Service
from tests.sigstore_stack.tsa import PATH

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

SIGNATURE = b"a signature"


@pytest.fixture
def authority(sigstore_stack: "SigstoreStack") -> TimestampAuthority:
    return TimestampAuthority(roots=(sigstore_stack.tsa.root.certificate,), leaf=sigstore_stack.tsa.leaf.certificate)


@pytest.fixture
def response(sigstore_stack: "SigstoreStack") -> bytes:
    return request_timestamp(f"{sigstore_stack.tsa.url}{PATH}", SIGNATURE)


def test_a_time_of_a_trusted_authority_counts(authority: TimestampAuthority, response: bytes) -> None:
    assert proven_time([response], SIGNATURE, [authority]) is not None
    assert proven_time([response], b"another", [authority]) is None


def test_a_damaged_timestamp_proves_no_time(authority: TimestampAuthority, response: bytes) -> None:
    honest = proven_time([response], SIGNATURE, [authority])
    version = response.find(b"\xa0\x03\x02\x01\x02") + 4
    for place in (version, *range(0, len(response), 7)):
        damaged = bytearray(response)
        damaged[place] ^= 0x55
        try:
            assert proven_time([bytes(damaged)], SIGNATURE, [authority]) in {None, honest}
        except LogProofInvalid:
            continue


# Authorities that do not answer what was asked


def asked_of(answer: bytes) -> bytes:
    """Ask an authority that always gives the same answer."""
    service = Service(lambda _: Response(body=answer))
    service.start()
    try:
        return request_timestamp(service.url, SIGNATURE)
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "did not answer with a timestamp"),
        (b"<html>", "did not answer with a timestamp"),
        (bytes.fromhex("30053003020102"), "gives no timestamp$"),
        (bytes.fromhex("300d300b02010230060c046e6f7065"), r"gives no timestamp \(nope\)"),
        (bytes(1 << 17), "more than 65536 bytes"),
    ],
)
def test_answer_that_is_no_timestamp_is_a_signing_error(answer: bytes, said: str) -> None:
    with pytest.raises(SigningError, match=said):
        asked_of(answer)


def test_timestamp_of_another_time_or_signature_is_a_signing_error(
    sigstore_stack: "SigstoreStack", response: bytes
) -> None:
    with pytest.raises(SigningError, match="a timestamp of something else"):
        asked_of(response)  # of this signature, but asked for before
    with pytest.raises(SigningError, match="a timestamp of something else"):
        asked_of(request_timestamp(f"{sigstore_stack.tsa.url}{PATH}", b"another signature"))


def test_authority_that_is_not_there_is_told_in_a_word() -> None:
    with pytest.raises(SigningError, match=r"^the timestamp authority http://127\.0\.0\.1:1/ .*: Connection refused$"):
        request_timestamp("http://127.0.0.1:1/", SIGNATURE)
