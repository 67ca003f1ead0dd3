"""The one place where text that an attacker controls is made harmless before it meets a terminal, HTML or Markdown."""

import html
import unicodedata

# Cc controls (ESC, newline), Cf format characters (bidi overrides, zero-width), Cs lone surrogates, Co private use,
# Cn unassigned, Zl and Zp line breaks: none may act on the reader's screen.
_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKDOWN = frozenset("\\`*_{}[]()<>#+-.!|~")


def plain(text: str) -> str:
    r"""Return ``text`` with every active character spelled out: ``\x1b``, ``\u202e``."""
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


def markup(text: str) -> str:
    """Return ``text`` for HTML text and attribute values."""
    return html.escape(plain(text), quote=True)


def markdown(text: str) -> str:
    """Return ``text`` so that Markdown shows it literally."""
    return "".join(f"\\{character}" if character in _MARKDOWN else character for character in plain(text))
