from typing import Any

import pytest

from modelsign.conversion.keys import name_of
from scanners.pickles.values import Global, Made, Value
from tests.builders.checkpoints import Call, Name, floats, tensor, torch_zip
from tests.modelsign.conversion.reading import in_memory


def call(name: str, *arguments: Value, state: Value = None) -> Made:
    module, _, last = name.rpartition(".")
    made = Made(Global(module, last, 0), arguments, None, "REDUCE", 0)
    if state is not None:
        made.build(state)
    return made


def scalar(code: str, data: Value, order: str = "<") -> Made:
    kind = call("numpy.dtype", code, False, True, state=(3, order, None, None, None, -1, -1, 0))
    return call("numpy._core.multiarray.scalar", kind, data)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a", "a"),
        (-3, "-3"),
        (True, "True"),
        (1.5, "1.5"),
        (None, "None"),
        (b"a", "a"),
        ("ü".encode(), "ü"),
        (call("_codecs.encode", "a", "latin1"), "a"),
        (call("_codecs.encode", "Ã¼", "latin1"), "ü"),
        (scalar("i8", b"\x03" + bytes(7)), "3"),
        (scalar("i4", b"\xff\xff\xff\xfe", ">"), "-2"),
        (scalar("u1", b"\xff", "|"), "255"),
        (scalar("i2", call("_codecs.encode", "\xff\xff", "latin1")), "-1"),
        (scalar("b1", b"\x01", "|"), "True"),
        (scalar("U2", "qü".encode("utf-32-le")), "qü"),
    ],
)
def test_keys_are_named_as_python_prints_them(key: Value, name: str) -> None:
    assert name_of(key) == name


@pytest.mark.parametrize(
    "key",
    [
        b"\xff",
        (1, 2),
        call("_codecs.encode", "\xff", "latin1"),
        call("_codecs.encode", "\u1234", "latin1"),
        call("_codecs.encode", "a", "hex"),
        call("_codecs.encode", "a", []),
        call("my.Key", "a", "latin1"),
        scalar("i8", b"\x03"),
        scalar("f4", bytes(4)),
        scalar("O8", b""),
        scalar("U1", b"\xff\xff\xff\xff"),
        scalar("i8", None),
        call("numpy._core.multiarray.scalar", "i8", bytes(8)),
    ],
)
def test_what_has_no_certain_name_has_none(key: Value) -> None:
    assert name_of(key) is None


def test_keys_of_bytes_are_names_in_every_protocol() -> None:
    def key(text: str) -> Any:
        return Call(Name("_codecs", "encode"), (text, "latin1"))

    inner = Call(Name("collections", "OrderedDict"), (), entries=[(key("w"), tensor("0", (1,)))])
    root = Call(Name("collections", "OrderedDict"), (), entries=[(key("state_dict"), inner), (key("epoch"), 3)])
    assert in_memory(torch_zip(root, {"0": floats(1)})).tensors.keys() == {"w"}
