"""Protobuf messages, field by field, and the graphs of TensorFlow and ONNX made of them."""

from collections.abc import Mapping, Sequence


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def data(field: int, value: bytes | str) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(content)) + content


# TensorFlow


def text_tensor(*texts: str) -> bytes:
    """An attribute entry `value: {tensor: {dtype: DT_STRING, string_val: …}}`."""
    tensor = number(1, 7) + b"".join(data(8, text) for text in texts)
    return data(5, data(1, "value") + data(2, data(8, tensor)))


def text_attribute(key: str, text: str) -> bytes:
    return data(5, data(1, key) + data(2, data(2, text)))


def function_attribute(key: str, name: str) -> bytes:
    return data(5, data(1, key) + data(2, data(10, data(1, name))))


def node(name: str, op: str, inputs: Sequence[str] = (), *attributes: bytes) -> bytes:
    """A NodeDef."""
    return data(1, name) + data(2, op) + b"".join(data(3, one) for one in inputs) + b"".join(attributes)


def constant(name: str, *texts: str) -> bytes:
    return node(name, "Const", (), text_tensor(*texts))


def function(name: str, arguments: Sequence[str], nodes: Sequence[bytes]) -> bytes:
    """A FunctionDef."""
    signature = data(1, name) + b"".join(data(2, data(1, argument)) for argument in arguments)
    return data(1, signature) + b"".join(data(3, one) for one in nodes)


def graph_def(nodes: Sequence[bytes], functions: Sequence[bytes] = ()) -> bytes:
    library = data(2, b"".join(data(1, one) for one in functions)) if functions else b""
    return b"".join(data(1, one) for one in nodes) + library


def saved_model(
    nodes: Sequence[bytes], functions: Sequence[bytes] = (), *, assets: Mapping[str, str] | None = None
) -> bytes:
    """A SavedModel of one MetaGraphDef; assets map tensor name to file name."""
    files = b"".join(data(6, data(1, data(1, tensor)) + data(2, name)) for tensor, name in (assets or {}).items())
    return number(1, 1) + data(2, data(2, graph_def(nodes, functions)) + files)


# ONNX


def onnx_node(op: str, domain: str = "", attributes: bytes = b"") -> bytes:
    return data(1, "x") + data(2, "y") + data(4, op) + attributes + (data(7, domain) if domain else b"")


def onnx_tensor(name: str = "w", external: Mapping[str, str] | None = None, *, raw: bytes = b"") -> bytes:
    entries = b"".join(data(13, data(1, key) + data(2, value)) for key, value in (external or {}).items())
    location = number(14, 1) if external else b""
    return number(1, 2) + number(2, 1) + data(8, name) + (data(9, raw) if raw else b"") + entries + location


def onnx_graph(nodes: Sequence[bytes] = (), tensors: Sequence[bytes] = ()) -> bytes:
    return b"".join(data(1, one) for one in nodes) + data(2, "g") + b"".join(data(5, one) for one in tensors)


def onnx_model(nodes: Sequence[bytes] = (), tensors: Sequence[bytes] = (), extra: bytes = b"") -> bytes:
    nodes = nodes or [onnx_node("Relu")]
    return number(1, 9) + data(2, "builder") + data(7, onnx_graph(nodes, tensors)) + data(8, number(2, 18)) + extra
