"""Python modules of the artifact: those that take a library's name, and those that a configuration names in vain."""

import re
from collections.abc import Iterator, Sequence
from posixpath import dirname, join

from scanners.facts import Reference
from scanners.findings import Confidence, Finding, Location, Rule, Severity
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.found import found

SHADOW = Rule(
    id="MS442",
    name="module-shadows-library",
    severity=Severity.HIGH,
    summary="A module of the artifact has the name of a library, and is imported instead of it",
    fix="Rename the module; never start Python in the directory of a downloaded model.",
    cwe="CWE-427",
)
ABSENT = Rule(
    id="MS443",
    name="configured-code-absent",
    severity=Severity.MEDIUM,
    summary="A configuration names code of its own repository that is not among the scanned files",
    fix="Scan the whole repository at the revision you load, so that the code is looked at.",
    cwe="CWE-829",
)

RULES: tuple[Rule, ...] = (SHADOW, ABSENT)

_LIBRARIES = frozenset(
    "torch torchvision torchaudio transformers diffusers tokenizers safetensors accelerate peft datasets"
    " sentence_transformers huggingface_hub numpy scipy pandas sklearn joblib xgboost lightgbm catboost statsmodels"
    " tensorflow keras tf_keras jax flax onnx onnxruntime onnxscript openvino spacy nltk gensim dill cloudpickle skops"
    " PIL cv2 matplotlib requests urllib3 certifi yaml tqdm packaging regex filelock fsspec psutil einops timm"
    " lightning pytorch_lightning nemo hydra omegaconf mlflow ray vllm llama_cpp gguf bitsandbytes xformers flash_attn"
    " triton google protobuf jinja2 markupsafe attr typing_extensions setuptools pip wheel".split()
)
_STANDARD = frozenset(
    "abc ast asyncio base64 collections concurrent contextlib copy copyreg csv ctypes dataclasses datetime decimal enum"
    " functools gc glob gzip hashlib heapq hmac http importlib inspect io itertools json logging math multiprocessing"
    " operator os pathlib pickle pickletools platform pprint queue random re secrets shutil signal site socket sqlite3"
    " ssl stat string struct subprocess sysconfig tarfile tempfile textwrap threading time traceback types typing"
    " unicodedata unittest urllib uuid warnings weakref xml zipfile zlib sitecustomize usercustomize".split()
)
_IMPORT_ROOTS = frozenset({"", "code"})
"""directories that stand on the import path: the artifact itself, and MLflow's code folder"""
_MODULE = late(r"(?:(.*)/)?([A-Za-z_]\w*)\.(?:py|pyc|so|pyd)")


def judge(files: Sequence[FileFacts]) -> Iterator[Finding]:
    """Look at every module's name and place, and at every module that a configuration names."""
    paths = {file.path for file in files}
    for file in files:
        yield from _shadow(file)
        yield from _absent(file, paths)


def _shadow(file: FileFacts) -> Iterator[Finding]:
    match = _MODULE.fullmatch(file.path.replace("/__init__.", "."))
    if match is None:
        return
    directory, name = match[1] or "", match[2]
    if directory not in _IMPORT_ROOTS or (name not in _LIBRARIES and name not in _STANDARD):
        return
    yield found(
        SHADOW,
        file,
        Location(),
        f"`import {name}` in a process that has this directory on its path runs this file, not {name}",
        confidence=Confidence.MEDIUM,
    )


def _absent(file: FileFacts, paths: set[str]) -> Iterator[Finding]:
    told: set[str] = set()
    for fact in file.facts:
        if not isinstance(fact, Reference) or fact.kind != "code" or fact.target in told:
            continue
        module = fact.target.rsplit(".", 1)[0].replace(".", "/")
        if not re.fullmatch(r"[\w/-]+", module):
            continue
        beside = join(dirname(file.path), f"{module}.py")
        if beside in paths or any(path.endswith(f"/{module}.py") or path == f"{module}.py" for path in paths):
            continue
        told.add(fact.target)
        yield found(
            ABSENT,
            file,
            fact.location,
            f"{fact.context} names {fact.target}, but there is no {module}.py",
            evidence=f"{fact.context} = {fact.target}",
        )
