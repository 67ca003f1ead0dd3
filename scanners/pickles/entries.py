r"""A tensor of a state dict in one step: the thirty opcodes with which torch writes one are recognised as a whole.

A checkpoint repeats the same opcodes for each tensor: a persistent id for the storage, sizes and strides, an empty
ordered dictionary for the hooks, the call. Running them one by one was most of what the scan of a checkpoint cost. Here
they are read at once, and what they would have left behind is made directly: the same stack, memo, calls, persistent
ids and tensors. An entry begins at the two marks behind the rebuild function and ends at the memo entry of the tensor.

This is a second way to run the same opcodes, so it takes only what it knows entirely:

- A regular expression reads an entry the first time. Each of its alternatives is a whole opcode that its first byte
  tells from the others, so a match has one reading, which is the machine's. It yields a template: how long the pieces
  are. The pieces are memo indices, the storage's key, and codes: all the rest.
- The memo indices must be those that follow one another from the end of the memo.
- From then on, entries are compared with templates that fit. A template knows the codes that the expression has seen in
  it, and what they come to: every GET fetched the value that belongs there. The same codes at the same places are the
  same opcodes.

A comparison takes all bytes of an entry as one number. Those of the key are blanked out; the PUTs, which count on from
the first index, are that index times a number which has a one where each of them lies, and something constant. So one
subtraction leaves what a template knows entries by, as long as no PUT grows into the next byte.

Nothing is changed before all of that holds; otherwise the machine runs the opcodes one by one. Tests run both ways on
the same pickles and compare everything.

Sources: torch/_utils.py, torch/_tensor.py (`_reduce_ex_internal`) and torch/serialization.py of torch 2.13, pickled
with protocol 2 as `torch.save` does.
"""

import re
from typing import Final

from scanners.patterns import late
from scanners.pickles.opcodes import ENCODED
from scanners.pickles.tensors import V2, storage_dtype
from scanners.pickles.values import Global, Hole, Made, Persistent, TensorValue, Value

_GET: Final = rb"(?:h.|j....)"
_NUMBER: Final = rb"(?:K.|M..|J...[\x00-\x7f])"
_ENTRY: Final = late(
    rb"((?:PUT(?=GET\(\())?)((?:GET)?\(\(GETGETX.\x00\x00\x00)([0-9]{1,20})(PUT)(GETNUMBERt)(PUT)(QNUMBERSIZES)"
    rb"((?:PUT)?)(SIZES)((?:PUT)?)([\x88\x89]GET\)R)(PUT)(t)(PUT)(R)(PUT)".replace(
        b"SIZES", rb"(?:NUMBER(?:\x85|NUMBER(?:\x86|NUMBER\x87))|\)|\((?:NUMBER){4,8}t)"
    )
    .replace(b"PUT", rb"(?:q.|r....)")
    .replace(b"GET", _GET)
    .replace(b"NUMBER", _NUMBER),
    re.DOTALL,
)
_PARTS: Final = late(_GET + b"|" + _NUMBER, re.DOTALL)
_LONGEST: Final = 192
"""No entry is longer."""

_NAMES: Final = {b"X%c\0\0\0" % length: length for length in range(256)}
"""How long the text is, by the bytes before it."""
_HEAD: Final = 5
_NAME: Final = 30
"""Text that is longer is looked at: it may be a pickle."""
_KEY: Final = 7
_NAMED_KEY: Final = 14
"""Where the length of the storage's key mostly is, without and with what comes before the marks."""
_OPCODES: Final = 21
"""Opcodes of an entry from its marks on, without sizes, strides and the PUTs of these two."""
_NAMING: Final = 3
"""Opcodes before its marks: the name, a PUT, the GET of what rebuilds the tensor."""
_UNCOUNTED: Final = 3
"""A tuple of more values begins with a MARK."""
_NEWTRUE: Final = 0x88
_PUTS: Final = (0, 3, 5, 7, 9, 11, 13, 15)
_DIGITS: Final = 2
_VIEW: Final = 6
_SIZES: Final = 7
_HOOKS: Final = 10
"""Which pieces these are."""
_SHORT: Final = 2
"""Bytes of a PUT whose index is below the next number."""
_PAGE: Final = 256
_KNOWN: Final = 1024
"""How many layouts are remembered. They are found by numbers, which a file could choose to be slow to tell apart."""


class _Layout:
    """What the codes of an entry come to."""

    __slots__ = (
        "device",
        "dtype",
        "numel",
        "opcodes",
        "ordered",
        "requires_grad",
        "shape",
        "start",
        "storage",
        "stride",
    )

    def __init__(
        self,
        storage: Global,
        dtype: str,
        device: str,
        numel: int,
        start: int,
        shape: tuple[int, ...],
        stride: tuple[int, ...],
        ordered: Global,
        *,
        requires_grad: bool,
        opcodes: int,
    ) -> None:
        self.storage = storage
        self.dtype = dtype
        self.device = device
        self.numel = numel
        self.start = start
        self.shape = shape
        self.stride = stride
        self.ordered = ordered
        self.requires_grad = requires_grad
        self.opcodes = opcodes
        """how many they are, without the PUTs of sizes and strides"""


class _Template:
    """Where the pieces of entries are that have all lengths in common."""

    __slots__ = (
        "after",
        "bound",
        "hooks",
        "key",
        "key_end",
        "last",
        "layouts",
        "lengths",
        "mask",
        "named",
        "size",
        "sized",
        "step",
        "view",
    )

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = lengths
        self.size = sum(lengths)
        self.key = sum(lengths[:_DIGITS])
        self.key_end = self.key + lengths[_DIGITS]
        blank = ((1 << 8 * lengths[_DIGITS]) - 1) << 8 * self.key
        self.mask = ((1 << 8 * self.size) - 1) ^ blank
        """everything but the key"""
        puts = [sum(lengths[:piece]) for piece in _PUTS if lengths[piece]]
        self.step = sum(1 << 8 * (put + 1) for put in puts)
        """a one where the index of each PUT begins"""
        width = lengths[_PUTS[-1]]
        self.bound = (1 << 8 * (width - 1)) - len(puts)
        """the highest first index with which no PUT grows into the next byte"""
        self.named = bool(lengths[0])
        """whether the PUT of the name before it belongs to it"""
        self.sized = bool(lengths[_SIZES])
        """whether sizes and strides have PUTs"""
        self.view = sum(lengths[:_VIEW])
        """where BINPERSID is"""
        self.hooks = sum(lengths[: _HOOKS + 1]) - 1
        """where the REDUCE is that makes the hooks"""
        self.last = self.size - lengths[-1]
        """where the PUT of the tensor is; before it is the REDUCE that makes it"""
        self.layouts: dict[int, _Layout] = {}
        """by what identifies the codes"""
        self.after = self
        """what came after such an entry the last time"""

    def identity(self, data: bytes, at: int, index: int) -> int:
        """Return what entries with the same codes have in common whose first PUT has the index ``index``."""
        return (int.from_bytes(data[at : at + self.size], "little") & self.mask) - index * self.step


def _empty() -> _Template:
    """Return a template that fits nothing: it has no layouts."""
    return _Template([0] * 15 + [_SHORT])


class Entries:
    """Takes the entries of one pickle."""

    def __init__(
        self,
        memo: "list[Value | Hole]",
        calls: list[Made],
        persistent: list[Persistent],
        tensors: list[TensorValue],
    ) -> None:
        self.memo = memo
        self.calls = calls
        self.persistent = persistent
        self.tensors = tensors
        self.opcodes = 0
        """how many were taken last"""
        self.last = 0
        """where in the buffer the last of them is"""
        self.templates: dict[int, _Template] = {}
        """by `_fits`"""
        self.known = 0
        self.hooks = b""
        """the code of that call"""
        self.empty = _empty()
        self.previous = self.empty

    def take(self, data: bytes, at: int, limit: int, base: int, room: int, stack: "list[Value]") -> int:
        """Take the entry whose two marks are at ``at`` and those that follow it; return where the last of them ends.

        Returns 0 where there is none to take.

        Args:
            data: the buffer.
            at: where in it the entry begins.
            limit: up to where entries may reach.
            base: offset of the buffer in the input.
            room: how many opcodes may be run.
            stack: its top is what is called.
        """
        function = stack[-1] if stack else None
        if not isinstance(function, Global) or function.rebuilds != V2:
            return 0
        kind = function.name
        memo = self.memo
        taken = 0
        count = 0
        learned = -1
        name: str | None = None
        key_at = _KEY
        previous = self.previous
        number = int.from_bytes
        while True:
            index = len(memo)
            template = previous.after
            end = at + template.size
            # `_Template.identity` twice, without the call.
            layout = template.layouts.get((number(data[at:end], "little") & template.mask) - index * template.step)
            if layout is None:
                template = self.templates.get(_fits(data, at, self.hooks, key_at), self.empty)
                end = at + template.size
                layout = template.layouts.get((number(data[at:end], "little") & template.mask) - index * template.step)
                if layout is None:
                    if learned == at or not self._learn(data, at, key_at):
                        break
                    learned = at
                    continue
                previous.after = template
            key = data[at + template.key : at + template.key_end]
            opcodes = count + layout.opcodes
            if (
                end > limit
                or opcodes > room
                or index > template.bound
                or not key.isdigit()
                or (name is not None and not template.named)
            ):
                break
            previous = template
            count = opcodes
            taken = end

            storage_key = key.decode()
            dtype = layout.dtype
            numel = layout.numel
            start = layout.start
            shape = layout.shape
            stride = layout.stride
            identity = ("storage", layout.storage, storage_key, layout.device, numel)
            place = base + at
            persistent = Persistent(identity, place + template.view)
            self.persistent.append(persistent)
            made = Made(layout.ordered, (), None, "REDUCE", place + template.hooks)
            self.calls.append(made)
            self.last = at + template.last
            tensor = TensorValue(
                kind, dtype, shape, stride, storage_key, dtype, numel, start, place + template.last - 1
            )
            if layout.requires_grad:
                tensor.requires_grad = True
            self.tensors.append(tensor)
            if name is None:
                stack[-1] = tensor
            else:
                memo.append(name)
                stack.append(name)
                stack.append(tensor)
            arguments = (persistent, start, shape, stride, layout.requires_grad, made)
            if template.sized:
                memo.extend((storage_key, identity, shape, stride, made, arguments, tensor))
            else:
                memo.extend((storage_key, identity, made, arguments, tensor))

            length = _NAMES.get(data[end : end + _HEAD])
            if length is None:
                break
            at = end + _HEAD + length
            try:
                name = data[end + _HEAD : at].decode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                break
            if length > _NAME and ENCODED.match(name) is not None:
                break
            key_at = _NAMED_KEY
        self.opcodes = count
        self.previous = previous
        return taken

    def forget(self) -> None:
        """Look everything up again: an entry of the memo was replaced."""
        self.templates.clear()
        self.previous = self.empty = _empty()
        self.known = 0

    def _learn(self, data: bytes, at: int, key_at: int) -> bool:
        """Read the entry at ``at``, and return whether it is one of which everything is known then."""
        match = _ENTRY.match(data, at)
        if match is None:
            return False
        pieces = match.groups()
        _, head, key, _, location, _, view, put_sizes, strides, put_strides, hooks, *_ = pieces
        if len(key) != head[-4] or bool(put_sizes) != bool(put_strides):
            return False
        # PUTs of one length only, so that one bound holds for all; and short ones for all indices that are short.
        puts = [pieces[piece] for piece in _PUTS if pieces[piece]]
        index = len(self.memo)
        if len({len(put) for put in puts}) != 1 or (len(puts[0]) == _SHORT) != (index < _PAGE):
            return False
        if [_number(put) for put in puts] != list(range(index, index + len(puts))):
            return False
        layout = self._look_up(head, location, view, strides, hooks)
        if layout is None:
            return False
        if put_sizes:
            layout.opcodes += 2
        if self.known >= _KNOWN:
            self.forget()
        self.known += 1
        self.hooks = hooks[1:]
        fits = _fits(data, at, self.hooks, key_at)
        template = self.templates.get(fits)
        lengths = [len(piece) for piece in pieces]
        if template is None or template.lengths != lengths:
            template = self.templates[fits] = _Template(lengths)
        template.layouts[template.identity(data, at, index)] = layout
        return True

    def _look_up(self, head: bytes, location: bytes, view: bytes, strides: bytes, hooks: bytes) -> _Layout | None:
        """Return what codes come to; None where a GET does not fetch what belongs there.

        Says no wherever `tensors.fold` would.
        """
        *functions, word, storage = [self._fetch(code) for code in _PARTS.findall(head[:-_HEAD])]
        for function in functions:
            if not isinstance(function, Global) or function.rebuilds != V2:
                return None
        dtype = storage_dtype(storage)
        if word != "storage" or not isinstance(storage, Global) or dtype is None:
            return None
        place, numel = _PARTS.findall(location)
        device = self._fetch(place)
        ordered = self._fetch(hooks[1:-2])
        if not isinstance(device, str) or not isinstance(ordered, Global):
            return None
        if (ordered.module, ordered.name) != ("collections", "OrderedDict"):
            return None
        start, *shape = [_number(code) for code in _PARTS.findall(view)]
        stride = [_number(code) for code in _PARTS.findall(strides)]
        return _Layout(
            storage,
            dtype,
            device,
            _number(numel),
            start,
            tuple(shape),
            tuple(stride),
            ordered,
            requires_grad=hooks[0] == _NEWTRUE,
            opcodes=_OPCODES + (_NAMING if functions else 0) + _opcodes(len(shape)) + _opcodes(len(stride)),
        )

    def _fetch(self, code: bytes) -> "Value | Hole":
        index = _number(code)
        return self.memo[index] if index < len(self.memo) else Hole.HOLE


def _fits(data: bytes, at: int, hooks: bytes, key_at: int) -> int:
    """Return what nearly always tells templates apart: the length up to the hooks, and the length of the key."""
    return (data.find(hooks, at, at + _LONGEST) - at) << 8 | data[at + key_at]


def _number(code: bytes) -> int:
    return int.from_bytes(code[1:], "little")


def _opcodes(values: int) -> int:
    """Return how many opcodes make a tuple of so many numbers."""
    return values + (2 if values > _UNCOUNTED else 1)
