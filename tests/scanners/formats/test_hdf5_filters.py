"""What filters did to a block is undone, or refused."""

import pytest

from scanners.errors import FormatError
from scanners.formats.hdf5_filters import checked, unpacked_lzf, unshuffled


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (b"", b""),
        (b"\x02abc", b"abc"),
        (b"\x02abc\x20\x02", b"abcabc"),  # three bytes from three before
        (b"\x00a\xe0\x05\x00", b"a" + b"a" * 14),  # runs into what it writes
    ],
)
def test_lzf_is_unpacked(packed: bytes, plain: bytes) -> None:
    assert unpacked_lzf(packed, 100) == plain


@pytest.mark.parametrize("packed", [b"\x02ab", b"\x20", b"\x20\x00", b"\xe0\x05", b"\x00a\xe0\xff\x00\x00b"])
def test_damaged_lzf_is_malformed(packed: bytes) -> None:
    with pytest.raises(FormatError, match="lzf"):
        unpacked_lzf(packed, 100)


def test_what_is_left_over_stays_behind_shuffled_bytes() -> None:
    assert unshuffled(b"adbecfxy", 3) == b"abcdefxy"
    assert unshuffled(b"acbd", 2) == b"abcd"


def test_a_checksum_may_have_its_halves_turned() -> None:
    block = bytes(range(10))
    first, second = 0x1419, 0x2837
    right = first.to_bytes(2, "little") + second.to_bytes(2, "little")
    turned = first.to_bytes(2, "big") + second.to_bytes(2, "big")
    assert checked(block + right) == checked(block + turned) == block
    with pytest.raises(FormatError):
        checked(block + bytes(4))
