"""Jinja templates: chat templates and prompt templates, parsed to a syntax tree and never rendered.

A serving program renders the template of the model it serves. Current loaders do so in Jinja's sandbox (transformers:
`ImmutableSandboxedEnvironment`); llama-cpp-python before 0.2.72 did not (CVE-2024-34359), nor do many small servers,
and the sandbox itself had holes (CVE-2024-56326, CVE-2025-27516). So every way out is stated as a `Template` fact:

* attributes and names that lead from a value to the interpreter (`__class__`, `__globals__`, `gi_frame` …), spelled out
  or as strings that `|attr`, a subscript or `str.format` would look up;
* names put together from pieces, as far as the pieces are literal, and `|attr` over pieces that are not;
* names of objects of the surrounding program (`request`, `config`) and of Python's own functions (`eval`, `open`);
* loops and repetitions by constants that never end in practice.
"""

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Identified
from scanners.reading import Blob, Reading

NAME = "jinja-template"

ROLE = "chat-template"
"""role of a blob whose parent says that it is a template (a JSON value, GGUF metadata)"""

SUFFIXES = (".jinja", ".jinja2", ".j2", ".template")
MAXIMUM_TEXT = 512 << 10
"""the longest chat templates have some tens of kilobytes"""


def matches(blob: Blob) -> bool:
    """Return whether the blob is a template: its parent says so, or its name and its first block do."""
    if ROLE in blob.roles:
        return True
    name = blob.name.lower()
    if not name.endswith(SUFFIXES) and not ("template" in name and name.endswith((".txt", ".tmpl", ".tpl"))):
        return False
    head = blob.reader.read_at(0, 65536)
    return b"{{" in head or b"{%" in head or b"{#" in head or blob.name.lower().endswith((".jinja", ".jinja2", ".j2"))


def read(blob: Blob, reading: Reading) -> None:
    """State what rendering the template would reach."""
    from scanners.formats.jinja_tree import read_template  # few scans meet a template, and none else pays for it

    size = blob.reader.size
    if size > min(MAXIMUM_TEXT, reading.budget.limits.text):
        raise LimitExceeded("text", f"a template of {size} bytes is longer than {MAXIMUM_TEXT}")
    reading.state(Identified(location=reading.at(), format=NAME))
    try:
        text = blob.reader.read_at(0, size).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError("the template is not UTF-8 text", offset=error.start) from error
    reading.parsed(0, size)
    read_template(text, reading)
