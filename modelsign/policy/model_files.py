"""What a local scan says about the kinds of files in a model: formats a policy did not allow, and code.

Configuration and text are not model formats: a policy that allows `safetensors` does not have to list the JSON beside
it. They are scanned all the same, and code in them is found by `code_in`.
"""

from collections.abc import Mapping, Sequence

from scanners.findings import FileReport, Report, Verdict

COMPANIONS = frozenset(
    {
        "chat-template",
        "jinja-template",
        "json",
        "json-lines",
        "notebook",
        "python-source",
        "requirements",
        "sentencepiece",
        "toml",
        "weights-index",
        "yaml",
    }
)
"""formats that accompany a model and hold no weights"""

_CODE_FORMATS = frozenset({"executable", "notebook", "python-source"})
_CODE_SUFFIXES = frozenset({"py", "pyc", "pyo", "pyd", "pyw", "pyz", "so", "dll", "dylib", "ipynb", "sh", "exe", "whl"})


def foreign_formats(report: Report, allowed: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the files that are, or can also be read as, a format outside ``allowed``: name to these formats."""
    known = COMPANIONS | set(allowed)
    foreign = {}
    for file in report.files:
        others = tuple(name for name in file.formats if name not in known)
        if others or not _understood(file):
            foreign[file.path] = others or ("of an unknown format",)
    return foreign


def _understood(file: FileReport) -> bool:
    return bool(file.formats) or file.verdict in {Verdict.UNSUPPORTED, Verdict.CLEAN}


def code_in(report: Report) -> Mapping[str, str]:
    """Return the files through which a loader would run code of the model: name to why."""
    found = {}
    for file in report.files:
        suffix = file.path.rsplit("/", 1)[-1].rpartition(".")[2].lower()
        code = next((finding for finding in file.findings if finding.rule.name in CODE_RULES), None)
        if code is not None:
            found[file.path] = code.message
        elif suffix in _CODE_SUFFIXES or _CODE_FORMATS & set(file.formats):
            found[file.path] = "a file of code"
    return found


CODE_RULES = frozenset(
    {
        "configuration-runs-code",
        "executable-file",
        "hydra-target",
        "mlflow-foreign-loader",
        "onnx-python-operator",
        "script-file",
        "tensorflow-calls-python",
        "yaml-python-tag",
    }
)
"""rules that find code of the model, or a reference to it, by name"""
