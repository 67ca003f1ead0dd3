"""From the inert tree of a pickle to named tensors: containers are walked, names are joined with `.`.

A tree can be a trap: values shared so often that it has 10^59 paths, tuples nested 200 000 deep, dictionaries that
contain themselves. So the walk is a loop; what lies below each container is counted once; only containers that hold
tensors are entered; and the number of paths is budgeted.

A module (`torch.nn.Module`, recognised by its three dictionaries, whatever its class) counts as its state dict does:
parameters, buffers that are persistent, submodules. Other objects are inert: their class is named in the report, what
they hold is left out, and `select` reaches into them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from math import isfinite

from modelsign.conversion.keys import name_of
from modelsign.conversion.plan import Json
from modelsign.conversion.record import LeftOut
from modelsign.conversion.refusals import NoTensorsError
from modelsign.errors import ConversionError
from scanners.pickles.machine import KEPT
from scanners.pickles.values import (
    Attribute,
    Collection,
    Global,
    Made,
    Mapping,
    OutOfBand,
    Persistent,
    Span,
    TensorValue,
    Value,
)

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
"""keys under which checkpoints keep their weights; the first one present is taken"""
WHOLE = "."
"""the selection that means all of it, no wrapper taken"""
LONE_NAME = "tensor"
"""what a tensor is called that is not in any container"""

_PATHS_LIMIT = 2_000_000
_COUNT_CAP = 10**9
_NAME_LIMIT = 1 << 16
_LEFT_OUT_LIMIT = 10_000
_VALUES_LIMIT = 1_000_000
_VALUES_DEPTH = 64
_DICTS = frozenset(
    {
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.Counter",
        "builtins.dict",
        "__builtin__.dict",
        "torch._C.ScriptDict",
    }
)
_SCRIPTED = "__torch__."
"""classes of TorchScript: every attribute is state"""
_TYPED = frozenset(
    {f"torch.jit._pickle.{name}" for name in ("restore_type_tag", "build_tensorlist", "build_intlist")}
    | {f"torch.jit._pickle.{name}" for name in ("build_doublelist", "build_boollist")}
)
"""functions that give back their first argument: C++ notes the types of lists and dictionaries by calling them"""
_TYPED_DEPTH = 8
_GRAPHS = frozenset({f"torch.fx.graph_module.reduce_{kind}graph_module" for kind in ("", "package_", "deploy_")})
"""functions that make a module of torch.fx from its attributes"""
_MODULE_PARTS = frozenset({"_parameters", "_buffers", "_modules"})


class LeafKind(Enum):
    """What a value is to the converter, before containers are looked at."""

    TENSOR = "tensor"
    """it becomes a tensor of the output"""
    REFUSED = "refused"
    """a tensor that safetensors cannot hold"""
    OTHER = "other"
    """a container or plain data"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the reader of tensors says about a value."""

    kind: LeafKind
    reason: str = ""
    """why it is refused and what to do instead"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattened:
    """A tree as named tensors."""

    tensors: tuple[tuple[str, Value], ...]
    wrapper: str | None
    left_out: tuple[LeftOut, ...]
    classes: tuple[str, ...]
    """classes of objects that were kept inert, sorted"""
    values: dict[str, Json]


@dataclass(slots=True)
class _Node:
    """A container: what is in it, under which names."""

    kind: str
    children: "list[tuple[str | None, Value]]"
    """(name, value); the name is None where a key is no name"""
    hidden: "list[tuple[str | None, Value]]"
    """what is in it but not part of its state"""
    dictionary: bool = False


@dataclass(slots=True)
class _Count:
    tensors: int = 0
    refused: int = 0
    values: int = 0
    looped: bool = False

    @property
    def relevant(self) -> bool:
        return bool(self.tensors or self.refused or self.looped)

    def add(self, other: "_Count") -> None:
        self.tensors = min(_COUNT_CAP, self.tensors + other.tensors)
        self.refused = min(_COUNT_CAP, self.refused + other.refused)
        self.values = min(_COUNT_CAP, self.values + other.values)
        self.looped = self.looped or other.looped


class Tree:
    """A root value with what is known about its containers."""

    def __init__(self, root: Value, *, meaning: Callable[[Value], Meaning], text: Callable[[Span], str]) -> None:
        """Count what lies below every container.

        Args:
            root: the value a pickle leaves behind.
            meaning: tells tensors from other values.
            text: reads a long text that was left in the input.
        """
        self._root = root
        self._meaning = meaning
        self._text = text
        self._nodes: dict[int, _Node | None] = {}
        self._kinds: dict[int, Meaning] = {}
        self._counts: dict[int, _Count] = {}
        self._classes: set[str] = set()
        self._count(root)

    def flatten(self, *, select: str | None = None, with_values: bool = False) -> Flattened:
        """Name the tensors.

        Args:
            select: dotted path of the part to take, `WHOLE` for everything; None takes the first of `WRAPPERS` that is
                present, else everything.
            with_values: also return the plain data that is left out.

        Raises:
            ConversionError: there are no tensors, the part does not exist, a tensor has no name or cannot be held.
        """
        part, wrapper, aside = self._part(select)
        collected = _Collected(with_values=with_values)
        for path, value in aside:
            self._leave_out(collected, path, value)
        self._walk(part, wrapper, collected)
        if not collected.tensors:
            raise _no_tensors(collected)
        return Flattened(
            tensors=tuple(collected.tensors),
            wrapper=wrapper,
            left_out=collected.listed(),
            classes=tuple(sorted(self._classes)),
            values=collected.values,
        )

    # -- which part ----------------------------------------------------------------------------------------------

    def _part(self, select: str | None) -> tuple[Value, str | None, list[tuple[str, Value]]]:
        if select == WHOLE:
            return self._root, None, []
        if select is not None:
            part = self._resolve(select)
            return part, select, self._beside(select)
        node = self._node(self._root)
        if node is not None and node.dictionary:
            named = {name: value for name, value in node.children if name is not None}
            for name in WRAPPERS:
                value = named.get(name)
                below = self._node(value)
                if below is not None and (below.dictionary or below.hidden) and self._of(value).relevant:
                    return value, name, self._beside(name)
        return self._root, None, []

    def _resolve(self, select: str) -> Value:
        found: list[Value] = []
        grouped: dict[int, Mapping] = {}
        pending = [(self._root, select)]
        steps = 0
        while pending:
            value, rest = pending.pop()
            node = self._node(value)
            if node is None:
                continue
            for name, child in (*node.children, *node.hidden):
                steps += 1
                if steps > _PATHS_LIMIT:
                    raise ConversionError(f"--select {select}: too many places to look at; give a shorter path")
                if name == rest:
                    found.append(child)
                elif name is not None and name.startswith(f"{rest}."):
                    grouped.setdefault(id(value), Mapping()).entries.append((name[len(rest) + 1 :], child))
                elif name is not None and rest.startswith(f"{name}."):
                    pending.append((child, rest[len(name) + 1 :]))
        if not found and len(grouped) == 1:
            (group,) = grouped.values()  # a part of a flat state dict: `encoder` of `encoder.weight`
            self._count(group)
            return group
        if not found and not grouped:
            top = self._node(self._root)
            known = sorted(name for name, _ in (*top.children, *top.hidden) if name is not None) if top else []
            raise ConversionError(
                f"there is no {select!r} in this checkpoint; at the top it has {', '.join(known[:20]) or 'nothing'}"
            )
        if len({id(value) for value in found}) != 1:
            raise ConversionError(f"{select!r} means more than one thing in this checkpoint")
        return found[0]

    def _beside(self, select: str) -> list[tuple[str, Value]]:
        """What stands next to the selected part at the top: that is what a user may miss."""
        node = self._node(self._root)
        if node is None:
            return []
        return [
            (name if name is not None else "?", value)
            for name, value in (*node.children, *node.hidden)
            if name is None or not (f"{select}.".startswith(f"{name}.") or name.startswith(f"{select}."))
        ]

    # -- naming --------------------------------------------------------------------------------------------------

    def _walk(self, part: Value, wrapper: str | None, collected: "_Collected") -> None:
        """Visit every path to a tensor, in order, without recursion."""
        if self._take(part, _last(wrapper), collected):
            return
        node = self._node(part)
        if node is None:
            return
        steps = 0
        on_path = {id(part)}
        stack: list[tuple[str, Value, Iterator[tuple[str | None, Value]]]] = [("", part, iter(node.children))]
        self._leave_out_hidden(collected, "", node)
        while stack:
            prefix, owner, children = stack[-1]
            entry = next(children, None)
            if entry is None:
                stack.pop()
                on_path.discard(id(owner))
                continue
            steps += 1
            if steps > _PATHS_LIMIT:
                raise ConversionError(
                    f"the checkpoint has more than {_PATHS_LIMIT} places for tensors, because values contain each "
                    "other many times over; it was made to exhaust its reader"
                )
            name, value = entry
            relevant = self._of(value).relevant
            if name is None:
                if relevant:
                    raise ConversionError(
                        f"a dictionary at {prefix.rstrip('.') or 'the top'!r} has a key that is neither text nor a "
                        "number, and tensors below it: they have no name; save it with text as keys"
                    )
                name = "?"
            path = f"{prefix}{name}"
            if self._take(value, path, collected):
                continue
            if id(value) in on_path and self._node(value) is not None:
                collected.leave_out(LeftOut(path=path, kind="reference to an object around it"))
                continue
            below = self._node(value)
            if below is None or not relevant:
                self._leave_out(collected, path, value)
                continue
            if below.kind == "list" and len(below.children) > KEPT:
                # The machine drops plain values of very long lists, so positions are not what they were.
                raise ConversionError(f"the list {path!r} has tensors among more than {KEPT} values; save a dictionary")
            if len(path) > _NAME_LIMIT:
                raise ConversionError(f"the name of a tensor would be longer than {_NAME_LIMIT} characters")
            self._leave_out_hidden(collected, f"{path}.", below)
            on_path.add(id(value))
            stack.append((f"{path}.", value, iter(below.children)))

    def _take(self, value: Value, path: str, collected: "_Collected") -> bool:
        meaning = self._kind(value)
        if meaning.kind is LeafKind.REFUSED:
            raise ConversionError(f"tensor {path!r}: {meaning.reason}")
        if meaning.kind is LeafKind.TENSOR:
            collected.tensors.append((path, value))
            return True
        return False

    def _leave_out_hidden(self, collected: "_Collected", prefix: str, node: _Node) -> None:
        """Name what an object holds beside its state, where that is more than plain settings."""
        for name, value in node.hidden:
            if self._of(value).relevant and not self._of(value).looped:
                self._leave_out(collected, f"{prefix}{name if name is not None else '?'}", value)

    def _leave_out(self, collected: "_Collected", path: str, value: Value) -> None:
        count = self._of(value)
        node = self._node(value)
        values = count.values if node is not None else 0
        collected.leave_out(
            LeftOut(path=path, kind=self._describe(value), tensors=count.tensors + count.refused, values=values)
        )
        if collected.with_values and not count.looped and not self._holds_only_tensors(value):
            collected.values[path] = self._plain(value, collected)

    def _holds_only_tensors(self, value: Value) -> bool:
        count = self._of(value)
        return count.relevant and not count.values

    # -- looking at values ---------------------------------------------------------------------------------------

    def _kind(self, value: Value) -> Meaning:
        if isinstance(value, TensorValue):
            return self._meaning(value)  # there may be very many: nothing is kept about them
        if not isinstance(value, Made | Persistent):
            return _OTHER
        known = self._kinds.get(id(value))
        if known is None:
            known = self._kinds[id(value)] = self._meaning(value)
        return known

    def _node(self, value: Value) -> _Node | None:
        if not isinstance(value, list | tuple | Mapping | Made | Collection):
            return None
        key = id(value)
        if key not in self._nodes:
            self._nodes[key] = self._look(value)
        return self._nodes[key]

    def _look(self, given: "list[Value] | tuple[Value, ...] | Mapping | Made | Collection") -> _Node | None:
        value = _typed(given)
        if self._kind(value).kind is not LeafKind.OTHER:
            return None
        if isinstance(value, list | tuple):
            children: list[tuple[str | None, Value]] = [(str(index), item) for index, item in enumerate(value)]
            return _Node(kind=type(value).__name__, children=children, hidden=[])
        if isinstance(value, Mapping):
            return _Node(kind="dict", children=self._entries(value.entries), hidden=[], dictionary=True)
        if isinstance(value, Collection):
            members: list[tuple[str | None, Value]] = [(None, item) for item in value.items]
            return _Node(kind="frozenset" if value.frozen else "set", children=[], hidden=members)
        return self._object(value) if isinstance(value, Made) else None

    def _object(self, made: Made) -> _Node:
        name = class_name(made)
        if name in _DICTS:
            entries = [*self._initial(made), *made.entries]
            return _Node(
                kind=name.rpartition(".")[2], children=self._entries(entries), hidden=self._state(made), dictionary=True
            )
        state = self._state(made)
        parts = dict(state)
        if parts.keys() >= _MODULE_PARTS:
            return self._module(name, parts, state)
        if name.startswith(_SCRIPTED):
            # Lists and dictionaries of tensors are no state to torch: the weights of an LSTM lie in one once more.
            plain = [(key, value) for key, value in state if _typed(value) is value]
            return _Node(
                kind=name, children=plain, hidden=[(key, value) for key, value in state if _typed(value) is not value]
            )
        if name in _GRAPHS and isinstance(made.arguments, tuple) and made.arguments:
            body = self._node(made.arguments[0])
            parts = dict(body.children) if body is not None and body.dictionary else {}
            if parts.keys() >= _MODULE_PARTS:
                return self._module(name, parts, list(parts.items()))
        if name:
            self._classes.add(name)
        initial = _reconstructed(made)
        if made.entries and made.items:
            # Entries and items at once: which replace which, only its class knows.
            hidden = [(None, value) for value in (*(value for _, value in made.entries), *made.items)]
            return _Node(kind=name or "object", children=[], hidden=[*state, *hidden])
        if made.entries or isinstance(initial, Mapping):
            # A subclass of dict: its items are what it is, its attributes are its own affair.
            known = initial.entries if isinstance(initial, Mapping) else ()
            entries = [*known, *made.entries]
            return _Node(kind=name, children=self._entries(entries), hidden=state, dictionary=True)
        if made.items or isinstance(initial, list):
            values = [*(initial if isinstance(initial, list) else ()), *made.items]
            items: list[tuple[str | None, Value]] = [(str(index), item) for index, item in enumerate(values)]
            return _Node(kind=name, children=items, hidden=state)
        return _Node(kind=name or "object", children=[], hidden=[*state, *self._arguments(made)])

    def _module(self, name: str, parts: "dict[str | None, Value]", state: "list[tuple[str | None, Value]]") -> _Node:
        if not name.startswith("torch.nn."):
            self._classes.add(name)
        dropped = set()
        unsaved = parts.get("_non_persistent_buffers_set")
        for item in self._members(unsaved):
            dropped.add(self._name(item))
        children: list[tuple[str | None, Value]] = []
        hidden: list[tuple[str | None, Value]] = [(key, value) for key, value in state if key not in _MODULE_PARTS]
        for part in ("_parameters", "_buffers", "_modules"):
            entries = self._dictionary(parts[part])
            if entries is None:
                hidden.append((part, parts[part]))
                continue
            for key, value in self._entries(entries):
                if value is None:
                    continue
                if part == "_buffers" and key in dropped:
                    hidden.append((key, value))
                else:
                    children.append((key, value))
        return _Node(kind=name, children=children, hidden=hidden)

    def _members(self, value: Value) -> "Sequence[Value]":
        if isinstance(value, Collection):
            return value.items
        if isinstance(value, Made) and class_name(value) in {"builtins.set", "__builtin__.set"}:
            first = value.arguments[0] if isinstance(value.arguments, tuple) and value.arguments else None
            return list(first) if isinstance(first, list | tuple) else value.items
        return []

    def _initial(self, made: Made) -> "list[tuple[Value, Value]]":
        """Entries given to the constructor: `OrderedDict([(k, v), …])`, `Counter({…})`."""
        arguments = made.arguments if isinstance(made.arguments, tuple) else ()
        entries: list[tuple[Value, Value]] = []
        for argument in arguments:
            if isinstance(argument, Mapping):
                entries += argument.entries
            elif isinstance(argument, list | tuple):
                entries += [
                    (pair[0], pair[1]) for pair in argument if isinstance(pair, list | tuple) and len(pair) == 2
                ]
        return entries

    def _state(self, made: Made) -> "list[tuple[str | None, Value]]":
        """Attributes, as BUILD would set them: a dict, or the pair (dict, slots)."""
        merged: dict[str | None, Value] = {}
        loose: list[tuple[str | None, Value]] = []
        for state in made.states:
            parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
            for part in parts:
                entries = self._dictionary(part)
                if entries is not None:
                    merged.update(self._entries(entries))
                elif part is not None:
                    loose.append((None, part))
        return [*merged.items(), *loose]

    def _dictionary(self, value: Value) -> "list[tuple[Value, Value]] | None":
        """Return the items of what is a dict, None of anything else.

        Its attributes are not looked at: a state can be the object whose state it is, or a chain of any length.
        """
        if isinstance(value, Mapping):
            return list(value.entries)
        if not isinstance(value, Made) or self._kind(value).kind is not LeafKind.OTHER:
            return None
        if class_name(value) in _DICTS:
            return [*self._initial(value), *value.entries]
        initial = _reconstructed(value)
        return [*initial.entries, *value.entries] if isinstance(initial, Mapping) else list(value.entries) or None

    def _arguments(self, made: Made) -> "list[tuple[str | None, Value]]":
        given: list[tuple[str | None, Value]] = [(None, made.arguments)]
        if made.keywords is not None:
            given.append((None, made.keywords))
        return given

    def _entries(self, entries: "Sequence[tuple[Value, Value]]") -> "list[tuple[str | None, Value]]":
        """Entries as a dict would keep them: a key that comes again keeps its place and takes the later value."""
        kept: dict[object, tuple[str | None, Value]] = {}
        for key, value in entries:
            resolved = self._text(key) if isinstance(key, Span) and key.kind == "str" else key
            # Python's own equality: 1, 1.0 and True are one key; what is inert is equal to itself only.
            plain = resolved is None or isinstance(resolved, str | int | float | bytes)
            kept[(plain, resolved if plain else id(resolved))] = (self._name(resolved), value)
        return list(kept.values())

    def _name(self, key: Value) -> str | None:
        if isinstance(key, Span):
            return self._text(key) if key.kind == "str" else None
        return name_of(key)

    # -- counting ------------------------------------------------------------------------------------------------

    def _of(self, value: Value) -> _Count:
        meaning = self._kind(value)
        if meaning.kind is LeafKind.TENSOR:
            return _ONE_TENSOR
        if meaning.kind is LeafKind.REFUSED:
            return _ONE_REFUSED
        return self._counts.get(id(value), _ONE_VALUE) if self._node(value) is not None else _ONE_VALUE

    def _count(self, root: Value) -> None:
        """Fill `_counts`, children before parents; an edge back to an open container marks a loop."""
        node = self._node(root)
        if node is None:
            return
        opened = {id(root)}
        stack = [(root, iter((*node.children, *node.hidden)), _Count())]
        while stack:
            owner, children, count = stack[-1]
            entry = next(children, None)
            if entry is None:
                stack.pop()
                opened.discard(id(owner))
                self._counts[id(owner)] = count
                if stack:
                    stack[-1][2].add(count)
                continue
            value = entry[1]
            below = self._node(value)
            if below is None:
                count.add(self._of(value))
            elif id(value) in self._counts:
                count.add(self._counts[id(value)])
            elif id(value) in opened:
                count.looped = True
            else:
                opened.add(id(value))
                stack.append((value, iter((*below.children, *below.hidden)), _Count()))

    # -- plain data ----------------------------------------------------------------------------------------------

    def _describe(self, value: Value) -> str:
        node = self._node(value)
        if node is not None:
            return node.kind
        meaning = self._kind(value)
        if meaning.kind is not LeafKind.OTHER:
            return "tensor"
        match value:
            case None:
                return "None"
            case Span():
                return value.kind
            case Global():
                return f"name {value.dotted}"
            case Persistent():
                return "storage"
            case Attribute():
                return "attribute"
            case OutOfBand():
                return "buffer outside the file"
            case _:
                return type(value).__name__

    def _plain(self, value: Value, collected: "_Collected", depth: int = 0) -> Json:
        """Return plain data as JSON values; anything else as a short description in angle brackets.

        Of dictionaries, tensors are left away, and what holds nothing else; an object is its attributes and its class.
        """
        collected.plain += 1
        if collected.plain > _VALUES_LIMIT or depth > _VALUES_DEPTH:
            raise ConversionError(
                "the plain data beside the weights is too large or nested too deeply to be written; leave it out"
            )
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return value if isfinite(value) else repr(value)
        node = self._node(value)
        if node is not None and node.dictionary:
            return self._plain_entries(node.children, collected, depth)
        attributes = [(name, child) for name, child in node.hidden if name is not None] if node is not None else []
        if node is not None and attributes:
            return {"<class>": node.kind, **self._plain_entries(attributes, collected, depth)}
        if node is not None and node.kind in {"list", "tuple"}:
            return [self._plain(child, collected, depth + 1) for _, child in node.children]
        if isinstance(value, Span) and value.kind == "str":
            return self._text(value)
        return f"<{self._describe(value)}>"

    def _plain_entries(
        self, entries: "Sequence[tuple[str | None, Value]]", collected: "_Collected", depth: int
    ) -> dict[str, Json]:
        return {
            name if name is not None else "?": self._plain(child, collected, depth + 1)
            for name, child in entries
            if not self._holds_only_tensors(child)
        }


class _Collected:
    """What one walk gathers."""

    __slots__ = ("left", "more", "plain", "tensors", "values", "with_values")

    def __init__(self, *, with_values: bool) -> None:
        self.with_values = with_values
        self.tensors: list[tuple[str, Value]] = []
        self.left: list[LeftOut] = []
        self.more = 0
        self.values: dict[str, Json] = {}
        self.plain = 0

    def leave_out(self, item: LeftOut) -> None:
        if len(self.left) < _LEFT_OUT_LIMIT:
            self.left.append(item)
        else:
            self.more += 1

    def listed(self) -> tuple[LeftOut, ...]:
        rest = (LeftOut(path="…", kind="further values", values=self.more),) if self.more else ()
        return (*self.left, *rest)


_OTHER = Meaning(kind=LeafKind.OTHER)
_ONE_TENSOR = _Count(tensors=1)
_ONE_REFUSED = _Count(refused=1)
_ONE_VALUE = _Count(values=1)


def class_name(made: Made) -> str:
    """Return the dotted name of the class an object is of, empty where it is not known by name."""
    function = made.function
    arguments = made.arguments if isinstance(made.arguments, tuple) else ()
    if isinstance(function, Global):
        module, _, name = function.dotted.partition(".")
        if module in {"copyreg", "copy_reg"} and name in {"_reconstructor", "__newobj__", "__newobj_ex__"}:
            function = arguments[0] if arguments else None
    if isinstance(function, Persistent) and isinstance(function.id, tuple) and len(function.id) > 1:
        # torch's legacy format keeps the source of a class beside its name: ("module", class, file, source).
        function = function.id[1]
    return function.dotted if isinstance(function, Global) else ""


def _typed(value: Value) -> Value:
    """Return a list or dictionary whose type C++ has noted; any other value as it is."""
    inner = value
    for _ in range(_TYPED_DEPTH):
        if not isinstance(inner, Made) or not isinstance(inner.function, Global) or inner.function.dotted not in _TYPED:
            break
        if (
            not isinstance(inner.arguments, tuple)
            or not inner.arguments
            or inner.entries
            or inner.items
            or inner.states
        ):
            return value
        inner = inner.arguments[0]
    return inner if isinstance(inner, list | Mapping) else value


def _reconstructed(made: Made) -> Value:
    """Return what an object of a subclass of dict or list begins with: protocols 0 and 1 give it to its constructor."""
    if not isinstance(made.function, Global) or not made.function.dotted.endswith("._reconstructor"):
        return None
    match made.arguments:
        case (Global(), Global(module="builtins" | "__builtin__", name="dict"), Mapping() as entries):
            return entries
        case (Global(), Global(module="builtins" | "__builtin__", name="list"), list() as items):
            return items
        case _:
            return None


def _last(path: str | None) -> str:
    return LONE_NAME if path is None else path.rpartition(".")[2] or path


def _no_tensors(collected: _Collected) -> ConversionError:
    holding = [item for item in collected.left if item.tensors]
    named = [item for item in holding if "?" not in item.path.split(".")]
    if named:
        places = ", ".join(f"{item.path} ({item.kind}, {item.tensors})" for item in named[:5])
        return ConversionError(f"no tensors here, but there are some in {places}; pick a part with --select")
    if holding:
        return ConversionError(
            "no tensors here but inside of objects whose parts have no names "
            f"({', '.join(sorted({item.kind for item in holding})[:5])}); save a dictionary of them, or a `state_dict`"
        )
    return NoTensorsError("there are no tensors in this file; only numbers in tensors or arrays can become safetensors")
