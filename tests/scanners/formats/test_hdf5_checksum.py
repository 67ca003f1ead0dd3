"""The values that lookup3.c gives for its own example, and as the HDF5 library wrote them."""

import pytest

from scanners.formats.hdf5_checksum import lookup3


@pytest.mark.parametrize(("data", "checksum"), [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)])
def test_known_values(data: bytes, checksum: int) -> None:
    assert lookup3(data) == checksum


def test_every_bit_counts() -> None:
    data = bytes(range(37))
    changed = {
        lookup3(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]) for at in range(37) for bit in range(8)
    }
    assert len(changed) == 37 * 8
    assert lookup3(data) not in changed
