"""What pickles run, load and hide (MS1xx)."""

from collections.abc import Iterator

from scanners.facts import EXHAUSTING, Anomaly, Call, Fact, Import, Reference, Stored
from scanners.findings import Confidence, Finding, Rule, Severity
from scanners.knowledge.tables import Judgement, Standing, effect_of
from scanners.knowledge.tables import judge as standing_of
from scanners.patterns import late
from scanners.reading import FileFacts
from scanners.rules.found import found

DANGEROUS_CALL = Rule(
    id="MS101",
    name="pickle-dangerous-call",
    severity=Severity.CRITICAL,
    summary="Loading the file calls something that runs code, reaches the system or loads another file",
    fix="Do not load the file, and do not convert it: get the weights anew, as safetensors, from somebody you trust.",
    cwe="CWE-502",
)
UNKNOWN_CALL = Rule(
    id="MS102",
    name="pickle-unknown-call",
    severity=Severity.MEDIUM,
    summary="Loading the file calls something nobody has judged",
    fix=(
        "Look at what the callable does; waive the finding for this file if it is harmless, or propose a judgement. "
        "Where only the weights are wanted, `modelsign convert` takes them and calls nothing."
    ),
    cwe="CWE-502",
)
UNKNOWN_STORED = Rule(
    id="MS103",
    name="pickle-unknown-import",
    severity=Severity.MEDIUM,
    summary="Loading the file imports something nobody has judged, and may keep it where it will be called",
    fix="Look at what the name is and where it is kept; waive the finding for this file if it is harmless.",
    cwe="CWE-502",
)
DANGEROUS_IMPORT = Rule(
    id="MS104",
    name="pickle-dangerous-import",
    severity=Severity.HIGH,
    summary="The file names something that runs code or reaches the system, without calling it while it is loaded",
    fix="Do not load the file: what it keeps is called later, or by the object it was given to.",
    cwe="CWE-502",
)
MALFORMED_PICKLE = Rule(
    id="MS105",
    name="pickle-malformed",
    severity=Severity.MEDIUM,
    summary="A pickle ends in an error that every loader meets; what it did before that was done",
    fix="Fetch the file anew; if it comes out the same, do not load it.",
    cwe="CWE-20",
)
DATA_AFTER_STOP = Rule(
    id="MS106",
    name="pickle-data-after-stop",
    severity=Severity.MEDIUM,
    summary="Bytes follow the end of a pickle that no loader of this format reads",
    fix="Write the file anew; what lies behind the end is no part of the model.",
    cwe="CWE-506",
)
SECOND_STREAM = Rule(
    id="MS107",
    name="pickle-second-stream",
    severity=Severity.LOW,
    summary="The file holds several pickles one after another; most loaders read only the first",
    fix="Nothing, if its program writes several objects into one file; each of them was scanned.",
)
COMPUTED_CALL = Rule(
    id="MS108",
    name="pickle-computed-call",
    severity=Severity.HIGH,
    summary="Loading the file calls something whose name it computes, so that nobody can say what it is",
    fix="Do not load the file: an honest pickle names what it calls.",
    cwe="CWE-502",
)
ALTERED_IMPORT = Rule(
    id="MS109",
    name="pickle-alters-import",
    severity=Severity.HIGH,
    summary="Loading the file changes a module, class or function it did not make",
    fix="Do not load the file: what it changes acts on every later use of that module in the process.",
    cwe="CWE-915",
)
CODE_TRAVELS = Rule(
    id="MS110",
    name="pickle-code-object",
    severity=Severity.MEDIUM,
    summary="Code travels in the file: functions or classes that cloudpickle, dill or torch.fx rebuild from bytecode",
    fix="Load it only if you would run a program of its author; ask for weights without code otherwise.",
    cwe="CWE-94",
)
NESTED_PICKLE = Rule(
    id="MS111",
    name="pickle-nested",
    severity=Severity.MEDIUM,
    summary="A string or bytes constant inside a pickle is a pickle itself, which nothing in the file is known to load",
    fix="Ask why; hiding a pickle in a constant is how payloads pass scanners.",
    cwe="CWE-506",
)
LOADERS_DIFFER = Rule(
    id="MS112",
    name="pickle-loaders-differ",
    severity=Severity.MEDIUM,
    summary="One unpickler reads the file differently from another",
    fix="Do not load it: no program writes such a file by accident.",
    cwe="CWE-436",
)
EXTERNAL_ARRAY = Rule(
    id="MS113",
    name="joblib-external-array",
    severity=Severity.MEDIUM,
    summary="A joblib file names another file, which joblib loads with pickles allowed",
    fix="Write it anew with a joblib of this decade; it keeps arrays inside.",
    cwe="CWE-73",
)
EXHAUSTS_MEMORY = Rule(
    id="MS114",
    name="pickle-exhausts-memory",
    severity=Severity.MEDIUM,
    summary="Loading the file takes elements from an iterator that has no end, or more than memory holds",
    fix="Do not load the file: an honest pickle holds its elements, and this one only fills memory or never ends.",
    cwe="CWE-400",
)

RULES: tuple[Rule, ...] = (
    DANGEROUS_CALL,
    UNKNOWN_CALL,
    UNKNOWN_STORED,
    DANGEROUS_IMPORT,
    MALFORMED_PICKLE,
    DATA_AFTER_STOP,
    SECOND_STREAM,
    COMPUTED_CALL,
    ALTERED_IMPORT,
    CODE_TRAVELS,
    NESTED_PICKLE,
    LOADERS_DIFFER,
    EXTERNAL_ARRAY,
    EXHAUSTS_MEMORY,
)

_BY_CODE: dict[str, Rule] = {
    "pickle-malformed": MALFORMED_PICKLE,
    "pickle-data-after-stop": DATA_AFTER_STOP,
    "pickle-second-stream": SECOND_STREAM,
    "pickle-nested": NESTED_PICKLE,
    "pickle-loaders-differ": LOADERS_DIFFER,
}
_ALTERING = frozenset({"BUILD", "APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS"})
_CLASS_MAKERS = late(r"[\w.]*(?:_make_skeleton_class|_make_skeleton_enum|_create_type|_class_setstate)\(")
_JOBLIB_CLASS = "the attribute 'subclass' of joblib.numpy_pickle.NumpyArrayWrapper"
"""joblib hands the class that is kept there to numpy's _reconstruct, and no other call"""
_LISTED = 20
"""findings of one rule about one callable"""


def _steps(fact: Import) -> Iterator[str]:
    """Yield what a dotted name walks through before it comes to a class: `pandas` in `pandas.core.frame`, say.

    The classes of a module are judged as its own; those of a module that it has imported are not.
    """
    *parts, _ = fact.name.split(".")
    step = fact.module
    for part in parts:
        if part.lstrip("_")[:1].isupper():
            return
        step = f"{step}.{part}"
        yield step


def _to_call(where: str) -> bool:
    """Whether what is kept there is an argument that the call calls, and that was judged as a call."""
    effect = effect_of(where.removeprefix("an argument of ")) if where.startswith("an argument of ") else None
    return effect is not None and effect.kind == "apply"


def _only_called(judgement: Judgement) -> bool:
    """Whether a callable is harmless only in a call with the right arguments."""
    return judgement.standing is Standing.SHAPED and not judgement.kept


def judge(facts: FileFacts) -> Iterator[Finding]:
    """Judge calls first, then what is only named: a callable that is called is not reported a second time."""
    return iter(_Judge(facts).findings())


class _Judge:
    def __init__(self, facts: FileFacts) -> None:
        self.facts = facts
        self.standings: dict[str, Judgement] = {}
        self.reported: dict[str, int] = {}
        self.settled: set[tuple[tuple[str, ...], str]] = set()
        """callables about which a worse finding was made, by members"""
        self.found: list[Finding] = []

    def findings(self) -> list[Finding]:
        made_here = self.code_made()
        for fact in self.facts.facts:
            if isinstance(fact, Call):
                self.call(fact, made_here)
        for fact in self.facts.facts:
            if isinstance(fact, Stored):
                self.named(fact, fact.function, f"kept as {fact.where}", fact.text)
        for fact in self.facts.facts:
            if isinstance(fact, Import):
                self.named(fact, fact.dotted, "", fact.dotted)
                for step in _steps(fact):
                    self.named(fact, step, "walked through", fact.dotted)
            elif isinstance(fact, Anomaly) and fact.code in _BY_CODE:
                self.anomaly(fact)
            elif isinstance(fact, Reference) and fact.kind == "file" and fact.context.endswith("NDArrayWrapper"):
                self.report(EXTERNAL_ARRAY, fact, f"the array lies in {fact.target!r}", fact.target)
        return self.found

    def code_made(self) -> bool:
        """Whether the file makes functions out of bytecode of its own."""
        return any(
            isinstance(fact, Call) and self.standing(fact.function).standing is Standing.CODE
            for fact in self.facts.facts
        )

    def standing(self, function: str) -> Judgement:
        known = self.standings.get(function)
        if known is None:
            known = self.standings[function] = standing_of(function)
        return known

    def call(self, fact: Call, made_here: bool) -> None:
        if fact.via in _ALTERING:
            self.settle(fact, fact.function.rpartition(".")[0])
            self.report(ALTERED_IMPORT, fact, f"{fact.via} acts on {fact.function.rpartition('.')[0]}", fact.text)
            return
        if not fact.literal:
            self.computed(fact, made_here)
            return
        if fact.shape == EXHAUSTING:
            message = f"calls {fact.function} with an iterator of more elements than memory holds"
            self.report(EXHAUSTS_MEMORY, fact, message, fact.text)
            return
        judgement = self.standing(fact.function)
        if judgement.standing is Standing.DANGEROUS:
            self.settle(fact, fact.function)
            if fact.shape and fact.shape in judgement.shapes:
                return
            through = "" if fact.via.isupper() else f", through {fact.via}"
            message = f"calls {fact.function}{through}: {judgement.reason}"
            self.report(DANGEROUS_CALL, fact, message, fact.text)
        elif judgement.standing is Standing.CODE:
            self.settle(fact, fact.function)
            self.report(CODE_TRAVELS, fact, f"calls {fact.function}: {judgement.reason}", fact.text)
        elif judgement.standing is Standing.UNKNOWN:
            self.settle(fact, fact.function)
            self.report(UNKNOWN_CALL, fact, f"calls {fact.function}, of which nothing is known", fact.text)
        elif judgement.standing is Standing.SHAPED:
            self.settle(fact, fact.function)
            if fact.shape not in judgement.shapes:
                message = f"calls {fact.function} with arguments that do not keep it harmless: {judgement.reason}"
                self.report(DANGEROUS_CALL if judgement.nature else UNKNOWN_CALL, fact, message, fact.text)

    def computed(self, fact: Call, made_here: bool) -> None:
        """Judge a call of what another call returned.

        A class that travels in the file is instantiated as soon as an object of it is pickled: no worse than the class.
        """
        if made_here and (fact.via in {"NEWOBJ", "NEWOBJ_EX"} or _CLASS_MAKERS.match(fact.text) is not None):
            self.report(CODE_TRAVELS, fact, "makes an object of a class that travels in the file", fact.text)
        elif made_here:
            message = "runs code that travels in the file"
            self.report(COMPUTED_CALL, fact, message, fact.text, Severity.CRITICAL)
        else:
            self.report(COMPUTED_CALL, fact, "calls what the file computes", fact.text)

    def named(self, fact: Import | Stored, function: str, where: str, text: str) -> None:
        if not function:
            self.report(COMPUTED_CALL, fact, f"something computed is {where}", text, Severity.MEDIUM)
            return
        settled = (fact.location.members, function) in self.settled
        if settled and (isinstance(fact, Import) or _to_call(fact.where)):
            return
        judgement = self.standing(function)
        how = where or "imported"
        if judgement.standing is Standing.DANGEROUS or (judgement.nature == "code" and _only_called(judgement)):
            if settled:
                return
            self.settle(fact, function)
            self.report(DANGEROUS_IMPORT, fact, f"{function} is {how}: {judgement.reason}", text)
        elif judgement.standing is Standing.CODE:
            self.settle(fact, function)
            self.report(CODE_TRAVELS, fact, f"{function} is {how}: {judgement.reason}", text)
        elif "from-buffer" in judgement.shapes and where.endswith(_JOBLIB_CLASS):
            self.settle(fact, function)
        elif judgement.standing is Standing.UNKNOWN or _only_called(judgement):
            self.settle(fact, function)
            self.report(UNKNOWN_STORED, fact, f"{function} is {how}, and nothing is known about it", text)

    def settle(self, fact: Fact, function: str) -> None:
        self.settled.add((fact.location.members, function))

    def anomaly(self, fact: Anomaly) -> None:
        self.report(_BY_CODE[fact.code], fact, fact.message, "")

    def report(self, rule: Rule, fact: Fact, message: str, evidence: str, severity: Severity | None = None) -> None:
        key = f"{rule.id}\0{message}\0{evidence}\0{fact.location.members}"
        count = self.reported.get(f"{rule.id}\0{message}", 0)
        if key in self.reported or count >= _LISTED:
            return
        self.reported[key] = 1
        self.reported[f"{rule.id}\0{message}"] = count + 1
        self.found.append(
            found(
                rule,
                self.facts,
                fact.location,
                message,
                severity=severity or rule.severity,
                confidence=Confidence.HIGH if rule is not COMPUTED_CALL else Confidence.MEDIUM,
                evidence=evidence,
            )
        )
