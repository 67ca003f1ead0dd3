"""Jupyter notebooks: the code of their cells. It runs when a person runs the cell, never while a model is loaded.

Source: nbformat 3 and 4 (`cells[].source`, `worksheets[].cells[].input`). Lines that IPython hands to a shell (`!`,
`%%bash`) are stated as shell commands; the rest of each cell is read as Python.
"""

from scanners.errors import FormatError, LimitExceeded, ScanError
from scanners.facts import Code, Identified
from scanners.formats import python_source
from scanners.formats.executable import ATTACK
from scanners.formats.json_text import Json, document_of
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "notebook"

_SHELL_CELL = late(r"\s*%%(?:bash|sh|script|cmd|system|sx|!)\b")
_SHELL_LINE = late(r"^\s*+(?:[\w, ]++=\s*+)?(?:!|%(?:system|sx|sc)\s)(.*)$")
_EXCERPT = 200
MAXIMUM_CELLS = 20_000


def matches(blob: Blob) -> bool:
    """Return whether the blob calls itself a notebook."""
    return blob.name.lower().endswith(".ipynb")


def read(blob: Blob, reading: Reading) -> None:
    """State what the cells would do when they are run."""
    size = blob.reader.size
    reading.state(Identified(location=reading.at(), format=NAME))
    cells = _cells(document_of(blob, reading.budget).value)
    if len(cells) > MAXIMUM_CELLS or sum(map(len, cells)) > python_source.MAXIMUM_TEXT:
        raise LimitExceeded(
            "members", f"a notebook of {len(cells)} cells and {sum(map(len, cells))} characters of code"
        )
    if sum(source.count("\n") + 1 for source in cells) > python_source.MAXIMUM_STATEMENTS:
        raise LimitExceeded("text", f"a notebook of more than {python_source.MAXIMUM_STATEMENTS} lines of code")
    for source in cells:
        _cell(source, reading)
    reading.parsed(0, size)


def _cells(document: Json) -> list[str]:
    if not isinstance(document, dict):
        raise FormatError("a notebook is a JSON object")
    groups = [document.get("cells")]
    worksheets = document.get("worksheets")
    if isinstance(worksheets, list):
        groups += [sheet.get("cells") for sheet in worksheets if isinstance(sheet, dict)]
    cells = [cell for group in groups if isinstance(group, list) for cell in group if isinstance(cell, dict)]
    return [_text(cell.get("source", cell.get("input"))) for cell in cells if cell.get("cell_type") in {"code", None}]


def _text(source: Json) -> str:
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _cell(source: str, reading: Reading) -> None:
    if _SHELL_CELL.match(source):
        _shell(source, reading)
        return
    kept = []
    for line in source.split("\n"):
        command = _SHELL_LINE.match(line)
        if command:
            _shell(command[1], reading)
        kept.append("" if command or line.lstrip().startswith(("%", "?")) else line.removesuffix("?"))
    from scanners.formats.python_tree import read_source  # few scans meet a notebook

    try:
        read_source("\n".join(kept).encode("utf-8", "replace"), reading, runs="never")
    except ScanError:
        return  # half a line of Python in a cell is ordinary, and no loader runs it


def _shell(command: str, reading: Reading) -> None:
    actions = ["process", "script-attack"] if ATTACK.search(command.encode("utf-8", "replace")) else ["process"]
    for action in actions:
        text = command.strip()[:_EXCERPT]
        reading.state(Code(location=reading.at(), language="shell", action=action, text=text, runs="never"))
