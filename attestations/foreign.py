"""Signatures of other programs, told apart from damaged ones: legal, and not judged here.

Recognised by how they begin; nothing of them is read further. Sources: RFC 9580 (OpenPGP), the file formats of minisign
and OpenSSH, RFC 5652 (CMS), cosign's `sign-blob`, the JSON of DSSE and TUF.
"""

import re
from collections.abc import Mapping

_BEGINNING = 4096

_TEXTS = (
    (rb"\s*-----BEGIN PGP (SIGNATURE|SIGNED MESSAGE)-----", "an OpenPGP signature"),
    (rb"untrusted comment:", "a minisign or signify signature"),
    (rb"\s*-----BEGIN SSH SIGNATURE-----", "an SSH signature"),
    (rb"\s*-----BEGIN (PKCS7|CMS)-----", "a PKCS #7 signature"),
    # Base64 or bytes of an ASN.1 sequence: two numbers of ECDSA, or CMS.
    (rb"\s*M[A-P][A-Za-z0-9+/\s]{60,}={0,2}\s*\Z", "a bare signature, without what says who made it"),
    (rb"\x30[\x40-\x83]", "a bare signature, without what says who made it"),
)
_FIELDS = (
    ({"base64Signature"}, "a bundle of cosign's older kind"),
    ({"payload", "payloadType", "signatures"}, "a bare DSSE envelope, without what is needed to verify it"),
    ({"signed", "signatures"}, "a file of TUF or in-toto"),
)


def name_of_text(data: bytes) -> str | None:
    """Return what bytes that are no JSON begin as; None for what nobody knows."""
    begin = data[:_BEGINNING]
    return next((name for expression, name in _TEXTS if re.match(expression, begin)), None)


def name_of_document(document: Mapping[str, object]) -> str | None:
    """Return what a JSON object without a media type is; None for what nobody knows."""
    return next((name for fields, name in _FIELDS if fields <= document.keys()), None)
