"""Tensors taken in one step: the same as opcode by opcode, whatever is almost one."""

import random
from collections.abc import Callable

import pytest

from scanners.limits import Budget
from scanners.pickles import machine
from scanners.pickles.entries import _PUTS
from scanners.pickles.machine import Machine, run
from scanners.reader import BytesReader
from tests.fuzz.pickle_stepwise import differences, left_behind
from tests.fuzz.tensor_entries import Writer, get, put


def tensors(count: int, change: Callable[[list[bytes], Writer], None] | None = None, *, index: int = 0) -> bytes:
    """A state dict of equal tensors; ``change`` may do something to the opcodes of the fifth."""
    source = random.Random(0)
    writer = Writer(source)
    writer.device = "cpu"
    writer.storages = [b"torch\nFloatStorage\n"] * 2
    writer.layouts = [(16, 0, [4, 4], [4, 1], b"\x89")]
    source.random = lambda: 0.5  # type: ignore[method-assign]  # no surprises
    writer.opcodes.append(b"\x80\x02")
    writer.index = index
    writer.ordered()
    writer.opcodes.append(b"(")
    for number in range(count):
        begin = len(writer.opcodes)
        writer.text(f"layers.{number}.weight")
        writer.tensor(f"{number:04}")
        if number == 4 and change is not None:
            entry = writer.opcodes[begin:]
            change(entry, writer)
            writer.opcodes[begin:] = entry
    return b"".join([*writer.opcodes, b"u", b"."])


def taken(data: bytes, *, few: int = 0) -> int:
    """How many opcodes are not run by themselves."""
    ran = Machine(BytesReader(data), 0, Budget(), {}, inline_arrays=False, few=few)
    count = 0
    take = ran.entries.take

    def counted(*arguments: object) -> int:
        nonlocal count
        end = take(*arguments)  # type: ignore[arg-type]  # handed on as they come
        count += ran.entries.opcodes if end else 0
        return end

    ran.entries.take = counted  # type: ignore[method-assign, assignment]  # to look at it
    ran.execute()
    return count


@pytest.mark.parametrize("index", [0, 250, 256, 65_500])
def test_nearly_all_opcodes_of_a_state_dict_are_taken_together(index: int) -> None:
    data = tensors(100, index=index)

    assert taken(data) > 0.97 * run(BytesReader(data), budget=Budget()).opcodes
    assert left_behind(data, stepwise=True) == left_behind(data, stepwise=False)


def test_the_first_tensors_are_made_opcode_by_opcode() -> None:
    # Most small checkpoints have no more, and would pay for getting ready.
    assert taken(tensors(8), few=8) == 0
    assert taken(tensors(100), few=8) > 0.8 * taken(tensors(100), few=0)
    assert left_behind(tensors(100), stepwise=True) == left_behind(tensors(100), stepwise=False, few=8)


@pytest.mark.parametrize("index", [*range(190, 260), *range(440, 520)])
def test_an_entry_at_whose_end_memo_indices_become_longer(index: int) -> None:
    data = tensors(12, index=index)

    assert left_behind(data, stepwise=True) == left_behind(data, stepwise=False)


def test_an_entry_with_long_and_short_memo_indices_serves_no_other() -> None:
    # Cut like it, other bytes could pass for a row of short ones.
    def lengthen(entry: list[bytes], _writer: Writer) -> None:
        place = [place for place, code in enumerate(entry) if code[0] == 0x71][2]
        entry[place] = b"r" + entry[place][1:] + bytes(3)

    data = tensors(8, lengthen)
    ran = Machine(BytesReader(data), 0, Budget(), {}, inline_arrays=False, few=0)

    ran.execute()

    templates = ran.entries.templates.values()
    assert templates
    assert all({template.lengths[piece] for piece in _PUTS} <= {0, 2} for template in templates)
    assert left_behind(data, stepwise=True) == left_behind(data, stepwise=False)


def replace(old: bytes, new: bytes) -> Callable[[list[bytes], Writer], None]:
    def change(entry: list[bytes], _writer: Writer) -> None:
        entry[entry.index(old)] = new

    return change


def remove_first_put(entry: list[bytes], _writer: Writer) -> None:
    # All indices behind it are one less, so that they follow one another.
    puts = [place for place, code in enumerate(entry) if code[0] in b"qr"]
    codes = [entry[place] for place in puts]
    for place, code in zip(puts[1:], codes, strict=False):
        entry[place] = code
    del entry[puts[0]]


def keep_strides_out_of_the_memo(entry: list[bytes], _writer: Writer) -> None:
    puts = [place for place, code in enumerate(entry) if code[0] in b"qr"]
    codes = [entry[place] for place in puts]
    for place, code in zip(puts[5:], codes[4:], strict=False):
        entry[place] = code
    del entry[puts[4]]


def before(*codes: bytes) -> Callable[[list[bytes], Writer], None]:
    def change(entry: list[bytes], _writer: Writer) -> None:
        entry[:0] = codes

    return change


def slot(name: bytes) -> int:
    return {b"ordered": 0, b"rebuild": 3, b"storage": 4, b"class": 5, b"cpu": 7}[name]


KEY = b"X\x04\x00\x00\x000004"
OTHER_KEYS = {
    "is no text": b"X\x04\x00\x00\x0000\xff4",
    "is no number": b"X\x04\x00\x00\x00os.x",
    "is longer than it says": b"X\x03\x00\x00\x000004",
    "is shorter than it says": b"X\x05\x00\x00\x000004",
}


@pytest.mark.parametrize("how", OTHER_KEYS)
def test_a_key_that(how: str) -> None:
    data = tensors(8, replace(KEY, OTHER_KEYS[how]))

    assert left_behind(data, stepwise=True) == left_behind(data, stepwise=False)


@pytest.mark.parametrize("name", [b"ordered", b"rebuild", b"storage", b"class", b"cpu"])
@pytest.mark.parametrize(
    "hostile", [b"cos\nsystem\n", b"ccollections.OrderedDict\n\n", b"]", b"N", b"X\x02\x00\x00\x00os"]
)
def test_a_slot_that_holds_something_else_later(name: bytes, hostile: bytes) -> None:
    data = tensors(8, before(hostile, put(slot(name)), b"0"))

    assert left_behind(data, stepwise=True) == left_behind(data, stepwise=False)


def test_a_function_put_where_the_rebuild_function_was_is_a_call() -> None:
    ran = run(BytesReader(tensors(8, before(b"cos\nsystem\n", put(slot(b"rebuild")), b"0"))), budget=Budget())

    assert len(ran.tensors) == 4
    assert "os.system" in {name.dotted for name in ran.imports}
    assert sum(made.function is ran.imports[-1] for made in ran.calls) == 4


@pytest.mark.parametrize("change", [remove_first_put, keep_strides_out_of_the_memo])
def test_an_entry_that_keeps_less_in_the_memo(change: Callable[[list[bytes], Writer], None]) -> None:
    data = tensors(8, change)

    assert left_behind(data, stepwise=True) == left_behind(data, stepwise=False)


def test_what_an_entry_left_in_the_memo_can_be_fetched() -> None:
    opcodes = b"".join(get(index) for index in range(40))
    data = tensors(8)[:-2] + opcodes + b"l."

    assert left_behind(data, stepwise=True) == left_behind(data, stepwise=False)
    assert taken(data)


@pytest.mark.parametrize("end", range(600, 720))
def test_an_entry_that_ends_too_early(end: int) -> None:
    data = tensors(8)[:end]

    assert left_behind(data, stepwise=True) == left_behind(data, stepwise=False)


@pytest.mark.parametrize("batch", range(1, 80, 3))
def test_a_budget_that_runs_out_inside_an_entry(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_BATCH", batch)
    data = tensors(8)

    assert left_behind(data, stepwise=True, opcodes=150) == left_behind(data, stepwise=False, opcodes=150)


@pytest.mark.parametrize("chunk", range(560, 800, 7))
def test_an_entry_that_lies_across_two_chunks(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CHUNK", chunk)
    data = tensors(30)

    assert left_behind(data, stepwise=True) == left_behind(data, stepwise=False)


def test_many_layouts_are_not_all_remembered() -> None:
    source = random.Random(1)
    writer = Writer(source)
    writer.opcodes += [b"\x80\x02", b"]", b"("]
    for number in range(6000):
        writer.layouts = [(number, 0, [number % 60_000], [1], b"\x89")]
        writer.tensor(str(number))
    data = b"".join([*writer.opcodes, b"e", b"."])
    ran = Machine(BytesReader(data), 0, Budget(), {}, inline_arrays=False, few=0)

    ran.execute()

    assert len(ran.tensors) == 6000
    assert sum(len(template.layouts) for template in ran.entries.templates.values()) <= 4096


def test_agrees_with_itself_on_a_short_series() -> None:
    assert list(differences(seed=2026, count=3_000)) == []


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", [21, 22, 23, 24])
def test_agrees_with_itself_on_a_long_series(seed: int) -> None:
    assert list(differences(seed=seed, count=50_000)) == []
