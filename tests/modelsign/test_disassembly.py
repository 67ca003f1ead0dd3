from modelsign.disassembly import around
from scanners.reader import BytesReader

COMMAND = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R."


def names(data: bytes, offset: int) -> list[str]:
    return [instruction.name for instruction in around(BytesReader(data), offset)]


def test_the_opcodes_around_a_place_are_shown() -> None:
    assert names(COMMAND, COMMAND.index(b"R")) == ["PROTO", "GLOBAL", "BINUNICODE", "TUPLE1", "REDUCE", "STOP"]


def test_arguments_are_readable() -> None:
    lines = around(BytesReader(COMMAND), 2)
    assert (lines[1].name, lines[1].argument) == ("GLOBAL", "'os' 'system'")
    assert lines[2].argument == "'echo'"


def test_a_place_that_reading_from_the_beginning_does_not_meet_begins_the_lines() -> None:
    data = b"\x00\x01\x02" + COMMAND
    assert names(data, 3)[:2] == ["PROTO", "GLOBAL"]


def test_a_place_inside_an_argument_shows_nothing_before_it() -> None:
    data = b"X\x08\x00\x00\x00cos\nsys\n."
    assert names(data, 5) == ["GLOBAL", "STOP"]


def test_lengths_that_lead_nowhere_end_the_lines() -> None:
    assert names(b"B\xff\xff\xff\xff..", 0) == ["BINBYTES"]
    assert names(b"", 0) == []
    assert names(b"\xff", 0) == []


def test_an_argument_cut_off_at_the_end_is_shown_as_far_as_it_goes() -> None:
    for length in range(len(COMMAND)):
        around(BytesReader(COMMAND[:length]), 0)
