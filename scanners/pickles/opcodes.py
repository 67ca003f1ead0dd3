"""The opcodes of pickle protocols 0 to 5, by number, with the name CPython gives each.

Source: CPython's Lib/pickle.py and Modules/_pickle.c; PEP 3154 (protocol 4), PEP 574 (protocol 5).
"""

import re
from typing import Final

HIGHEST_PROTOCOL: Final = 5

ENCODED: Final = re.compile(
    r"gA[I-X]|800[2-5]|Y1|KG|Y29z|636f73|4283|63[0-9a-f]{4}|e[JNF]|eAE|H4sI|QlpoO|/Td6WF|78(?:9c|da|01|5e)|1f8b08|425a68"
)
"""How the text of a pickle in base64 or hexadecimal begins, or of what zlib, gzip, bz2 or xz make of one."""

ENCODED_BYTES: Final = re.compile(ENCODED.pattern.encode())
"""The same in bytes: base64 and binascii give bytes, not text."""

NAMES: Final[dict[int, str]] = {
    0x28: "MARK",
    0x29: "EMPTY_TUPLE",
    0x2E: "STOP",
    0x30: "POP",
    0x31: "POP_MARK",
    0x32: "DUP",
    0x42: "BINBYTES",
    0x43: "SHORT_BINBYTES",
    0x46: "FLOAT",
    0x47: "BINFLOAT",
    0x49: "INT",
    0x4A: "BININT",
    0x4B: "BININT1",
    0x4C: "LONG",
    0x4D: "BININT2",
    0x4E: "NONE",
    0x50: "PERSID",
    0x51: "BINPERSID",
    0x52: "REDUCE",
    0x53: "STRING",
    0x54: "BINSTRING",
    0x55: "SHORT_BINSTRING",
    0x56: "UNICODE",
    0x58: "BINUNICODE",
    0x5D: "EMPTY_LIST",
    0x61: "APPEND",
    0x62: "BUILD",
    0x63: "GLOBAL",
    0x64: "DICT",
    0x65: "APPENDS",
    0x67: "GET",
    0x68: "BINGET",
    0x69: "INST",
    0x6A: "LONG_BINGET",
    0x6C: "LIST",
    0x6F: "OBJ",
    0x70: "PUT",
    0x71: "BINPUT",
    0x72: "LONG_BINPUT",
    0x73: "SETITEM",
    0x74: "TUPLE",
    0x75: "SETITEMS",
    0x7D: "EMPTY_DICT",
    0x80: "PROTO",
    0x81: "NEWOBJ",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    0x85: "TUPLE1",
    0x86: "TUPLE2",
    0x87: "TUPLE3",
    0x88: "NEWTRUE",
    0x89: "NEWFALSE",
    0x8A: "LONG1",
    0x8B: "LONG4",
    0x8C: "SHORT_BINUNICODE",
    0x8D: "BINUNICODE8",
    0x8E: "BINBYTES8",
    0x8F: "EMPTY_SET",
    0x90: "ADDITEMS",
    0x91: "FROZENSET",
    0x92: "NEWOBJ_EX",
    0x93: "STACK_GLOBAL",
    0x94: "MEMOIZE",
    0x95: "FRAME",
    0x96: "BYTEARRAY8",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}

# How the argument of an opcode is laid out: a fixed number of bytes, a number of lines, or a length field of that many
# bytes followed by the content. What is not listed has no argument.
FIXED: Final[dict[int, int]] = {
    0x47: 8,
    0x4A: 4,
    0x4B: 1,
    0x4D: 2,
    0x68: 1,
    0x6A: 4,
    0x71: 1,
    0x72: 4,
    0x80: 1,
    0x82: 1,
    0x83: 2,
    0x84: 4,
    0x95: 8,
}
LINES: Final[dict[int, int]] = {
    0x46: 1,
    0x49: 1,
    0x4C: 1,
    0x50: 1,
    0x53: 1,
    0x56: 1,
    0x63: 2,
    0x67: 1,
    0x69: 2,
    0x70: 1,
}
COUNTED: Final[dict[int, int]] = {
    0x42: 4,
    0x43: 1,
    0x54: 4,
    0x55: 1,
    0x58: 4,
    0x8A: 1,
    0x8B: 4,
    0x8C: 1,
    0x8D: 8,
    0x8E: 8,
    0x96: 8,
}
