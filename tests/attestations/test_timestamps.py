from typing import TYPE_CHECKING

import pytest

from attestations.errors import LogProofInvalid
from attestations.timestamps import TimestampAuthority, proven_time, request_timestamp
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
