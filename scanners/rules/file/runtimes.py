"""Models that bring or ask for code of other runtimes: R, Lua, Core ML, ExecuTorch, torch.export, engines."""

from collections.abc import Iterator

from scanners.facts import Anomaly, Code, Fact, Operator, Reference
from scanners.findings import Finding, Rule, Severity
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.found import found

PROMISE = Rule(
    id="MS570",
    name="r-unforced-promise",
    severity=Severity.HIGH,
    summary="An R object holds a promise that evaluates its expression when somebody looks at it",
    fix="Do not read the file with R < 4.4.0; have it written again from forced values.",
    cwe="CWE-502",
)
CLOSURE = Rule(
    id="MS571",
    name="r-function-acts",
    severity=Severity.MEDIUM,
    summary="A function in an R object starts processes, reads code or talks to the network",
    fix="Read the function's source before anything calls it.",
    cwe="CWE-506",
)
LUA = Rule(
    id="MS572",
    name="torch7-function",
    severity=Severity.MEDIUM,
    summary="A Torch7 file carries Lua functions as bytecode, which nobody verifies",
    fix="Convert the model with its author's code; a state of plain tables needs no functions.",
    cwe="CWE-502",
)
COREML = Rule(
    id="MS573",
    name="coreml-foreign-code",
    severity=Severity.LOW,
    summary="A Core ML model needs classes of the application, another model, or files outside its package",
    fix="Know the application's class; the model does not load without it.",
    cwe="CWE-829",
)
EXECUTORCH = Rule(
    id="MS574",
    name="executorch-custom-operator",
    severity=Severity.LOW,
    summary="An ExecuTorch program needs operators that have to be linked into its runtime",
    fix="Know the library that brings them.",
    cwe="CWE-829",
)
MACHINE_CODE = Rule(
    id="MS575",
    name="compiled-engine",
    severity=Severity.MEDIUM,
    summary="A compiled engine holds machine code for a device, and its runtime executes it unseen",
    fix="Build the engine yourself, from the model it was compiled from.",
    cwe="CWE-829",
)
MSGPACK = Rule(
    id="MS576",
    name="msgpack-unknown-extension",
    severity=Severity.MEDIUM,
    summary="A Flax checkpoint has values of a type Flax does not know, or data behind its end",
    fix="Write the checkpoint again with flax.serialization.",
    cwe="CWE-1286",
)

EXPORTED = Rule(
    id="MS577",
    name="exported-program-evaluates-code",
    severity=Severity.HIGH,
    summary="A program of torch.export holds text that loading it evaluates, or operators that are no operators",
    fix="Do not load the program with torch.export.load; export the model again from its source.",
    cwe="CWE-95",
)

JAVA = Rule(
    id="MS578",
    name="java-gadget-class",
    severity=Severity.HIGH,
    summary="A stream of Java objects names classes that run code while they are made",
    fix="Do not read the file; take the model in a format that is data (PMML, ONNX).",
    cwe="CWE-502",
)

RULES: tuple[Rule, ...] = (PROMISE, CLOSURE, LUA, COREML, EXECUTORCH, MACHINE_CODE, MSGPACK, EXPORTED, JAVA)

_JAVA_GADGETS = late(
    r"\[?L?(?:org\.apache\.commons\.(?:collections4?\.(?:functors|keyvalue\.TiedMapEntry|map\.(?:Lazy|Transformed)Map)"
    r"|beanutils\.BeanComparator|fileupload\.disk\.DiskFileItem)|com\.sun\.org\.apache\.xalan|org\.apache\.xalan"
    r"|com\.sun\.rowset\.JdbcRowSetImpl|javax\.management\.BadAttributeValueExpException|javax\.script\."
    r"|sun\.reflect\.annotation\.AnnotationInvocationHandler|java\.net\.URL$|java\.rmi\.|sun\.rmi\.|javax\.naming\."
    r"|java\.lang\.(?:ProcessBuilder|Runtime|reflect\.)|java\.beans\.EventHandler|java\.security\.SignedObject"
    r"|java\.lang\.invoke\.SerializedLambda|org\.codehaus\.groovy\.runtime|groovy\.(?:lang|util)\.|clojure\.|bsh\."
    r"|org\.springframework\.(?:core|beans|aop|jndi|transaction)\.|org\.hibernate\.|com\.mchange\.v2\.c3p0|org\.mozilla\.javascript"
    r"|org\.python\.core|org\.jboss\.|com\.sun\.syndication|com\.rometools|org\.aspectj\.|com\.vaadin\.|org\.apache\.wicket"
    r"|org\.apache\.click|org\.apache\.myfaces|com\.alibaba\.fastjson|com\.fasterxml\.jackson\.databind\.node\.POJONode).*"
)
"""classes that published chains of deserialisation consist of (the ysoserial project lists most)"""

_R_ACTS = frozenset(
    "system system2 shell shell.exec pipe eval evalq parse source sys.source download.file url socketConnection"
    " dyn.load library.dynam .C .Call .External unlink file.remove writeLines cat sink Sys.setenv install.packages"
    " loadNamespace readRDS load unserialize do.call Reduce".split()
)
_R_CLOSURE_ACTS = frozenset(
    "system system2 shell shell.exec pipe source sys.source download.file socketConnection dyn.load install.packages"
    " unserialize py_run_string py_run_file source_python sourceCpp cppFunction evalCpp processx callr exec_wait"
    " exec_background .jcall".split()
)
_R_CALLS_BY_NAME = frozenset(
    "do.call match.fun get get0 mget getFunction getExportedValue getFromNamespace getAnywhere Reduce Map Filter lapply"
    " sapply vapply mapply rapply apply".split()
)
"""functions that find a function by its name"""
_R_JOINS = frozenset("paste paste0 sprintf rev strsplit substr substring sub gsub chartr tolower c".split())
_R_CODES = frozenset("rawToChar intToUtf8 chartr utf8ToInt charToRaw as.hexmode".split())
_MOST_PIECES = 20
"""pieces that a name is put together from"""
_R_TEXT_ACTS = late(r"\b(?:system2?|shell|pipe|source|download\.file|socketConnection|dyn\.load)\s*\(")
_OUTSIDE = late(r"^(?:/|~)|(?:^|/)\.\.(?:/|$)|://")
_TORCH_OPERATORS = late(r"(?:aten|prim|executorch_prim|quantized_decomposed|dim_order_ops|et_vk|_operator|math)::.*")

_Judged = tuple[Rule, Severity, str]


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge what each runtime is asked for."""
    for fact in facts.facts:
        judged = _judged(fact)
        if judged is not None:
            rule, severity, message = judged
            yield found(rule, facts, fact.location, message[:400], severity=severity)


def _judged(fact: Fact) -> _Judged | None:
    match fact:
        case Operator(framework="r"):
            return _r(fact)
        case Operator(framework="coreml"):
            name = next((value for _, value in fact.arguments), "")
            return COREML, Severity.LOW, f"{fact.name} {name!r} is the application's own code"
        case Operator(framework="executorch", domain="operator") if not _TORCH_OPERATORS.fullmatch(fact.name):
            return EXECUTORCH, Severity.LOW, f"{fact.name} is a custom operator"
        case Operator(framework="torch-export"):
            values = dict(fact.arguments)
            what = "torch.export.load evaluates" if fact.name == "expression" else "the program calls"
            return EXPORTED, Severity.HIGH, f"{what} {values['text']!r}, which {values['reason']}"
        case Reference(kind="linked-model"):
            severity = Severity.MEDIUM if _OUTSIDE.search(fact.target) else Severity.LOW
            return COREML, severity, f"the model is linked to {fact.target!r}"
        case Reference(kind="linked-weights") if _OUTSIDE.search(fact.target):
            return COREML, Severity.MEDIUM, f"a part of the model is read from {fact.target!r}"
        case Operator(framework="java") if _JAVA_GADGETS.match(fact.name):
            return JAVA, Severity.HIGH, f"reading the stream makes an object of {fact.name}"
        case Code(language="lua-bytecode"):
            return LUA, Severity.MEDIUM, f"{fact.text}: runs when the model calls it"
        case Code(action="machine-code"):
            return MACHINE_CODE, Severity.MEDIUM, f"{fact.text}: machine code that is not analysed"
        case Anomaly(code="msgpack-extension"):
            return MSGPACK, Severity.MEDIUM, fact.message
        case Anomaly(code="msgpack-trailing"):
            return MSGPACK, Severity.LOW, fact.message
        case _:
            return None


def _built(names: list[str], texts: list[str]) -> str:
    """Return the name of an acting function that is put together from pieces, or stands in a text that is parsed."""
    if "parse" in names or "str2lang" in names or "str2expression" in names:
        parsed = next((match[0] for text in texts if (match := _R_TEXT_ACTS.search(text))), "")
        if parsed:
            return f"the text {parsed!r}"
    if _R_CALLS_BY_NAME.isdisjoint(names) and "[[" not in names:
        return ""
    if not _R_JOINS.isdisjoint(names):
        for start in range(len(texts)):
            joined = texts[start]
            for text in texts[start + 1 : start + _MOST_PIECES]:
                joined += text
                if joined in _R_CLOSURE_ACTS or joined[::-1] in _R_CLOSURE_ACTS:
                    return f"{joined!r}, a name that it puts together"
    looks_up = not {"get", "get0", "match.fun", "do.call", "getFunction"}.isdisjoint(names)
    codes = sorted(_R_CODES.intersection(names))
    return f"a function whose name comes out of {codes[0]}" if looks_up and codes else ""


def _r(fact: Operator) -> _Judged | None:
    names = [value for key, value in fact.arguments if key == "names"]
    if not _R_CALLS_BY_NAME.isdisjoint(names):
        names += [value for key, value in fact.arguments if key == "texts"]
    built = _built(names, [value for key, value in fact.arguments if key == "pieces"])
    if fact.name != "promise" and built:
        return CLOSURE, Severity.MEDIUM, f"a function looks up or evaluates {built}"
    if fact.name == "promise":
        acting = [name for name in names if name in _R_ACTS]
        shown = ", ".join((acting or names)[:6])
        severity = Severity.HIGH if acting else Severity.MEDIUM
        return PROMISE, severity, f"a promise evaluates an expression that names {shown} (CVE-2024-27322)"
    if fact.name == "altrep":
        mapped = any(name.startswith("mmap_") for name in names)
        return (CLOSURE, Severity.MEDIUM, f"a vector of class {names[0]} maps a file that it names") if mapped else None
    acting = [name for name in names if name in _R_CLOSURE_ACTS]
    what = "an expression" if fact.name == "language" else "a function"
    return (CLOSURE, Severity.MEDIUM, f"{what} names {', '.join(acting[:6])}") if acting else None
