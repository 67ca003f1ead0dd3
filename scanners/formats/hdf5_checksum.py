"""The checksum of HDF5's newer metadata: Jenkins' lookup3, one 32-bit word of little-endian bytes.

Source: Bob Jenkins, lookup3.c (`hashlittle`, public domain), as the HDF5 file format specification names it.
"""

import struct

_ALL = 0xFFFFFFFF


def lookup3(data: bytes) -> int:
    """Return the checksum of bytes."""
    length = len(data)
    a = b = c = (0xDEADBEEF + length) & _ALL
    if not length:
        return c
    words: tuple[int, ...] = struct.unpack(f"<{-(-length // 12) * 3}I", data + bytes(-length % 12))
    last = len(words) - 3
    for at in range(0, last, 3):
        a, b, c = a + words[at], b + words[at + 1], c + words[at + 2]
        a = (a - c & _ALL) ^ _rotated(c, 4)
        c += b
        b = (b - a & _ALL) ^ _rotated(a, 6)
        a += c
        c = (c - b & _ALL) ^ _rotated(b, 8)
        b += a
        a = (a - c & _ALL) ^ _rotated(c, 16)
        c += b
        b = (b - a & _ALL) ^ _rotated(a, 19)
        a += c
        c = (c - b & _ALL) ^ _rotated(b, 4)
        b += a
    a, b, c = a + words[last] & _ALL, b + words[last + 1] & _ALL, c + words[last + 2] & _ALL
    c = (c ^ b) - _rotated(b, 14) & _ALL
    a = (a ^ c) - _rotated(c, 11) & _ALL
    b = (b ^ a) - _rotated(a, 25) & _ALL
    c = (c ^ b) - _rotated(b, 16) & _ALL
    a = (a ^ c) - _rotated(c, 4) & _ALL
    b = (b ^ a) - _rotated(a, 14) & _ALL
    return (c ^ b) - _rotated(b, 24) & _ALL


def _rotated(value: int, bits: int) -> int:
    value &= _ALL
    return (value << bits | value >> 32 - bits) & _ALL
