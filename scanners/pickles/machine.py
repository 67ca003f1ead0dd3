r"""The pickle machine: runs the opcodes of one pickle the way CPython's C unpickler does, and executes nothing.

It keeps the C unpickler's leniencies (``I0x10``, lines that end in ``\r\n`` or hold a NUL, protocol opcodes anywhere,
frames that mean nothing) because each of them is a place where a stricter reader stops and the loader goes on. Where
`pickle._Unpickler` (which joblib uses) goes on and the C one stops, the machine goes on as well and notes the place in
`c_error`: what any loader would have executed is seen. Only where all of them stop does it stop: `error`.

Written for a plain interpreter and for mypyc alike: a chain of integer comparisons ordered by how often opcodes occur,
local variables, no nested functions. Each MARK starts a new stack list and puts the old one aside, which gives the
C unpickler's fence for nothing: an operand cannot be taken from below a mark.

The input is read in chunks. Long strings and bytes stay where they are, as spans; a pickle of gigabytes costs its
opcodes. Sources: CPython 3.11 to 3.14, Modules/_pickle.c and Lib/pickle.py.
"""

import gc
import re
import struct
from dataclasses import dataclass
from typing import Final

from scanners.errors import LimitExceeded, ScanError
from scanners.limits import Budget
from scanners.patterns import late
from scanners.pickles import opcodes
from scanners.pickles.entries import Entries
from scanners.pickles.inline_arrays import array_at, is_wrapper
from scanners.pickles.opcodes import ENCODED, ENCODED_BYTES
from scanners.pickles.tensors import fold, rebuild_kind
from scanners.pickles.values import (
    Attribute,
    Collection,
    Global,
    Hole,
    Made,
    Mapping,
    OutOfBand,
    Persistent,
    Span,
    TensorValue,
    Value,
)
from scanners.reader import Reader

INLINE: Final = 4096
"""Strings and bytes up to this length are kept as values, longer ones as spans."""
KEPT: Final = 65_536
"""How many plain numbers and strings one list or mapping keeps."""
NAME_LIMIT: Final = 65_536
"""How much of a line is read as a name or number; no module or function has a longer name."""

_CHUNK: Final = 1 << 18
_SLACK: Final = 512  # more than any opcode needs that does not check for itself
_BATCH: Final = 16_384  # opcodes between two looks at the budgets
_MARKS: Final = 100_000
_HOLES: Final = 65_536  # how many unset entries the memo's list may have before an entry goes into the dictionary

_FEW: Final = 8  # tensors; for these, `Entries` would take longer to get ready than it saves

_FLOAT: Final = late(
    # Digits are never given back (`++`): a long run of them would be divided in every way.
    rb"[+-]?(?:(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:e[+-]?[0-9]++)?|inf(?:inity)?|nan)\Z",
    re.IGNORECASE,
)
_STRTOL: Final = late(rb"[ \t\n\v\f\r]*[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_ESCAPE: Final = late(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|(.)|\Z)", re.DOTALL)
_SIMPLE_ESCAPES: Final = {
    b"\n": b"",
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
    b"b": b"\b",
    b"f": b"\f",
    b"t": b"\t",
    b"n": b"\n",
    b"r": b"\r",
    b"v": b"\v",
    b"a": b"\a",
}

_PLAIN: Final = frozenset({type(None), bool, int, float, str})
_UNHASHABLE: Final = frozenset({list, Mapping})
_NOT_CALLABLE: Final = frozenset({type(None), bool, int, float, str, bytes, list, tuple, Span, Mapping, Collection})

_DOUBLE: Final = struct.Struct(">d")
_SIGNED: Final = struct.Struct("<i")
_UNSIGNED: Final = struct.Struct("<I")


_HOLE: Final = Hole.HOLE


class _Malformed(Exception):  # noqa: N818 - never leaves this module
    """All unpicklers would raise here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PickleRun:
    """What running one pickle comes to."""

    start: int
    stop: int | None
    """the offset after STOP; None where it was not reached"""
    end: int
    """the offset up to which bytes were interpreted"""
    root: Value
    protocol: int
    """the highest protocol any PROTO opcode named"""
    opcodes: int
    calls: list[Made]
    """every call, in the order the loader makes them"""
    imports: list[Global]
    """every name that is looked up, once each, in order of first appearance"""
    tensors: list[TensorValue]
    persistent: list[Persistent]
    blobs: list[Span]
    """bytes and strings that look like a pickle, an archive or code, and all that are longer than `INLINE`"""
    error: str | None = None
    """what every unpickler would raise; None where the pickle ran to its STOP"""
    error_offset: int | None = None
    c_error: str | None = None
    """the first place where the C unpickler stops but another one goes on"""
    c_error_offset: int | None = None
    encoding_error: int | None = None
    """the first Python 2 string that is not ASCII: which loaders accept it depends on their `encoding`"""
    frame_crossings: tuple[tuple[int, int], ...] = ()
    """(offset of an opcode whose argument crosses the end of a frame, that end): loaders from a file and from memory
    read on in different places"""
    inner: tuple["PickleRun", ...] = ()
    """the pickles of joblib's inline arrays of objects"""
    arrays: tuple[tuple[int, int], ...] = ()
    """offset and length of joblib's other inline arrays"""
    assumptions: int = 0
    """how often going on depended on what a call returns (a string, a tuple, a class)"""
    replaced: int | None = None
    """the first place where an element of a list is assigned: what was there before is kept at the list's end"""
    limit: LimitExceeded | None = None
    """the budget that ran out, if one did"""

    @property
    def accepted(self) -> bool:
        """Whether CPython's C unpickler would return a value."""
        return self.stop is not None and self.error is None and self.c_error is None


def run(
    reader: Reader,
    *,
    start: int = 0,
    budget: Budget,
    extensions: dict[int, tuple[str, str]] | None = None,
    inline_arrays: bool = False,
) -> PickleRun:
    """Run the pickle at ``start`` and return what it would do.

    Never raises for what the bytes are: see `PickleRun.error` and `PickleRun.limit`.

    Args:
        reader: the bytes; they are read in chunks.
        start: where the pickle begins.
        budget: the account of the scan; opcodes are charged to it.
        extensions: names registered for EXT opcodes by pickles before this one; updated by calls of
            ``copyreg.add_extension`` in this one.
        inline_arrays: whether joblib's inline arrays follow their wrapper objects in the stream.
    """
    machine = Machine(reader, start, budget, {} if extensions is None else extensions, inline_arrays=inline_arrays)
    collecting = gc.isenabled()
    gc.disable()  # nothing here is garbage before the end; collecting costs up to half the time (performance.md)
    try:
        machine.execute()
    finally:
        if collecting:
            gc.enable()
    return machine.result()


class Machine:
    """One run. Use `run`."""

    def __init__(
        self,
        reader: Reader,
        start: int,
        budget: Budget,
        extensions: dict[int, tuple[str, str]],
        *,
        inline_arrays: bool,
        few: int = _FEW,
    ) -> None:
        """Begin a run.

        Args:
            reader: as in `run`, as are the next three and ``inline_arrays``.
            start: where the pickle begins.
            budget: the account of the scan.
            extensions: names registered for EXT opcodes.
            inline_arrays: whether joblib's inline arrays follow their wrapper objects.
            few: tensors that are made opcode by opcode before `Entries` is asked to take the rest together.
        """
        self.reader = reader
        self.size = reader.size
        self.start = start
        self.budget = budget
        self.extensions = extensions
        self.inline_arrays = inline_arrays
        self.data = b""
        self.base = start
        self.length = 0
        self.room = -1
        self.safe = -1
        self.ran_out = False
        self.assumptions = 0
        self.replaced: int | None = None
        self.frame_end = -1
        self.resume = -1
        self.inner: list[PickleRun] = []
        self.arrays: list[tuple[int, int]] = []
        self.frame_crossings: list[tuple[int, int]] = []
        self.memo: list[Value | Hole] = []
        self.holes = 0
        self.far: dict[int, Value] = {}
        self.calls: list[Made] = []
        self.imports: dict[tuple[str, str, int], Global] = {}
        self.names: dict[bytes, Global] = {}
        self.tensors: list[TensorValue] = []
        self.persistent: list[Persistent] = []
        self.blobs: list[Span] = []
        self.entries = Entries(self.memo, self.calls, self.persistent, self.tensors)
        self.few = few
        self.protocol = 0
        self.highest = 0
        self.opcodes = 0
        self.at = start
        self.stop: int | None = None
        self.root: Value = None
        self.error: str | None = None
        self.error_offset: int | None = None
        self.c_error: str | None = None
        self.c_error_offset: int | None = None
        self.encoding_error: int | None = None
        self.limit: LimitExceeded | None = None

    def execute(self) -> None:
        """Run to STOP, to an error that every unpickler raises, or to the end of a budget."""
        try:
            self._loop()
            self.budget.spend_opcodes(self.opcodes % _BATCH)
        except _Malformed as malformed:
            self.error = str(malformed)
        except IndexError:
            self.error = "unpickling stack underflow"
        except LimitExceeded as limit:
            self.limit = limit
        except ScanError as failure:
            self.error = str(failure)
        if self.error is not None:
            self.error_offset = self.size if self.ran_out else self.at

    def result(self) -> PickleRun:
        """Return what was seen."""
        end = self.stop if self.stop is not None else min(self.at + 1, self.size)
        return PickleRun(
            start=self.start,
            stop=self.stop,
            end=end,
            root=self.root,
            protocol=self.highest,
            opcodes=self.opcodes,
            calls=self.calls,
            imports=list(self.imports.values()),
            tensors=self.tensors,
            persistent=self.persistent,
            blobs=self.blobs,
            error=self.error,
            error_offset=self.error_offset,
            c_error=self.c_error,
            c_error_offset=self.c_error_offset,
            encoding_error=self.encoding_error,
            frame_crossings=tuple(self.frame_crossings),
            inner=tuple(self.inner),
            arrays=tuple(self.arrays),
            assumptions=self.assumptions,
            replaced=self.replaced,
            limit=self.limit,
        )

    # The loop.

    def _loop(self) -> None:
        stack: list[Value] = []
        marks: list[list[Value]] = []
        memo = self.memo
        far = self.far
        names = self.names
        entries = self.entries
        tensors = self.tensors
        few = self.few
        unsigned = _UNSIGNED.unpack_from
        data = self.data
        base = self.base
        safe = self.safe
        pos = 0
        at = 0
        done = 0
        begin = 1
        try:
            while True:
                if begin == 1:
                    self._check(stack, marks)
                for done in range(begin, _BATCH + 1):
                    if pos > safe:
                        pos = self._fill(base + pos, base + at)
                        data = self.data
                        base = self.base
                        safe = self.safe
                    at = pos
                    op = data[pos]
                    pos += 1
                    if op < 0x80:
                        if op == 0x72:  # LONG_BINPUT
                            (index,) = unsigned(data, pos)
                            pos += 4
                            if index == len(memo) and not far:
                                memo.append(stack[-1])
                            else:
                                self._put(index, stack[-1])
                        elif op == 0x68:  # BINGET
                            index = data[pos]
                            pos += 1
                            if index < len(memo):
                                value = memo[index]
                                if value is _HOLE:
                                    raise _Malformed(f"memo value not found at index {index}")
                                stack.append(value)
                            else:
                                stack.append(self._get(index))
                        elif op == 0x4B:  # BININT1
                            stack.append(data[pos])
                            pos += 1
                        elif op == 0x71:  # BINPUT
                            index = data[pos]
                            pos += 1
                            if index == len(memo) and not far:
                                memo.append(stack[-1])
                            else:
                                self._put(index, stack[-1])
                        elif op == 0x28:  # MARK
                            if data[pos] == 0x28 and not far and len(tensors) >= few:
                                end = entries.take(data, at, safe + 1, base, _BATCH + 1 - done, stack)
                                if end:
                                    pos = end
                                    at = entries.last
                                    begin = done + entries.opcodes
                                    break
                            marks.append(stack)
                            stack = []
                        elif op == 0x74:  # TUPLE
                            items = stack
                            if not marks:
                                raise _Malformed("could not find MARK")
                            stack = marks.pop()
                            stack.append(tuple(items))
                        elif op == 0x58:  # BINUNICODE
                            (length,) = unsigned(data, pos)
                            pos += 4
                            if pos + length <= safe and length <= INLINE:
                                text = data[pos : pos + length].decode("utf-8", "surrogatepass")
                                if length > 30 and ENCODED.match(text) is not None:
                                    self.blobs.append(Span("str", base + pos, length))
                                stack.append(text)
                            else:
                                stack.append(self._content("str", base + pos, length))
                            pos += length
                        elif op == 0x52:  # REDUCE
                            arguments = stack.pop()
                            function = stack[-1]
                            if isinstance(function, Global) and function.rebuilds:
                                tensor = fold(function, arguments, base + at)
                                if tensor is not None:
                                    self.tensors.append(tensor)
                                    stack[-1] = tensor
                                    continue
                            stack[-1] = self._call(function, arguments, None, "REDUCE", base + at)
                        elif op == 0x63:  # GLOBAL
                            end = data.find(b"\n", data.find(b"\n", pos) + 1)
                            known = names.get(data[pos:end]) if end > pos else None
                            if known is not None:  # torch named three per tensor before it memoised them
                                stack.append(known)
                                pos = end + 1
                            else:
                                self.at = base + at
                                after = self._text_opcode(op, stack, base + pos)
                                data = self.data
                                base = self.base
                                safe = self.safe
                                pos = after - base
                                at = self.at - base
                        elif op == 0x6A:  # LONG_BINGET
                            (index,) = unsigned(data, pos)
                            pos += 4
                            if index < len(memo):
                                value = memo[index]
                                if value is _HOLE:
                                    raise _Malformed(f"memo value not found at index {index}")
                                stack.append(value)
                            else:
                                stack.append(self._get(index))
                        elif op == 0x51:  # BINPERSID
                            persistent = Persistent(stack.pop(), base + at)
                            self.persistent.append(persistent)
                            stack.append(persistent)
                        elif op == 0x29:  # EMPTY_TUPLE
                            stack.append(())
                        elif op == 0x4A:  # BININT
                            stack.append(_SIGNED.unpack_from(data, pos)[0])
                            pos += 4
                        elif op == 0x4D:  # BININT2
                            stack.append(data[pos] | data[pos + 1] << 8)
                            pos += 2
                        elif op == 0x4E:  # NONE
                            stack.append(None)
                        elif op == 0x47:  # BINFLOAT
                            (real,) = _DOUBLE.unpack_from(data, pos)
                            stack.append(real)
                            pos += 8
                        elif op == 0x65:  # APPENDS
                            items = stack
                            if not marks:
                                raise _Malformed("could not find MARK")
                            stack = marks.pop()
                            self._append(stack[-1], items, "APPENDS", base + at)
                        elif op == 0x61:  # APPEND
                            value = stack.pop()
                            self._append(stack[-1], [value], "APPEND", base + at)
                        elif op == 0x75:  # SETITEMS
                            items = stack
                            if not marks:
                                raise _Malformed("could not find MARK")
                            stack = marks.pop()
                            self._set_items(stack[-1], items, "SETITEMS", base + at)
                        elif op == 0x73:  # SETITEM
                            value = stack.pop()
                            key = stack.pop()
                            self._set_items(stack[-1], [key, value], "SETITEM", base + at)
                        elif op == 0x7D:  # EMPTY_DICT
                            stack.append(Mapping())
                        elif op == 0x5D:  # EMPTY_LIST
                            stack.append([])
                        elif op == 0x62:  # BUILD
                            state = stack.pop()
                            self._build(stack[-1], state, base + at)
                            if self.inline_arrays and isinstance(stack[-1], Made):
                                self.at = base + at
                                after = self._inline_array(stack[-1], base + pos)
                                pos = after - base
                        elif op == 0x2E:  # STOP
                            self.root = stack[-1]
                            self.stop = base + pos
                            return
                        elif op == 0x30:  # POP
                            if stack:
                                stack.pop()
                            elif marks:
                                stack = marks.pop()
                            else:
                                raise _Malformed("unpickling stack underflow")
                        elif op == 0x31:  # POP_MARK
                            if not marks:
                                raise _Malformed("could not find MARK")
                            stack = marks.pop()
                        elif op == 0x32:  # DUP
                            stack.append(stack[-1])
                        elif op == 0x42 or op == 0x43:  # noqa: PLR1714 - BINBYTES, SHORT_BINBYTES; mypyc compares ints fastest
                            if op == 0x43:
                                length = data[pos]
                                pos += 1
                            else:
                                length = data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16 | data[pos + 3] << 24
                                pos += 4
                            stack.append(self._content("bytes", base + pos, length))
                            pos += length
                        elif op == 0x6C:  # LIST
                            items = stack
                            if not marks:
                                raise _Malformed("could not find MARK")
                            stack = marks.pop()
                            stack.append(items)
                        elif op == 0x64:  # DICT
                            items = stack
                            if not marks:
                                raise _Malformed("could not find MARK")
                            stack = marks.pop()
                            mapping = Mapping()
                            if items:
                                self._set_items(mapping, items, "DICT", base + at)
                            stack.append(mapping)
                        elif op == 0x6F:  # OBJ
                            items = stack
                            if not marks:
                                raise _Malformed("could not find MARK")
                            stack = marks.pop()
                            if not items:
                                raise _Malformed("unpickling stack underflow")
                            stack.append(self._call(items[0], tuple(items[1:]), None, "OBJ", base + at))
                        elif op == 0x69:  # INST
                            self.at = base + at
                            named, after = self._named(base + pos)
                            if not marks:
                                raise _Malformed("could not find MARK")
                            items = stack
                            stack = marks.pop()
                            stack.append(self._call(named, tuple(items), None, "INST", base + at))
                            if after < 0:
                                raise _Malformed("pickle data was truncated")
                            pos = after - base
                        else:
                            self.at = base + at
                            after = self._text_opcode(op, stack, base + pos)
                            data = self.data
                            base = self.base
                            safe = self.safe
                            pos = after - base
                            at = self.at - base
                    elif op == 0x94:  # MEMOIZE
                        if far or self.holes:
                            self._put(len(memo) - self.holes + len(far), stack[-1])
                        else:
                            memo.append(stack[-1])
                    elif op == 0x8C:  # SHORT_BINUNICODE
                        length = data[pos]
                        pos += 1
                        if pos + length <= safe:
                            text = data[pos : pos + length].decode("utf-8", "surrogatepass")
                            if length > 30 and ENCODED.match(text) is not None:
                                self.blobs.append(Span("str", base + pos, length))
                            stack.append(text)
                        else:
                            stack.append(self._content("str", base + pos, length))
                        pos += length
                    elif op == 0x89:  # NEWFALSE
                        stack.append(False)
                    elif op == 0x88:  # NEWTRUE
                        stack.append(True)
                    elif op == 0x86:  # TUPLE2
                        value = stack.pop()
                        stack[-1] = (stack[-1], value)
                    elif op == 0x85:  # TUPLE1
                        stack[-1] = (stack[-1],)
                    elif op == 0x87:  # TUPLE3
                        value = stack.pop()
                        second = stack.pop()
                        stack[-1] = (stack[-1], second, value)
                    elif op == 0x93:  # STACK_GLOBAL
                        value = stack.pop()
                        module = stack.pop()
                        stack.append(self._stack_global(module, value, base + at))
                    elif op == 0x81:  # NEWOBJ
                        arguments = stack.pop()
                        function = stack.pop()
                        stack.append(self._call(function, arguments, None, "NEWOBJ", base + at))
                    elif op == 0x92:  # NEWOBJ_EX
                        keywords = stack.pop()
                        arguments = stack.pop()
                        function = stack.pop()
                        stack.append(self._call(function, arguments, keywords, "NEWOBJ_EX", base + at))
                    elif op == 0x8A:  # LONG1
                        length = data[pos]
                        pos += 1
                        stack.append(int.from_bytes(data[pos : pos + length], "little", signed=True))
                        pos += length
                    elif op == 0x8B:  # LONG4
                        length = data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16 | data[pos + 3] << 24
                        pos += 4
                        if length & 0x80000000:
                            raise _Malformed("LONG pickle has negative byte count")
                        stack.append(self._content("int", base + pos, length))
                        pos += length
                    elif op == 0x8E or op == 0x8D or op == 0x96:  # noqa: PLR1714 - BINBYTES8, BINUNICODE8, BYTEARRAY8
                        length = int.from_bytes(data[pos : pos + 8], "little")
                        pos += 8
                        kind = "bytes" if op == 0x8E else "str" if op == 0x8D else "bytearray"
                        stack.append(self._content(kind, base + pos, length))
                        pos += length
                    elif op == 0x95:  # FRAME
                        self._frame(base + pos + 8, int.from_bytes(data[pos : pos + 8], "little"), base + at)
                        safe = self.safe
                        pos += 8
                    elif op == 0x80:  # PROTO
                        if data[pos] > opcodes.HIGHEST_PROTOCOL and base + pos < self.size:
                            raise _Malformed(f"unsupported pickle protocol: {data[pos]}")
                        self.protocol = data[pos]
                        names.clear()  # what a name stands for depends on the protocol
                        self.highest = max(self.highest, self.protocol)
                        pos += 1
                    elif op == 0x8F:  # EMPTY_SET
                        stack.append(Collection([], frozen=False))
                    elif op == 0x90:  # ADDITEMS
                        items = stack
                        if not marks:
                            raise _Malformed("could not find MARK")
                        stack = marks.pop()
                        self._add(stack[-1], items, base + at)
                    elif op == 0x91:  # FROZENSET
                        items = stack
                        if not marks:
                            raise _Malformed("could not find MARK")
                        stack = marks.pop()
                        self._must_hash(items)
                        stack.append(Collection(items, frozen=True))
                    elif op == 0x82:  # EXT1
                        stack.append(self._extension(data[pos], base + at))
                        pos += 1
                    elif op == 0x83:  # EXT2
                        stack.append(self._extension(data[pos] | data[pos + 1] << 8, base + at))
                        pos += 2
                    elif op == 0x84:  # EXT4
                        stack.append(
                            self._extension(int.from_bytes(data[pos : pos + 4], "little", signed=True), base + at)
                        )
                        pos += 4
                    elif op == 0x97:  # NEXT_BUFFER
                        self._differs("out-of-band data, which only a loader with buffers accepts", base + at)
                        stack.append(OutOfBand(base + at))
                    elif op == 0x98:  # READONLY_BUFFER
                        self._read_only(stack[-1], base + at)
                    else:
                        raise _Malformed(f"invalid load key, '\\x{op:02x}'")
                else:
                    self.opcodes += _BATCH
                    done = 0
                    begin = 1
                    self.budget.spend_opcodes(_BATCH)
        except UnicodeDecodeError as undecodable:
            raise _Malformed(f"text that is not UTF-8: {undecodable.reason}") from undecodable
        finally:
            self.at = base + at
            self.opcodes += done

    def _check(self, stack: list[Value], marks: list[list[Value]]) -> None:
        limits = self.budget.limits
        if len(marks) > _MARKS or len(stack) + sum(map(len, marks)) > limits.stack:
            raise LimitExceeded("stack", f"more than {limits.stack} values, or {_MARKS} marks, on the pickle stack")
        if len(self.memo) + len(self.far) > limits.memo:
            raise LimitExceeded("memo", f"more than {limits.memo} entries in the pickle memo")
        if len(self.calls) + len(self.imports) + len(self.persistent) + len(self.blobs) > limits.facts:
            raise LimitExceeded("facts", f"more than {limits.facts} calls and imports in one pickle")

    # The input.

    def _fill(self, offset: int, at: int) -> int:
        """Make ``offset`` readable with what follows it, and return its position in the buffer.

        Comes also where a frame ends, so that the loop need not look for that.
        """
        if self.frame_end >= 0 and offset >= self.frame_end:
            if offset > self.frame_end:
                self.frame_crossings.append((at, self.frame_end))
            self.frame_end = -1
            if self.resume >= 0:
                offset = self.resume
                self.resume = -1
        if offset >= self.size:
            self.ran_out = offset == self.size
            raise _Malformed("ran out of input" if self.ran_out else "pickle data was truncated")
        if offset - self.base > self.room or offset < self.base:
            data = self.reader.read_at(offset, _CHUNK)
            if not data:
                raise _Malformed("ran out of input")
            self.base = offset
            self.length = len(data)
            if offset + len(data) >= self.size:
                # Zeros behind the end let the loop read short arguments unchecked: it notices at the next opcode, and
                # no opcode with a short argument does what a loader would not have done with other arguments.
                self.room = len(data) - 1
                self.data = data + bytes(_SLACK)
            else:
                self.room = len(data) - _SLACK
                self.data = data
        self.safe = self.room
        if self.frame_end >= 0:
            self.safe = min(self.room, self.frame_end - self.base - 1)
        return offset - self.base

    def _bytes(self, offset: int, length: int) -> bytes:
        """Return a few bytes, from the buffer where they are there."""
        start = offset - self.base
        if start >= 0 and start + length <= self.length:
            return self.data[start : start + length]
        return self.reader.read_at(offset, length)

    def _line_end(self, offset: int) -> int:
        """Return the offset of the next newline, -1 where there is none."""
        index = self.data.find(b"\n", offset - self.base, self.length)
        if index >= 0:
            return self.base + index
        offset = max(offset, self.base + self.length)
        while offset < self.size:
            chunk = self.reader.read_at(offset, _CHUNK)
            if not chunk:
                break
            index = chunk.find(b"\n")
            if index >= 0:
                return offset + index
            offset += len(chunk)
        return -1

    # Opcodes with a line as argument, and Python 2's counted strings.

    def _text_opcode(self, op: int, stack: list[Value], offset: int) -> int:
        """Run one of the less frequent opcodes below 0x80 and return the offset after its argument."""
        if op == 0x63:  # GLOBAL
            named, after = self._named(offset)
            if after < 0:
                raise _Malformed("pickle data was truncated")
            stack.append(named)
            if after - offset < 256:
                self.names[self._bytes(offset, after - 1 - offset)] = named
            return after
        if op == 0x55 or op == 0x54:  # noqa: PLR1714 - SHORT_BINSTRING, BINSTRING; as in the loop
            return self._binary_string(op, stack, offset)
        if op not in opcodes.LINES:
            raise _Malformed(f"invalid load key, {chr(op)!r}")
        end = self._line_end(offset)
        if end < 0 or (end == offset and op not in {0x50, 0x56}):
            raise _Malformed("pickle data was truncated")
        length = end - offset
        if op == 0x56:  # UNICODE
            if length > NAME_LIMIT:
                stack.append(self._span("str", offset, length))
            else:
                text = self._decoded(self._bytes(offset, length), "raw-unicode-escape")
                if length > 30 and ENCODED.match(text) is not None:
                    self.blobs.append(Span("str", offset, length))
                stack.append(text)
        elif op == 0x53:  # STRING
            stack.append(self._quoted(offset, length))
        elif op == 0x49 or op == 0x4C:  # noqa: PLR1714 - INT, LONG
            if length > NAME_LIMIT:
                self._differs("an integer of very many digits", offset - 1)
                stack.append(self._span("int", offset, length))
            elif op == 0x49:
                stack.append(self._integer(self._bytes(offset, length)))
            else:
                stack.append(self._long(self._bytes(offset, length)))
        elif op == 0x46:  # FLOAT
            stack.append(self._float(self._bytes(offset, min(length, NAME_LIMIT))))
        elif op == 0x67:  # GET
            stack.append(self._get(self._index(self._bytes(offset, min(length, NAME_LIMIT)))))
        elif op == 0x70:  # PUT
            index = self._index(self._bytes(offset, min(length, NAME_LIMIT)))
            self._put(index, stack[-1])
        else:  # PERSID
            pid: Value
            if length > NAME_LIMIT:
                pid = self._span("str", offset, length)
            else:
                pid = self._decoded(self._bytes(offset, length), "ascii")
            persistent = Persistent(pid, offset - 1)
            self.persistent.append(persistent)
            stack.append(persistent)
        return end + 1

    def _named(self, offset: int) -> tuple[Global, int]:
        """Read the two lines of GLOBAL and INST; the offset after them is -1 where only Python's unpickler goes on.

        That one takes the rest of the input as the last line and cuts off its last byte, newline or not.
        """
        at = offset - 1
        end = self._line_end(offset)
        if end < 0:
            module = self._bytes(offset, min(max(self.size - 1 - offset, 0), NAME_LIMIT))
            self._import(self._decoded(module, "utf-8"), "", at)
            raise _Malformed("pickle data was truncated")
        second = self._line_end(end + 1)
        after = second + 1
        if second < 0:
            second = max(self.size - 1, end + 1)
            after = -1
        if end == offset or second == end + 1:
            self._differs("an empty module or name", at)
        encoding = "utf-8" if self._bytes(at, 1) == b"c" else "ascii"
        owner = self._decoded(self._bytes(offset, min(end - offset, NAME_LIMIT)), encoding)
        name = self._decoded(self._bytes(end + 1, min(second - end - 1, NAME_LIMIT)), encoding)
        return self._import(owner, name, at), after

    def _binary_string(self, op: int, stack: list[Value], offset: int) -> int:
        if op == 0x55:
            length = self._bytes(offset, 1)[0] if offset < self.size else 0
            offset += 1
        else:
            length = int.from_bytes(self._bytes(offset, 4), "little", signed=True)
            offset += 4
            if length < 0:
                raise _Malformed("BINSTRING pickle has negative byte count")
        if offset + length > self.size:
            raise _Malformed("pickle data was truncated")
        if length > INLINE:
            stack.append(self._span("str", offset, length))
        else:
            content = self._bytes(offset, length)
            if looks_nested(content):
                self.blobs.append(Span("bytes", offset, length))
            stack.append(self._python2(content))
        return offset + length

    def _quoted(self, offset: int, length: int) -> Value:
        first, last = self._bytes(offset, 1), self._bytes(offset + length - 1, 1)
        if length < 2 or first != last or first not in {b"'", b'"'}:
            raise _Malformed("the STRING opcode argument must be quoted")
        if length > NAME_LIMIT:
            return self._span("str", offset + 1, length - 2)
        content = self._unescaped(self._bytes(offset + 1, length - 2))
        if looks_nested(content):
            self.blobs.append(Span("str", offset + 1, length - 2))
        return self._python2(content)

    def _unescaped(self, content: bytes) -> bytes:
        """Resolve backslashes as ``PyBytes_DecodeEscape`` does: unknown ones stay, a lone or broken one is an error."""
        if b"\\" not in content:
            return content
        pieces: list[bytes] = []
        position = 0
        while True:
            match = _ESCAPE.search(content, position)
            if match is None:
                pieces.append(content[position:])
                return b"".join(pieces)
            pieces.append(content[position : match.start()])
            position = match.end()
            octal, hexadecimal, other = match.groups()
            if octal is not None:
                pieces.append(bytes([int(octal, 8) & 0xFF]))
            elif hexadecimal is not None:
                pieces.append(bytes([int(hexadecimal, 16)]))
            elif other is None or other == b"x":
                raise _Malformed("a broken escape in a STRING argument")
            else:
                pieces.append(_SIMPLE_ESCAPES.get(other, b"\\" + other))

    def _python2(self, content: bytes) -> str:
        """Decode a Python 2 string: ASCII for the plain unpickler, Latin-1 is what libraries ask for when it is not."""
        try:
            return content.decode("ascii")
        except UnicodeDecodeError:
            if self.encoding_error is None:
                self.encoding_error = self.at
            return content.decode("latin-1")

    def _decoded(self, content: bytes, encoding: str) -> str:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as undecodable:
            raise _Malformed(f"text that is not {encoding}") from undecodable

    def _integer(self, text: bytes) -> Value:
        """Read INT's argument: C's ``strtol`` with base 0 first, then a Python integer literal."""
        digits = text.split(b"\0", 1)[0]
        match = _STRTOL.match(digits)
        if not digits:
            number = 0
        elif match is not None and match.end() == len(digits):
            number = _strtol(digits)
        else:
            return self._literal(digits)
        if not -(1 << 63) <= number < 1 << 63:
            return self._literal(digits)
        if len(text) == 2 and 0 <= number <= 1:
            return number == 1
        return number

    def _long(self, text: bytes) -> Value:
        return self._literal(text.removesuffix(b"L").split(b"\0", 1)[0])

    def _literal(self, digits: bytes) -> Value:
        if len(digits) > 4300:
            self._differs("an integer of more digits than newer versions of Python convert", self.at)
            return 0
        try:
            return int(digits, 0)
        except ValueError as failure:
            raise _Malformed("could not convert string to int") from failure

    def _float(self, text: bytes) -> float:
        number = text.split(b"\0", 1)[0]
        if _FLOAT.match(number) is None:
            self._differs("could not convert string to float", self.at)
            try:
                return float(text)
            except ValueError as failure:
                raise _Malformed("could not convert string to float") from failure
        real = float(number)
        if real in {float("inf"), float("-inf")} and b"n" not in number.lower():
            self._differs("a number too large for a float", self.at)
        return real

    def _index(self, text: bytes) -> int:
        try:
            index = int(text.split(b"\0", 1)[0], 10)
        except ValueError as failure:
            raise _Malformed("a memo index that is not a number") from failure
        if index < 0:
            raise _Malformed("negative memo index")
        if index >= 1 << 63:
            self._differs("a memo index beyond 64 bits", self.at)
        return index

    # Counted content.

    def _content(self, kind: str, offset: int, length: int) -> Value:
        """Return counted content as a value if it is short, as a span if it is long."""
        if offset + length > self.size:
            raise _Malformed("pickle data was truncated")
        if length > INLINE or kind == "bytearray":
            return self._span(kind, offset, length)
        content = self._bytes(offset, length)
        if kind == "str":
            text = content.decode("utf-8", "surrogatepass")
            if length > 30 and ENCODED.match(text) is not None:
                self.blobs.append(Span("str", offset, length))
            return text
        if kind == "int":
            return int.from_bytes(content, "little", signed=True)
        if looks_nested(content):
            self.blobs.append(Span("bytes", offset, length))
        return content

    def _span(self, kind: str, offset: int, length: int) -> Span:
        span = Span(kind, offset, length)
        if kind != "int":
            self.blobs.append(span)
        return span

    # The memo: a list while indices come more or less in order, a dictionary for those far beyond its end. An index is
    # in one of them: a value is appended to the list past the dictionary only while that is empty.

    def _put(self, index: int, value: Value) -> None:
        memo = self.memo
        far = self.far
        if index < len(memo):
            if memo[index] is _HOLE:
                self.holes -= 1
            memo[index] = value
            self.entries.forget()
            return
        if index - len(memo) + self.holes > _HOLES:
            far[index] = value
            return
        while len(memo) <= index:
            if len(memo) in far:
                memo.append(far.pop(len(memo)))
            else:
                memo.append(_HOLE)
                self.holes += 1
        if memo[index] is _HOLE:
            self.holes -= 1
        memo[index] = value

    def _get(self, index: int) -> Value:
        if index < len(self.memo):
            value = self.memo[index]
            if value is not _HOLE:
                return value
        elif index in self.far:
            return self.far[index]
        raise _Malformed(f"memo value not found at index {index}")

    # Names and calls.

    def _import(self, module: str, name: str, at: int) -> Global:
        key = (module, name, min(self.protocol, 3))
        known = self.imports.get(key)
        if known is None:
            known = self.imports[key] = Global(module, name, at, self.protocol)
            known.rebuilds = rebuild_kind(module, name)
        return known

    def _stack_global(self, module: Value, name: Value, at: int) -> Value:
        if isinstance(module, Span) and module.kind == "str":
            module = self._bytes(module.offset, min(module.length, NAME_LIMIT)).decode("utf-8", "surrogateescape")
        if isinstance(name, Span) and name.kind == "str":
            name = self._bytes(name.offset, min(name.length, NAME_LIMIT)).decode("utf-8", "surrogateescape")
        if isinstance(module, str) and isinstance(name, str):
            return self._import(module, name, at)
        if not _may_be_text(module) or not _may_be_text(name):
            raise _Malformed("STACK_GLOBAL requires str")
        # A string that a call returns: what it is may be computable, so it is kept as the import that it amounts to.
        self.assumptions += 1
        made = Made(_IMPORT_MODULE, (module,), None, "STACK_GLOBAL", at)
        self.calls.append(made)
        return Attribute(made, name, at)

    def _extension(self, code: int, at: int) -> Value:
        if code <= 0:
            raise _Malformed("EXT specifies code <= 0")
        registered = self.extensions.get(code)
        if registered is not None:
            return self._import(registered[0], registered[1], at)
        self._differs(f"unregistered extension code {code}", at)
        return self._import("", f"extension {code}", at)

    def _call(self, function: Value, arguments: Value, keywords: Value, opcode: str, at: int) -> Made:
        if type(function) in _NOT_CALLABLE:
            raise _Malformed(f"a {type(function).__name__} is not callable")
        if not isinstance(arguments, tuple):
            if isinstance(arguments, (str, bytes, list, Mapping, Collection, Span)):
                self._differs("the argument list of a call is not a tuple", at)
            elif isinstance(arguments, _COMPUTED):
                self.assumptions += 1
            else:
                raise _Malformed("the argument list of a call must be a tuple")
        if opcode != "REDUCE" and not isinstance(function, Global):
            self.assumptions += 1
        if keywords is not None or opcode == "NEWOBJ_EX":
            if isinstance(keywords, _COMPUTED) and not isinstance(keywords, str):
                self.assumptions += 1
            elif not isinstance(keywords, Mapping):
                raise _Malformed("NEWOBJ_EX keyword arguments must be a dict")
        made = Made(function, arguments, keywords, opcode, at)
        self.calls.append(made)
        if isinstance(function, Global) and function.name == "add_extension" and isinstance(arguments, tuple):
            self._register(function.module, arguments)
        return made

    def _register(self, module: str, arguments: tuple[Value, ...]) -> None:
        """Follow ``copyreg.add_extension(module, name, code)``, which gives a later EXT opcode its meaning."""
        if module not in {"copyreg", "copy_reg"} or len(arguments) != 3:
            return
        owner, name, code = arguments
        if isinstance(owner, str) and isinstance(name, str) and isinstance(code, int):
            self.extensions[code] = (owner, name)

    def _differs(self, message: str, at: int) -> None:
        if self.c_error is None:
            self.c_error = message
            self.c_error_offset = at

    # What is done to values that are there already.

    def _append(self, target: Value, items: list[Value], opcode: str, at: int) -> None:
        if isinstance(target, list):
            if len(target) > KEPT:
                items = [item for item in items if type(item) not in _PLAIN]
            target.extend(items)
        elif items:
            self._mutate(target, "extend", items, opcode, at)

    def _add(self, target: Value, items: list[Value], at: int) -> None:
        if isinstance(target, Collection) and not target.frozen:
            self._must_hash(items)
            if len(target.items) > KEPT:
                items = [item for item in items if type(item) not in _PLAIN]
            target.items.extend(items)
        elif items:
            self._mutate(target, "add", items, "ADDITEMS", at)

    def _set_items(self, target: Value, items: list[Value], opcode: str, at: int) -> None:
        if not items:
            return
        if len(items) % 2:
            raise _Malformed(f"odd number of items for {opcode}")
        if isinstance(target, Mapping):
            keys = items[::2]
            self._must_hash(keys)
            entries = list(zip(keys, items[1::2], strict=True))
            if len(target.entries) > KEPT:
                entries = _kept(target, entries)
            target.entries.extend(entries)
        elif isinstance(target, list):
            self._set_elements(target, items, at)
        elif isinstance(target, Made):
            target.update(list(zip(items[::2], items[1::2], strict=True)))
        else:
            self._mutate(target, "__setitem__", items, opcode, at)

    def _set_elements(self, target: list[Value], items: list[Value], at: int) -> None:
        """Assign list elements. What they replace is kept at the end: a call may have seen it before."""
        if self.replaced is None:
            self.replaced = at
        for index in range(0, len(items), 2):
            key, value = items[index], items[index + 1]
            if isinstance(key, int):
                if -len(target) <= key < len(target):
                    replaced = target[key]
                    target[key] = value
                    target.append(replaced)
                elif len(target) > KEPT:
                    target.append(value)
                else:
                    raise _Malformed("list assignment index out of range")
            elif isinstance(key, _COMPUTED) and not isinstance(key, str):
                self.assumptions += 1
                target.append(value)
            else:
                raise _Malformed("list indices must be integers")

    def _mutate(self, target: Value, method: str, items: list[Value], opcode: str, at: int) -> None:
        """Record what is done to something that is not a plain container."""
        if isinstance(target, Made):
            target.extend(items)
        elif isinstance(target, (Global, Attribute, Persistent, TensorValue, OutOfBand)):
            # The loader looks up the method on something this file did not make: sys.modules, a class, a tensor.
            if isinstance(target, TensorValue):
                self.assumptions += 1
            self.calls.append(Made(Attribute(target, method, at), tuple(items), None, opcode, at))
        elif isinstance(target, Span) and target.kind == "bytearray" and method != "add":
            self.assumptions += 1
        else:
            raise _Malformed(f"a {type(target).__name__} has no {method}")

    def _build(self, target: Value, state: Value, at: int) -> None:
        if isinstance(target, Made):
            target.build(state)
        elif isinstance(target, (Global, Attribute, Persistent, TensorValue, OutOfBand)):
            if isinstance(target, TensorValue):
                self.assumptions += 1
            self.calls.append(Made(Attribute(target, "__setstate__", at), (state,), None, "BUILD", at))
        else:
            # Plain values have neither __setstate__ nor __dict__.
            if isinstance(state, tuple) and len(state) == 2:
                slots = state[1]
                state = state[0]
                if not isinstance(slots, Mapping) or slots.entries:
                    raise _Malformed("a plain value has no slots")
            if state is None:
                return
            if _empty(state):
                self._differs("a plain value has no __dict__", at)
                return
            raise _Malformed("a plain value has no __dict__")

    def _read_only(self, target: Value, at: int) -> None:
        if isinstance(target, OutOfBand):
            target.readonly = True
        elif isinstance(target, (Made, Attribute, Global, Persistent, TensorValue)):
            self._differs("READONLY_BUFFER on something that may be no buffer", at)
        elif not isinstance(target, bytes) and not (isinstance(target, Span) and target.kind in {"bytes", "bytearray"}):
            raise _Malformed("READONLY_BUFFER on something that is no buffer")

    def _must_hash(self, keys: list[Value]) -> None:
        for key in keys:
            kind = type(key)
            if kind is str or kind is int:
                continue
            if (
                kind in _UNHASHABLE
                or (isinstance(key, Collection) and not key.frozen)
                or (isinstance(key, Span) and key.kind == "bytearray")
                or (isinstance(key, tuple) and _has_unhashable(key))
            ):
                raise _Malformed(f"unhashable type: {kind.__name__}")

    def _frame(self, offset: int, length: int, at: int) -> None:
        if offset > self.size:
            return
        if length >= 1 << 63:
            raise _Malformed("FRAME length exceeds system's maximum")
        end = offset + length
        if end > self.size:
            self._differs("a frame that is longer than the input", at)
            end = self.size
        if offset < self.frame_end < end:
            self.frame_crossings.append((at, self.frame_end))
        if not offset <= end <= self.frame_end:
            self.frame_end = end
        self.safe = min(self.room, self.frame_end - self.base - 1)

    def _inline_array(self, wrapper: Made, offset: int) -> int:
        """Step over the array that joblib reads now, and return where the next opcode is.

        Python's unpickler has a whole frame in memory, so inside one the array lies behind it, and so do the opcodes
        that follow the frame.
        """
        if not is_wrapper(wrapper):
            return offset
        framed = 0 <= offset < self.frame_end
        begin = max(self.frame_end, self.resume) if framed else offset
        place = array_at(wrapper, self.reader, begin)
        if place is None:
            raise _Malformed("an array wrapper that does not say how long its array is")
        start, length, pickled = place
        if pickled:
            inner = run(self.reader, start=start, budget=self.budget, extensions=self.extensions)
            self.inner.append(inner)
            if inner.stop is None:
                raise _Malformed("the pickle of an array of objects ends in an error")
            after = inner.stop
        else:
            after = start + length
            self.arrays.append((start, length))
            if after > self.size:
                raise _Malformed("an array reaches beyond the end of the file")
        if framed:
            self.resume = after
            return offset
        return after


_COMPUTED: Final = (str, Made, Attribute, Global, Persistent, OutOfBand, TensorValue)
"""What can stand where the unpickler wants a string, tuple or mapping: the thing itself is checked before."""
_IMPORT_MODULE: Final = Global("importlib", "import_module", 0, 4)


def looks_nested(content: bytes) -> bool:
    """Return whether bytes may be a pickle, an archive, compressed data or code: worth a reading of their own."""
    if len(content) < 4:
        return False
    first = content[0]
    if first == 0x80:
        return content[1] <= opcodes.HIGHEST_PROTOCOL
    if content.startswith(_SIGNATURES):
        return True
    if content[257:262] == b"ustar" or (len(content) > 30 and ENCODED_BYTES.match(content) is not None):
        return True
    return first in _TEXT_STARTS and content.rstrip(b"\n").endswith(b".") and (b"\n" in content or b"R" in content)


_SIGNATURES: Final = (
    b"PK\x03\x04",
    b"\x93NUMPY",
    b"\x04\x22\x4d\x18",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"(\xb5/\xfd",
    b"x\x01",
    b"x\x5e",
    b"x\x9c",
    b"x\xda",
    b"\xe3",
    b"\x7fELF",
)
_TEXT_STARTS: Final = frozenset(b"(c]})lid\x8cXVSUTBCIKJMNLFGP\x88\x89\x8a\x95")


def _strtol(digits: bytes) -> int:
    """Convert what `_STRTOL` matched: base 16 and 8 by prefix; digits 8 and 9 after a leading 0 do not count."""
    text = digits.strip(b" \t\n\v\f\r")
    negative = text.startswith(b"-")
    text = text.lstrip(b"+-")
    if text[:2] in {b"0x", b"0X"}:
        number = int(text, 16)
    elif text.startswith(b"0"):
        if text.strip(b"01234567"):
            return 1 << 64  # strtol stops before the 8 or 9: not the whole line, so the caller tries the next reading
        number = int(text, 8)
    else:
        number = int(text) if len(text) < 30 else 1 << 64
    return -number if negative else number


def _may_be_text(value: Value) -> bool:
    """Whether a value is a string or the result of a call that may return one: an instance of a class never is."""
    if isinstance(value, Made) and value.opcode in {"NEWOBJ", "NEWOBJ_EX"}:
        function = value.function
        return not isinstance(function, Global) or function.name.rsplit(".", 1)[-1] in {"str", "unicode"}
    return isinstance(value, (str, Made, Attribute))


def _empty(value: Value) -> bool:
    """Whether Python takes a plain value for false."""
    if isinstance(value, Mapping):
        return not value.entries
    if isinstance(value, Collection):
        return not value.items
    if isinstance(value, Span):
        return not value.length
    return isinstance(value, (str, bytes, int, float, list, tuple)) and not value


def _kept(target: Mapping, entries: list[tuple[Value, Value]]) -> list[tuple[Value, Value]]:
    """Leave out plain entries, but not one that replaces a value that was kept: a tensor, which is then not there."""
    held = target.held
    if held is None:
        held = target.held = {_same(key) for key, value in target.entries if _plain(key) and not _plain(value)}
    kept: list[tuple[Value, Value]] = []
    for key, value in entries:
        if not _plain(key):
            kept.append((key, value))
        elif not _plain(value):
            held.add(_same(key))
            kept.append((key, value))
        elif _same(key) in held:
            held.discard(_same(key))  # plain from here on, so that there are never more of these than of the others
            kept.append((key, value))
    return kept


def _plain(value: Value) -> bool:
    return type(value) in _PLAIN


def _same(key: Value) -> object:
    """Return the same for keys that are equal, with a hash that nobody can choose: those of numbers are known."""
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    if isinstance(key, int):
        return (f"{key:x}",)
    return (repr(key),) if isinstance(key, float) else key


def _has_unhashable(values: tuple[Value, ...]) -> bool:
    """Look into tuples, a thousand values at most: a tuple that shares its parts can be larger than any memory."""
    pending: list[Value] = list(values[:1000])
    seen = 0
    while pending and seen < 1000:
        value = pending.pop()
        seen += 1
        if isinstance(value, tuple):
            pending.extend(value[:1000])
        elif (
            isinstance(value, (list, Mapping))
            or (isinstance(value, Collection) and not value.frozen)
            or (isinstance(value, Span) and value.kind == "bytearray")
        ):
            return True
    return False
