"""What the pickle machine puts on its stack: the inert tree.

Literals (`None`, `bool`, `int`, `float`, `str`, short `bytes`) are Python's own, and so are `list` and `tuple`. A list
or mapping of very many plain numbers and strings is cut short (`machine.KEPT`): what is dropped could not be called.
Everything else is one of the classes below. Nothing here was imported, called or constructed on behalf of the file.

The tree is a graph: values can be shared and can contain themselves. Walk it with a loop and a set of ids, never by
recursion.
"""

from collections.abc import Sequence  # noqa: TC003 - mypyc reads it at run time
from enum import Enum
from typing import TypeAlias


class Hole(Enum):
    """What is no value: an unset entry of the machine's memo."""

    HOLE = 0


class Span:
    """Long bytes or text, left where they are: a range of the input."""

    __slots__ = ("kind", "length", "offset")

    def __init__(self, kind: str, offset: int, length: int) -> None:
        self.kind = kind
        """`bytes`, `bytearray`, `str` or `int`"""
        self.offset = offset
        """of the first content byte, in the pickle's input"""
        self.length = length
        """in bytes"""


class Global:
    """A name a loader would import, as it stands in the file. A module itself has an empty `name`."""

    __slots__ = ("module", "name", "offset", "protocol", "rebuilds")

    def __init__(self, module: str, name: str, offset: int, protocol: int = 0) -> None:
        self.module = module
        self.name = name
        self.offset = offset
        """of the opcode that resolves it"""
        self.protocol = protocol
        """in force at that place: below 3 the loader maps Python 2 names to today's"""
        self.rebuilds = 0
        """non-zero for torch's rebuild functions: see `tensors.rebuild_kind`"""

    @property
    def dotted(self) -> str:
        """`module.name`."""
        return f"{self.module}.{self.name}" if self.name else self.module


class Made:
    """The result of a call the loader would make, and what is done to the result afterwards."""

    __slots__ = ("arguments", "entries", "function", "items", "keywords", "offset", "opcode", "states")

    def __init__(self, function: "Value", arguments: "Value", keywords: "Value", opcode: str, offset: int) -> None:
        self.function = function
        self.arguments = arguments
        """a tuple where the pickle behaves"""
        self.keywords = keywords
        """None, or the mapping of NEWOBJ_EX"""
        self.opcode = opcode
        """REDUCE, NEWOBJ, NEWOBJ_EX, OBJ, INST; or APPENDS, ADDITEMS, SETITEMS, BUILD on something that this file did
        not make, where `function` is the `Attribute` that the loader calls"""
        self.offset = offset
        # The three below are nearly always empty, and there are as many as calls: one shared empty tuple until used.
        self.states: Sequence[Value] = ()
        """arguments of BUILD, in order"""
        self.items: Sequence[Value] = ()
        """values of APPEND(S) and ADDITEMS"""
        self.entries: Sequence[tuple[Value, Value]] = ()
        """keys and values of SETITEM(S)"""

    def build(self, state: "Value") -> None:
        """Record a BUILD on this object."""
        self.states = [*self.states, state]

    def extend(self, items: "list[Value]") -> None:
        """Record values that are appended or added to this object."""
        if isinstance(self.items, list):
            self.items.extend(items)
        else:
            self.items = items

    def update(self, entries: "list[tuple[Value, Value]]") -> None:
        """Record keys that are set on this object."""
        if isinstance(self.entries, list):
            self.entries.extend(entries)
        else:
            self.entries = entries


class Mapping:
    """A dict. Keys may be anything, so the entries are kept in order, later ones win."""

    __slots__ = ("entries", "held")

    def __init__(self) -> None:
        self.entries: list[tuple[Value, Value]] = []
        self.held: set[object] | None = None
        """the machine's own: keys of what is not plain, once the mapping is so long that plain entries are dropped"""


class Collection:
    """A set or frozenset."""

    __slots__ = ("frozen", "items")

    def __init__(self, items: "list[Value]", *, frozen: bool) -> None:
        self.items = items
        self.frozen = frozen


class Persistent:
    """A persistent id; what it stands for is the loader's business (a storage, in a torch checkpoint)."""

    __slots__ = ("id", "offset")

    def __init__(self, id: "Value", offset: int) -> None:  # noqa: A002 - the pickle protocol's own word
        self.id = id
        self.offset = offset


class Attribute:
    """An attribute of a value, as `getattr` would fetch it."""

    __slots__ = ("name", "offset", "value")

    def __init__(self, value: "Value", name: "Value", offset: int) -> None:
        self.value = value
        self.name = name
        self.offset = offset


class OutOfBand:
    """A buffer that is not in the file (NEXT_BUFFER)."""

    __slots__ = ("offset", "readonly")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.readonly = False


class TensorValue:
    """A tensor, folded from a rebuild call as soon as it was complete. Counts are elements unless named bytes.

    One packed row each: a checkpoint of 50 000 tensors must stay small.
    """

    __slots__ = (
        "dtype",
        "hooks",
        "kind",
        "metadata",
        "offset",
        "requires_grad",
        "shape",
        "storage_dtype",
        "storage_key",
        "storage_numel",
        "storage_offset",
        "stride",
        "view",
    )

    def __init__(
        self,
        kind: str,
        dtype: str,
        shape: tuple[int, ...],
        stride: tuple[int, ...],
        storage_key: str,
        storage_dtype: str,
        storage_numel: int,
        storage_offset: int,
        offset: int,
        *,
        requires_grad: bool = False,
        view: tuple[str, int, int] | None = None,
        metadata: "Value" = None,
        hooks: "Value" = None,
    ) -> None:
        self.kind = kind
        """the rebuild function: `_rebuild_tensor_v2` …"""
        self.dtype = dtype
        """torch's name: `bfloat16`, `float8_e4m3fn` …"""
        self.shape = shape
        self.stride = stride
        self.storage_key = storage_key
        self.storage_dtype = storage_dtype
        """torch's name of the storage's element type; `uint8` for an untyped one"""
        self.storage_numel = storage_numel
        """elements of `storage_dtype`"""
        self.storage_offset = storage_offset
        self.offset = offset
        """of the call, in the pickle's input"""
        self.requires_grad = requires_grad
        self.view = view
        """legacy view metadata: (view key, offset, numel)"""
        self.metadata = metadata
        """`_rebuild_tensor_v2`'s and v3's: conj and neg bits"""
        self.hooks = hooks
        """backward hooks, None where there are none: functions that a later backward pass calls"""


Value: TypeAlias = (
    "bool | int | float | str | bytes | list[Value] | tuple[Value, ...] | Span | Global | Made | Mapping"
    " | Collection | Persistent | Attribute | OutOfBand | TensorValue | None"
)
