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
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "python-source"
ROLE = "python-source"
"""role of a blob whose parent says that it is Python"""

MAXIMUM_TEXT = 1 << 20
MAXIMUM_STATEMENTS = 60_000
"""lines and semicolons, counted before the parser spends memory on them"""


_PATH_LINE = late(rb"(?:[\t\r\n\x20-\x7e]*\n)?import[ \t]")
"""a line of a path file (`.pth`) that Python executes at every start, once the file lies in `site-packages`"""


def matches(blob: Blob) -> bool:
    """Return whether Python would take the blob as source."""
    if blob.name.lower().endswith(".pth"):
        return bool(_PATH_LINE.match(blob.reader.read_at(0, 4096)))
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
    source = blob.reader.read_at(0, size)
    if blob.name.lower().endswith(".pth"):
        # The other lines of a path file are directories; blank lines keep the places of what follows.
        lines = source.split(b"\n")
        source = b"\n".join(line if line.startswith((b"import ", b"import\t")) else b"" for line in lines)
    read_source(source, reading)
    reading.parsed(0, size)
