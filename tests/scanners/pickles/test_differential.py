"""The pickle machine against CPython's unpicklers: a series of cases, and each difference that was ever found."""

import pytest

from tests.fuzz.pickle_differential import Unpicklers, difference, differences

FOUND = {
    "a C integer with a prefix": b"I0x10\n.",
    "an octal C integer": b"I010\n.",
    "digits behind an octal prefix": b"I089\n.",
    "a NUL ends a C number": b"I12\x00z\n.",
    "nothing but a NUL is zero": b"I\x00\n.",
    "a carriage return after a memo index": b"Np0\r\n0g0\r\n.",
    "an underscore in a number": b"I1_000\n.",
    "a long integer without its L": b"L5\n.",
    "white space before a float is Python's alone": b"F 1.5\n0cos\nsystem\n.",
    "a float that overflows is Python's alone": b"F1e999\n0cos\nsystem\n.",
    "an empty module is Python's alone": b"c\nname\n0N.",
    "an empty name is Python's alone": b"cos\n\n0N.",
    "Python takes the rest of the input for a name": b"cos\nsystemX",
    "Python takes the rest of the input for a module": b"cosX",
    "Python looks up INST before it looks for the mark": b"ios\nsystem\n.",
    "a memo index beyond 64 bits is Python's alone": b"Np99999999999999999999\n0cos\nsystem\n.",
    "BUILD of nothing on a plain value is Python's alone": b"]}bcos\nsystem\n.",
    "BUILD of an empty set on a plain value is Python's alone": b"\x8f\x8fbca.b\nc.d\n.",
    "arguments in a list are Python's alone": b"cos\nsystem\n]Rcos\nabort\n.",
    "a frame longer than the input is Python's alone": b"\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n.",
    "POP of a mark": b"N(0.",
    "POP below a mark": b"N(00.",
    "STOP below a mark": b"N(.",
    "DUP below a mark": b"N(2.",
    "APPENDS of nothing to anything": b"N(e.",
    "SETITEMS of nothing to anything": b"N(u.",
    "SETITEM of a list element": b"]NaI0\nI7\ns.",
    "SETITEM beyond a list": b"]I0\nI7\ns.",
    "an unhashable key": b"}]Ns.",
    "an unhashable key inside a tuple": b"}]\x85Ns.",
    "a memo gap": b"Nq\x050h\x05.",
    "MEMOIZE counts entries, not indices": b"Nq\x05\x940h\x01.",
    "a protocol byte in the middle": b"N0\x80\x05N.",
    "an unset memo entry": b"h\x00.",
    "bytes where STACK_GLOBAL wants strings": b"C\x02osC\x06system\x93.",
    "a negative count": b"T\xff\xff\xff\xff.",
    "surrogates in counted text": b"\x8c\x03\xed\xa0\x80.",
    "text that is not UTF-8": b"\x8c\x01\xff.",
    "READONLY_BUFFER of bytes": b"C\x01a\x98.",
    "READONLY_BUFFER of a number": b"I1\n\x98.",
}


@pytest.mark.parametrize("name", FOUND)
def test_agrees_on_a_case_that_once_differed(name: str) -> None:
    unpicklers = Unpicklers()
    try:
        (answer,) = unpicklers.ask([FOUND[name]])
    finally:
        unpicklers.close()

    assert difference(FOUND[name], answer) is None


def test_agrees_on_a_short_series() -> None:
    assert list(differences(seed=2026, count=5_000)) == []


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", [11, 12, 13, 14])
def test_agrees_on_a_long_series(seed: int) -> None:
    assert list(differences(seed=seed, count=50_000)) == []


def test_notices_a_difference() -> None:
    answer: list[dict[str, object]] = [
        {"names": [["os", "system"]], "error": "", "stop": 2},
        {"names": [], "error": "x"},
    ]

    assert difference(b"N.", answer) is not None
