"""Names in YAML and requirements files that make somebody import, call or install something, and credentials."""

import re
import sys
from collections.abc import Iterator

from scanners.facts import Anomaly, Reference
from scanners.findings import Confidence, Finding, Rule, Severity
from scanners.knowledge.tables import Standing
from scanners.knowledge.tables import judge as judge_callable
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.found import found

PYTHON_TAG = Rule(
    id="MS430",
    name="yaml-python-tag",
    severity=Severity.MEDIUM,
    summary="A YAML file makes PyYAML's full or unsafe loader import or call Python objects",
    fix="Write plain values; read the file with yaml.safe_load, which refuses such tags.",
    cwe="CWE-502",
)
TARGET = Rule(
    id="MS431",
    name="hydra-target",
    severity=Severity.HIGH,
    summary="A configuration names a dangerous function that Hydra's `instantiate`, or a loader like it, would call",
    fix="Remove the `_target_`; a model's parts are classes of its library.",
    cwe="CWE-470",
)
MLFLOW = Rule(
    id="MS432",
    name="mlflow-foreign-loader",
    severity=Severity.MEDIUM,
    summary="An MLflow model is loaded by a module that is not MLflow's own, or from paths outside the model",
    fix="Read the module it names before mlflow.pyfunc.load_model; prefer a flavour without code.",
    cwe="CWE-829",
)
ELSEWHERE = Rule(
    id="MS433",
    name="requirement-from-elsewhere",
    severity=Severity.LOW,
    summary="A requirement is installed from a URL or another index than the public one",
    fix="Name a released version of the package, with hashes.",
    cwe="CWE-494",
)

ALIASES = Rule(
    id="MS435",
    name="yaml-alias-bomb",
    severity=Severity.MEDIUM,
    summary="A YAML file repeats itself through aliases until it is far larger than any configuration",
    fix="Write the values out; a configuration needs no aliases of aliases.",
    cwe="CWE-776",
)
SECRET = Rule(
    id="MS434",
    name="credential-in-file",
    severity=Severity.LOW,
    summary="A text file of the model holds what looks like a credential",
    fix="Revoke the credential, then remove it: everybody who has the model has it.",
    cwe="CWE-798",
)

RULES: tuple[Rule, ...] = (PYTHON_TAG, TARGET, MLFLOW, ELSEWHERE, SECRET, ALIASES)

_KNOWN_HOSTS = late(
    r"https?://(?:download\.pytorch\.org|pypi\.org|files\.pythonhosted\.org|pypi\.nvidia\.com|data\.pyg\.org"
    r"|storage\.googleapis\.com/(?:jax|tensorflow)[\w-]*|huggingface\.co|wheels?\.[\w.-]+|[\w.-]+\.github\.io)(?:/|$)"
)
_KNOWN_PLACES = late(
    r"(?:[a-z0-9.-]+\.)?(?:github\.com|githubusercontent\.com|gitlab\.com|bitbucket\.org|gitee\.com|codeberg\.org|sr\.ht"
    r"|pypi\.org|pythonhosted\.org|anaconda\.(?:org|com)|huggingface\.co|hf\.co|modelscope\.cn|googleapis\.com"
    r"|googlesource\.com|pkg\.dev|amazonaws\.com|aliyuncs\.com|aliyun\.com|azure\.com|visualstudio\.com|microsoft\.com"
    r"|nvidia\.com|intel\.com|amd\.com|radeon\.com|pytorch\.org|pyg\.org|openmmlab\.com|dgl\.ai|vllm\.ai|flashinfer\.ai"
    r"|lightning\.ai|paddlepaddle\.org\.cn|bcebos\.com|huaweicloud\.com|tencent\.com|doubanio\.com|douban\.com"
    r"|openxlab\.org\.cn|alphacephei\.com|jfrog\.io|edu|ac\.[a-z]{2}|edu\.[a-z]{2}|github\.io|gitlab\.io|readthedocs\.io"
    r"|kaggle\.com|databricks\.com|h2o\.ai|spacy\.io|allenai\.org|apache\.org|gnu\.org|python\.org|localhost)"
)
"""forges, mirrors of the index, and publishers of wheels; what one gets from them is still not the index's"""
_HOST = late(r"(?:[a-z0-9]+\+)?(?:https?|ssh|svn|hg)(?:\+[a-z]+)?://(?:[^/@\s]*@)?([^/:\s]+)", re.IGNORECASE)
_MODULES = frozenset(
    "mlflow.pytorch.pickle_module pickle cloudpickle dill keras tensorflow.keras tf_keras torch.serialization".split()
)
_VALUES = late(
    r"os\.path\.(?:join|basename|dirname|splitext|normpath|abspath|expanduser)|(?:random|math|itertools)\.[a-z][a-z_]*"
    r"|pathlib\.\w*Path"
)
"""what of the standard library configurations compute paths and numbers with"""
_PLAIN_HTTP = late(r"^(?:[a-z]+\+)?http://(?!localhost|127\.)|^ftp://|^git://")


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge each reference by its kind."""
    for fact in facts.facts:
        if isinstance(fact, Anomaly) and fact.code == "secret":
            yield found(SECRET, facts, fact.location, fact.message, confidence=Confidence.MEDIUM)
        if isinstance(fact, Anomaly) and fact.code == "yaml-alias-bomb":
            yield found(ALIASES, facts, fact.location, fact.message)
        if isinstance(fact, Reference):
            match fact.kind:
                case "python-tag":
                    yield _python_tag(facts, fact)
                case "callable":
                    yield from _callable(facts, fact)
                case "mlflow":
                    yield from _mlflow(facts, fact)
                case "requirement":
                    yield from _requirement(facts, fact)
                case _:
                    pass


def dangerous(dotted: str) -> bool:
    """Return whether a dotted name (or the bare name of a built-in) acts on more than values."""
    return judge_callable(dotted if "." in dotted else f"builtins.{dotted}").standing is Standing.DANGEROUS


def harmless(dotted: str) -> bool:
    """Return whether a dotted name is known to make nothing but values."""
    return judge_callable(dotted).standing in {Standing.HARMLESS, Standing.SHAPED}


def _finding(facts: FileFacts, fact: Reference, rule: Rule, severity: Severity, message: str) -> Finding:
    evidence = f"{fact.context}: {fact.target}"
    return found(rule, facts, fact.location, message, severity=severity, evidence=evidence)


def _python_tag(facts: FileFacts, fact: Reference) -> Finding:
    if dangerous(fact.target):
        message = f"yaml.load with the unsafe loader (and with PyYAML < 5.4 the default one) calls {fact.target}"
        return _finding(facts, fact, PYTHON_TAG, Severity.HIGH, message)
    message = f"yaml.load with the full or unsafe loader looks up {fact.target}"
    return _finding(facts, fact, PYTHON_TAG, Severity.MEDIUM, message)


_LOADERS = {
    "_target_": "hydra.utils.instantiate (and NeMo < 2.3.2, CVE-2025-23304)",
    "class_path": "jsonargparse (LightningCLI)",
    "target": "instantiate_from_config",
    "type": "SentenceTransformer",
    "types": "SentenceTransformer",
    **dict.fromkeys(("!new", "!name", "!apply", "!module"), "hyperpyyaml (SpeechBrain)"),
    **dict.fromkeys(
        ("activation_function", "activation_fn", "sbert_ce_default_activation_function"), "SentenceTransformer"
    ),
}
_INDIRECT = frozenset(
    "hydra.utils.get_method hydra.utils.get_object hydra.utils.get_class hydra.utils.call builtins.getattr"
    " operator.attrgetter operator.methodcaller _operator.attrgetter _operator.methodcaller".split()
)
"""functions that take the name of what they look up as an argument"""
_OPERATOR = re.compile(r"torch\.ops\.\w+\.\w+(\.\w+)?")
"""an operator as nodes of exported programs name it; `torch.ops` is no package, so nothing below it can be imported"""


def _callable(facts: FileFacts, fact: Reference) -> Iterator[Finding]:
    root = fact.target.split(".")[0]
    key = fact.context.rsplit(".", 1)[-1]
    loader = _LOADERS.get(key, _LOADERS["_target_"])
    if (key == "target" and _OPERATOR.fullmatch(fact.target)) or _VALUES.fullmatch(fact.target):
        return
    if dangerous(fact.target):
        yield _finding(facts, fact, TARGET, Severity.HIGH, f"{loader} calls {fact.target}")
    elif key == "target":
        return  # the word has other uses, so that only what is known to be dangerous counts
    elif (root in sys.stdlib_module_names and not harmless(fact.target)) or fact.target in _INDIRECT:
        yield _finding(facts, fact, TARGET, Severity.MEDIUM, f"{loader} calls {fact.target}, which no model is made of")


def _mlflow(facts: FileFacts, fact: Reference) -> Iterator[Finding]:
    outside = fact.target.startswith(("/", "~", "\\")) or ".." in re.split(r"[/\\]", fact.target)
    if fact.context == "loader_module":
        if not fact.target.startswith("mlflow."):
            message = f"mlflow.pyfunc.load_model imports {fact.target} and calls its _load_pyfunc"
            severity = Severity.HIGH if dangerous(fact.target) else Severity.MEDIUM
            yield _finding(facts, fact, MLFLOW, severity, message)
    elif fact.context == "module":
        if fact.target not in _MODULES:
            message = f"mlflow imports {fact.target} to load the model with"
            yield _finding(facts, fact, MLFLOW, Severity.MEDIUM, message)
    elif fact.context == "dependency":
        message = "a shell that is told to install this dependency does more than that"
        yield _finding(facts, fact, MLFLOW, Severity.HIGH, message)
    elif outside or "://" in fact.target:
        message = f"the {fact.context} of the model lies outside it: {fact.target}"
        yield _finding(facts, fact, MLFLOW, Severity.HIGH, message)
    elif fact.context in {"code", "model_code_path"}:
        message = f"mlflow puts {fact.target} of the model onto the import path when it loads"
        yield _finding(facts, fact, MLFLOW, Severity.LOW, message)


def _requirement(facts: FileFacts, fact: Reference) -> Iterator[Finding]:
    if _PLAIN_HTTP.match(fact.target) or fact.context == "--trusted-host":
        message = f"whoever sits on the way can replace what {fact.target} gives"
        yield _finding(facts, fact, ELSEWHERE, Severity.MEDIUM, message)
    elif not _KNOWN_HOSTS.match(fact.target) and fact.target not in {".", "./"}:
        host = _HOST.match(fact.target)
        unknown = host is not None and not _KNOWN_PLACES.fullmatch(host[1].lower())
        message = f"pip fetches from {fact.target}, which is not the public index"
        yield _finding(facts, fact, ELSEWHERE, Severity.MEDIUM if unknown else Severity.LOW, message)
