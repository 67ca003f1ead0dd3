"""TOML files beside a model: the same references that JSON configuration can hold.

Read with the standard library's parser, which knows no includes, tags or code; Hydra-style `_target_` keys and switches
are looked for as in JSON. Source: TOML v1.0.0.
"""

from scanners import detect
from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified, Reference
from scanners.formats.json_config import references
from scanners.reading import Blob, Reading

NAME = "toml"

_MAXIMUM_BYTES = 4 << 20
"""the parser is written in Python; no configuration is larger"""


def matches(blob: Blob) -> bool:
    """Return whether the blob is called TOML: its text cannot be told from other text."""
    return detect.suffix_of(blob.name) == "toml"


def read(blob: Blob, reading: Reading) -> None:
    """State references to code and repositories."""
    import tomllib  # few files need it, and its import takes as long as a small scan

    if blob.reader.size > _MAXIMUM_BYTES:
        raise LimitExceeded("text", f"{blob.reader.size} bytes of TOML, more than {_MAXIMUM_BYTES}")
    try:
        document = tomllib.loads(blob.reader.read_at(0, blob.reader.size).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FormatError("TOML text that is not UTF-8", offset=error.start) from error
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"no TOML: {error}") from error
    except RecursionError as error:
        raise FormatError("TOML nested too deeply for its parser") from error
    reading.state(Identified(location=reading.at(), format=NAME))
    reading.parsed(0, blob.reader.size)
    # Dates and times, which JSON has not, are no references either.
    for kind, target, context in references(document, blob.name):
        reading.state(Reference(location=reading.at(), kind=kind, target=target, context=context))
