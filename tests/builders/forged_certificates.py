"""Certificates that no library would make, signed by an authority all the same: DER put together part by part.

Spec: RFC 5280 section 4.1. `FORGERIES` names each by what is wrong with it.
"""

from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.builders.certificates import CODE_SIGNING, Holder, issue
from tests.sigstore_stack.der import context, element, integer, octets, sequence

Parts = list[bytes]
"""of the part that is signed: version, serial number, algorithm, issuer, validity, subject, key, extensions"""
VERSION, SERIAL, ALGORITHM, ISSUER, VALIDITY, SUBJECT, KEY, EXTENSIONS = range(8)

SUBJECT_NAME, KEY_USAGE, EXTENDED_USAGE, CONSTRAINTS, NAME_CONSTRAINTS = (
    bytes.fromhex(f"551d{number:02x}") for number in (17, 15, 37, 19, 30)
)
_OID, _UTF8, _BIT_STRING, _TRUE = 0x06, 0x0C, 0x03, b"\x01\x01\xff"
_COMMON_NAME = element(_OID, bytes.fromhex("550403"))


def forged(good: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey, change: Callable[[Parts], Parts]) -> bytes:
    """Return a certificate with other parts, signed by its issuer as the good one is."""
    parts = change(split(split(good.tbs_certificate_bytes)[0], inside=True))
    signed = sequence(*parts)
    digest = good.signature_hash_algorithm
    assert digest is not None
    signature = issuer_key.sign(signed, ec.ECDSA(digest))
    return sequence(signed, _algorithm(good), element(_BIT_STRING, b"\0" + signature))


def split(data: bytes, *, inside: bool = False) -> Parts:
    """Return the elements one after the other, or those inside of the one that there is."""
    found: Parts = []
    while data:
        header, length = 2, data[1]
        if length & 0x80:
            header += length & 0x7F
            length = int.from_bytes(data[2:header])
        if inside:
            return split(data[header : header + length])
        found.append(data[: header + length])
        data = data[header + length :]
    return found


def _algorithm(certificate: x509.Certificate) -> bytes:
    return split(split(certificate.public_bytes(serialization.Encoding.DER))[0], inside=True)[1]


def extension(name: bytes, value: bytes, *, critical: bool = False) -> bytes:
    return sequence(element(_OID, name), *([_TRUE] if critical else []), octets(value))


def replaced(part: int, value: bytes) -> Callable[[Parts], Parts]:
    """Return a change of one part."""
    return lambda parts: [*parts[:part], value, *parts[part + 1 :]]


def extended(*more: bytes, without: bytes | None = None) -> Callable[[Parts], Parts]:
    """Return a change of the extensions: some added, one kind taken away."""

    def change(parts: Parts) -> Parts:
        present = split(split(parts[EXTENSIONS], inside=True)[0], inside=True)
        kept = [one for one in present if without is None or element(_OID, without) not in one]
        return [*parts[:EXTENSIONS], context(3, sequence(*kept, *more))]

    return change


def named(*names: bytes) -> Callable[[Parts], Parts]:
    """Return a change of the alternative names."""
    return extended(extension(SUBJECT_NAME, sequence(*names)), without=SUBJECT_NAME)


def _subject(*attributes: bytes) -> bytes:
    return sequence(*(element(0x31, sequence(_COMMON_NAME, value)) for value in attributes))


def _key(algorithm: str, bits: bytes) -> bytes:
    return sequence(sequence(element(_OID, bytes.fromhex(algorithm))), element(_BIT_STRING, b"\0" + bits))


_RSA = "2a864886f70d010101"
_EC_P256 = sequence(element(_OID, bytes.fromhex("2a8648ce3d0201")), element(_OID, bytes.fromhex("2a8648ce3d030107")))

FORGERIES: dict[str, Callable[[Parts], Parts]] = {
    "serial number below zero": replaced(SERIAL, element(0x02, b"\xff\x01")),
    "serial number zero": replaced(SERIAL, integer(0)),
    "serial number of 400 bytes": replaced(SERIAL, integer(1 << 3199)),
    "no serial number at all": replaced(SERIAL, element(0x02)),
    "version 1 with extensions": lambda parts: parts[1:],
    "version 9": replaced(VERSION, context(0, integer(8))),
    "other algorithm inside than outside": replaced(
        ALGORITHM, sequence(element(_OID, bytes.fromhex("2a864886f70d01010b")), b"\x05\0")
    ),
    "times that are none": replaced(VALIDITY, sequence(element(0x17, b"261399999999Z"), element(0x17, b"yesterday"))),
    "no times": replaced(VALIDITY, sequence()),
    "no subject": replaced(SUBJECT, sequence()),
    "subject that is not UTF-8": replaced(SUBJECT, _subject(element(_UTF8, b"\xff\xfe"))),
    "subject with half a character": replaced(SUBJECT, _subject(element(0x1E, b"abc"))),
    "subject that is a number": replaced(SUBJECT, _subject(integer(7))),
    "two common names": replaced(SUBJECT, _subject(element(_UTF8, b"release"), element(_UTF8, b"boss"))),
    "empty common name": replaced(SUBJECT, _subject(element(_UTF8))),
    "common name of a megabyte": replaced(SUBJECT, _subject(element(_UTF8, b"a" * (1 << 20)))),
    "key of 512 bits": replaced(KEY, _key(_RSA, sequence(integer((1 << 511) | 1), integer(65537)))),
    "key of 20000 bits": replaced(KEY, _key(_RSA, sequence(integer((1 << 19999) | 1), integer(65537)))),
    "key with the exponent 1": replaced(KEY, _key(_RSA, sequence(integer((1 << 2047) | 1), integer(1)))),
    "key of nothing": replaced(KEY, _key(_RSA, b"")),
    "key that is no point of the curve": replaced(
        KEY, sequence(_EC_P256, element(_BIT_STRING, b"\0\x04" + b"\x01" * 64))
    ),
    "key that is the point at infinity": replaced(KEY, sequence(_EC_P256, element(_BIT_STRING, b"\0\0"))),
    "key for agreements (X25519)": replaced(KEY, _key("2b656e", bytes(32))),
    "key of an unknown kind": replaced(KEY, _key("2a03040506", b"key")),
    "no extensions": lambda parts: parts[:EXTENSIONS],
    "empty extensions": replaced(EXTENSIONS, context(3, sequence())),
    "the same extension twice": extended(
        extension(KEY_USAGE, b"\x03\x02\x07\x80"), extension(KEY_USAGE, b"\x03\x02\x07\x80")
    ),
    "names twice": extended(
        extension(SUBJECT_NAME, sequence(element(0x81, b"dev@example.com"))),
        extension(SUBJECT_NAME, sequence(element(0x81, b"boss@example.com"))),
    ),
    "unknown extension that is critical": extended(extension(b"\x2a\x03\x04", b"?", critical=True)),
    "unknown extension with nonsense": extended(extension(b"\x2a\x03\x04", b"\xff" * 50)),
    "key usage of no bits": extended(extension(KEY_USAGE, b"\x03\x01\0"), without=KEY_USAGE),
    "key usage that is none": extended(extension(KEY_USAGE, b"nonsense"), without=KEY_USAGE),
    "purposes of none": extended(extension(EXTENDED_USAGE, sequence()), without=EXTENDED_USAGE),
    "purposes that are none": extended(extension(EXTENDED_USAGE, b"\x30\x02\x06\x80"), without=EXTENDED_USAGE),
    "an authority": extended(extension(CONSTRAINTS, sequence(_TRUE), critical=True), without=CONSTRAINTS),
    "constraints that are none": extended(extension(CONSTRAINTS, b"\x01", critical=True), without=CONSTRAINTS),
    "no name among the names": named(),
    "names that are none": extended(extension(SUBJECT_NAME, b"\x30\x05abc"), without=SUBJECT_NAME),
    "two names": named(element(0x81, b"dev@example.com"), element(0x81, b"boss@example.com")),
    "ten thousand names": named(*(element(0x81, b"dev%d@example.com" % number) for number in range(10_000))),
    "name that is not ASCII": named(element(0x81, "d\N{LATIN SMALL LETTER E WITH ACUTE}v@example.com".encode())),
    "name with a zero byte": named(element(0x81, b"dev@example.com\0.evil.example")),
    "empty name": named(element(0x81)),
    "name that is an X.400 address": named(element(0xA3, sequence())),
    "name that is an address of seven bytes": named(element(0x87, b"1234567")),
    "name that is a directory name": named(element(0xA4, _subject(element(_UTF8, b"dev@example.com")))),
    "name that is an object identifier": named(element(0x88, b"\x2a\x03")),
    "name of a kind that nobody knows": named(element(0x8F, b"?")),
    "user name that is malformed": named(
        context(0, element(_OID, bytes.fromhex("2b0601040183bf300107")), context(0, element(_UTF8, b"\xff")))
    ),
    "user name with two values": named(
        context(0, element(_OID, bytes.fromhex("2b0601040183bf300107")), context(0, b"\x0c\x01a\x0c\x01b"))
    ),
    "issuer of the identity twice": extended(
        extension(bytes.fromhex("2b0601040183bf300108"), b"\x0c\x01a"),
        extension(bytes.fromhex("2b0601040183bf300108"), b"\x0c\x01b"),
    ),
    "constraints on names": extended(
        extension(NAME_CONSTRAINTS, sequence(context(0, sequence(element(0x82, b"example.com")))), critical=True)
    ),
}


def ring(count: int) -> tuple[Holder, list[x509.Certificate]]:
    """Return a leaf, and authorities of one name that have all certified each other: no way leads to a root."""
    first, *others = authorities = [issue("Ring", ca=True) for _ in range(count)]
    certified = [
        issue("Ring", by, ca=True, key=holder.key).certificate
        for holder in authorities
        for by in authorities
        if by is not holder
    ]
    return issue("release", first, purposes=CODE_SIGNING), [one.certificate for one in others] + certified
