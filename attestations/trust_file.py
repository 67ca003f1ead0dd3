"""Trusted roots of a Sigstore instance with the day they were fetched: what is carried to a machine without a network.

A trusted root says which authorities and logs count, not how old that word is. On a machine that never asks again, the
age is what shows that a revoked authority may still be trusted there.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from attestations.errors import EnvelopeError, TrustError
from attestations.named_files import read_whole
from attestations.strict_json import Json, object_of, parse_object, text_of, write

SCHEMA = "modelsign.trust/v1"
_MAX_BYTES = 4 * 1024 * 1024
_CLOCKS = timedelta(days=1)
"""by which those of two machines may differ"""
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")


def read_trust_file(path: Path) -> bytes:
    """Return the content of a file of roots: one of ours, or one of Sigstore's own forms.

    Raises:
        TrustError: it cannot be read, or is too large to be one.
    """
    try:
        return read_whole(path, _MAX_BYTES)
    except OSError as error:
        raise TrustError(f"{path}: the trust file cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFile:
    """The roots of one instance as they were at some time."""

    instance: str
    """`public-good`, `staging`, or the address of a TUF repository"""
    fetched: datetime
    trusted_root: dict[str, Json]

    def to_json(self) -> bytes:
        """Return the content of a trust file."""
        document: dict[str, Json] = {
            "schema": SCHEMA,
            "instance": self.instance,
            "fetched": self.fetched.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "trustedRoot": self.trusted_root,
        }
        return write(document) + b"\n"

    @classmethod
    def parse(cls, data: bytes, name: str) -> Self:
        """Read a trust file; ``name`` is what errors call it.

        Raises:
            TrustError: it is none.
        """
        try:
            document = parse_object(data, name)
            if document.get("schema") != SCHEMA:
                raise TrustError(f"{name}: not a file of `modelsign trust export` ({SCHEMA})")
            fetched = text_of(document.get("fetched"), "the time it was fetched")
            if _TIME.fullmatch(fetched) is None:
                raise TrustError(f"{name}: {fetched!r} is no time")
            return cls(
                instance=text_of(document.get("instance"), "the instance"),
                fetched=datetime.fromisoformat(fetched),
                trusted_root=object_of(document.get("trustedRoot"), "the trusted root"),
            )
        except (EnvelopeError, ValueError) as error:
            raise TrustError(f"{name}: not a trust file: {error}") from error


def is_ahead(fetched: datetime, now: datetime) -> bool:
    """Return whether roots are dated in the future: by a clock that was wrong, they would be young for ever."""
    return fetched > now + _CLOCKS


def is_trust_file(document: dict[str, Json]) -> bool:
    """Return whether a JSON object calls itself a trust file."""
    return document.get("schema") == SCHEMA
