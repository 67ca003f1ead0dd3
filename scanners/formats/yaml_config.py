"""YAML configurations: Python tags, Hydra's `_target_`, MLflow's `MLmodel`, and models that Keras wrote.

Sources: PyYAML `constructor.py` (`!!python/…` tags; `yaml.load` with the full or the unsafe loader acts on them), Hydra
`instantiate` (`_target_` is imported and called; NeMo, CVE-2025-23304), HyperPyYAML (`!apply:`, `!new:`), MLflow
`MLmodel` (`loader_module` is imported and its `_load_pyfunc` called, `code` goes onto the import path first).
"""

import re

from scanners import detect
from scanners.errors import LimitExceeded
from scanners.facts import Identified, Reference
from scanners.formats import keras_config, requirements
from scanners.formats.json_config import DOTTED, NAMES_CALLABLE
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "yaml"

_PYTHON = "tag:yaml.org,2002:python/"
_INERT = frozenset("none bool str unicode bytes int long float complex list tuple dict".split())
"""values that the full loader makes without a look-up"""
_MLFLOW_CODE = frozenset({"loader_module", "code", "model_code_path", "python_model", "data", "artifacts"})
_MLFLOW_FILES = frozenset({"model_path", "pickled_model", "model_data", "model_binary"})
"""files of a flavour, relative to the model"""
_HYPERPYYAML = late(r"!(new|name|apply|module):([A-Za-z_][\w.]{0,300})")
"""tags of SpeechBrain's configurations: look up, and call"""
_SHELL = late(
    r"\$\(|`|&&|\||;\s*(?!python|platform|sys_platform|os_name|implementation|extra|\()[A-Za-z_/.$]", re.IGNORECASE
)
"""what a shell acts on; behind a semicolon, a requirement has conditions"""


_INTERPOLATED = late(r"\$\{(?:([\w.]{1,200})|oc\.\w+:[^,{}]{0,200},\s*([^{}]{1,200}))\}")
"""OmegaConf's references to other entries, and resolvers with a value for want of another: `${oc.env:X,os.system}`"""
_ENVIRONMENTS = frozenset({"conda.yaml", "conda.yml", "environment.yaml", "environment.yml", "python_env.yaml"})
"""environments that conda, and serving systems for MLflow models, install"""
MAXIMUM_EXPANSION = 1_000_000
_UNNAMED = frozenset({"", "txt", "cfg", "conf", "config"})


def matches(blob: Blob) -> bool:
    """Return whether the blob is named like YAML or like an MLflow model, or has Python tags under no other name."""
    suffix = detect.suffix_of(blob.name)
    if suffix in {"yaml", "yml"} or _is_mlmodel(blob):
        return True
    return suffix in _UNNAMED and b"!!python/" in blob.reader.read_at(0, 65536)


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
        hyper = _HYPERPYYAML.fullmatch(tag.name)
        if hyper:
            _state(reading, "callable", hyper[2], f"!{hyper[1]}")
    size_of_all = yaml_text.expansion(text)
    if size_of_all >= MAXIMUM_EXPANSION:
        reading.anomaly("yaml-alias-bomb", f"aliases of aliases stand for {size_of_all} values or more")
    packages = blob.name.rsplit("/", 1)[-1].lower() in _ENVIRONMENTS
    found = list(yaml_text.entries(text))
    values = {".".join(entry.path): entry.value for entry in found}
    for entry in found:
        key = next((part for part in reversed(entry.path) if part != "[]"), "")
        if key == "_target_" or (key in NAMES_CALLABLE and DOTTED.fullmatch(entry.value)):
            target = _INTERPOLATED.sub(lambda match: match[2] or values.get(match[1], match[0]), entry.value)
            _state(reading, "callable", target, ".".join(part for part in entry.path if part != "[]"))
        elif packages and ("dependencies" in entry.path or "channels" in entry.path):
            source = requirements.source_of(entry.value)
            if source:
                _state(reading, "requirement", source[1], "pip" if source[0] == "requirement" else source[0])
            if not source and _SHELL.search(entry.value):
                _state(reading, "mlflow", entry.value, "dependency")
        elif mlmodel and _is_loaded(entry.path, key):
            _state(reading, "mlflow", entry.value, key)
    tree = yaml_text.tree(found) if "class_name" in text else {}
    if "class_name" in tree and "config" in tree:  # `to_yaml()` of TensorFlow before 2.6
        keras_config.state_objects(tree, reading)
    reading.parsed(0, size)


def _is_loaded(path: tuple[str, ...], key: str) -> bool:
    """Return whether an entry of an MLmodel names code, or a file of a flavour."""
    code = key in _MLFLOW_CODE and ("python_function" in path or key == "loader_module")
    return code or key in _MLFLOW_FILES


def _state(reading: Reading, kind: str, target: str, context: str) -> None:
    reading.state(Reference(location=reading.at(), kind=kind, target=target[:4096], context=context[-200:]))
