"""Credentials that were left in the text files of a model repository.

Only tokens whose form is unmistakable are taken; what is stated is shortened, so that a report does not spread them.
"""

import re

from scanners import detect
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "secrets"

MAXIMUM_TEXT = 8 << 20
MAXIMUM_STATED = 50
_SUFFIXES = frozenset(
    "json yaml yml toml ini cfg conf env py ipynb sh txt md properties xml js ts jinja config".split()
)
_TOKENS = late(
    rb"(?P<huggingface>\bhf_[A-Za-z0-9]{34}\b)|(?P<aws>\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)"
    rb"|(?P<github>\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{82}\b)"
    rb"|(?P<openai>\bsk-(?:proj-)?[A-Za-z0-9_-]{40,200}\b)|(?P<slack>\bxox[abprs]-[0-9]{8,20}-[0-9A-Za-z-]{20,100}\b)"
    rb"|(?P<google>\bAIza[0-9A-Za-z_-]{35}\b)|(?P<gitlab>\bglpat-[0-9A-Za-z_-]{20}\b)"
    rb"|(?P<key>-----BEGIN (?:RSA |EC |OPENSSH |DSA |ENCRYPTED |PGP )?PRIVATE KEY(?: BLOCK)?-----)"
)
_ANCHORS = (
    *(b"hf_", b"AKIA", b"ASIA", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"sk-", b"xox", b"AIza"),
    *(b"glpat-", b"PRIVATE KEY"),
)
"""each token has one of them: looking for these first takes a tenth of the time"""
_EXAMPLE = late(rb"EXAMPLE|(.)\1{9}|abcdefgh|12345678", re.IGNORECASE)


def matches(blob: Blob) -> bool:
    """Return whether a text file holds one. Only then is this reading worth a mention."""
    suffix = detect.suffix_of(blob.name)
    if (suffix not in _SUFFIXES and not blob.name.startswith(".env")) or blob.reader.size > MAXIMUM_TEXT:
        return False
    data = blob.reader.read_at(0, blob.reader.size)
    if not any(map(data.__contains__, _ANCHORS)):
        return False
    return any(not _EXAMPLE.search(match[0]) for match in _TOKENS.finditer(data))


def read(blob: Blob, reading: Reading) -> None:
    """State each kind of credential and its place."""
    data = blob.reader.read_at(0, blob.reader.size)
    for count, match in enumerate(match for match in _TOKENS.finditer(data) if not _EXAMPLE.search(match[0])):
        if count >= MAXIMUM_STATED:
            break
        shown = match[0][:8].decode("ascii", "replace") if match.lastgroup != "key" else "private key"
        message = f"what looks like a credential ({match.lastgroup}): {shown}…"
        reading.anomaly("secret", message, match.start(), match.end() - match.start())
    reading.parsed(0, blob.reader.size)
