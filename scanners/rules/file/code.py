"""Python, notebooks and programs that travel with a model, judged by what runs, and when.

Severity: `import` means that whoever loads the model with this code runs the call (`trust_remote_code`, an MLflow code
path, a pipeline script, `sys.path`), `load` that making or using the model does, `call` and `never` that a person or a
caller has to ask for it. Ordinary modelling code opens files, fetches pictures and loads checkpoints when asked: notes.
"""

import re
from collections.abc import Iterator

from scanners.facts import Code
from scanners.findings import Confidence, Finding, Rule, Severity
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.found import found

COMMAND = Rule(
    id="MS420",
    name="python-runs-command",
    severity=Severity.HIGH,
    summary="Python code beside the weights starts processes",
    fix="Read the code; load the model without it (trust_remote_code=False), or from a reviewed copy.",
    cwe="CWE-78",
)
HIDDEN = Rule(
    id="MS421",
    name="python-hidden-code",
    severity=Severity.HIGH,
    summary="Python code beside the weights decodes or fetches text and executes it, or hides what it looks up",
    fix="Do not run it. Code that has to be decoded before it runs is not meant to be read.",
    cwe="CWE-506",
)
DYNAMIC = Rule(
    id="MS422",
    name="python-dynamic-code",
    severity=Severity.MEDIUM,
    summary="Python code beside the weights executes text as code, or imports modules by computed names",
    fix="Replace `eval` and `exec` by what they are used for; `ast.literal_eval` reads data.",
    cwe="CWE-95",
)
NETWORK = Rule(
    id="MS423",
    name="python-network-access",
    severity=Severity.MEDIUM,
    summary="Python code beside the weights talks to the network",
    fix="Ship what the code fetches with the model, and load it where the network is cut.",
    cwe="CWE-829",
)
FILES = Rule(
    id="MS424",
    name="python-changes-files",
    severity=Severity.MEDIUM,
    summary="Python code beside the weights writes, moves or deletes files",
    fix="Read what it writes where; importing a model's code should leave no trace.",
    cwe="CWE-73",
)
NATIVE = Rule(
    id="MS425",
    name="python-loads-native-code",
    severity=Severity.MEDIUM,
    summary="Python code beside the weights loads or compiles native code",
    fix="Use a released package that contains the kernel, and review its source.",
    cwe="CWE-114",
)
UNPICKLES = Rule(
    id="MS426",
    name="python-unpickles",
    severity=Severity.MEDIUM,
    summary="Python code beside the weights loads pickles or other formats that execute",
    fix="Load weights from safetensors, or with weights_only=True.",
    cwe="CWE-502",
)
SENSITIVE = Rule(
    id="MS427",
    name="python-reads-credentials",
    severity=Severity.MEDIUM,
    summary="Python code beside the weights names files that hold credentials",
    fix="Do not run it before somebody explained why a model needs them.",
    cwe="CWE-522",
)
PROGRAM = Rule(
    id="MS580",
    name="executable-file",
    severity=Severity.MEDIUM,
    summary="A program or native library lies among the files of the model",
    fix="Remove it; weights need no program. A llamafile is a program: take the GGUF file instead.",
    cwe="CWE-506",
)
SCRIPT = Rule(
    id="MS581",
    name="script-file",
    severity=Severity.LOW,
    summary="A script lies among the files of the model",
    fix="Read it before running it; no loader runs it by itself.",
)

RULES: tuple[Rule, ...] = (COMMAND, HIDDEN, DYNAMIC, NETWORK, FILES, NATIVE, UNPICKLES, SENSITIVE, PROGRAM, SCRIPT)

_BY_ACTION = {
    "process": COMMAND,
    "obfuscation": HIDDEN,
    "exec": DYNAMIC,
    "import": DYNAMIC,
    "network": NETWORK,
    "sending": NETWORK,
    "file-write": FILES,
    "native": NATIVE,
    "deserialize": UNPICKLES,
    "sensitive-path": SENSITIVE,
}

# Severity by action and by the moment it runs: import, load, call (and never).
_SEVERITIES = {
    "process": (Severity.HIGH, Severity.MEDIUM, Severity.LOW),
    "obfuscation": (Severity.HIGH, Severity.HIGH, Severity.MEDIUM),
    "exec": (Severity.MEDIUM, Severity.MEDIUM, Severity.LOW),
    "import": (Severity.LOW, Severity.LOW, Severity.LOW),
    "network": (Severity.MEDIUM, Severity.LOW, Severity.LOW),
    "sending": (Severity.MEDIUM, Severity.MEDIUM, Severity.LOW),
    "file-write": (Severity.MEDIUM, Severity.LOW, Severity.LOW),
    "native": (Severity.MEDIUM, Severity.LOW, Severity.LOW),
    "deserialize": (Severity.MEDIUM, Severity.LOW, Severity.LOW),
    "sensitive-path": (Severity.MEDIUM, Severity.MEDIUM, Severity.MEDIUM),
}

_MOMENTS = {
    "import": "while the module is imported",
    "load": "while the model is made or used",
    "call": "when a function of it is called",
    "never": "when a person runs it",
}
_COMPILED = frozenset(
    {"elf", "pe", "mach-o", "webassembly", "llamafile", "python-bytecode", "java-class", "dex", "lua-bytecode"}
)
_WEIGHTS = tuple(
    ".bin .ckpt .gguf .ggml .h5 .joblib .keras .mlmodel .model .msgpack .npy .npz .onnx .pb .pickle .pkl .pt .pte .pth"
    " .safetensors .tflite".split()
)
"""what only weights are called: a script of such a name wants to be taken for them"""
_LISTED = 3
_QUESTION = late(
    r"""subprocess\.(?:check_output|run|check_call|call)\(
        \[(?:[\w.]+\ \+\ )?'(?:/[\w./-]*/)?(?:nvcc|nvidia-smi|rocm-smi|hipcc|gcc|g\+\+|clang|ninja|cmake|uname)',
        \ '(?:-V|-v|-a|-m|--version|-dumpversion|-L)'\]
        (?:,\ (?:(?:text|check|capture_output|universal_newlines)=(?:True|False)
        |encoding='[\w-]+'|(?:stdout|stderr)=subprocess\.(?:PIPE|DEVNULL|STDOUT)))*\)""",
    re.VERBOSE,
)
"""the question for a compiler's or driver's version, without a shell, as code asks it that compiles a kernel"""


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Report each kind of action once per moment, with its first places as evidence."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[Code]] = {}
    for fact in facts.facts:
        if not isinstance(fact, Code):
            continue
        if fact.action == "executable":
            yield from _program(facts, fact)
        elif fact.action == "script-attack":
            message = f"a command ({fact.language}) opens a shell for others, or runs what it fetches or decodes"
            yield found(SCRIPT, facts, fact.location, message, severity=Severity.MEDIUM, evidence=fact.text)
        elif fact.action == "git-command":
            message = "git runs what this configuration names, once the directory is used as a repository"
            yield found(SCRIPT, facts, fact.location, message, severity=Severity.MEDIUM, evidence=fact.text)
        elif fact.action in _BY_ACTION and fact.language in {"python", "shell"}:
            groups.setdefault((fact.action, fact.runs, fact.location.members), []).append(fact)
    for (action, runs, _), places in groups.items():
        rule = _BY_ACTION[action]
        moment = {"import": 0, "load": 1}.get(runs, 2)
        severity = _SEVERITIES[action][moment]
        if action == "process" and all(_QUESTION.fullmatch(place.text) for place in places):
            severity = min(severity, Severity.MEDIUM)
        more = f" (and {len(places) - _LISTED} more)" if len(places) > _LISTED else ""
        yield found(
            rule,
            facts,
            places[0].location,
            f"{rule.summary}, {_MOMENTS.get(runs, runs)}",
            severity=Severity.LOW if runs == "never" and rule is not HIDDEN else severity,
            confidence=Confidence.HIGH if severity >= Severity.MEDIUM else Confidence.MEDIUM,
            evidence="; ".join(place.text for place in places[:_LISTED]) + more,
        )


def _program(facts: FileFacts, fact: Code) -> Iterator[Finding]:
    rule = PROGRAM if fact.language in _COMPILED else SCRIPT
    name = fact.location.members[-1] if fact.location.members else facts.path
    message = f"this is a {fact.language} program, not a model"
    if rule is SCRIPT and name.lower().endswith(_WEIGHTS):
        message = f"{message}, under the name of one"
        yield found(rule, facts, fact.location, message, severity=Severity.MEDIUM, evidence=fact.text)
    else:
        yield found(rule, facts, fact.location, message, evidence=fact.text)
