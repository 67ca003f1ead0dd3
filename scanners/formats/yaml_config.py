"""YAML configurations: Python tags, Hydra's `_target_`, and MLflow's `MLmodel`.

Sources: PyYAML `constructor.py` (`!!python/…` tags; `yaml.load` with the full or the unsafe loader acts on them), Hydra
`instantiate` (`_target_` is imported and called; NeMo, CVE-2025-23304), MLflow `MLmodel` (`loader_module` is imported
and its `_load_pyfunc` called, `code` goes onto the import path first).
"""

from scanners import detect
from scanners.errors import LimitExceeded
from scanners.facts import Identified, Reference
from scanners.reading import Blob, Reading

NAME = "yaml"

_PYTHON = "tag:yaml.org,2002:python/"
_INERT = frozenset("none bool str unicode bytes int long float complex list tuple dict".split())
"""values that the full loader makes without a look-up"""
_MLFLOW_CODE = frozenset({"loader_module", "code", "model_code_path", "python_model", "data", "artifacts"})


def matches(blob: Blob) -> bool:
    """Return whether the blob is named like YAML or like an MLflow model."""
    return detect.suffix_of(blob.name) in {"yaml", "yml"} or _is_mlmodel(blob)


def _is_mlmodel(blob: Blob) -> bool:
    return blob.name.rsplit("/", 1)[-1] == "MLmodel"


def read(blob: Blob, reading: Reading) -> None:
    """State tags that name Python objects, and entries that name code."""
    from scanners.formats import yaml_text  # its patterns take a millisecond to compile

    size = blob.reader.size
    if size > reading.budget.limits.text:
        raise LimitExceeded("text", f"{size} bytes of YAML")
    text = yaml_text.text_of(blob.reader.read_at(0, size))
    mlmodel = _is_mlmodel(blob)
    reading.state(Identified(location=reading.at(), format="mlflow-model" if mlmodel else NAME))
    for tag in yaml_text.tags(text):
        if tag.name.startswith(_PYTHON):
            kind, _, target = tag.name.removeprefix(_PYTHON).partition(":")
            if kind not in _INERT:
                _state(reading, "python-tag", target or kind, f"!!python/{kind}")
    for entry in yaml_text.entries(text):
        key = entry.path[-1]
        if key == "_target_":
            _state(reading, "callable", entry.value, ".".join(entry.path))
        elif mlmodel and key in _MLFLOW_CODE and "python_function" in entry.path:
            _state(reading, "mlflow", entry.value, key)
    reading.parsed(0, size)


def _state(reading: Reading, kind: str, target: str, context: str) -> None:
    reading.state(Reference(location=reading.at(), kind=kind, target=target[:400], context=context[-200:]))
