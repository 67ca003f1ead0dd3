"""What values and calls come to, through the callables of semantics.toml."""

import base64
import bz2
import lzma
import zlib

import pytest

from scanners.limits import Budget
from scanners.pickles.machine import run
from scanners.pickles.resolve import Resolver, anchored
from scanners.pickles.values import Attribute, Global, Made, Value
from scanners.reader import BytesReader
from tests.builders import pickles as p
from tests.builders.pickles import Global as Name
from tests.builders.pickles import apply, call


def resolved(item: object) -> Value:
    reader = BytesReader(p.dump(item))
    return Resolver(reader).value(run(reader, budget=Budget()).root)


def calls(item: object) -> list[tuple[str, str]]:
    reader = BytesReader(p.dump(item))
    result = run(reader, budget=Budget())
    resolver = Resolver(reader)
    return [(called.function, called.via) for made in result.calls for called in resolver.calls(made)]


OS = call("importlib", "import_module", "os")


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (OS, "os"),
        (call("builtins", "__import__", "os.path"), "os"),
        (call("builtins", "__import__", "os.path", None, None, ["join"]), "os.path"),
        (call("builtins", "getattr", OS, "system"), "os.system"),
        (call("pkgutil", "resolve_name", "os:system"), "os.system"),
        (call("pydoc", "locate", "os.system"), "os.system"),
        (apply(call("operator", "attrgetter", "path.join"), OS), "os.path.join"),
        (call("operator", "getitem", Name("sys", "modules"), "os"), "os"),
        (call("operator", "getitem", {"a": Name("os", "system")}, "a"), "os.system"),
        (call("operator", "getitem", [Name("os", "system")], 0), "os.system"),
        (apply(call("operator", "itemgetter", "a"), {"a": Name("os", "system")}), "os.system"),
        (call("builtins", "type", call("collections", "OrderedDict")), "collections.OrderedDict"),
        (call("builtins", "type", "text"), "builtins.str"),
        (call("numpy.core", "_ufunc_reconstruct", "numpy", "log1p"), "numpy.log1p"),
        (
            call("cloudpickle.cloudpickle", "_builtin_type", "CodeType"),
            "cloudpickle.cloudpickle._builtin_type.CodeType",
        ),
        (call("dill._dill", "_load_type", "list"), "builtins.list"),
        (call("copy", "deepcopy", Name("os", "system")), "os.system"),
    ],
)
def test_names_that_can_be_computed_are(item: object, name: str) -> None:
    value = resolved(item)

    assert isinstance(value, Global)
    assert value.dotted == name


@pytest.mark.parametrize(
    ("item", "literal"),
    [
        (call("base64", "b64decode", base64.b64encode(b"x").decode()), b"x"),
        (call("binascii", "unhexlify", "78"), b"x"),
        (call("zlib", "decompress", zlib.compress(b"x")), b"x"),
        (call("bz2", "decompress", bz2.compress(b"x")), b"x"),
        (call("lzma", "decompress", lzma.compress(b"x")), b"x"),
        (call("_codecs", "decode", "78", "hex"), b"x"),
        (call("_codecs", "decode", "flfgrz", "rot13"), b"system"),
        (call("_codecs", "encode", "é", "latin1"), b"\xe9"),
        (call("operator", "add", "sys", "tem"), "system"),
        (call("builtins", "chr", 120), "x"),
        (call("builtins", "str", 12), "12"),
        (call("builtins", "bytes", [120, 121]), b"xy"),
        (apply(call("builtins", "getattr", "", "join"), ["a", "b"]), "ab"),
        (apply(call("builtins", "getattr", b"x", "decode")), "x"),
    ],
)
def test_literals_that_can_be_computed_are(item: object, literal: object) -> None:
    assert resolved(item) == literal


@pytest.mark.parametrize(
    "item",
    [
        call("builtins", "getattr", OS, call("mine", "name")),
        call("importlib", "import_module", call("mine", "name")),
        call("zlib", "decompress", b"damaged"),
        call("base64", "b64decode", "a"),
        call("operator", "getitem", {}, "missing"),
        call("pkgutil", "resolve_name", 5),
        call("builtins", "chr", -1),
        call("operator", "add", 1, "x"),
    ],
)
def test_what_cannot_be_computed_stays_what_it_was(item: object) -> None:
    assert isinstance(resolved(item), (Made, Attribute))


@pytest.mark.parametrize(
    ("item", "call_", "via"),
    [
        (apply(call("functools", "partial", Name("os", "system")), "x"), "os.system", "functools.partial"),
        (apply(call("operator", "methodcaller", "system", "x"), OS), "os.system", "operator.methodcaller"),
        (call("builtins", "map", Name("os", "system"), ["x"]), "os.system", "builtins.map"),
        (call("copyreg", "__newobj__", Name("m", "C")), "m.C", "copyreg.__newobj__"),
        (call("pathlib", "os.system", "x"), "os.system", "REDUCE"),
        (p.new("m", "C"), "m.C", "NEWOBJ"),
        (apply(call("builtins", "getattr", p.new("m", "C"), "run")), "m.C.run", "REDUCE"),
        (apply(p.new("m", "C")), "m.C.__call__", "REDUCE"),
        (apply(call("m", "f")), "", "REDUCE"),
    ],
)
def test_calls_are_followed_through_indirections(item: object, call_: str, via: str) -> None:
    assert (call_, via) in calls(item)


def test_a_chain_without_end_is_given_up() -> None:
    item: object = Name("os", "system")
    for _ in range(200):
        item = call("functools", "partial", item)

    assert ("", "functools.partial") in calls(apply(item, "x"))


def test_a_value_that_contains_itself_is_itself() -> None:
    code = p.EMPTY_LIST + p.MEMOIZE + p.get(0) + p.APPEND
    item = call("builtins", "tuple", p.Raw(code))

    assert resolved(item) is not None


def test_what_is_computed_has_a_limit() -> None:
    text = "x" * 4000
    item: object = text
    for _ in range(12):
        item = call("operator", "add", item, item)

    assert isinstance(resolved(item), Made)


@pytest.mark.parametrize(
    ("module", "name", "result"),
    [
        ("pathlib", "os.system", ("os", "system")),
        ("a", "os.path.os.system", ("os", "system")),
        ("a", "B.c", ("a", "B.c")),
        ("a", "f.__call__", ("a", "f")),
        ("a", "__builtins__.eval", ("builtins", "eval")),
        ("os", "system", ("os", "system")),
    ],
)
def test_paths_through_modules_are_anchored_in_the_last(module: str, name: str, result: tuple[str, str]) -> None:
    assert anchored(module, name) == result
