"""The syntax tree of a Jinja template, and the ways out of it (see `jinja.py`, which reads such files)."""

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Template
from scanners.patterns import late
from scanners.reading import Reading

if TYPE_CHECKING:
    from types import ModuleType

    from jinja2 import nodes

MAXIMUM_NODES = 200_000
MAXIMUM_TOLD = 50
"""constructs of one kind that are told one by one; more tell nothing new"""
_EXCERPT = 200

_LEADS_OUT = frozenset(
    "__class__ __mro__ __base__ __bases__ __subclasses__ __globals__ __builtins__ __import__ __init__ __getattribute__"
    " __getattr__ __dict__ __code__ __closure__ __reduce__ __reduce_ex__ __getitem__ __call__ __doc__ __module__"
    " __func__ __self__ __wrapped__ __loader__ __spec__ __file__ __name__ __qualname__ __new__ __del__ __enter__"
    " __exit__ __init_subclass__ __subclasshook__ __set_name__ __get__ __set__ __annotations__ __defaults__"
    " __kwdefaults__ __weakref__ __slots__ __dir__ __format__ __setattr__ __delattr__ __eq__ __hash__ __repr__ __str__"
    " __iter__ __next__ __len__ __contains__ __instancecheck__ __main__ __package__ __path__ __cached__".split()
)
_INTERNALS = frozenset(
    "mro func_globals func_code func_closure f_globals f_locals f_builtins f_back gi_frame gi_code gi_yieldfrom"
    " cr_frame cr_code ag_frame ag_code tb_frame tb_next im_func im_self im_class co_code co_consts _module"
    " _TemplateReference__context".split()
)
_PROGRAM_OBJECTS = frozenset(
    "cycler joiner namespace lipsum self request config application app current_app g session get_flashed_messages"
    " url_for range dict __builtins__ __globals__ os sys subprocess builtins importlib".split()
)
_PYTHON_FUNCTIONS = frozenset(
    "eval exec compile open getattr setattr delattr globals locals vars __import__ __builtins__ breakpoint input"
    " import_module".split()
)
_RUNNERS = frozenset(
    "popen Popen system check_output check_call import_module load_module urlopen fork execv eval exec".split()
)
_BUILDERS = frozenset("join format reverse replace lower upper trim string urlize title capitalize".split())
_FORMAT_FIELD = late(r"\{[^{}]*(?:\.|\[)_?_?[A-Za-z_]*__[^{}]*\}")
_DOTTED = late(r"[A-Za-z_0-9]+(?:\.[A-Za-z_0-9]+)*")
_LONG_LOOP = 10_000_000
_LONG_RANGE = 1_000_000
_HUGE_POWER = 10_000
_LONG_TEXT = 10_000_000
_MOST_SOURCES = 64
_MOST_PIECES = 4096
_ALL_PIECES = 3_000_000
_PUTS = frozenset("append extend insert update setdefault add".split())
_GLOBALS = frozenset("lipsum cycler joiner namespace self range dict".split())
"""what Jinja itself gives to every template, to be called and not to be printed"""
_INTERPRETER = late(r"__(?:class|globals|subclasses|builtins|import|mro|bases?|init|getattribute|dict)__")
_COUNTING = frozenset("length count int float abs round min max first last".split())
_FIELD = late(r"\{\w*(?::([^{}]*))?\}")
_FILL = late(r"(?:.?[<>^])?(\d{1,4})s?")
_WIDEST = 256
_WIDTH_ARGUMENT = late(r"%[-+ #0]*\d*\.?\*|:[^{}]{0,4}\{[^{}]*\}")
"""a width that an argument gives"""
_OUTSIDE = late(r"^(?:/|\\|~|[A-Za-z]:)|(?:^|[/\\])\.\.(?:[/\\]|$)|://")

# One node of a syntax tree whose value is known while it is read; None for "not known".
_Literal = str | int | float | tuple[object, ...] | None


def read_template(text: str, reading: Reading, offset: int | None = None) -> None:
    """State the facts of template ``text``, which lies at ``offset`` of the blob that is read.

    A text that Jinja's parser refuses is stated as `unparsable` and leaves the reading incomplete: nobody knows what
    another renderer makes of it.

    Raises:
        LimitExceeded: the syntax tree is too large or too deep.
    """
    try:
        tree = _parse(text)
    except FormatError as error:
        reading.state(Template(location=reading.at(offset), construct="unparsable", text=str(error)[:_EXCERPT]))
        for match in list(_INTERPRETER.finditer(text))[:MAXIMUM_TOLD]:
            # Another renderer may know the syntax, and these names mean the same in all of them.
            reading.state(Template(location=reading.at(offset), construct="dunder-attribute", text=match[0]))
        reading.unread("a template could not be parsed")
        return
    walk = _Walk(tree)
    seen: dict[str, list[str]] = {}
    for construct, evidence in walk.constructs():
        told = seen.setdefault(construct, [])
        # The outermost expression comes first and shows its parts: `a.__class__` inside `a.__class__.__mro__`.
        if len(told) < MAXIMUM_TOLD and not any(evidence in longer for longer in told):
            told.append(evidence)
            reading.state(Template(location=reading.at(offset), construct=construct, text=evidence[:_EXCERPT]))


def _parse(text: str) -> "nodes.Template":
    from jinja2 import Environment, TemplateSyntaxError, nodes
    from jinja2.parser import Parser

    def generation(parser: Parser) -> nodes.Node:
        """`{% generation %}`: transformers' own tag around what the assistant says."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

    environment = Environment(  # noqa: S701 - nothing is rendered here
        extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"], trim_blocks=True, lstrip_blocks=True
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is not this program's business
            # `Environment.parse` rewrites tracebacks by compiling code on a syntax error; the parser alone does not.
            parser = Parser(environment, text)
            parser.extensions["generation"] = generation
            return parser.parse()
    except TemplateSyntaxError as error:
        raise FormatError(f"line {error.lineno}: not Jinja: {error.message}") from error
    except RecursionError as error:
        raise LimitExceeded("depth", "the template's expressions are nested too deeply to parse") from error
    except (ValueError, OverflowError, MemoryError, AssertionError) as error:
        raise FormatError(f"not Jinja: {error}") from error


class _Walk:
    """One pass over a syntax tree, with the names it assigns and the constants it knows."""

    def __init__(self, tree: "nodes.Template") -> None:
        from jinja2 import nodes

        self._nodes = nodes
        self._order: list[nodes.Node] = []
        self._bound: set[str] = set()
        self._constants: dict[str, _Literal] = {}
        self._sources: dict[str, list[nodes.Node]] = {}
        self._macros: dict[str, nodes.Macro] = {}
        self._sizes: dict[str, int] = {}
        self._unsure: set[str] = set()  # names that have a value that is known, and another one
        self._pieces = 0
        self._bombs: dict[int, int] = {}
        self._loops: dict[int, int] = {}
        stack: list[tuple[nodes.Node, int]] = [(tree, 1)]
        while stack:
            node, repeats = stack.pop()
            self._order.append(node)
            if len(self._order) > MAXIMUM_NODES:
                raise LimitExceeded("nodes", f"the template has more than {MAXIMUM_NODES} syntax nodes")
            if isinstance(node, nodes.For):
                repeats = min(repeats * self._times(node.iter), 1 << 62)
                self._loops[id(node)] = repeats
            if isinstance(node, nodes.Name) and node.ctx in {"store", "param"}:
                self._bound.add(node.name)
            for name, source in self._given(node):
                self._note(name, source, repeats)
            for name, source in self._added(node):
                self._sources.setdefault(name, []).append(source)
            if isinstance(node, nodes.Macro):
                self._macros[node.name] = node
            if isinstance(node, (nodes.Macro, nodes.Import)):
                self._bound.add(node.name if isinstance(node, nodes.Macro) else node.target)
            stack.extend((child, repeats) for child in reversed(list(node.iter_child_nodes())))

    def _given(self, node: "nodes.Node") -> Iterator[tuple[str, "nodes.Node"]]:
        """Yield what a statement gives to which name: variables, parts of a namespace (`ns.x`), macros (`m()`)."""
        nodes = self._nodes
        match node:
            case nodes.Assign(target=nodes.Name() as target):
                yield target.name, node.node
                value = node.node
                if isinstance(value, nodes.Call) and isinstance(value.node, nodes.Name):
                    for part in value.kwargs:
                        yield f"{target.name}.{part.key}", part.value
                elif isinstance(value, nodes.Dict):
                    for pair in value.items[:256]:
                        if isinstance(pair.key, nodes.Const):
                            yield f"{target.name}.{pair.key.value}", pair.value
            case nodes.Assign(target=nodes.NSRef() as target):
                yield f"{target.name}.{target.attr}", node.node
            case nodes.Assign(target=nodes.Tuple() as target):
                yield from self._spread(target, node.node)
            case nodes.AssignBlock(target=nodes.Name() as target):
                yield target.name, _filtered(node.filter, node.body, nodes)
            case nodes.AssignBlock(target=nodes.NSRef() as target):
                yield f"{target.name}.{target.attr}", _filtered(node.filter, node.body, nodes)
            case nodes.With():
                for one, value in zip(node.targets, node.values, strict=False):
                    if isinstance(one, nodes.Name):
                        yield one.name, value
            case nodes.For():
                items = node.iter.items if isinstance(node.iter, (nodes.List, nodes.Tuple)) else [node.iter]
                for item in items[:256]:
                    yield from self._spread(node.target, item)
            case nodes.Macro():
                yield f"{node.name}()", nodes.Concat(_printed(node.body, nodes))
            case nodes.CallBlock():
                yield "caller()", nodes.Concat(_printed(node.body, nodes))
            case _:
                pass

    def _added(self, node: "nodes.Node") -> Iterator[tuple[str, "nodes.Node"]]:
        """Yield what may come to a name besides: arguments of macros, and what is put into lists and dictionaries."""
        nodes = self._nodes
        match node:
            case nodes.Macro():
                for parameter, default in zip(reversed(node.args), reversed(node.defaults), strict=False):
                    yield parameter.name, default
            case nodes.Call(node=nodes.Name() as function) if function.name in self._macros:
                parameters = self._macros[function.name].args
                for parameter, argument in zip(parameters, node.args, strict=False):
                    yield parameter.name, argument
                for argument in node.args[len(parameters) :]:
                    yield "varargs", argument
                for keyword in node.kwargs:
                    yield keyword.key, keyword.value
                    yield "kwargs", nodes.Const(keyword.key)
                    yield "kwargs", keyword.value
            case nodes.Call(node=nodes.Getattr(node=nodes.Name() as owner) as method) if method.attr in _PUTS:
                for argument in node.args:
                    yield owner.name, argument
                    for pair in argument.items[:256] if isinstance(argument, nodes.Dict) else ():
                        if isinstance(pair.key, nodes.Const):
                            yield f"{owner.name}.{pair.key.value}", pair.value
            case _:
                pass

    def _spread(self, target: "nodes.Node", value: "nodes.Node") -> Iterator[tuple[str, "nodes.Node"]]:
        nodes = self._nodes
        if isinstance(target, nodes.Name):
            yield target.name, value
        elif isinstance(target, (nodes.Tuple, nodes.List)):
            parts = value.items if isinstance(value, (nodes.Tuple, nodes.List)) else []
            for place, one in enumerate(target.items):
                if isinstance(one, nodes.Name):
                    yield one.name, parts[place] if len(parts) == len(target.items) else value

    def _note(self, name: str, source: "nodes.Node", repeats: int) -> None:
        """Remember where a value comes from, what it is where that is known, and how long a text it is at least."""
        known = self._sources.setdefault(name, [])
        value = self._fold(source)
        size = self._size(source)
        if repeats > 1 and size and self._mentions(source, name) > 1:
            size <<= min(repeats, 64)  # a text that is appended to itself in a loop
        self._sizes[name] = max(size, self._sizes.get(name, 0))
        if size >= _LONG_TEXT:
            self._bombs[id(source)] = size
        if len(known) < _MOST_SOURCES:
            known.append(source)
        if value is not None:
            self._constants[name] = value
        elif name in self._constants:
            self._unsure.add(name)

    def _mentions(self, node: "nodes.Node", name: str) -> int:
        count = 0
        pending = [node]
        while pending:
            piece = pending.pop()
            count += _name_of(piece, self._nodes) == name
            pending.extend(piece.iter_child_nodes())
        return count

    def _size(self, node: "nodes.Node", depth: int = 0) -> int:
        """Return how many characters a text has at least, 0 where nothing is known."""
        nodes = self._nodes
        if depth > 60:
            return 0
        name = _name_of(node, nodes)
        if name is not None:
            return self._sizes.get(name, 0)
        match node:
            case nodes.Const() if isinstance(node.value, str):
                return len(node.value)
            case nodes.TemplateData():
                return len(node.data)
            case nodes.Add():
                return self._size(node.left, depth + 1) + self._size(node.right, depth + 1)
            case nodes.Concat():
                return sum(self._size(part, depth + 1) for part in node.nodes)
            case nodes.List() | nodes.Tuple():
                return len(node.items)
            case nodes.Mul():
                for one, other in ((node.left, node.right), (node.right, node.left)):
                    times = self._fold(one)
                    if isinstance(times, int):
                        return max(0, times) * self._size(other, depth + 1)
                return 0
            case nodes.Filter(node=nodes.Node() as inner):
                return max(self._size(inner, depth + 1), self._padding(node.name, [inner, *node.args]))
            case nodes.Call(node=nodes.Getattr() as function):
                return self._padding(function.attr, [function.node, *node.args])
            case nodes.Mod():
                return self._padding("format", [node.left, node.right])
            case _:
                return 0

    def _padding(self, name: str, arguments: "list[nodes.Expr]") -> int:
        """Return how wide a filter or method makes a text: `center`, `ljust`, and the widths of a format."""
        if name in {"center", "ljust", "rjust", "zfill", "indent", "expandtabs"} and len(arguments) > 1:
            width = self._fold(arguments[1])
            return width if isinstance(width, int) else 0
        if name == "format":
            text = self._fold(arguments[0])
            widths = re.findall(r"(?:%[-+ #0]*|:[^{}]{0,3}?[<>^=]?0?)(\d{1,30})", text) if isinstance(text, str) else []
            found = [int(width) for width in widths]
            if isinstance(text, str) and _WIDTH_ARGUMENT.search(text):
                values = [self._fold(argument) for argument in arguments[1:]]
                flat = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
                found += [one for one in flat if isinstance(one, int)]
            return max(found, default=0)
        return 0

    def constructs(self) -> Iterator[tuple[str, str]]:
        """Yield (construct, text) in the order of the template."""
        nodes = self._nodes
        for node in self._order:
            match node:
                case nodes.Getattr():
                    yield from self._attribute(node)
                case nodes.Getitem():
                    yield from self._subscript(node)
                case nodes.Filter():
                    yield from self._filter(node)
                case nodes.Call():
                    yield from self._call(node)
                case nodes.Const() if isinstance(node.value, str):
                    yield from _string(node.value)
                case nodes.Name() if node.name in {"__builtins__", "__import__", "__globals__"}:
                    yield "dunder-attribute", node.name
                case nodes.Keyword() if node.key in _LEADS_OUT:
                    yield "dunder-attribute", f"{node.key}="
                case nodes.For() if self._loops[id(node)] >= _LONG_LOOP:
                    yield "loop-bomb", f"for over {self._source(node.iter)}: {self._loops[id(node)]} rounds in all"
                case nodes.For() if self._grows(node):
                    yield "loop-bomb", f"for over {self._source(node.iter)}, which grows in the loop"
                case nodes.Macro() if self._doubles(node):
                    yield "loop-bomb", f"the macro {node.name} calls itself twice in each of its steps"
                case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
                    target = self._fold(node.template)
                    outside = not isinstance(target, str) or bool(_OUTSIDE.search(target))
                    yield "file-inclusion-outside" if outside else "file-inclusion", self._source(node.template)
                case nodes.Mul() | nodes.Pow():
                    yield from self._arithmetic(node)
                case nodes.Add() | nodes.Concat() | nodes.Mod():
                    yield from self._built(node)
                case _:
                    pass
            if id(node) in self._bombs or (
                isinstance(node, (nodes.Filter, nodes.Call, nodes.Mul, nodes.Mod)) and self._size(node) >= _LONG_TEXT
            ):
                yield (
                    "loop-bomb",
                    f"{self._source(node)}: a text of {self._bombs.get(id(node)) or self._size(node)} characters",
                )

    def _grows(self, loop: "nodes.For") -> bool:
        """Return whether a loop appends to the list it goes over."""
        nodes = self._nodes
        if not isinstance(loop.iter, nodes.Name):
            return False
        calls = (call.node for one in loop.body for call in one.find_all(nodes.Call))
        methods = (method for method in calls if isinstance(method, nodes.Getattr) and method.attr in _PUTS)
        return any(isinstance(one.node, nodes.Name) and one.node.name == loop.iter.name for one in methods)

    def _doubles(self, macro: "nodes.Macro") -> bool:
        """Return whether a macro calls itself more than once with a number that it counts down."""
        nodes = self._nodes
        names = {parameter.name for parameter in macro.args}
        counting = 0
        for one in macro.body:
            for call in one.find_all(nodes.Call):
                if isinstance(call.node, nodes.Name) and call.node.name == macro.name:
                    counting += any(
                        isinstance(argument, nodes.Sub)
                        and isinstance(argument.left, nodes.Name)
                        and argument.left.name in names
                        and isinstance(self._fold(argument.right), int)
                        for argument in call.args
                    )
        return counting > 1

    def _attribute(self, node: "nodes.Getattr") -> Iterator[tuple[str, str]]:
        if node.attr.startswith("_") or node.attr in _INTERNALS:  # the sandbox refuses every such name
            yield "dunder-attribute", self._source(node)
        elif isinstance(node.node, self._nodes.Name) and self._foreign(node.node.name):
            yield "escape-object", self._source(node)

    def _foreign(self, name: str) -> bool:
        return name in _PROGRAM_OBJECTS and name not in self._bound

    def _subscript(self, node: "nodes.Getitem") -> Iterator[tuple[str, str]]:
        key = self._fold(node.arg)
        if isinstance(key, str):
            if key in _LEADS_OUT or key in _INTERNALS:
                yield "dunder-attribute", self._source(node)
            elif isinstance(node.node, self._nodes.Name) and self._foreign(node.node.name):
                yield "escape-object", self._source(node)
            elif key in _RUNNERS:
                yield "python-function", self._source(node)
            elif self._hidden(node.arg, known=True):
                yield "string-building", self._source(node)
        elif key is None and self._hidden(node.arg):
            yield "string-building", self._source(node)

    def _filter(self, node: "nodes.Filter") -> Iterator[tuple[str, str]]:
        if node.name == "attr":
            name = self._fold(node.args[0]) if node.args else None
            if not isinstance(name, str):
                yield "attr-filter", self._source(node)
            elif name.startswith("_") or name in _INTERNALS:
                yield "dunder-attribute", self._source(node)
            elif name in {"format", "format_map"}:
                yield "attr-filter", self._source(node)  # CVE-2025-27516: a way round the sandbox's own str.format
            elif name in _RUNNERS:
                yield "python-function", self._source(node)
            elif self._hidden(node.args[0], known=True):
                yield "attr-filter", self._source(node)
        elif node.name in _BUILDERS:
            yield from self._built(node)
        elif node.name in {"batch", "slice"} and node.args:
            count = self._fold(node.args[0])
            if isinstance(count, int) and count >= _LONG_RANGE:
                yield "loop-bomb", self._source(node)
        if isinstance(node.node, self._nodes.Name) and node.node.name in _GLOBALS and self._foreign(node.node.name):
            yield "escape-object", self._source(node)
        for keyword in node.kwargs:
            if keyword.key != "attribute":
                continue
            value = self._fold(keyword.value)
            if isinstance(value, str) and any(part.startswith("_") for part in re.split(r"[.,]", value)):
                yield "dunder-attribute", self._source(node)
            elif value is None:
                yield "attr-filter", self._source(node)

    def _call(self, node: "nodes.Call") -> Iterator[tuple[str, str]]:
        nodes = self._nodes
        function = node.node
        if isinstance(function, nodes.Name):
            if function.name in _PYTHON_FUNCTIONS and function.name not in self._bound:
                yield "python-function", self._source(node)
            if function.name == "range" and (self._times(node) >= _LONG_RANGE or self._multiplied(node)):
                yield "loop-bomb", self._source(node)
            if function.name == "lipsum" and "lipsum" not in self._bound:
                counts = [self._fold(one) for one in (*node.args[:1], *(part.value for part in node.kwargs))]
                if any(isinstance(count, int) and count >= _HUGE_POWER for count in counts):
                    yield "loop-bomb", self._source(node)
        elif isinstance(function, nodes.Getattr):
            if function.attr in _RUNNERS:
                yield "python-function", self._source(node)
            elif function.attr in {"format", "format_map", "join", "replace"}:
                yield from self._built(node)
                text = self._fold(function.node)
                if isinstance(text, str) and not isinstance(function.node, nodes.Const):
                    yield from _string(text)  # a format that is put together from pieces

    def _multiplied(self, call: "nodes.Call") -> bool:
        """Return whether a bound of a range is something times a number that is too large already."""
        nodes = self._nodes
        found = [one for one in call.args if isinstance(one, nodes.Mul)]
        found += [one for argument in call.args for one in argument.find_all(nodes.Mul)]
        factors = (self._fold(side) for one in found for side in (one.left, one.right))
        return any(isinstance(factor, int) and factor >= _LONG_RANGE for factor in factors)

    def _arithmetic(self, node: "nodes.Mul | nodes.Pow") -> Iterator[tuple[str, str]]:
        left, right = self._fold(node.left), self._fold(node.right)
        if isinstance(node, self._nodes.Pow):
            if isinstance(right, (int, float)) and abs(right) >= _HUGE_POWER:
                yield "loop-bomb", self._source(node)
            return
        for one, other in ((left, right), (right, left)):
            if isinstance(one, int) and one >= _LONG_RANGE and not isinstance(other, (int, float)):
                sequence = isinstance(other, (str, tuple)) or self._is_text(node)
                if sequence:
                    yield "loop-bomb", self._source(node)
        yield from self._built(node)

    def _is_text(self, node: "nodes.BinExpr") -> bool:
        nodes = self._nodes
        return any(isinstance(side, (nodes.List, nodes.Tuple, nodes.Concat)) for side in (node.left, node.right))

    def _built(self, node: "nodes.Node") -> Iterator[tuple[str, str]]:
        """Report a string that becomes a way out only when its pieces are joined."""
        value = self._fold(node)
        if isinstance(value, str) and (value in _LEADS_OUT or value in _INTERNALS):
            yield "string-building", f"{self._source(node)} -> {value}"

    def _hidden(self, key: "nodes.Node", *, known: bool = False) -> bool:
        """Return whether a name that is looked up is assembled where a reader does not see it.

        That is: its pieces, through all variables, hold lone underscores; or it comes from constants alone, by
        operations that nobody needs to write down a word. Of a name whose value is ``known`` in one order of events,
        only the first counts: variables may have had other values.
        """
        nodes = self._nodes
        assembled = free = text = underscores = False
        pending, seen = [key], set[str]()
        for piece in pending:
            if len(pending) > _MOST_PIECES:
                return True
            self._pieces += 1
            if self._pieces > _ALL_PIECES:
                raise LimitExceeded("nodes", "the names that a template looks up are too intricate to follow")
            name = _name_of(piece, nodes)
            if isinstance(piece, nodes.Call) and isinstance(piece.node, nodes.Name):
                name = f"{piece.node.name}()" if f"{piece.node.name}()" in self._sources else piece.node.name
            if name is not None and name not in seen:
                seen.add(name)
                known = known and name not in self._unsure
                pending += self._sources.get(name) or self._sources.get(name.split(".", 1)[0]) or ()
                underscores = underscores or name in {"chr", "ord"}
                # `dict` and `namespace` make values out of what they are given
                free = free or name not in {*self._sources, "dict", "namespace", "true", "false", "none"}
            if isinstance(piece, nodes.Const) and isinstance(piece.value, str):
                text = text or bool(piece.value)
                underscores = underscores or _is_underscores(piece.value)
            elif isinstance(piece, nodes.TemplateData):
                underscores = underscores or _is_underscores(str(piece.data))
            assembled = assembled or self._assembled(piece)
            if name is None or isinstance(piece, nodes.Call):
                pending += piece.iter_child_nodes()
        return assembled and ((underscores and self._begins_hidden(key)) or (text and not free and not known))

    def _begins_hidden(self, key: "nodes.Node", depth: int = 0) -> bool:
        """Return whether a name may begin with an underscore: `"tool_" ~ x` does not, nor `role ~ "_" ~ x`."""
        nodes = self._nodes
        if depth > 20:
            return True
        match key:
            case nodes.Add():
                return self._begins_hidden(key.left, depth + 1)
            case nodes.Concat() if key.nodes:
                return self._begins_hidden(key.nodes[0], depth + 1)
            case nodes.Const() | nodes.TemplateData():
                text = str(key.value if isinstance(key, nodes.Const) else key.data)
                return not text or text.startswith("_")
            case _:
                name = _name_of(key, nodes)
                if name is None:
                    return True
                return any(self._begins_hidden(one, depth + 1) for one in self._sources.get(name, ()) if one is not key)

    def _assembled(self, node: "nodes.Node") -> bool:
        nodes = self._nodes
        if isinstance(node, (nodes.Add, nodes.Concat, nodes.Mod, nodes.Mul)):
            return not isinstance(node, nodes.Concat) or len(node.nodes) > 1
        if isinstance(node, nodes.Filter):
            return node.name not in _COUNTING
        return isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr)

    def _times(self, node: "nodes.Node") -> int:
        """Return how often a loop over ``node`` runs, 1 where that is not a constant."""
        nodes = self._nodes
        if not (isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "range"):
            return 1
        bounds = [self._fold(argument) for argument in node.args]
        numbers = [bound for bound in bounds if isinstance(bound, int)]
        if not numbers or len(numbers) != len(bounds) or len(numbers) > 3:
            return 1
        start, stop, step = (
            (0, numbers[0], 1)
            if len(numbers) == 1
            else (numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else 1)
        )
        return max(0, (stop - start) // step) if step else 1

    def _fold(self, node: "nodes.Node", depth: int = 0) -> _Literal:
        """Return the value of a constant expression, as far as names are built that way."""
        nodes = self._nodes
        if depth > 60:
            return None
        match node:
            case nodes.Const():
                return node.value if isinstance(node.value, (str, int, float)) else None
            case nodes.TemplateData():
                return str(node.data)
            case nodes.Name():
                return self._constants.get(node.name)
            case nodes.Getattr(node=nodes.Name()) if f"{node.node.name}.{node.attr}" in self._constants:
                return self._constants[f"{node.node.name}.{node.attr}"]
            case nodes.CondExpr():
                return self._fold(node.expr1, depth + 1)
            case nodes.List() | nodes.Tuple():
                return tuple(self._fold(item, depth + 1) for item in node.items[:256])
            case nodes.Concat():
                return _joined(tuple(self._fold(item, depth + 1) for item in node.nodes[:256]), "")
            case nodes.Add():
                left, right = self._fold(node.left, depth + 1), self._fold(node.right, depth + 1)
                if isinstance(left, str) and isinstance(right, str):
                    return _capped(left + right)
                if isinstance(left, int) and isinstance(right, int):
                    return left + right
                return None
            case nodes.Mul():
                return _times(self._fold(node.left, depth + 1), self._fold(node.right, depth + 1))
            case nodes.Pow():
                left, right = self._fold(node.left, depth + 1), self._fold(node.right, depth + 1)
                small = isinstance(left, int) and isinstance(right, int) and abs(left) <= 1 << 16 and 0 <= right <= 64
                return int(left**right) if small and isinstance(left, int) and isinstance(right, int) else None
            case nodes.Neg():
                value = self._fold(node.node, depth + 1)
                return -value if isinstance(value, (int, float)) else None
            case nodes.Mod():
                return _percent(self._fold(node.left, depth + 1), self._fold(node.right, depth + 1))
            case nodes.Filter():
                return self._filtered(node, depth)
            case nodes.Call():
                return self._called(node, depth)
            case nodes.Getitem():
                return self._sliced(node, depth)
            case _:
                return None

    def _filtered(self, node: "nodes.Filter", depth: int) -> _Literal:
        value = self._fold(node.node, depth + 1) if node.node is not None else None
        arguments = [self._fold(argument, depth + 1) for argument in node.args]
        first = arguments[0] if arguments else ""
        if node.name == "join" and isinstance(value, (tuple, str)) and isinstance(first, str):
            return _joined(tuple(value), first)
        if not isinstance(value, str):
            return None
        match node.name:
            case "reverse":
                return value[::-1]
            case "lower":
                return value.lower()
            case "upper":
                return value.upper()
            case "trim":
                return value.strip(first if isinstance(first, str) and first else None)
            case "title" | "capitalize":
                return value.title() if node.name == "title" else value.capitalize()
            case "string" | "list" | "safe":
                return value
            case "replace":
                return _replaced(value, arguments)
            case "format":
                return _percent(value, tuple(arguments))
            case _:
                return None

    def _called(self, node: "nodes.Call", depth: int) -> _Literal:
        nodes = self._nodes
        arguments = [self._fold(argument, depth + 1) for argument in node.args]
        if isinstance(node.node, nodes.Name):
            if node.node.name == "chr" and arguments:
                code = arguments[0]
                return chr(code) if isinstance(code, int) and 0 <= code < 0x110000 else None
            return self._constants.get(f"{node.node.name}()")
        if not isinstance(node.node, nodes.Getattr):
            return None
        value = self._fold(node.node.node, depth + 1)
        if not isinstance(value, str):
            return None
        match node.node.attr:
            case "join" if arguments and isinstance(arguments[0], tuple):
                return _joined(arguments[0], value)
            case "replace":
                return _replaced(value, arguments)
            case "lower" | "upper" | "swapcase" | "title" | "capitalize" as method:
                return str(getattr(value, method)())
            case "strip" | "lstrip" | "rstrip" | "removeprefix" | "removesuffix" as method if all(
                isinstance(argument, str) for argument in arguments[:1]
            ):
                return str(getattr(value, method)(*arguments[:1])) if arguments or "strip" in method else None
            case "format" if all(isinstance(argument, (str, int)) for argument in arguments):
                pieces = iter(str(argument) for argument in arguments)
                return _capped(_FIELD.sub(lambda match: _aligned(next(pieces, ""), match[1] or ""), value))
            case _:
                return None

    def _sliced(self, node: "nodes.Getitem", depth: int) -> _Literal:
        nodes = self._nodes
        value = self._fold(node.node, depth + 1)
        if not isinstance(value, str) or not isinstance(node.arg, nodes.Slice):
            return None
        bounds: list[int | None] = []
        for bound in (node.arg.start, node.arg.stop, node.arg.step):
            folded = None if bound is None else self._fold(bound, depth + 1)
            if bound is not None and not isinstance(folded, int):
                return None
            bounds.append(folded if isinstance(folded, int) else None)
        return str(value[bounds[0] : bounds[1] : bounds[2]]) if bounds[2] != 0 else None

    def _source(self, node: "nodes.Node", depth: int = 0) -> str:
        """Return ``node`` as a person would write it, shortened."""
        nodes = self._nodes
        if depth > 12:
            return "…"
        match node:
            case nodes.Name():
                return str(node.name)
            case nodes.Const():
                return repr(node.value)[:80]
            case nodes.TemplateData():
                return repr(node.data)[:80]
            case nodes.Getattr():
                return f"{self._source(node.node, depth + 1)}.{node.attr}"
            case nodes.Getitem():
                return f"{self._source(node.node, depth + 1)}[{self._source(node.arg, depth + 1)}]"
            case nodes.Call():
                inside = ", ".join(self._source(argument, depth + 1) for argument in node.args[:4])
                return f"{self._source(node.node, depth + 1)}({inside})"
            case nodes.Filter():
                inside = ", ".join(self._source(argument, depth + 1) for argument in node.args[:4])
                value = self._source(node.node, depth + 1) if node.node is not None else ""
                return f"{value}|{node.name}" + (f"({inside})" if inside else "")
            case nodes.Concat():
                return " ~ ".join(self._source(item, depth + 1) for item in node.nodes[:6])
            case nodes.BinExpr():
                return f"{self._source(node.left, depth + 1)} {node.operator} {self._source(node.right, depth + 1)}"
            case nodes.List() | nodes.Tuple():
                return "[" + ", ".join(self._source(item, depth + 1) for item in node.items[:4]) + "]"
            case _:
                return type(node).__name__.lower()


def _printed(body: "list[nodes.Node]", kinds: "ModuleType") -> "list[nodes.Node]":
    """Return what a block prints, piece by piece; of the statements in it, their parts."""
    pieces: list[nodes.Node] = []
    for one in body:
        if isinstance(one, kinds.FilterBlock):
            pieces.append(_filtered(one.filter, one.body, kinds))
        else:
            pieces += one.nodes if isinstance(one, kinds.Output) else [one]
    return pieces


def _filtered(chain: "nodes.Filter | None", body: "list[nodes.Node]", kinds: "ModuleType") -> "nodes.Node":
    """Return what a block prints, through the filters that stand at its head."""
    printed: nodes.Node = kinds.Concat(_printed(body, kinds))
    filters: list[nodes.Filter] = []
    while isinstance(chain, kinds.Filter):
        filters.append(chain)
        chain = chain.node
    for one in reversed(filters):
        printed = kinds.Filter(printed, one.name, one.args, one.kwargs, one.dyn_args, one.dyn_kwargs)
    return printed


def _name_of(node: "nodes.Node", kinds: "ModuleType") -> str | None:
    """Return the variable, or the part of a namespace, that an expression reads."""
    if isinstance(node, kinds.Name):
        return str(node.name)
    if isinstance(node, kinds.Getattr) and isinstance(node.node, kinds.Name):
        return f"{node.node.name}.{node.attr}"
    if isinstance(node, kinds.Getitem) and isinstance(node.node, kinds.Name) and isinstance(node.arg, kinds.Const):
        return f"{node.node.name}.{node.arg.value}" if isinstance(node.arg.value, str) else None
    return None


def _is_underscores(text: str) -> bool:
    """Return whether a piece of text is there for its underscores."""
    if text.strip() and set(text) <= {"_", "%", "c", "s"} and ("_" in text or "%c" in text):
        return True
    return text.startswith("__") or text.endswith("__")


def _string(text: str) -> Iterator[tuple[str, str]]:
    """Judge the shape of a string constant: a dunder path, or a format field that walks attributes."""
    if "__" not in text:
        return
    if _DOTTED.fullmatch(text) and any(part in _LEADS_OUT for part in text.split(".")):
        yield "dunder-attribute", repr(text)
    elif _FORMAT_FIELD.search(text):
        yield "string-building", repr(text[:120])
    elif "__import__" in text or "__builtins__" in text or "__globals__" in text:
        yield "python-function", repr(text[:120])


def _capped(text: str) -> str | None:
    return text if len(text) <= 4096 else None


def _joined(items: tuple[object, ...], separator: str) -> str | None:
    texts = [str(item) for item in items if isinstance(item, (str, int))]
    return _capped(separator.join(texts)) if len(texts) == len(items) else None


def _times(left: _Literal, right: _Literal) -> _Literal:
    if isinstance(left, int) and isinstance(right, int):
        return left * right if abs(left) < 1 << 64 and abs(right) < 1 << 64 else None
    for text, count in ((left, right), (right, left)):
        if isinstance(text, str) and isinstance(count, int) and 0 <= count * len(text) <= 4096:
            return text * count
    return None


def _aligned(text: str, layout: str) -> str:
    """Return a text as `str.format` lays it out: `class` as `__class__` with `_^9`."""
    fill = _FILL.fullmatch(layout)
    return format(text, layout) if fill and int(fill[1]) <= _WIDEST else text


def _percent(text: _Literal, values: _Literal) -> str | None:
    if not isinstance(text, str) or len(text) > 1024:
        return None
    pieces = iter(values if isinstance(values, tuple) else (values,))

    def piece(match: re.Match[str]) -> str:
        value = next(pieces, None)
        if match.group() == "%c" and isinstance(value, int) and 0 <= value < 0x110000:
            return chr(value)
        return str(value) if isinstance(value, (str, int)) else "\0"

    built = re.sub(r"%[csd]", piece, text)
    return None if "\0" in built else _capped(built)


def _replaced(value: str, arguments: list[_Literal]) -> str | None:
    if len(arguments) < 2 or not isinstance(arguments[0], str) or not isinstance(arguments[1], str):
        return None
    return _capped(value.replace(arguments[0], arguments[1])) if arguments[0] else None
