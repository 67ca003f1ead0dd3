"""Names that say something else than the content (MS450)."""

from collections.abc import Iterator, Sequence

from scanners.detect import suffix_of
from scanners.facts import Anomaly
from scanners.findings import Finding, Location, Rule, Severity
from scanners.reading import FileFacts
from scanners.rules.found import found

WRONG_EXTENSION = Rule(
    id="MS450",
    name="wrong-extension",
    severity=Severity.MEDIUM,
    summary="A file is named like one format and is another",
    fix="Rename the file to what it is; if its author called a pickle something harmless, ask why.",
    cwe="CWE-434",
)

RULES: tuple[Rule, ...] = (WRONG_EXTENSION,)

_HARMLESS_NAMES = frozenset(
    "safetensors gguf onnx json jsonl yaml yml toml txt md rst csv tsv html xml log ini cfg"
    " png jpg jpeg gif webp svg pdf mp3 wav mp4 gitattributes gitignore license".split()
)
"""suffixes that tell a person (or a gate) that nothing in the file runs"""
_RUNS_ON_LOADING = {
    "pickle": "a pickle",
    "joblib": "a joblib pickle",
    "torch-legacy": "a torch checkpoint (pickles)",
    "torch-zip": "a torch checkpoint (a zip with a pickle)",
    "torch-tar": "a torch checkpoint (a tar with pickles)",
}
_ARCHIVES = {"zip": "a zip archive", "tar": "a tar archive", "7z": "a 7z archive"}


def judge(files: Sequence[FileFacts]) -> Iterator[Finding]:
    """Compare the suffix of each file with what it was read as."""
    for file in files:
        for fact in file.facts:
            if isinstance(fact, Anomaly) and fact.code == "disguised-content":
                yield _finding(file, fact.location, fact.message, WRONG_EXTENSION.severity)
        suffix = suffix_of(file.path)
        if suffix not in _HARMLESS_NAMES or suffix in file.formats:
            continue  # a file that is what it says, and something else too, is a polyglot: MS209
        for name in file.formats:
            if name in _RUNS_ON_LOADING:
                message = f"named .{suffix}, but it is {_RUNS_ON_LOADING[name]}"
                yield _finding(file, Location(), message, WRONG_EXTENSION.severity)
            elif name in _ARCHIVES:
                yield _finding(file, Location(), f"named .{suffix}, but it is {_ARCHIVES[name]}", Severity.LOW)


def _finding(file: FileFacts, location: Location, message: str, severity: Severity) -> Finding:
    return found(WRONG_EXTENSION, file, location, message, severity=severity)
