"""Readers of the smaller runtimes: R, Torch7, msgpack, Core ML, ExecuTorch, opaque engines."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from scanners.engine import finish, scan_blob
from scanners.errors import FormatError, LimitExceeded, Unsupported
from scanners.facts import Code, Identified, Operator, Reference, Tensor
from scanners.findings import Verdict
from scanners.formats import coreml, executorch, flax, opaque, rds, torch7
from scanners.reader import BytesReader
from tests.builders import runtimes as build
from tests.builders.flatbuffers import Table
from tests.builders.flatbuffers import build as flatbuffer
from tests.builders.protobufs import data, number
from tests.builders.readings import anomalies, blob_of, read_with, survive_mutations, uncovered

ACTS = build.r_call("system", build.r_text("id"))
NAMES = build.r_flags(2, tagged=True) + build.r_symbol("names") + build.r_text("a", "b") + build.R_NULL
MODEL = build.r_list(build.r_numbers(1.0, 2.0, attributes=NAMES), build.r_call("lm", build.r_symbol("y")))
WEIGHTS = build.packed_map(params=build.packed_map(w=build.packed_array((2, 3), bytes(24))), step=b"\x05")
NET = build.t7_object(1, b"nn.Linear", build.t7_table(2, (build.t7_string(b"weight"), build.t7_tensor(3, [1.0, 2.0]))))
PROGRAM = flatbuffer(
    Table({0: ("I", 0), 1: [Table({0: "forward", 6: [Table({0: "aten::add"}), Table({0: "my::op"})]})]}), b"ET12"
)


def operators(module: object, content: bytes) -> list[tuple[str, list[str]]]:
    facts = read_with(module, content, name="m").facts  # type: ignore[arg-type]  # modules are formats
    return [(fact.name, [value for _, value in fact.arguments]) for fact in facts if isinstance(fact, Operator)]


@pytest.mark.parametrize("version", [2, 3])
def test_an_ordinary_r_object_states_only_the_call_it_came_from(version: int) -> None:
    content = build.r_file(MODEL, version=version)
    reading = read_with(rds, content, name="m.rds")
    assert operators(rds, content) == [("language", ["lm", "y"])]
    assert anomalies(reading) == []
    assert uncovered(reading) == 0


def test_an_unforced_promise_is_stated_with_the_names_it_uses() -> None:
    assert operators(rds, build.r_file(build.r_promise(ACTS))) == [("promise", ["system"])]
    assert operators(rds, build.r_file(build.r_list(MODEL, build.r_promise(ACTS))))[1:] == [("promise", ["system"])]


def test_a_promise_without_environment_is_as_unforced_as_one_with() -> None:
    promise = build.r_flags(5) + build.R_UNBOUND + ACTS
    assert operators(rds, build.r_file(promise)) == [("promise", ["system"])]


def test_a_forced_promise_is_a_value() -> None:
    assert operators(rds, build.r_file(build.r_promise(ACTS, forced=True))) == []


def test_a_function_is_stated_with_the_names_it_uses() -> None:
    assert operators(rds, build.r_file(build.r_closure(ACTS))) == [("closure", ["system"])]


def test_a_symbol_by_reference_keeps_its_name() -> None:
    again = build.r_flags(6) + struct.pack(">I", 0x1FF) + build.R_NULL
    assert operators(rds, build.r_file(build.r_list(build.r_symbol("system"), build.r_promise(again)))) == [
        ("promise", ["system"])
    ]


def test_r_workspaces_begin_with_a_magic_of_their_own() -> None:
    assert rds.matches(blob_of(b"RDX3\n" + build.r_file(MODEL), "m.RData"))
    assert not rds.matches(blob_of(b"X\nabcdefgh", "x"))


def test_the_class_of_an_alternative_representation_is_stated() -> None:
    kind = build.r_flags(2) + build.r_symbol("mmap_real") + build.r_flags(2) + build.r_symbol("base") + build.R_NULL
    content = build.r_file(build.r_flags(238) + kind + build.r_text("/etc/passwd") + build.R_NULL)
    assert operators(rds, content) == [("altrep", ["mmap_real", "base"])]


ASCII = "A\n3\n263168\n197888\n5\nUTF-8\n"
ASCII_PROMISE = '1029\n253\n252\n6\n1\n262153\n6\nsys\\164em\n2\n16\n1\n262153\n9\nid\\040\\n\\\\\\"\\t\\?x\n254\n'


def test_the_ascii_form_is_read_with_its_escapes() -> None:
    assert operators(rds, (ASCII + ASCII_PROMISE).encode()) == [("promise", ["system"])]
    assert operators(rds, (ASCII.replace("\n", " ").replace("A ", "A\n", 1) + ASCII_PROMISE).encode()) == [
        ("promise", ["system"])
    ]
    assert uncovered(read_with(rds, (ASCII + ASCII_PROMISE).encode())) == 0


def test_ascii_vectors_are_stepped_over() -> None:
    numbers = "19\n3\n14\n4\n1.5\nNA\nInf\n-1e-300\n24\n3\n00\nff\n7f\n15\n2\n1\n2\nNA\n4\n"
    reading = read_with(rds, (ASCII + numbers).encode())
    assert uncovered(reading) == 0
    assert anomalies(reading) == []
    many = "14\n200000\n" + "0.123456789012345\n" * 200_000
    assert uncovered(read_with(rds, (ASCII + many).encode())) == 0


@pytest.mark.parametrize("text", ["14\n5\n1\n", "16\n1\n262153\n99\nabc", "x", "99999999999999\n", "1\n262153\n-1\n"])
def test_ascii_that_ends_early_or_holds_no_numbers_is_malformed(text: str) -> None:
    with pytest.raises(FormatError):
        read_with(rds, (ASCII + "19\n2\n" + text).encode())


def test_the_first_serialisation_is_named_as_unsupported() -> None:
    assert rds.matches(blob_of(b"RDX1\n....", "old.RData"))
    with pytest.raises(Unsupported):
        read_with(rds, b"RDX1\n....")


_R = """
m <- lm(mpg ~ wt + factor(cyl), mtcars)
x <- list(a=1:10, b=c(1.5,NA,Inf,-Inf,NaN), s=c("a b","tab\\tq\\\\",NA), r=as.raw(0:255), c=1+2i, l=c(TRUE,NA),
          f=function(x) x+1, e=new.env(), n=NULL, q=quote(a+b), d=Sys.Date(), ns=asNamespace("stats"))
setClass("P", representation(a="numeric")); x$p <- new("P", a=1)
g <- compiler::cmpfun(function(x) { y <- x; for (i in 1:3) y <- y+i; y })
for (v in 2:3) for (a in c(TRUE, FALSE, NA)) {
  saveRDS(m, sprintf("m-%s-%d.rds", a, v), ascii=a, version=v, compress=FALSE)
  saveRDS(list(x, g), sprintf("x-%s-%d.rds", a, v), ascii=a, version=v, compress=FALSE)
  if (!is.na(a)) save(m, g, x, file=sprintf("w-%s-%d.RData", a, v), ascii=a, version=v, compress=FALSE)
}
"""


def test_what_r_itself_writes_is_clean_in_every_form(tmp_path: Path) -> None:
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("R is not installed")
    subprocess.run([program, "-e", _R], cwd=tmp_path, check=True, capture_output=True)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 16
    verdicts = {one.name: scan_blob(BytesReader(one.read_bytes()), one.name).report.verdict for one in files}
    assert set(verdicts.values()) == {Verdict.CLEAN}, verdicts


def test_a_text_that_is_too_long_to_take_is_not_stepped_over_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rds, "MAXIMUM_TAKE", 10)
    with pytest.raises(LimitExceeded):
        read_with(rds, build.r_file(build.r_list(build.r_text("a" * 11), build.r_promise(ACTS))))


def test_lists_nested_without_end_do_not_recurse() -> None:
    content = build.r_file(b"".join(build.r_flags(19) + struct.pack(">i", 1) for _ in range(100_000)) + build.R_NULL)
    assert operators(rds, content) == []


def test_torch7_functions_and_tensors_are_stated() -> None:
    content = build.t7_table(1, (build.t7_string(b"f"), build.t7_function(2, b"\x1bLJ")), (build.t7_string(b"n"), NET))
    reading = read_with(torch7, content, name="m.t7")
    assert [fact.language for fact in reading.facts if isinstance(fact, Code)] == ["lua-bytecode"]
    assert torch7.matches(blob_of(NET, "model"))
    assert [fact.shape for fact in read_with(torch7, NET).facts if isinstance(fact, Tensor)] == [(2,)]
    assert uncovered(read_with(torch7, NET)) == 0


def test_the_oldest_functions_of_torch7_have_no_index() -> None:
    function = struct.pack("<ii", 6, 12) + b"\x1bLJ\x02abcdefgh" + build.t7_table(9)
    content = build.t7_table(
        12, (build.t7_string(b"k"), function), (build.t7_string(b"l"), function[:-8] + bytes([10, 0, 0, 0, 0, 0, 0, 0]))
    )
    for source in (content, function, b"6\n4\nabcd\n3\n2\n0\n"):
        reading = read_with(torch7, source, name="m.t7")
        assert len([fact for fact in reading.facts if isinstance(fact, Code)]) == source.count(b"abcd")
        assert uncovered(reading) == 0


def test_torch7_ascii_is_read_like_the_binary_form() -> None:
    values = "2\n7\nstrange\n4\n3\n3\nV 1\n17\ntorch.FloatTensor\n2\n2 1\n1 1\n1\n"
    storage = "4\n4\n3\nV 1\n18\ntorch.FloatStorage\n2\n1.5 -2e-3\n"
    byte = "2\n2\n\n3\n4\n5\n3\nV 1\n17\ntorch.ByteStorage\n3\n\n 1\n"
    function = "1\n3.25\n8\n6\n4\n\x1bLJ\n\n3\n7\n0\n"
    text = "4\n1\n3\nV 1\n9\nnn.Linear\n3\n2\n4\n" + values + storage + byte + function + "5\n1\n0\n"
    reading = read_with(torch7, text.encode(), name="m.t7")
    assert [(one.dtype, one.shape) for one in reading.facts if isinstance(one, Tensor)] == [("Float", (2, 1))]
    assert [one.text for one in reading.facts if isinstance(one, Code)] == ["a Lua function of 4 bytes of bytecode"]
    assert anomalies(reading) == []
    assert uncovered(reading) == 0


@pytest.mark.parametrize("text", ["3\n1\n-1\n", "3\n1\n99\n", "3\n1\n1\n2\n9\nab", "3\n1\n1\n1\nx\n77\n1\n", "3\n"])
def test_torch7_ascii_that_ends_early_is_malformed(text: str) -> None:
    with pytest.raises(FormatError):
        read_with(torch7, text.encode(), name="m.t7")


def test_torch7_lengths_outside_the_file_are_malformed() -> None:
    with pytest.raises(FormatError):
        read_with(torch7, struct.pack("<iii", 3, 1, 1 << 30), name="m.t7")


def test_flax_arrays_are_stated() -> None:
    reading = read_with(flax, WEIGHTS, name="flax_model.msgpack")
    assert [(fact.dtype, fact.shape) for fact in reading.facts if isinstance(fact, Tensor)] == [("float32", (2, 3))]
    assert anomalies(reading) == []
    assert uncovered(reading) == 0


def test_flax_extensions_nobody_knows_and_trailing_bytes_are_anomalies() -> None:
    content = build.packed_map(x=b"\xd4\x2ax") + b"more"
    assert anomalies(read_with(flax, content, name="m.msgpack")) == ["msgpack-extension", "msgpack-trailing"]


def test_an_extension_nobody_knows_is_told_once() -> None:
    content = b"\x93\xd4\x05x\xd4\x06x\xd4\x05x"
    assert anomalies(read_with(flax, content)) == ["msgpack-extension", "msgpack-extension"]


def test_msgpack_depth_and_counts_are_bounded() -> None:
    with pytest.raises(LimitExceeded):
        read_with(flax, b"\x91" * 5000 + b"\xc0", name="m.msgpack")
    with pytest.raises(FormatError):
        read_with(flax, b"\xdd\xff\xff\xff\xff", name="m.msgpack")


def test_core_ml_states_custom_classes() -> None:
    assert operators(coreml, build.coreml_custom_layer("AAPLSwish")) == [("custom-layer", ["AAPLSwish"])]
    assert operators(coreml, build.coreml(555, data(10, "Mine"))) == [("custom-model", ["Mine"])]
    assert operators(coreml, build.coreml(500, b"")) == []
    assert coreml.matches(blob_of(build.coreml(), "model.mlmodel"))


def _program(operation: bytes) -> bytes:
    """A Core ML program of one function, one block, one operation."""
    block = data(1, "CoreML5") + data(2, data(3, operation))
    return build.coreml(502, number(1, 1) + data(2, data(1, "main") + data(2, data(2, "CoreML5") + data(3, block))))


def _constant(path: str) -> bytes:
    return data(2, b"") + data(5, data(1, path) + number(2, 64))


@pytest.mark.parametrize(
    "operation",
    [
        data(1, "const") + data(5, data(1, "val") + data(2, _constant("/etc/passwd"))),
        data(2, data(1, "x") + data(2, data(1, data(2, _constant("/etc/passwd"))))),
        data(4, data(3, data(5, data(1, "val") + data(2, _constant("/etc/passwd"))))),
    ],
    ids=["attribute", "argument", "inner-block"],
)
def test_the_files_of_a_core_ml_program_are_stated(operation: bytes) -> None:
    reading = read_with(coreml, _program(operation))
    assert [fact.target for fact in reading.facts if isinstance(fact, Reference)] == ["/etc/passwd"]


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("@model_path/weights/weight.bin", Verdict.CLEAN),
        ("@model_path/../../x", Verdict.SUSPICIOUS),
        ("/etc/passwd", Verdict.SUSPICIOUS),
    ],
)
def test_weights_outside_a_core_ml_package_are_suspicious(path: str, verdict: Verdict) -> None:
    content = _program(data(1, "const") + data(5, data(1, "val") + data(2, _constant(path))))
    assert finish("m", [scan_blob(BytesReader(content), "m.mlmodel")], tool_version="0").verdict is verdict


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("com.apple.CoreML/model.mlmodel", Verdict.CLEAN),
        ("../../x", Verdict.SUSPICIOUS),
        ("/etc/passwd", Verdict.SUSPICIOUS),
    ],
)
def test_items_outside_a_core_ml_package_are_suspicious(path: str, verdict: Verdict) -> None:
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": {"A": {"path": path}}, "rootModelIdentifier": "A"}
    scanned = scan_blob(BytesReader(json.dumps(manifest).encode()), "m.mlpackage/Manifest.json")
    assert finish("m", [scanned], tool_version="0").verdict is verdict


def test_the_last_of_two_paths_is_what_a_core_ml_model_is_linked_to() -> None:
    linked = data(1, data(1, data(1, "beside") + data(1, "../../x")))
    targets = [
        fact.target for fact in read_with(coreml, build.coreml(556, linked)).facts if isinstance(fact, Reference)
    ]
    assert targets == ["../../x"]


def test_the_weights_of_a_core_ml_package_are_inert() -> None:
    content = struct.pack("<II", 1, 2) + bytes(56) + struct.pack("<I", 0xDEADBEEF) + bytes(60)
    assert coreml.matches(blob_of(content, "weight.bin"))
    assert uncovered(read_with(coreml, content)) == 0


def test_executorch_operators_are_stated() -> None:
    assert executorch.matches(blob_of(PROGRAM, "m.pte"))
    assert [name for name, _ in operators(executorch, PROGRAM)] == ["aten::add", "my::op"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"ftrt" + bytes(60), "tensorrt-engine"),
        (b"\x50\xed\x55\xba" + bytes(60), "cuda-fatbinary"),
        (b"RKNN" + bytes(60), "rknn"),
        (b"B\0C\0N\0\0\0" + bytes(60), "cntk"),
        (data(1, "x").replace(b"\x0a\x01x", b"\x08\x01") + data(2, "type CompositeFunction"), "cntk"),
        (b"binf" + bytes(60), "xgboost-binary"),
    ],
)
def test_opaque_files_are_named_and_never_complete(content: bytes, kind: str) -> None:
    reading = read_with(opaque, content)
    assert [fact.format for fact in reading.facts if isinstance(fact, Identified)] == [kind]
    assert reading.reasons


@pytest.mark.parametrize(
    ("module", "content", "name"),
    [
        (rds, build.r_file(build.r_list(MODEL, build.r_promise(ACTS), build.r_closure(ACTS))), "m.rds"),
        (rds, (ASCII + "19\n2\n14\n2\n1.5\nNA\n" + ASCII_PROMISE).encode(), "m.rds"),
        (torch7, NET, "m.t7"),
        (torch7, b"4\n1\n3\nV 1\n9\nnn.Linear\n3\n2\n1\n2\n1\na\n1\n3.5\n", "m.t7"),
        (flax, WEIGHTS, "m.msgpack"),
        (coreml, build.coreml_custom_layer("X"), "m.mlmodel"),
        (executorch, PROGRAM, "m.pte"),
    ],
    ids=["rds", "rds-ascii", "torch7", "torch7-ascii", "flax", "coreml", "executorch"],
)
def test_truncations_and_mutations_end_in_a_verdict(module: object, content: bytes, name: str) -> None:
    survive_mutations(module, [content], name=name, rounds=600)  # type: ignore[arg-type]  # modules are formats
