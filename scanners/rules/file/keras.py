"""Keras configurations that carry code, lead out of Keras, or make the loader fetch or open something.

Severity follows the current loader with its defaults: Keras refuses lambdas in `.keras` files (`safe_mode`), but not
in `.h5` files before 3.11.3 (CVE-2025-9905), and not where anybody said `safe_mode=False`.
"""

import sys
from collections.abc import Iterator

from scanners.facts import Operator
from scanners.findings import Finding, Rule, Severity
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.file.references import dangerous, harmless
from scanners.rules.file.tensorflow import (
    BY_CALLER_OPERATORS,
    NETWORK_OPERATORS,
    PYTHON_OPERATORS,
    SAVING_OPERATORS,
    WRITING_OPERATORS,
)
from scanners.rules.found import found

LAMBDA = Rule(
    id="MS501",
    name="keras-lambda",
    severity=Severity.MEDIUM,
    summary="A Keras model carries Python code in a Lambda layer or a serialised lambda",
    fix="Replace the Lambda by a layer class, and save the model as .keras; load with safe_mode on.",
    cwe="CWE-94",
)
FOREIGN = Rule(
    id="MS502",
    name="keras-foreign-object",
    severity=Severity.HIGH,
    summary="A Keras configuration names classes or functions outside Keras that the loader imports and calls",
    fix="Load with Keras >= 3.9, which refuses them; take the model from its publisher again.",
    cwe="CWE-502",
)
GADGET = Rule(
    id="MS503",
    name="keras-utility-called",
    severity=Severity.HIGH,
    summary="A Keras configuration calls functions of Keras that no model consists of",
    fix="Do not load the model; such functions download, unpack, load or switch protections off.",
    cwe="CWE-502",
)
OTHER_MODEL = Rule(
    id="MS504",
    name="keras-loads-saved-model",
    severity=Severity.HIGH,
    summary="A Keras layer loads a SavedModel from a path in the configuration",
    fix="Rebuild the model without TFSMLayer, or load it in a process without rights.",
    cwe="CWE-502",
)
TORCH = Rule(
    id="MS505",
    name="keras-torch-module",
    severity=Severity.HIGH,
    summary="A Keras layer unpickles a torch module from the configuration",
    fix="Do not load the model with Keras 3.11.0 to 3.11.2; later versions refuse it in safe mode.",
    cwe="CWE-502",
)
VOCABULARY = Rule(
    id="MS506",
    name="keras-vocabulary-file",
    severity=Severity.HIGH,
    summary="A Keras lookup layer reads its vocabulary from a file or URL named in the configuration",
    fix="Save the model again with Keras >= 3.12, which stores the vocabulary in the file.",
    cwe="CWE-918",
)
CUSTOM = Rule(
    id="MS507",
    name="keras-custom-object",
    severity=Severity.LOW,
    summary="A Keras model needs classes or functions that its user has to bring",
    fix="Take the code from a place you trust; the model does not load without it.",
)

RULES: tuple[Rule, ...] = (LAMBDA, FOREIGN, GADGET, OTHER_MODEL, TORCH, VOCABULARY, CUSTOM)

_PARTS = frozenset(
    "layers models activations initializers regularizers constraints losses metrics optimizers random ops quantizers"
    " dtype_policies mixed_precision applications engine distribution backend feature_column legacy"
    " initializers_v1 api trainers wrappers preprocessing src".split()
)
_PARTS_OF_FUNCTIONS = frozenset(
    "layers activations initializers regularizers constraints losses metrics optimizers random ops".split()
)
_UTILITIES = frozenset(
    "get_file load_model load_weights deserialize_keras_object enable_unsafe_deserialization clone_model save_model"
    " model_from_json from_json func_load set_floatx set_backend load_img array_to_img save_img"
    " image_dataset_from_directory text_dataset_from_directory audio_dataset_from_directory load_data"
    " register_keras_serializable export_savedmodel download_file extract_archive pickle_load".split()
)
_FAMILY = frozenset(
    "keras tf_keras keras_hub keras_nlp keras_cv keras_core keras_tuner keras_applications keras_preprocessing"
    " tensorflow_addons tensorflow_hub kerastuner keras_contrib".split()
)
_LIBRARIES = frozenset(
    "numpy scipy torch torchvision pandas sklearn PIL jax jaxlib flax requests pip setuptools pkg_resources yaml h5py"
    " joblib cloudpickle dill IPython matplotlib absl google rich optree namex numba cffi jinja2 werkzeug flask"
    " distutils cv2 transformers huggingface_hub ml_dtypes tensorboard markdown wheel urllib3 certifi".split()
)
_CALLS_OUT = frozenset(
    "eval exec compile open system popen Popen subprocess os sys socket urllib requests importlib import_module"
    " __import__ __builtins__ builtins globals locals getattr setattr pickle marshal loads shutil ctypes pty spawn"
    " fork execv check_output urlopen urlretrieve b64decode codecs decode base64 getoutput posix nt runpy pip"
    " __subclasses__ __globals__ __class__ __mro__ __bases__ __base__ __code__ __dict__ __getattribute__ read_file"
    " write_file py_function numpy_function write_text write_bytes get_file load_model environ getenv breakpoint"
    " vars __loader__ __spec__ CDLL attrgetter methodcaller http ftplib smtplib".split()
)
_ACTING_OPERATIONS = late(
    r"(?:compat\.v[12]\.)?(?:io\.(?:write_file|read_file|matching_files|write_graph|gfile\..*|TFRecord\w*|tf_record\w*)"
    r"|(?:py_function|numpy_function|py_func|load_op_library|load_library|load_file_system_library)"
    r"|(?:saved_model|data|summary|train|distribute|profiler|sysconfig|lite|tpu|keras\.(?:models|utils|saving))\..+"
    r"|write_file|read_file|matching_files)"
)
"""functions of TensorFlow that do more than compute; as layers they are called with constants of the configuration"""
_ACTING_OPERATORS = (
    SAVING_OPERATORS | WRITING_OPERATORS | PYTHON_OPERATORS | NETWORK_OPERATORS | BY_CALLER_OPERATORS | {"PrintV2"}
)
_HUB = late(r"https?://(?:(?:www\.)?tfhub\.dev|(?:www\.)?kaggle\.com|storage\.googleapis\.com/tfhub[\w-]*)/")
_STANDARD_LIBRARY = frozenset(sys.stdlib_module_names) - {"__main__"}
_OUTSIDE = late(r"^(?:/|\\|~|[A-Za-z]:|[a-z][a-z0-9+.-]*://)|(?:^|[/\\])\.\.(?:[/\\]|$)")

_Judged = tuple[Rule, Severity, str]


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge each object once; the same custom class in many places is told once."""
    told: set[tuple[str, str, tuple[str, ...]]] = set()
    for fact in facts.facts:
        if not isinstance(fact, Operator) or fact.framework != "keras":
            continue
        judged = _judged(fact)
        if judged is None:
            continue
        rule, severity, message = judged
        key = (rule.id, message, fact.location.members)
        if rule is CUSTOM and key in told:
            continue
        told.add(key)
        yield found(rule, facts, fact.location, message, severity=severity, evidence=_evidence(fact))


def _value(fact: Operator, key: str) -> str:
    return next((value for name, value in fact.arguments if name == key), "")


def _evidence(fact: Operator) -> str:
    shown = [f"{key}={value}" for key, value in fact.arguments if key != "uses" and value]
    return f"{fact.name}({', '.join(shown)})"[:400]


def _judged(fact: Operator) -> _Judged | None:
    match fact.name:
        case "Lambda":
            return _lambda(fact)
        case "function":
            return _function(_value(fact, "module"), _value(fact, "name"))
        case "class":
            return _class(_value(fact, "module"), _value(fact, "name"), _value(fact, "registered"))
        case "TFSMLayer":
            return (
                OTHER_MODEL,
                Severity.HIGH,
                f"the layer loads the SavedModel {_value(fact, 'path')!r} (CVE-2026-1462)",
            )
        case "TorchModuleWrapper":
            return TORCH, Severity.HIGH, "the layer passes its configuration to torch.load (CVE-2025-49655)"
        case "operation":
            return _operation(_value(fact, "function"), _value(fact, "stream"))
        case "hub":
            path = _value(fact, "path")
            severity = Severity.MEDIUM if "://" in path and not _HUB.match(path) else Severity.LOW
            return OTHER_MODEL, severity, f"the layer loads the SavedModel {path!r} (tensorflow_hub)"
        case "lookup":
            path = _value(fact, "path")
            severity = Severity.HIGH if _OUTSIDE.search(path) else Severity.MEDIUM
            return VOCABULARY, severity, f"{_value(fact, 'class')} reads {path!r} (keras < 3.12, CVE-2025-12058)"
        case _:
            return LAMBDA, Severity.MEDIUM, f"{fact.name} carries functions in its configuration"


def _lambda(fact: Operator) -> _Judged | None:
    reference = _value(fact, "reference")
    if reference:
        module, _, name = reference.rpartition(".")
        judged = _function(module, name)
        return judged or (CUSTOM, Severity.LOW, f"a Lambda layer calls the function {reference!r}")
    used = sorted({value for key, value in fact.arguments if key == "uses"} & _CALLS_OUT)
    if used:
        message = f"a Lambda layer carries code that uses {', '.join(used[:6])}"
        return LAMBDA, Severity.HIGH, f"{message} (runs in .h5 files with keras < 3.11.3, or with safe_mode=False)"
    return (
        LAMBDA,
        Severity.MEDIUM,
        "a Lambda layer carries code; Keras runs it in .h5 files (< 3.11.3) or with safe_mode=False",
    )


def _operation(name: str, stream: str) -> _Judged | None:
    name = name.removeprefix("tf.")
    if name == "print" and stream:
        return GADGET, Severity.HIGH, f"a layer prints to {stream}"
    raw = name.removeprefix("raw_ops.")
    if _ACTING_OPERATIONS.fullmatch(name) or (raw != name and raw in _ACTING_OPERATORS):
        return GADGET, Severity.HIGH, f"a layer calls tf.{name}, which does more than compute"
    return None


def _function(module: str, name: str) -> _Judged | None:
    root, *rest = module.split(".")
    if root in _FAMILY or not module:
        parts = [part for part in rest if part not in {"src", "_tf_keras", "api", "keras"}]
        if parts[:1] == ["applications"] and name in {"preprocess_input", "decode_predictions"}:
            return None
        if name in _UTILITIES or (parts and parts[0] not in _PARTS_OF_FUNCTIONS):
            return GADGET, Severity.HIGH, f"loading calls {module}.{name} (CVE-2025-8747)"
        return None
    if module == "builtins":
        if name in _UTILITIES or (dangerous(f"builtins.{name}") and name in _CALLS_OUT):
            return FOREIGN, Severity.HIGH, f"loading looks up builtins.{name}"
        return None
    return _imported(module, name)


def _class(module: str, name: str, registered: str) -> _Judged | None:
    root, *rest = module.split(".")
    if root == "tensorflow" and rest[:1] == ["python"] and name.endswith("Spec"):
        return None  # the type of an input
    if root == "tensorflow" and (rest[:1] == ["keras"] or rest[:2] == ["python", "keras"]):
        root, rest = "keras", rest[1:] if rest[0] == "keras" else rest[2:]
    if root in _FAMILY:
        parts = [part for part in rest if part not in {"src", "_tf_keras", "api", "keras"}]
        if name in _UTILITIES or "enable_unsafe_deserialization" in (name, *parts):
            return GADGET, Severity.HIGH, f"loading calls {module}.{name} (CVE-2025-8747, CVE-2025-9906)"
        if root == "keras" and parts and parts[0] not in _PARTS:
            return GADGET, Severity.HIGH, f"loading calls {module}.{name}, which is no part of a model"
        return None
    if module == "builtins" and harmless(f"builtins.{name}"):
        return None
    # The registered name is looked up first, the module imported when nobody has registered it.
    if ">" in registered and root not in _STANDARD_LIBRARY and not dangerous(f"{module}.{name}"):
        return CUSTOM, Severity.LOW, f"the class {registered!r} has to be brought along"
    return _imported(module, name)


def _imported(module: str, name: str) -> _Judged:
    root = module.split(".", 1)[0]
    dotted = f"{module}.{name}"
    if dangerous(dotted):
        return FOREIGN, Severity.HIGH, f"loading imports and calls {dotted} (keras < 3.9, CVE-2025-1550)"
    if root in _STANDARD_LIBRARY and not harmless(dotted):
        return FOREIGN, Severity.HIGH, f"loading imports and calls {dotted} (keras < 3.9, CVE-2025-1550)"
    if root in _LIBRARIES or root == "tensorflow":
        return FOREIGN, Severity.MEDIUM, f"loading imports {dotted}, which is no Keras object (keras < 3.9)"
    return CUSTOM, Severity.LOW, f"{dotted} has to be brought along"
