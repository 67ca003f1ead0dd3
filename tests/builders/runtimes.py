"""Files of other languages and runtimes: R, Lua, msgpack, Core ML."""

import struct
from collections.abc import Sequence

from tests.builders.protobufs import data, number

# R, XDR form


def r_file(item: bytes, *, version: int = 3) -> bytes:
    head = b"X\n" + struct.pack(">III", version, 0x040300, 0x030500)
    return head + (struct.pack(">I", 5) + b"UTF-8" if version == 3 else b"") + item


def r_flags(kind: int, *, attributes: bool = False, tagged: bool = False) -> bytes:
    return struct.pack(">I", kind | 0x200 * attributes | 0x400 * tagged)


R_NULL = r_flags(254)
R_GLOBAL = r_flags(253)
R_UNBOUND = r_flags(252)


def r_characters(text: str) -> bytes:
    return struct.pack(">Ii", 9, len(text)) + text.encode()


def r_symbol(name: str) -> bytes:
    return r_flags(1) + r_characters(name)


def r_text(*texts: str) -> bytes:
    return r_flags(16) + struct.pack(">i", len(texts)) + b"".join(map(r_characters, texts))


def r_numbers(*values: float, attributes: bytes = b"") -> bytes:
    head = r_flags(14, attributes=bool(attributes)) + struct.pack(">i", len(values))
    return head + struct.pack(f">{len(values)}d", *values) + attributes


def r_list(*items: bytes) -> bytes:
    return r_flags(19) + struct.pack(">i", len(items)) + b"".join(items)


def r_call(function: str, *arguments: bytes) -> bytes:
    rest = R_NULL
    for argument in reversed(arguments):
        rest = r_flags(2) + argument + rest
    return r_flags(6) + r_symbol(function) + rest


def r_promise(expression: bytes, *, forced: bool = False) -> bytes:
    if forced:
        return r_flags(5) + r_numbers(1.0) + expression
    return r_flags(5, tagged=True) + R_GLOBAL + R_UNBOUND + expression


def r_closure(body: bytes) -> bytes:
    return r_flags(3, tagged=True) + R_GLOBAL + R_NULL + body


# Torch7, binary form


def t7_text(text: bytes) -> bytes:
    return struct.pack("<i", len(text)) + text


def t7_object(index: int, name: bytes, content: bytes) -> bytes:
    return struct.pack("<ii", 4, index) + t7_text(b"V 1") + t7_text(name) + content


def t7_table(index: int, *pairs: tuple[bytes, bytes]) -> bytes:
    return struct.pack("<iii", 3, index, len(pairs)) + b"".join(key + value for key, value in pairs)


def t7_string(text: bytes) -> bytes:
    return struct.pack("<i", 2) + t7_text(text)


def t7_function(index: int, code: bytes) -> bytes:
    return struct.pack("<ii", 8, index) + t7_text(code) + t7_table(index + 1)


def t7_tensor(index: int, values: Sequence[float]) -> bytes:
    storage = t7_object(index + 1, b"torch.FloatStorage", struct.pack(f"<q{len(values)}f", len(values), *values))
    return t7_object(index, b"torch.FloatTensor", struct.pack("<iqqq", 1, len(values), 1, 1) + storage)


# msgpack


def packed_text(text: str) -> bytes:
    return bytes([0xA0 | len(text)]) + text.encode()


def packed_array(shape: Sequence[int], content: bytes) -> bytes:
    """Flax's extension 1: (shape, dtype, bytes)."""
    inner = (
        b"\x93"
        + bytes([0x90 | len(shape), *shape])
        + packed_text("float32")
        + b"\xc4"
        + bytes([len(content)])
        + content
    )
    return b"\xc7" + bytes([len(inner), 1]) + inner


def packed_map(**entries: bytes) -> bytes:
    return bytes([0x80 | len(entries)]) + b"".join(packed_text(key) + value for key, value in entries.items())


# Core ML


def coreml(kind: int = 500, content: bytes = b"") -> bytes:
    return number(1, 4) + data(2, data(1, b"")) + data(kind, content)


def coreml_custom_layer(name: str) -> bytes:
    return coreml(500, data(1, data(1, "layer") + data(500, data(10, name))))


def java_objects(*classes: str) -> bytes:
    """A stream of Java objects that describes the classes."""
    described = b"".join(b"sr" + struct.pack(">H", len(name)) + name.encode() + bytes(11) for name in classes)
    return b"\xac\xed\x00\x05" + described
