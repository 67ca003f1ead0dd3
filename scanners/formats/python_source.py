"""Python source beside weights: what importing it, or loading a model through it, would do.

The text becomes a syntax tree and is never compiled or imported. Names are followed through imports, aliases,
`getattr` and `__import__` as far as they are literal. Each call of interest is stated as a `Code` fact with the moment
it runs:

* `import`: module level, class bodies, decorators, defaults, and local functions and classes that these call;
* `load`: methods that a loader or the first prediction calls (`__init__`, `forward`, `from_pretrained` …);
* `call`: everything else.
"""

from scanners.errors import LimitExceeded
from scanners.facts import Identified
from scanners.reading import Blob, Reading

NAME = "python-source"
ROLE = "python-source"
"""role of a blob whose parent says that it is Python"""

MAXIMUM_TEXT = 1 << 20
MAXIMUM_STATEMENTS = 60_000
"""lines and semicolons, counted before the parser spends memory on them"""


def matches(blob: Blob) -> bool:
    """Return whether Python would take the blob as source."""
    if ROLE in blob.roles or blob.name.lower().endswith((".py", ".pyw", ".pyi")):
        return True
    head = blob.reader.read_at(0, 64)
    return head.startswith(b"#!") and b"python" in head.split(b"\n", 1)[0]


def read(blob: Blob, reading: Reading) -> None:
    """State what the source does."""
    from scanners.formats.python_tree import read_source  # few scans meet source, and none else pays for its reader

    size = blob.reader.size
    if size > min(MAXIMUM_TEXT, reading.budget.limits.text):
        raise LimitExceeded("text", f"{size} bytes of Python are more than {MAXIMUM_TEXT}")
    reading.state(Identified(location=reading.at(), format=NAME))
    read_source(blob.reader.read_at(0, size), reading)
    reading.parsed(0, size)
