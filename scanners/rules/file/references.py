"""Names in YAML and requirements files that make somebody import, call or install something."""

import re
import sys
from collections.abc import Iterator

from scanners.facts import Reference
from scanners.findings import Confidence, Finding, Rule, Severity
from scanners.reading import FileFacts

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
    summary="A configuration names a dangerous function that Hydra's `instantiate` would call",
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

RULES: tuple[Rule, ...] = (PYTHON_TAG, TARGET, MLFLOW, ELSEWHERE)

_BY_NATURE = frozenset(
    "os posix nt subprocess pty commands popen2 socket ssl shutil ctypes importlib runpy code codeop pickle _pickle"
    " cPickle dill cloudpickle joblib marshal webbrowser pip timeit cProfile profile pdb bdb trace multiprocessing"
    " asyncio urllib urllib2 http requests httpx smtplib ftplib telnetlib types pydoc pkgutil imp site platform"
    " distutils _posixsubprocess tempfile pathlib io shelve zipfile tarfile signal gc inspect sys nturl2path".split()
)
"""modules whose functions act on processes, files, the network or the interpreter"""
_BUILTINS = frozenset({"builtins", "__builtin__", "__builtins__"})
_PLAIN_BUILTINS = frozenset(
    "dict list set tuple str int float bool bytes bytearray complex frozenset range slice len min max sum sorted"
    " enumerate zip abs round object reversed any all isinstance print".split()
)
_PLAIN = frozenset(
    "pathlib.Path pathlib.PosixPath pathlib.PurePath pathlib.PurePosixPath types.SimpleNamespace os.path.join"
    " collections.OrderedDict collections.defaultdict collections.Counter collections.deque functools.partial"
    " sys.maxsize os.cpu_count".split()
)
_QUIET_LIBRARIES = frozenset(
    "collections datetime decimal fractions uuid math random itertools enum dataclasses typing numbers string"
    " statistics time calendar zoneinfo re functools copy".split()
)
_KNOWN_HOSTS = re.compile(
    r"https?://(?:download\.pytorch\.org|pypi\.org|files\.pythonhosted\.org|pypi\.nvidia\.com|data\.pyg\.org"
    r"|storage\.googleapis\.com/(?:jax|tensorflow)[\w-]*|huggingface\.co|wheels?\.[\w.-]+|[\w.-]+\.github\.io)(?:/|$)"
)
_PLAIN_HTTP = re.compile(r"^(?:[a-z]+\+)?http://(?!localhost|127\.)|^ftp://|^git://")


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge each reference by its kind."""
    for fact in facts.facts:
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
    """Return whether a dotted name leads to something that acts outside the process's own values."""
    root, _, rest = dotted.partition(".")
    if dotted in _PLAIN:
        return False
    if root in _BUILTINS or (not rest and root in {"eval", "exec", "compile", "open", "__import__", "getattr"}):
        return rest not in _PLAIN_BUILTINS
    return root in _BY_NATURE


def _finding(facts: FileFacts, fact: Reference, rule: Rule, severity: Severity, message: str) -> Finding:
    return Finding(
        rule=rule,
        file=facts.path,
        location=fact.location,
        severity=severity,
        confidence=Confidence.HIGH,
        message=message,
        evidence=f"{fact.context}: {fact.target}",
    )


def _python_tag(facts: FileFacts, fact: Reference) -> Finding:
    if dangerous(fact.target):
        message = f"yaml.load with the unsafe loader (and with PyYAML < 5.4 the default one) calls {fact.target}"
        return _finding(facts, fact, PYTHON_TAG, Severity.HIGH, message)
    message = f"yaml.load with the full or unsafe loader looks up {fact.target}"
    return _finding(facts, fact, PYTHON_TAG, Severity.MEDIUM, message)


def _callable(facts: FileFacts, fact: Reference) -> Iterator[Finding]:
    root = fact.target.split(".")[0]
    if dangerous(fact.target):
        message = f"hydra.utils.instantiate (and NeMo < 2.3.2, CVE-2025-23304) calls {fact.target}"
        yield _finding(facts, fact, TARGET, Severity.HIGH, message)
    elif root in sys.stdlib_module_names and root not in _QUIET_LIBRARIES and fact.target not in _PLAIN:
        message = f"hydra.utils.instantiate calls {fact.target}, which no model is made of"
        yield _finding(facts, fact, TARGET, Severity.MEDIUM, message)


def _mlflow(facts: FileFacts, fact: Reference) -> Iterator[Finding]:
    outside = fact.target.startswith(("/", "~", "\\")) or ".." in re.split(r"[/\\]", fact.target)
    if fact.context == "loader_module":
        if not fact.target.startswith("mlflow."):
            message = f"mlflow.pyfunc.load_model imports {fact.target} and calls its _load_pyfunc"
            severity = Severity.HIGH if dangerous(fact.target) else Severity.MEDIUM
            yield _finding(facts, fact, MLFLOW, severity, message)
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
        message = f"pip fetches from {fact.target}, which is not the public index"
        yield _finding(facts, fact, ELSEWHERE, Severity.LOW, message)
