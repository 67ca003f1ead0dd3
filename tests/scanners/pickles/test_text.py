"""Values as readable text: like Python, and cut short."""

import pytest

from scanners.limits import Budget
from scanners.pickles.machine import run
from scanners.pickles.text import readable
from scanners.reader import BytesReader
from tests.builders import pickles as p


def shown(item: object, limit: int = 300) -> str:
    reader = BytesReader(p.dump(item))
    return readable(run(reader, budget=Budget()).root, reader, limit=limit)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (p.call("os", "system", "echo x"), "os.system('echo x')"),
        (p.call("m", "f", 1, [2, None], {"a": True}, b"x", 1.5), "m.f(1, [2, None], {'a': True}, b'x', 1.5)"),
        ((1,), "(1,)"),
        ((), "()"),
        (p.Raw(b"\x8f"), "{}"),
        (p.apply(p.call("m", "f"), 1), "m.f()(1)"),
        (p.Raw(p.value(("a", 1)) + b"Q"), "<persistent ('a', 1)>"),
        (p.Raw(b"\x97"), "<buffer outside the file>"),
        (p.Raw(p.stack_global("m", "C") + p.value((1,)) + p.value({"k": 2}) + p.NEWOBJ_EX), "m.C(1, k=2)"),
        (2**500, "<integer of 501 bits>"),
    ],
)
def test_looks_like_python(item: object, text: str) -> None:
    assert shown(item) == text


def test_long_strings_are_cut() -> None:
    assert len(shown(p.call("m", "f", "x" * 5000))) < 200
    assert shown(p.call("m", "f", "x" * 5000)).startswith("m.f('xxx")


def test_long_strings_left_in_the_file_are_read_from_it() -> None:
    assert shown(p.call("builtins", "exec", "import os\n" * 5000)).startswith("builtins.exec('import os\\n")


def test_many_items_are_counted_out() -> None:
    assert shown(list(range(100))) == "[0, 1, 2, 3, 4, 5, 6, 7, …]"


def test_deep_and_cyclic_values_end() -> None:
    deep = p.Raw(p.EMPTY_TUPLE + b"\x85" * 5000)
    cyclic = p.Raw(p.EMPTY_LIST + p.MEMOIZE + p.get(0) + p.APPEND)

    assert "…" in shown(deep)
    assert "…" in shown(cyclic)


def test_the_limit_holds_roughly() -> None:
    wide: object = "leaf"
    for _ in range(6):
        wide = [wide] * 8

    assert len(shown(wide, limit=100)) < 400
