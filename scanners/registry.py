"""The explicit, ordered tuples of formats and rules. One line each; nothing registers itself.

Order of `FORMATS`: a format that knows the members of a container (torch-zip, npz, keras …) stands before the container
itself, because it claims roles for members that the container hands on.
"""

from scanners.containers import bzip2, gzip, lz4, sevenzip, tar, xz, zlib, zstd
from scanners.containers import zip as zip_container
from scanners.facts import Anomaly, Fact, Identified, Reference
from scanners.findings import Rule
from scanners.formats import (
    catboost,
    chat_template,
    command_file,
    coreml,
    executable,
    executorch,
    exported_program,
    fasttext,
    flax,
    gguf,
    hdf5,
    java_object,
    jinja,
    joblib,
    json_config,
    json_lines,
    keras_config,
    lightgbm,
    markup,
    mlflow_module,
    mxnet,
    notebook,
    numpy,
    onnx,
    onnx_tensor,
    onnxruntime_format,
    opaque,
    pbtxt,
    pickle,
    python_source,
    rds,
    requirements,
    safetensors,
    savedmodel,
    secrets,
    sentencepiece,
    skops,
    svg,
    tensorflow_checkpoint,
    tensorflow_shard,
    tflite,
    toml_config,
    torch7,
    torch_legacy,
    torch_package,
    torch_tar,
    torch_zip,
    torchscript,
    torchserve,
    ubjson,
    weights_index,
    word2vec,
    yaml_config,
)
from scanners.reading import FileRule, Format, TreeRule
from scanners.rules.file import (
    archives,
    code,
    configuration,
    coverage,
    keras,
    left_out,
    packaged,
    pickles,
    references,
    runtimes,
    templates,
    tensorflow,
    tensors,
)
from scanners.rules.file import gguf as gguf_rules
from scanners.rules.file import hdf5 as hdf5_rules
from scanners.rules.file import markup as markup_rules
from scanners.rules.file import onnx as onnx_rules
from scanners.rules.file import skops as skops_rules
from scanners.rules.file import tflite as tflite_rules
from scanners.rules.file import torchscript as torchscript_rules
from scanners.rules.tree import checkpoints, modules, names, shards

FORMATS: tuple[Format, ...] = (
    torch_zip,
    torch_package,
    torchserve,
    torch_tar,
    torchscript,
    zip_container,
    tar,
    sevenzip,
    gzip,
    bzip2,
    xz,
    zlib,
    zstd,
    lz4,
    torch_legacy,
    numpy,
    joblib,
    pickle,
    safetensors,
    json_config,
    json_lines,
    toml_config,
    chat_template,
    jinja,
    gguf,
    python_source,
    notebook,
    requirements,
    mlflow_module,
    command_file,
    svg,
    yaml_config,
    executable,
    java_object,
    savedmodel,
    pbtxt,
    tensorflow_checkpoint,
    tensorflow_shard,
    sentencepiece,
    ubjson,
    catboost,
    fasttext,
    word2vec,
    lightgbm,
    onnx,
    onnx_tensor,
    onnxruntime_format,
    tflite,
    mxnet,
    hdf5,
    keras_config,
    weights_index,
    markup,
    coreml,
    flax,
    rds,
    torch7,
    executorch,
    exported_program,
    opaque,
    skops,
    secrets,
)  # fmt: skip

CARRIERS: dict[str, str] = {
    "torch-zip": "zip",
    "torch-package": "zip",
    "torchserve": "zip",
    "torch-tar": "tar",
}  # fmt: skip
"""What a format is carried by: a file that is a torch-zip is not also listed as a plain zip."""

READ_BY: dict[str, str] = {
    torch_tar.STORAGES_ROLE: torch_tar.NAME,
    torch_tar.TENSORS_ROLE: torch_tar.NAME,
    torch_zip.SCRIPT_SOURCE: torchscript.NAME,
}  # fmt: skip
"""Roles of members that only one loader ever reads: the format that reads them, whatever else they look like."""

FILE_RULES: tuple[FileRule, ...] = (
    pickles,
    archives,
    tensors,
    torchscript_rules,
    packaged,
    configuration,
    coverage,
    left_out,
    templates,
    code,
    references,
    gguf_rules,
    tensorflow,
    onnx_rules,
    tflite_rules,
    keras,
    hdf5_rules,
    markup_rules,
    runtimes,
    skops_rules,
)  # fmt: skip

TENSOR_RULES: tuple[FileRule, ...] = (tensors,)
"""The rules that look at tensors: a checkpoint states a thousand, and the others are spared them."""

TREE_RULES: tuple[TreeRule, ...] = (
    names,
    shards,
    modules,
    checkpoints,
)  # fmt: skip

TREE_FACTS: frozenset[type[Fact]] = frozenset({Anomaly, Identified, Reference})
"""The facts that rules about neighbours read: a scan of many files keeps no others."""

_RULE_SETS = (*(module.RULES for module in FILE_RULES), *(module.RULES for module in TREE_RULES))

ALL_RULES: tuple[Rule, ...] = tuple(sorted((rule for rules in _RULE_SETS for rule in rules), key=lambda rule: rule.id))
