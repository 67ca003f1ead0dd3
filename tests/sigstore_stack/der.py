"""Just enough ASN.1 DER (X.690, sections 8 and 10) for timestamps, which `cryptography` has no builder for."""

from datetime import datetime

SEQUENCE = 0x30
SET = 0x31
BOOLEAN = 0x01
INTEGER = 0x02
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18


def element(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    return element(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    return element(SET, *sorted(parts))


def context(number: int, *parts: bytes) -> bytes:
    return element(0xA0 | number, *parts)


def octets(value: bytes) -> bytes:
    return element(OCTET_STRING, value)


def integer(value: int) -> bytes:
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def identifier(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return element(OBJECT_IDENTIFIER, *(_base128(number) for number in (first * 40 + second, *rest)))


def _base128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | number & 0x7F)
    return bytes(reversed(digits))


def generalized_time(moment: datetime) -> bytes:
    return element(GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def utc_time(moment: datetime) -> bytes:
    return element(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())


def children(encoded: bytes) -> list[tuple[int, bytes]]:
    """Split the element ``encoded`` into its parts: (tag, whole encoding of the part)."""
    start, end = _content(encoded, 0)
    if end != len(encoded):
        raise ValueError("trailing bytes")
    parts = []
    while start < end:
        _, stop = _content(encoded, start)
        if stop > end:
            raise ValueError("a part is longer than the whole")
        parts.append((encoded[start], encoded[start:stop]))
        start = stop
    return parts


def _content(encoded: bytes, offset: int) -> tuple[int, int]:
    if offset + 2 > len(encoded):
        raise ValueError("truncated")
    length = encoded[offset + 1]
    start = offset + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(encoded[start : start + size], "big")
        start += size
    return start, start + length
