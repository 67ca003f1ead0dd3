"""The pickle machine: what it does with opcodes, and what it costs. Agreement with CPython is tested elsewhere."""

import gc
import pickle

import pytest

from scanners.limits import Budget, Limits
from scanners.pickles.machine import KEPT, PickleRun, run
from scanners.pickles.opcodes import NAMES
from scanners.pickles.values import Attribute, Collection, Global, Made, Mapping, OutOfBand, Persistent, Span
from scanners.reader import BytesReader
from tests.builders import pickles as p


def ran(content: bytes, **limits: int) -> PickleRun:
    return run(BytesReader(content), budget=Budget(limits=Limits(**limits)))


class Counting:
    """A reader that remembers how much was asked of it at once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.largest = 0

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        self.largest = max(self.largest, length)
        return self.data[offset : offset + length]


@pytest.mark.parametrize("protocol", range(6))
def test_reads_plain_values_of_every_protocol(protocol: int) -> None:
    value = {"a": [1, 2.5, None, True, "é", -7, 2**70], "b": (1, (2, 3))}

    result = ran(pickle.dumps(value, protocol))

    assert isinstance(result.root, Mapping)
    assert dict(result.root.entries) == value
    assert result.accepted
    assert not result.calls


def test_stops_where_the_pickle_stops() -> None:
    assert ran(p.dump(1) + b"more").stop == len(p.dump(1))


def test_starts_where_it_is_told() -> None:
    result = run(BytesReader(b"junk" + p.dump(7)), start=4, budget=Budget())

    assert (result.root, result.start, result.stop) == (7, 4, 4 + len(p.dump(7)))


def test_records_a_call_with_its_arguments_and_place() -> None:
    payload = p.system("echo x")

    (made,) = ran(payload).calls

    assert isinstance(made.function, Global)
    assert (made.function.dotted, made.arguments, made.opcode) == ("os.system", ("echo x",), "REDUCE")
    assert payload[made.offset : made.offset + 1] == p.REDUCE


@pytest.mark.parametrize(
    ("code", "opcode"),
    [
        (p.global_("os", "system") + p.value(("x",)) + p.REDUCE, "REDUCE"),
        (p.global_("os", "system") + p.value(("x",)) + p.NEWOBJ, "NEWOBJ"),
        (p.global_("os", "system") + p.value(("x",)) + p.value({}) + p.NEWOBJ_EX, "NEWOBJ_EX"),
        (p.MARK + p.global_("os", "system") + p.value("x") + p.OBJ, "OBJ"),
        (p.inst("os", "system", "x"), "INST"),
    ],
)
def test_every_way_to_call_is_a_call(code: bytes, opcode: str) -> None:
    (made,) = ran(code + p.STOP).calls

    assert (made.opcode, made.arguments) == (opcode, ("x",))


def test_a_call_that_is_dropped_was_made_all_the_same() -> None:
    result = ran(p.value(p.call("os", "system", "x")) + p.POP + p.NONE + p.STOP)

    assert result.root is None
    assert len(result.calls) == 1


def test_what_is_done_to_an_object_is_kept_with_it() -> None:
    code = (
        p.value(p.new("m", "C", state={"a": 1}))
        + p.MARK
        + p.value(2)
        + p.APPENDS
        + p.value("k")
        + p.value(3)
        + p.SETITEM
    )

    made = ran(code + p.STOP).root

    assert isinstance(made, Made)
    assert isinstance(made.states[0], Mapping)
    assert list(made.items) == [2]
    assert list(made.entries) == [("k", 3)]


@pytest.mark.parametrize(
    ("code", "method"),
    [
        (p.MARK + p.value(1) + p.APPENDS, "extend"),
        (p.value("k") + p.value(1) + p.SETITEM, "__setitem__"),
        (p.MARK + p.value(1) + p.ADDITEMS, "add"),
        (p.value({"a": 1}) + p.BUILD, "__setstate__"),
    ],
)
def test_what_is_done_to_an_import_is_a_call_of_its_method(code: bytes, method: str) -> None:
    (made,) = ran(p.stack_global("sys", "modules") + code + p.STOP).calls

    assert isinstance(made.function, Attribute)
    assert made.function.name == method


def test_an_assigned_list_element_does_not_hide_what_was_there() -> None:
    code = p.value([p.Global("os", "system")]) + p.value(0) + p.value("harmless") + p.SETITEM

    root = ran(code + p.STOP).root

    assert isinstance(root, list)
    assert any(isinstance(item, Global) for item in root)


def test_follows_the_extension_registry_within_a_pickle() -> None:
    code = p.value(p.call("copyreg", "add_extension", "os", "system", 5)) + p.POP + b"\x82\x05" + p.STOP

    assert [name.dotted for name in ran(code).imports] == ["copyreg.add_extension", "os.system"]


def test_goes_on_at_an_unregistered_extension_code() -> None:
    result = ran(b"\x82\x07" + p.value(("x",)) + p.REDUCE + p.STOP)

    assert result.c_error is not None
    assert len(result.calls) == 1


def test_persistent_ids_stand_for_what_only_the_loader_knows() -> None:
    result = ran(p.value(("storage", 1)) + b"Q" + p.STOP)

    assert isinstance(result.root, Persistent)
    assert result.persistent == [result.root]


def test_out_of_band_buffers_are_named() -> None:
    result = ran(b"\x97\x98.")

    assert isinstance(result.root, OutOfBand)
    assert result.root.readonly


def test_sets_and_frozen_sets() -> None:
    result = ran(p.EMPTY_SET + p.MARK + p.value(1) + p.ADDITEMS + p.STOP)

    assert isinstance(result.root, Collection)
    assert result.root.items == [1]


def test_long_content_stays_in_the_input() -> None:
    content = p.value(b"x" * 1_000_000)
    reader = Counting(p.proto(4) + content + p.STOP)

    result = run(reader, budget=Budget())

    assert isinstance(result.root, Span)
    assert (result.root.length, result.root.offset) == (1_000_000, 7)
    assert reader.largest < 1_000_000


def test_reads_in_chunks_whatever_lies_between() -> None:
    values: list[object] = ["a" * 100, 2.5, b"b" * 5000, 70000] * 20_000

    result = run(Counting(pickle.dumps(values, 4)), budget=Budget())

    assert result.error is None
    assert isinstance(result.root, list)


def test_a_name_that_is_computed_is_an_import_at_run_time() -> None:
    code = p.value(p.call("builtins", "str", "os")) + p.value("system") + p.STACK_GLOBAL

    result = ran(code + p.STOP)

    assert isinstance(result.root, Attribute)
    assert result.assumptions


def test_notes_where_a_python_2_string_is_not_ascii() -> None:
    result = ran(b"U\x01\xe9.")

    assert (result.root, result.encoding_error) == ("é", 0)


def test_notes_an_argument_that_crosses_the_end_of_its_frame() -> None:
    code = p.proto(4) + b"\x95\x03" + bytes(7) + p.text("a long string") + p.STOP

    assert ran(code).frame_crossings == ((11, 14),)


def test_a_frame_that_ends_where_an_opcode_ends_is_nothing_to_note() -> None:
    assert ran(p.proto(4) + p.frame(p.value(1)) + p.frame(p.value(2) + p.POP) + p.STOP).frame_crossings == ()


@pytest.mark.parametrize("length", range(len(p.system("echo x"))))
def test_every_truncation_ends_in_an_error_and_keeps_what_came_before(length: int) -> None:
    whole = p.system("echo x")

    result = ran(whole[:length])

    assert result.error is not None
    assert result.stop is None
    assert len(result.calls) == (1 if length == len(whole) - 1 else 0)


@pytest.mark.parametrize("op", sorted(NAMES))
def test_every_opcode_alone_ends_in_a_value_or_an_error(op: int) -> None:
    result = ran(bytes([op]))

    assert result.error is not None or result.stop is not None


@pytest.mark.parametrize("op", sorted(set(range(256)) - set(NAMES)))
def test_what_is_no_opcode_is_an_error(op: int) -> None:
    assert "invalid load key" in (ran(bytes([op])).error or "")


def test_very_deep_nesting_is_no_recursion() -> None:
    assert ran(p.EMPTY_TUPLE + b"\x85" * 200_000 + p.STOP).accepted


def test_a_value_may_contain_itself() -> None:
    assert ran(p.EMPTY_LIST + p.MEMOIZE + p.get(0) + p.APPEND + p.STOP).accepted


def test_a_memo_bomb_is_a_small_graph() -> None:
    code = p.EMPTY_LIST + p.put(0) + (p.EMPTY_LIST + p.get(0) * 2 + p.MARK) * 0
    for level in range(60):
        code += p.EMPTY_LIST + p.MARK + p.get(level) * 10 + p.APPENDS + p.put(level + 1)

    result = ran(code + p.STOP)

    assert result.accepted
    assert result.opcodes < 1000


def test_a_huge_memo_index_costs_nothing() -> None:
    assert ran(p.NONE + b"r\xff\xff\xff\xff" + b"0j\xff\xff\xff\xff.").accepted


@pytest.mark.parametrize(
    ("content", "limits", "named"),
    [
        (p.NONE * 40_000 + p.STOP, {"opcodes": 20_000}, "opcodes"),
        (p.NONE * 40_000 + p.STOP, {"stack": 10_000}, "stack"),
        (p.MARK * 200_000 + p.STOP, {}, "stack"),
        (p.NONE + p.MEMOIZE * 40_000 + p.STOP, {"memo": 10_000}, "memo"),
        (p.global_("m", "f") + (p.EMPTY_TUPLE + p.REDUCE) * 40_000 + p.STOP, {"facts": 10_000}, "facts"),
    ],
)
def test_every_budget_shows_when_it_runs_out(content: bytes, limits: dict[str, int], named: str) -> None:
    result = ran(content, **limits)

    assert result.limit is not None
    assert result.limit.limit == named


def test_opcodes_of_a_small_pickle_are_charged_as_well() -> None:
    budget = Budget()

    result = run(BytesReader(p.dump([1, 2, 3])), budget=budget)

    assert budget.opcodes == result.opcodes == 8


def test_lists_of_very_many_plain_values_are_cut_short_and_callables_kept() -> None:
    code = p.EMPTY_LIST + (p.MARK + p.value(1) * 1000 + p.APPENDS) * 80
    code += p.MARK + p.global_("os", "system") + p.value(1) * 999 + p.APPENDS

    root = ran(code + p.STOP).root

    assert isinstance(root, list)
    assert len(root) <= KEPT + 1001
    assert isinstance(root[-1], Global)


def test_the_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    ran(p.dump(1))
    assert gc.isenabled()


def test_names_are_recorded_once_each() -> None:
    result = ran(p.value([p.Global("a", "b")] * 1000) + p.STOP)

    assert [name.dotted for name in result.imports] == ["a.b"]


@pytest.mark.parametrize(
    "constant",
    [p.system(), b"PK\x03\x04 rest", b"\x1f\x8b\x08 rest", b"cos\nsystem\n(S'x'\ntR."],
    ids=["pickle", "zip", "gzip", "protocol 0"],
)
def test_constants_that_look_like_files_are_noted(constant: bytes) -> None:
    assert [span.length for span in ran(p.dump(constant)).blobs] == [len(constant)]


def test_constants_that_look_like_nothing_are_not_noted() -> None:
    assert ran(p.dump([b"weights", b"\x80", b"N.", "text"])).blobs == []


@pytest.mark.parametrize(
    ("key", "again"), [("w", "w"), (7, 7), (7, 7.0), (1, True), (2.5, 2.5), (None, None), (2**70, 2**70)]
)
def test_a_plain_value_that_replaces_a_kept_one_is_seen_in_a_very_long_mapping(key: object, again: object) -> None:
    held = p.value(key) + p.value([])
    filling = b"".join(p.value(f"x{index}") + p.NONE for index in range(KEPT + 1))
    dropped = b"".join(p.value(f"y{index}") + p.NONE for index in range(1000))
    replaced = b"".join(p.value(again) + p.NONE for _ in range(1000))

    code = p.EMPTY_DICT + b"".join(p.MARK + part + p.SETITEMS for part in (held + filling, dropped, replaced))

    root = ran(code + p.STOP).root
    assert isinstance(root, Mapping)
    assert len(root.entries) == KEPT + 3
    assert root.entries[-1] == (again, None)


def test_a_value_kept_late_is_seen_to_be_replaced() -> None:
    filling = b"".join(p.value(index) + p.NONE for index in range(KEPT + 1))
    late = p.value("w") + p.value([])

    parts = (filling, late, p.value("w") + p.value(1), late, p.value("w") + p.value(2))
    root = ran(p.EMPTY_DICT + b"".join(p.MARK + part + p.SETITEMS for part in parts) + p.STOP).root

    assert isinstance(root, Mapping)
    assert root.entries[-4:] == [("w", []), ("w", 1), ("w", []), ("w", 2)]


def test_digits_that_are_no_number_after_all_are_read_once() -> None:
    result = ran(b"F" + b"0" * 60_000 + b"x\n.")
    assert result.error == "could not convert string to float"
