"""Pickles opcode by opcode: nothing here is ever unpickled, so payloads are as hostile as they like, and only echo."""

import struct
from collections.abc import Mapping as AbstractMapping

STOP = b"."
MARK = b"("
REDUCE = b"R"
BUILD = b"b"
NEWOBJ = b"\x81"
NEWOBJ_EX = b"\x92"
OBJ = b"o"
POP = b"0"
DUP = b"2"
MEMOIZE = b"\x94"
STACK_GLOBAL = b"\x93"
TUPLE = b"t"
TUPLE1 = b"\x85"
TUPLE2 = b"\x86"
EMPTY_TUPLE = b")"
EMPTY_LIST = b"]"
EMPTY_DICT = b"}"
EMPTY_SET = b"\x8f"
APPEND = b"a"
APPENDS = b"e"
SETITEM = b"s"
SETITEMS = b"u"
ADDITEMS = b"\x90"
NONE = b"N"
TRUE = b"\x88"
FALSE = b"\x89"


class Global:
    """A name, for `value`."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name


class Raw:
    """Opcodes that leave one value on the stack, for `value`."""

    def __init__(self, code: bytes) -> None:
        self.code = code


def proto(number: int) -> bytes:
    return b"\x80" + bytes([number])


def frame(code: bytes) -> bytes:
    return b"\x95" + struct.pack("<Q", len(code)) + code


def global_(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def inst(module: str, name: str, *arguments: object) -> bytes:
    return MARK + b"".join(map(value, arguments)) + f"i{module}\n{name}\n".encode()


def stack_global(module: str, name: str) -> bytes:
    return value(module) + value(name) + STACK_GLOBAL


def text(content: str) -> bytes:
    encoded = content.encode("utf-8", "surrogatepass")
    if len(encoded) < 256:
        return b"\x8c" + bytes([len(encoded)]) + encoded
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def data(content: bytes) -> bytes:
    if len(content) < 256:
        return b"C" + bytes([len(content)]) + content
    return b"B" + struct.pack("<I", len(content)) + content


def put(index: int) -> bytes:
    return b"q" + bytes([index])


def get(index: int) -> bytes:
    return b"h" + bytes([index])


def value(item: object) -> bytes:
    """Return the opcodes that push ``item``."""
    if isinstance(item, Raw):
        return item.code
    if isinstance(item, Global):
        return stack_global(item.module, item.name)
    if item is None:
        return NONE
    if isinstance(item, bool):
        return TRUE if item else FALSE
    if isinstance(item, int):
        if -(1 << 31) <= item < 1 << 31:
            return b"J" + struct.pack("<i", item)
        encoded = item.to_bytes(item.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(encoded)]) + encoded
    if isinstance(item, float):
        return b"G" + struct.pack(">d", item)
    if isinstance(item, str):
        return text(item)
    if isinstance(item, bytes):
        return data(item)
    if isinstance(item, tuple):
        return MARK + b"".join(map(value, item)) + TUPLE
    if isinstance(item, list):
        return EMPTY_LIST + MARK + b"".join(map(value, item)) + APPENDS
    if isinstance(item, AbstractMapping):
        entries = b"".join(value(key) + value(entry) for key, entry in item.items())
        return EMPTY_DICT + MARK + entries + SETITEMS
    raise TypeError(type(item))


def call(module: str, name: str, *arguments: object) -> Raw:
    """Return ``module.name(*arguments)``, by REDUCE."""
    return Raw(stack_global(module, name) + value(arguments) + REDUCE)


def apply(function: object, *arguments: object) -> Raw:
    """Return ``function(*arguments)`` of a function that is a value itself."""
    return Raw(value(function) + value(arguments) + REDUCE)


def new(module: str, name: str, *arguments: object, state: object = None) -> Raw:
    """Return an instance by NEWOBJ, with a state by BUILD."""
    built = value(state) + BUILD if state is not None else b""
    return Raw(stack_global(module, name) + value(arguments) + NEWOBJ + built)


def dump(item: object, protocol: int = 4) -> bytes:
    """Return a whole pickle of ``item``."""
    return proto(protocol) + value(item) + STOP


def system(command: str = "echo pickled") -> bytes:
    """Return the pickle that every scanner knows."""
    return dump(call("os", "system", command))
