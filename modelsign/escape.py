"""The one place where text that an attacker controls is made harmless before it meets a terminal, HTML or Markdown.

Build servers read what a program prints for orders of its own: GitHub takes `::add-mask::…` where a line begins and
`##[…]` anywhere, Azure Pipelines `##vso[task.setvariable …]` (https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands),
TeamCity `##teamcity[…]`. A file's name or a text in a pickle must give none.
"""

import re
import unicodedata

# Cc controls (ESC, newline), Cf format characters (bidi overrides, zero-width), Cs lone surrogates, Co private use,
# Cn unassigned, Zl and Zp line breaks: none may act on the reader's screen.
_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ORDER = re.compile(r"#(?=#\w*\[)")
_LINE_ORDER = re.compile(r"(\s*):(?=:)")
_MARKDOWN = frozenset("\\`*_{}[]()<>#+-.!|~&")


def plain(text: str) -> str:
    r"""Return ``text`` with every active character spelled out: ``\x1b``, ``\u202e``."""
    if "##" in text:
        text = _ORDER.sub(r"\\x23", text)
    if "::" in text:
        text = _LINE_ORDER.sub(r"\1\\x3a", text, count=1) if _LINE_ORDER.match(text) else text
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _spelled(character) if unicodedata.category(character) in _ACTIVE else character for character in text
    )


def _spelled(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def json_document(text: str) -> str:
    """Return a JSON document that says the same and gives a build server that shows it no order."""
    # There is no `#` but in strings, where it may be written so.
    return _ORDER.sub(r"\\u0023", text) if "##" in text else text


def markup(text: str) -> str:
    """Return ``text`` for HTML text and attribute values."""
    import html  # its table of entities is not needed elsewhere

    return html.escape(plain(text), quote=True)


# What GitHub and others make a link, or a message to somebody, of, wherever it stands outside of a code span.
_CALLS_OUT = re.compile(r"@|://|www\.", re.IGNORECASE)


def markdown(text: str) -> str:
    """Return ``text`` so that Markdown shows it literally, in a table cell too, and links nowhere."""
    if _CALLS_OUT.search(text):
        return code_span(text).replace("|", "\\|")
    return "".join(f"\\{character}" if character in _MARKDOWN else character for character in plain(text))


def code_span(text: str) -> str:
    """Return ``text`` as a Markdown code span; what is in one stays as it is, so the fence must not occur in it."""
    shown = plain(text)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    # CommonMark strips one space on each side, which keeps a backtick at the edge apart from the fence.
    return f"{fence} {shown} {fence}" if longest or not shown.strip() else f"{fence}{shown}{fence}"
