"""Names that say something else than the content."""

import pytest

from scanners.findings import Verdict
from tests.builders.checkpoints import floats, pickled, tensor, torch_zip
from tests.builders.safetensors import safetensors
from tests.builders.zips import archive
from tests.scanners.rules.examples import Example, scan_files

CHECKPOINT = torch_zip({"w": tensor("0", [4])}, {"0": floats(4)})
HARMLESS = safetensors({"a": ("U8", [1], b"x")})
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(30)

EXAMPLES = {
    "MS450": Example(
        bad=lambda: {"model.safetensors": CHECKPOINT},
        good=lambda: {"model.pt": CHECKPOINT, "model.safetensors": HARMLESS},
    ),
}


def rules(path: str, data: bytes) -> list[str]:
    return [finding.rule.id for finding in scan_files({path: data}).findings]


@pytest.mark.parametrize("path", ["a.txt", "a.json", "logo.png", "README.md", "m.onnx", "sub/config.yaml"])
def test_pickle_with_a_harmless_name_is_suspicious(path: str) -> None:
    report = scan_files({path: pickled({"a": 1})})

    assert "MS450" in {finding.rule.id for finding in report.findings}
    assert report.verdict is Verdict.SUSPICIOUS


@pytest.mark.parametrize("path", ["m.pkl", "m.pt", "m.bin", "m", "m.model", "m.weights"])
def test_pickle_with_an_open_name_is_not(path: str) -> None:
    assert "MS450" not in rules(path, pickled({"a": 1}))


@pytest.mark.parametrize("path", ["m.pt", "m.bin", "m.zip"])
def test_picture_with_the_name_of_a_model_is_suspicious(path: str) -> None:
    assert scan_files({path: PICTURE}).verdict is Verdict.SUSPICIOUS


def test_picture_with_the_name_of_a_picture_is_nobodys_input() -> None:
    assert scan_files({"logo.png": PICTURE}).verdict is Verdict.UNSUPPORTED


def test_archive_with_a_harmless_name_is_a_note() -> None:
    report = scan_files({"notes.txt": archive(("a", b"1"))})

    assert [finding.rule.id for finding in report.findings] == ["MS450"]
    assert report.verdict is Verdict.CLEAN


def test_pointer_to_a_file_that_was_not_fetched_says_so() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    report = scan_files({"model.safetensors": pointer})

    assert report.verdict is Verdict.INCOMPLETE
    assert "Git LFS pointer" in report.findings[0].message
