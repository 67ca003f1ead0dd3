"""Programs of `torch.export` (`.pt2`): the expressions and operators that loading them evaluates and looks up.

Source: torch `_export/serde/serialize.py`. Sizes that are not known beforehand are stored as text and given to
`sympy.sympify`, which is Python's `eval` behind a rewriting of names: `expr_str` is code. An operator's `target` is
followed by `getattr` from `torch`, `math` or `_operator`, and called with the node's arguments. Expressions are parsed
to Python's AST and compared with what the exporter writes; nothing is evaluated.
"""

import ast
from collections.abc import Iterator

from scanners import detect
from scanners.facts import Identified, Operator
from scanners.formats.json_text import Json, document_of, mentions
from scanners.patterns import late
from scanners.reading import Blob, Reading

NAME = "exported-program"
FRAMEWORK = "torch-export"

_FIXED_NAME = "serialized_exported_program.json"
_LONGEST = 20_000
_EXCERPT = 300
MAXIMUM_STATED = 1000
_LARGEST_POWER = 64
_FUNCTIONS = frozenset(
    """
    Abs Add And BitwiseFn_bitwise_and BitwiseFn_bitwise_or BitwiseFn_bitwise_xor BooleanFalse BooleanTrue CeilDiv
    CeilToInt CleanDiv Dummy Eq Equality ExprCondPair Float FloatPow FloatTrueDiv FloorDiv FloorToInt Ge GreaterThan Gt
    ITE Identity IntTrueDiv Integer IsNonOverlappingAndDenseIndicator LShift Le LessThan Lt Max Min Mod ModularIndexing
    Mul Ne Not Or Piecewise Pow PowByNatural PythonMod RShift Rational RoundDecimal RoundToInt StrictGreaterThan
    StrictLessThan Symbol ToFloat TruncToFloat TruncToInt Tuple Unequality Where Xor acos asin atan ceiling cos cosh exp
    floor log sin sinh sqrt tan tanh
    """.split()
)
"""what the exporter writes: sympy's arithmetic, and the functions of torch.utils._sympy"""
_NAMED = frozenset({"Symbol", "Dummy", "Integer", "Float", "Rational"})
"""functions whose arguments may be text: the name of a symbol, the digits of a number"""
_OPAQUE = "OpaqueUnaryFn_"
_ATOM_TEXT = late(r"-?[\w.+-]{1,100}")
_TARGET = late(
    r"torch\.ops\.\w+\.\w+(?:\.\w+)?|torch\._?sym_\w+|torch\._check\w*|math\.[a-z]\w*|#\w+:.*"
    r"|_operator\.(?!attrgetter|methodcaller|itemgetter|call\b)\w+"
)
_LEADS_OUT = late(r"__(?:class|init|globals|dict|getattr|getattribute|builtins|import|subclasses|loader|spec|call)")
_FOLLOWED = ("torch", "math", "_operator", "#")


def matches(blob: Blob) -> bool:
    """Return whether the blob is JSON that holds the graph of an exported program."""
    if detect.suffix_of(blob.name) != "json":
        return False
    if blob.name.rsplit("/", 1)[-1] == _FIXED_NAME:
        return True
    return mentions(blob, '"graph_module"', '"expr_str"')


def read(blob: Blob, reading: Reading) -> None:
    """State every expression and every target that is not what the exporter writes."""
    document = document_of(blob, reading.budget)
    reading.state(Identified(location=reading.at(0), format=NAME))
    stated: set[tuple[str, str]] = set()
    for kind, text, reason in _evaluated(document.value):
        if (kind, text) in stated:
            continue
        stated.add((kind, text))
        if len(stated) > MAXIMUM_STATED:
            reading.unread(f"more than {MAXIMUM_STATED} expressions that no exporter writes")
            return
        reading.state(
            Operator(
                location=reading.at(0),
                framework=FRAMEWORK,
                name=kind,
                arguments=(("text", text[:_EXCERPT]), ("reason", reason)),
            )
        )
    reading.parsed(0, blob.reader.size)


def _evaluated(document: Json) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, text, reason). Walks by loop: depth is hostile."""
    work: list[Json] = [document]
    known: set[str] = set()
    while work:
        item = work.pop()
        if isinstance(item, list):
            work += [inner for inner in item if isinstance(inner, (dict, list))]
        elif isinstance(item, dict):
            expression, target = item.get("expr_str"), item.get("target")
            if isinstance(expression, str) and expression not in known:
                known.add(expression)
                reason = _reason(expression)
                if reason:
                    yield "expression", expression, reason
            if isinstance(target, str) and "inputs" in item and not _ordinary_target(target):
                yield "target", target, "is found by getattr, and called"
            work += [inner for inner in item.values() if isinstance(inner, (dict, list))]


def _ordinary_target(target: str) -> bool:
    if not target.startswith(_FOLLOWED):
        return True  # kept as text by the loader, which looks nothing up
    return bool(_TARGET.fullmatch(target)) and not _LEADS_OUT.search(target)


def _reason(expression: str) -> str:
    """Return why an expression is none of the exporter's; nothing if it is one."""
    if len(expression) > _LONGEST:
        return f"is {len(expression)} characters long"
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "is no expression of Python"
    work: list[ast.AST] = [tree.body]
    while work:
        node = work.pop()
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS or name.startswith(_OPAQUE):
                named = name in _NAMED
                values = (*node.args, *(keyword.value for keyword in node.keywords))
                work += [value for value in values if not (named and _is_atom(value))]
            case ast.Call(func=ast.Name(id=name)):
                return f"calls {name}"
            case ast.BinOp(op=ast.Pow(), right=power) if not _is_small(power):
                return "raises to a power that may be large"
            case ast.BinOp(left=left, right=right):
                work += [left, right]
            case ast.UnaryOp(operand=operand):
                work.append(operand)
            case ast.Compare(left=left, comparators=others):
                work += [left, *others]
            case ast.BoolOp(values=values) | ast.Tuple(elts=values):
                work += values
            case ast.Name(id=name) if not name.startswith("__"):
                pass
            case ast.Constant(value=bool() | int() | float()):
                pass
            case ast.Attribute(attr=name):
                return f"takes the attribute {name}"
            case _:
                return f"holds a {type(node).__name__}"
    return ""


def _is_atom(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_ATOM_TEXT.fullmatch(node.value))


def _is_small(node: ast.AST) -> bool:
    match node:
        case (
            ast.Constant(value=int() | float() as power)
            | ast.UnaryOp(operand=ast.Constant(value=int() | float() as power))
        ):
            return abs(power) <= _LARGEST_POWER
        case _:
            return False
