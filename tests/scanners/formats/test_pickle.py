"""Raw pickles: which files are taken for one, and what happens behind the first STOP."""

import random

import pytest

from scanners.engine import scan_blob
from scanners.facts import Call, Import, Tensor
from scanners.findings import FileReport, Verdict
from scanners.formats.pickle import NOT_FIRST
from scanners.limits import Budget, Limits
from scanners.pickles.machine import run
from scanners.reader import BytesReader
from tests.builders import pickles as p

ORDINARY = p.dump({"a": [1, 2, 3], "b": "text"})


def scan(content: bytes, name: str = "model.pkl", limits: Limits | None = None) -> FileReport:
    return scan_blob(BytesReader(content), name, limits=limits).report


def rules(content: bytes, name: str = "model.pkl") -> set[str]:
    return {finding.rule.id for finding in scan(content, name).findings}


@pytest.mark.parametrize("name", ["model.pkl", "pytorch_model.bin", "model.pt", "README.md", "image.png", "noext"])
@pytest.mark.parametrize("payload", [p.system(), b"cos\nsystem\n(S'echo x'\ntR.", b"(S'echo x'\nios\nsystem\n."])
def test_a_pickle_is_one_under_any_name(name: str, payload: bytes) -> None:
    assert scan(payload, name).verdict is Verdict.MALICIOUS


@pytest.mark.parametrize("payload", [p.system(), b"cos\nsystem\n(S'echo x'\ntR."])
@pytest.mark.parametrize("before", [b"I1\n.", b"N." * 9, b"(1N."])
def test_a_payload_behind_pickles_that_could_be_text_is_found(before: bytes, payload: bytes) -> None:
    assert scan(before + payload, "noext").verdict is Verdict.MALICIOUS


@pytest.mark.parametrize(
    "text",
    [
        "click\nrich\n",
        "(c) 2026 The authors\nAll rights reserved.\n",
        "import os\nprint(os.name)\n",
        "class A:\n    pass\n",
        "I am a README.\nNothing else.\n",
        "N.\n",
        "]}.\n",
        "Lorem ipsum dolor sit amet.",
        "0,1,2\n3,4,5\n",
        "collections\nsorted.\n",
    ],
)
def test_ordinary_text_is_no_pickle(text: str) -> None:
    assert "pickle" not in scan(text.encode(), "notes").formats


@pytest.mark.parametrize("opcode", sorted(NOT_FIRST))
def test_nothing_comes_of_an_opcode_that_cannot_be_first(opcode: int) -> None:
    for behind in (b"0\n" * 9, bytes(40), b"\x01" * 40, b"os\nsystem\n" * 6, b".", b"cos\nsystem\n(S'x'\ntR."):
        found = run(BytesReader(bytes([opcode]) + behind), budget=Budget())
        assert found.error
        assert found.stop is None
        assert not found.calls
        assert not found.imports
        assert found.opcodes <= 1


def test_raw_weights_are_no_pickle() -> None:
    source = random.Random(0)

    assert all("pickle" not in scan(b"\x80\x02\x00" + source.randbytes(500), "w").formats for _ in range(50))


def test_a_clean_pickle_is_read_to_its_end() -> None:
    report = scan(ORDINARY)

    assert report.verdict is Verdict.CLEAN
    assert report.coverage.parsed == len(ORDINARY)
    assert report.formats == ("pickle",)


def test_several_pickles_in_a_row_are_read_one_by_one() -> None:
    report = scan(ORDINARY * 3)

    assert report.verdict is Verdict.CLEAN
    assert [finding.rule.id for finding in report.findings] == ["MS107"]


@pytest.mark.parametrize("padding", [b"", b"\0" * 100, b"\n"])
def test_padding_behind_the_last_pickle_is_nothing(padding: bytes) -> None:
    assert scan(ORDINARY + padding).verdict is Verdict.CLEAN


def test_a_pickle_behind_junk_is_found() -> None:
    assert scan(ORDINARY + b"\xff" * 50 + p.system()).verdict is Verdict.MALICIOUS


def test_an_archive_behind_a_pickle_is_read() -> None:
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("data.pkl", p.system())

    assert scan(ORDINARY + archive.getvalue()).verdict is Verdict.MALICIOUS


def test_extension_codes_registered_by_one_pickle_count_for_the_next() -> None:
    first = p.dump(p.call("copyreg", "add_extension", "os", "system", 7))
    second = b"\x82\x07" + p.value(("echo x",)) + p.REDUCE + p.STOP

    assert any("os.system" in finding.evidence for finding in scan(first + second).findings)


@pytest.mark.parametrize("cut", range(1, len(ORDINARY)))
def test_a_truncated_pickle_is_never_clean(cut: int) -> None:
    assert scan(ORDINARY[:cut]).verdict is not Verdict.CLEAN


def test_no_mutation_makes_the_reader_fail() -> None:
    source = random.Random(1)
    for _ in range(500):
        data = bytearray(p.system() + ORDINARY)
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(len(data))] = source.randrange(256)
        assert scan(bytes(data)).verdict is not Verdict.ERROR


def test_an_exhausted_budget_is_incomplete() -> None:
    report = scan(p.proto(4) + p.value([1] * 30_000) + p.STOP, limits=Limits(opcodes=20_000))

    assert report.verdict is Verdict.INCOMPLETE
    assert not report.coverage.complete


def test_facts_name_the_callable_its_arguments_and_the_way() -> None:
    facts = scan_blob(BytesReader(p.system("echo x")), "model.pkl").facts.facts

    (fact,) = [fact for fact in facts if isinstance(fact, Call)]
    assert (fact.function, fact.text, fact.via, fact.arguments) == (
        "os.system",
        "os.system('echo x')",
        "REDUCE",
        ("'echo x'",),
    )
    assert [fact.dotted for fact in facts if isinstance(fact, Import)] == ["os.system"]


def test_many_calls_of_one_kind_are_stated_a_few_times() -> None:
    dates = [p.call("datetime", "date", 2026, 1, day) for day in range(1, 200)]

    facts = scan_blob(BytesReader(p.dump(dates)), "model.pkl").facts.facts

    assert 0 < sum(isinstance(fact, Call) for fact in facts) < 10


def test_a_call_that_differs_from_its_thousand_neighbours_is_seen() -> None:
    calls = [p.call("_codecs", "encode", "x", "latin1") for _ in range(1000)]
    calls[700] = p.call("_codecs", "encode", "x", "zlib")

    assert scan(p.dump(calls)).verdict is Verdict.SUSPICIOUS


def test_tensors_have_the_names_of_their_place() -> None:
    storage = p.Raw(p.value(("storage", p.Global("torch", "FloatStorage"), "0", "cpu", 4)) + b"Q")
    hooks = p.call("collections", "OrderedDict")
    tensor = p.call("torch._utils", "_rebuild_tensor_v2", storage, 0, (4,), (1,), False, hooks)

    facts = scan_blob(BytesReader(p.dump({"model": {"layer.weight": tensor}})), "model.pkl").facts.facts

    assert [fact.name for fact in facts if isinstance(fact, Tensor)] == ["model.layer.weight"]


def test_a_deep_and_a_cyclic_graph_are_walked() -> None:
    deep = p.EMPTY_TUPLE + b"\x85" * 100_000 + p.STOP
    cyclic = p.EMPTY_LIST + p.MEMOIZE + p.get(0) + p.APPEND + p.STOP

    assert scan(p.proto(4) + deep).verdict is Verdict.CLEAN
    assert scan(p.proto(4) + cyclic).verdict is Verdict.CLEAN


def test_a_chain_of_partials_without_end_is_survived() -> None:
    code = p.global_("os", "system")
    for _ in range(500):
        code = p.global_("functools", "partial") + code + b"\x85" + p.REDUCE
    payload = p.proto(2) + code + p.EMPTY_TUPLE + p.REDUCE + p.STOP

    assert scan(payload).verdict is Verdict.MALICIOUS


def test_where_a_callable_is_kept_is_said() -> None:
    item = p.new("torch.nn.modules.linear", "Linear", state={"_forward_hooks": {0: p.Global("my.hooks", "f")}})

    (finding,) = scan(p.dump(item)).findings

    assert "_forward_hooks" in finding.message or "item '0'" in finding.message
    assert finding.evidence == "my.hooks.f"
