import json

from scanners.findings import Verdict
from tests.builders.gguf import Weight, gguf
from tests.scanners.rules.examples import Example, Files, scan_files


def index(*files: str) -> bytes:
    return json.dumps({"weight_map": {f"t{number}": file for number, file in enumerate(files)}}).encode()


def _shards(*files: str, present: tuple[str, ...] = ("a.gguf",)) -> Files:
    return {"model.index.json": index(*files), **dict.fromkeys(present, gguf())}


EXAMPLES = {
    "MS440": Example(bad=lambda: _shards("../../etc/x"), good=lambda: _shards("a.gguf")),
    "MS441": Example(bad=lambda: _shards("a.gguf", "b.gguf"), good=lambda: _shards("a.gguf")),
}


def messages(files: Files) -> list[str]:
    return [finding.message for finding in scan_files(files).findings if finding.rule.id == "MS441"]


def test_an_index_alone_is_not_blamed_for_what_was_not_scanned() -> None:
    assert messages({"model.index.json": index("a.gguf")}) == []


def test_a_file_with_another_number_of_tensors_is_noted() -> None:
    two = gguf(weights=[Weight(), Weight(name="b", offset=512)], data=bytes(1024))
    assert messages({"model.index.json": index("a.gguf"), "a.gguf": two}) == [
        "a.gguf holds 2 tensors, the index expects 1"
    ]


def test_a_numbered_file_the_index_does_not_name_is_noted() -> None:
    files = {"m.index.json": index("m-00001-of-00002.gguf")}
    files |= {f"m-0000{number}-of-00002.gguf": gguf() for number in (1, 2)}
    assert messages(files) == ["m-00002-of-00002.gguf is numbered like the files of the index, which does not name it"]


def test_paths_are_relative_to_the_index() -> None:
    assert scan_files({"sub/m.index.json": index("a.gguf"), "sub/a.gguf": gguf()}).findings == ()


def test_a_path_that_leaves_the_directory_is_malicious() -> None:
    assert scan_files(_shards("/etc/passwd")).verdict is Verdict.MALICIOUS
