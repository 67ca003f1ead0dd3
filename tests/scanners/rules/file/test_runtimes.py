import json

import pytest

from scanners.findings import Verdict
from scanners.formats import rds
from scanners.rules.file import runtimes
from tests.builders import runtimes as build
from tests.builders.flatbuffers import Table
from tests.builders.flatbuffers import build as flatbuffer
from tests.scanners.rules.examples import Example, scan_files


def _twins(name: str, bad: bytes, good: bytes) -> Example:
    return Example(bad=lambda: {name: bad}, good=lambda: {name: good})


def _program(operator: str) -> bytes:
    return flatbuffer(Table({0: ("I", 0), 1: [Table({0: "forward", 6: [Table({0: operator})]})]}), b"ET12")


def _exported(expression: str) -> bytes:
    size = {"as_expr": {"expr_str": expression, "hint": None}}
    return json.dumps({"graph_module": {"graph": {"nodes": [], "sym_int_values": {"s": size}}}}).encode()


ACTS = build.r_call("system", build.r_text("id"))
PLAIN = build.r_call("sum", build.r_numbers(1.0))

EXAMPLES = {
    "MS570": _twins("m.rds", build.r_file(build.r_promise(ACTS)), build.r_file(build.r_promise(ACTS, forced=True))),
    "MS571": _twins("m.rds", build.r_file(build.r_closure(ACTS)), build.r_file(build.r_closure(PLAIN))),
    "MS572": _twins(
        "m.t7",
        build.t7_table(1, (build.t7_string(b"f"), build.t7_function(2, b"\x1bLJ"))),
        build.t7_table(1, (build.t7_string(b"w"), build.t7_tensor(2, [1.0]))),
    ),
    "MS573": _twins("m.mlmodel", build.coreml_custom_layer("Mine"), build.coreml()),
    "MS574": _twins("m.pte", _program("my::op"), _program("aten::add")),
    "MS575": _twins("m.plan", b"ftrt" + bytes(60), b"text"),
    "MS577": _twins("model.json", _exported("__import__('os').system('id')"), _exported("s77 + 1")),
    "MS578": _twins(
        "model.ser",
        build.java_objects("java.util.HashMap", "org.apache.commons.collections.functors.InvokerTransformer"),
        build.java_objects("weka.classifiers.trees.J48", "[D"),
    ),
    "MS576": _twins("m.msgpack", build.packed_map(x=b"\xd4\x2ax"), build.packed_map(x=b"\x01")),
}


def test_cve_2024_27322_r_promise_object() -> None:
    assert scan_files({"m.rds": build.r_file(build.r_promise(ACTS))}).verdict is Verdict.MALICIOUS


def test_an_unforced_promise_without_acting_names_is_suspicious() -> None:
    assert scan_files({"m.rds": build.r_file(build.r_promise(PLAIN))}).verdict is Verdict.SUSPICIOUS


def test_an_r_function_that_finds_another_by_its_name_is_judged_by_it() -> None:
    by_name = build.r_call("do.call", build.r_text("system"))
    assert scan_files({"m.rds": build.r_file(build.r_closure(by_name))}).verdict is Verdict.SUSPICIOUS
    only_text = build.r_call("paste", build.r_text("system"))
    assert scan_files({"m.rds": build.r_file(build.r_closure(only_text))}).verdict is Verdict.CLEAN


def test_a_compiled_engine_is_never_clean() -> None:
    assert scan_files({"m.engine": b"ftrt" + bytes(60)}).verdict is Verdict.SUSPICIOUS


def test_objects_of_java_are_never_clean() -> None:
    assert scan_files({"j48.model": build.java_objects("weka.classifiers.trees.J48")}).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    "body",
    [
        build.r_call("do.call", build.r_call("paste0", build.r_text("sys"), build.r_text("tem")), build.r_text("id")),
        build.r_call("get", build.r_call("rev", build.r_text(*"metsys"))),
        build.r_call("match.fun", build.r_call("rawToChar", build.r_call("as.raw", build.r_numbers(115.0)))),
        build.r_call("eval", build.r_call("parse", build.r_text("system('id')"))),
        build.r_call("processx::run", build.r_symbol("processx")),
        build.r_call("f", *(build.r_symbol(f"v{n}") for n in range(600)), build.r_call("system", build.r_text("id"))),
    ],
)
def test_an_r_function_that_hides_whom_it_calls_is_suspicious(body: bytes) -> None:
    assert scan_files({"m.rds": build.r_file(build.r_closure(body))}).verdict is Verdict.SUSPICIOUS


@pytest.mark.parametrize(
    "body",
    [
        build.r_call("get", build.r_call("paste0", build.r_text("predict."), build.r_text("lm"))),
        build.r_call(
            "sapply", build.r_call("paste", build.r_text("the file system"), build.r_text("sys", "temperature"))
        ),
        build.r_call("eval", build.r_call("parse", build.r_text("x + 1"))),
        build.r_call("strsplit", build.r_call("intToUtf8", build.r_numbers(115.0))),
    ],
)
def test_an_r_function_that_works_with_texts_is_not(body: bytes) -> None:
    assert scan_files({"m.rds": build.r_file(build.r_closure(body))}).verdict is Verdict.CLEAN


def test_the_reader_of_r_states_every_name_that_the_rules_judge() -> None:
    judged = runtimes._R_CLOSURE_ACTS | runtimes._R_CALLS_BY_NAME | runtimes._R_JOINS - {"c"} | runtimes._R_CODES
    assert judged | runtimes._R_ACTS <= rds.WORTH_STATING
