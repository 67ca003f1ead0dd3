"""Digests: an algorithm of the formats we read, and its value in lower-case hexadecimal."""

import hashlib
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if sys.version_info >= (3, 12):
    from typing import override
elif TYPE_CHECKING:
    from typing_extensions import override
else:
    # `typing_extensions` takes 2 ms to import, which every signature and verification would pay.
    _Method = TypeVar("_Method")

    def override(method: _Method) -> _Method:
        """Mark a method that overrides another one."""
        return method


from attestations.errors import EnvelopeError, ManifestError
from attestations.records import dataclass

_HEX = re.compile(r"[0-9a-f]+\Z")

# Names of in-toto's digest sets (spec/v1/digest_set.md) and of OMS (blake2b has 512 bits), with hexadecimal lengths.
LENGTHS = {
    "sha256": 64,
    "sha384": 96,
    "sha512": 128,
    "sha3_256": 64,
    "sha3_384": 96,
    "sha3_512": 128,
    "blake2b": 128,
    "blake3": 64,
}

HASH_TYPES = ("sha256", "blake2b", "blake3")
"""What OMS v1.0 may hash files with"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """The value of a hash function; `str()` gives ``sha256:…``."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, algorithm: str, text: str) -> "Digest":
        """Return the digest written as ``text``, in either case.

        Raises:
            EnvelopeError: the text is not a value of that algorithm.
        """
        length = LENGTHS.get(algorithm, len(text))
        # Nearly all are in lower case already; a copy of each would double what a large manifest takes.
        value = text if _HEX.match(text) else text.lower()
        if len(value) != length or not (value is text or _HEX.match(value)):
            raise EnvelopeError(f"{text[:140]!r} is not a {algorithm} digest")
        return cls(algorithm=algorithm, hex=value)

    @override
    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


class Hasher(Protocol):
    """What we use of a running hash."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


def hasher_of(hash_type: str) -> Callable[[bytes], Hasher]:
    """Return what starts a running hash for one of `HASH_TYPES`; it takes the first bytes.

    Raises:
        ManifestError: the algorithm is unknown, or needs a package that is not installed.
    """
    if hash_type == "sha256":
        return hashlib.sha256
    if hash_type == "blake2b":
        return hashlib.blake2b
    if hash_type == "blake3":
        try:
            from blake3 import blake3
        except ImportError as error:
            raise ManifestError(
                "hashing with blake3 needs the extra package: pip install 'modelsign-suite[blake3]'"
            ) from error
        start: Callable[[bytes], Hasher] = blake3
        return start
    raise ManifestError(f"{hash_type!r} is not a hash of the model signing format; use one of {', '.join(HASH_TYPES)}")


def sha256_of(data: bytes) -> Digest:
    """Return the SHA-256 digest of ``data``."""
    return Digest(algorithm="sha256", hex=hashlib.sha256(data).hexdigest())
