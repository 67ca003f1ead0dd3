"""The engine: verdicts, coverage that adds up, budgets, and readers that fail."""

import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from scanners import registry
from scanners.engine import ScannedFile, finish, scan_blob
from scanners.errors import FormatError
from scanners.facts import Identified
from scanners.findings import Confidence, FileReport, Finding, Location, Rule, Severity, Verdict
from scanners.knowledge import RULESET
from scanners.limits import Limits
from scanners.reader import BytesReader, FileReader
from scanners.reading import Blob, FileFacts, Reading
from tests.builders.safetensors import safetensors
from tests.builders.zips import DEFLATED, Archive, Member, archive


def scan(data: bytes, path: str = "file.zip", **limits: int) -> FileReport:
    return scan_blob(BytesReader(data), path, limits=Limits(**limits)).report


def adds_up(report: FileReport) -> bool:
    coverage = report.coverage
    return coverage.parsed + coverage.inert + coverage.unread == report.size


# ---- verdicts


@pytest.mark.parametrize("path", ["README.md", "LICENSE", "picture.png", "vocab.txt", ".gitattributes"])
def test_file_without_loader_is_unsupported_and_complete(path: str) -> None:
    report = scan(b"\x01\x02 whatever", path)

    assert report.verdict is Verdict.UNSUPPORTED
    assert report.coverage.complete


@pytest.mark.parametrize("path", ["model.pt", "weights.bin", "sub/model.ONNX", "x.7z"])
def test_file_that_calls_itself_a_model_and_is_not_understood_is_incomplete(path: str) -> None:
    report = scan(b"\x01\x02 whatever", path)

    assert report.verdict is Verdict.INCOMPLETE
    assert report.coverage.unread == report.size
    assert [finding.rule.id for finding in report.findings] == ["MS905"]


def test_empty_file_is_nobodys_input() -> None:
    assert scan(b"", "model.pt").verdict is Verdict.UNSUPPORTED


def test_clean_file_is_clean() -> None:
    report = scan(safetensors({"a": ("U8", [3], b"abc")}), "m.safetensors")

    assert (report.verdict, report.formats) == (Verdict.CLEAN, ("safetensors",))


def test_same_bytes_give_the_same_report() -> None:
    data = archive(("a.json", b'{"auto_map": {"x": "y.Z"}}'), ("b.7z", b"7z\xbc\xaf\x27\x1c"))

    assert scan(data) == scan(data)


# ---- coverage


@pytest.mark.parametrize("method", [0, DEFLATED])
def test_coverage_adds_up_through_nested_archives(method: int) -> None:
    inner = archive(("config.json", b'{"a": 1}'), ("notes.txt", b"hello " * 20), method=method)
    report = scan(archive(("inner.zip", inner), ("config.json", b"{}"), method=method))

    assert adds_up(report)
    assert report.coverage.complete


def test_unread_member_counts_in_the_containers_file() -> None:
    data = archive(("weights.plan", b"12345678"), ("config.json", b"{}"))
    report = scan(data)

    assert report.coverage.unread == 8
    assert report.coverage.reasons == ("weights.plan: named like a model (.plan), but no reader understands it",)


def test_compressed_member_that_was_not_understood_is_unread_as_a_whole() -> None:
    member = Member(name=b"weights.plan", data=b"12345678" * 50, method=DEFLATED)
    report = scan(Archive(members=[member]).build())

    assert report.coverage.unread == len(member.body)
    assert adds_up(report)


def test_many_reasons_are_summed_up() -> None:
    report = scan(archive(*((f"{index}.plan", b"x") for index in range(50))))

    assert len(report.coverage.reasons) == 21
    assert report.coverage.reasons[-1] == "~ and 30 more reasons"


# ---- descent and budgets


def nested(depth: int) -> bytes:
    data = b'{"auto_map": {"x": "y.Z"}}'
    name = "config.json"
    for level in range(depth):
        data, name = archive((name, data)), f"level{level}.zip"
    return data


def test_finding_carries_the_member_path() -> None:
    finding = scan(nested(3)).findings[0]

    assert finding.location.members == ("level1.zip", "level0.zip", "config.json")


def test_nesting_beyond_the_budget_is_incomplete() -> None:
    report = scan(nested(4), depth=3)

    assert report.verdict is Verdict.INCOMPLETE
    assert [finding.rule.id for finding in report.findings] == ["MS902"]
    assert adds_up(report)


def test_too_many_members_are_incomplete() -> None:
    report = scan(archive(*((str(index), b"x") for index in range(30))), members=10)

    assert report.verdict is Verdict.INCOMPLETE
    assert "MS902" in {finding.rule.id for finding in report.findings}


def test_deflate_bomb_is_incomplete_and_cheap() -> None:
    member = Member(name=b"config.json", data=b" " * (1 << 26), method=DEFLATED)
    report = scan(Archive(members=[member]).build())

    assert report.verdict is Verdict.INCOMPLETE
    assert "MS902" in {finding.rule.id for finding in report.findings}


def test_members_that_share_one_bomb_end_in_the_budget() -> None:
    members = [Member(name=b"0.json", data=b" " * (3 << 20), method=DEFLATED)]
    members += [
        Member(name=b"%d.json" % index, data=b" " * (3 << 20), method=DEFLATED, header_offset=0, in_local_headers=False)
        for index in range(1, 50)
    ]
    report = scan(Archive(members=members).build(), unpacking=20 << 20)

    assert report.verdict is Verdict.SUSPICIOUS
    assert {"MS207", "MS902"} <= {finding.rule.id for finding in report.findings}


# ---- readers and rules that fail


def is_called_broken(blob: Blob) -> bool:
    return blob.name == "broken"


def crashes_on_detection(_: Blob) -> bool:
    raise RecursionError


def crashes(_: Blob, reading: Reading) -> None:
    reading.state(Identified(location=reading.at(), format="broken"))
    reading.parsed(0, 1)
    raise ZeroDivisionError


def refuses(_: Blob, reading: Reading) -> None:
    message = f"no such thing in {reading.blob.name}"
    raise FormatError(message, offset=3)


@dataclass
class Fake:
    """A format made of two functions."""

    read: Callable[[Blob, Reading], None]
    matches: Callable[[Blob], bool] = is_called_broken
    NAME: str = "broken"


def test_crashed_reader_is_an_error_and_never_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FORMATS", (Fake(crashes), *registry.FORMATS))
    report = scan(archive(("broken", b"12"), ("config.json", b"{}")))

    assert report.verdict is Verdict.ERROR
    assert [finding.rule.id for finding in report.findings] == ["MS901"]
    assert not report.coverage.complete


def test_crashed_reader_does_not_hide_what_another_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FORMATS", (Fake(crashes), *registry.FORMATS))
    report = scan(archive(("broken", b"12"), ("config.json", b'{"auto_map": {"x": "a/b--y.Z"}}')))

    assert report.verdict is Verdict.SUSPICIOUS
    assert {finding.rule.id for finding in report.findings} == {"MS901", "MS401"}


def test_crash_while_detecting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FORMATS", (Fake(crashes, crashes_on_detection),))

    assert scan(b"anything", "README.md").verdict is Verdict.ERROR


def test_refusal_is_incomplete_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FORMATS", (Fake(refuses),))
    report = scan(b"anything", "broken")

    assert report.verdict is Verdict.INCOMPLETE
    assert [(finding.rule.id, finding.location.offset) for finding in report.findings] == [("MS904", 3)]


RULE = Rule(id="MS999", name="test", severity=Severity.MEDIUM, summary="test", fix="test")


class BrokenRule(types.ModuleType):
    """A rule with a bug behind its first finding."""

    RULES = (RULE,)

    def judge(self, facts: FileFacts) -> Iterator[Finding]:
        yield Finding(
            rule=RULE,
            file=facts.path,
            location=Location(),
            severity=Severity.LOW,
            confidence=Confidence.LOW,
            message="found before it broke",
        )
        raise KeyError


def test_crashed_rule_is_an_error_and_keeps_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FILE_RULES", (BrokenRule("broken"),))
    report = scan(archive(("a", b"1")))

    assert report.verdict is Verdict.ERROR
    assert {finding.rule.id for finding in report.findings} == {"MS901", "MS999"}


def test_file_that_shrinks_while_it_is_read_is_not_clean(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("shrinking") / "m.safetensors"
    path.write_bytes(safetensors({"a": ("U8", [3], b"abc")})[:20])
    with path.open("rb") as file:
        report = scan_blob(FileReader(file.fileno(), 1000), "m.safetensors").report

    assert report.verdict is Verdict.INCOMPLETE


# ---- the whole target


def scanned(path: str, data: bytes) -> ScannedFile:
    return scan_blob(BytesReader(data), path)


def test_finish_sorts_files_by_path_whatever_the_order() -> None:
    files = [scanned(path, b"{}") for path in ("b.json", "a/c.json", "a.json")]

    report = finish("target", files, tool_version="1")
    assert [file.path for file in report.files] == ["a.json", "a/c.json", "b.json"]
    assert report == finish("target", reversed(files), tool_version="1")


def test_finish_of_nothing_is_unsupported() -> None:
    assert finish("target", [], tool_version="1").verdict is Verdict.UNSUPPORTED


class TreeRule(types.ModuleType):
    """A rule over neighbours."""

    RULES = (RULE,)

    def judge(self, files: "list[FileFacts]") -> Iterator[Finding]:
        for file in files:
            if file.path == "a.json" and len(files) > 1:
                yield Finding(
                    rule=RULE,
                    file=file.path,
                    location=Location(),
                    severity=Severity.MEDIUM,
                    confidence=Confidence.LOW,
                    message="it has neighbours",
                )


def test_tree_rule_changes_the_verdict_of_its_file_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "TREE_RULES", (TreeRule("tree"),))
    report = finish("target", [scanned("b.json", b"{}"), scanned("a.json", b"{}")], tool_version="1")

    assert [file.verdict for file in report.files] == [Verdict.SUSPICIOUS, Verdict.CLEAN]


def test_version_of_the_rules_is_in_the_report() -> None:
    assert finish("target", [], tool_version="1").ruleset == RULESET
