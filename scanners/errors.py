"""What can go wrong while untrusted bytes are read.

    ScanError
    ├── FormatError      the bytes break the rules of their format
    ├── LimitExceeded    a budget ran out before the end
    └── Unsupported      a legal construct this reader does not interpret

None of them ever reaches a caller of the engine: the engine turns each into a finding and into coverage, so that
what could not be read is never clean.
"""


class ScanError(Exception):
    """Root of the errors of this package."""


class FormatError(ScanError):
    """The bytes break the rules of the format they were read as."""

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class LimitExceeded(ScanError):  # noqa: N818 - the name says what happened, as architecture.md fixes it
    """A budget of `Limits` ran out; ``limit`` names it."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


class Unsupported(ScanError):  # noqa: N818 - as above
    """A legal construct that this reader does not interpret (an unknown compression method, an encrypted member)."""
