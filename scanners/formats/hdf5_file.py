"""What a scan states of an HDF5 file: references to other files, tensors, impossible shapes, text that others read."""

import math
import re
from collections.abc import Iterable

from scanners.cursor import Cursor
from scanners.errors import FormatError, LimitExceeded, ScanError
from scanners.facts import Reference, Tensor
from scanners.formats.hdf5 import KERAS_CONFIG
from scanners.formats.hdf5_structure import MAXIMUM_DEPTH, MAXIMUM_OBJECTS, Link, Structure, Text, Type
from scanners.limits import Budget, Limits
from scanners.reader import Reader, Window
from scanners.reading import Blob, Reading

MAXIMUM_ATTRIBUTE = 64 << 20
_READ = frozenset({0x01, 0x02, 0x03, 0x06, 0x07, 0x08, 0x0C, 0x11, 0x15})
"""messages that are looked at: shape, links, type, external files, layout, attributes, old groups"""
_PSEUDO_ATOM = "PSEUDOATOM"
"""attribute by which PyTables knows an array of pickled objects (tables/vlarray.py)"""
_MODULE = re.compile(r"[^\W\d][\w.]*")
_BOMB = 1 << 31
_RATIO = 200
_CLASSES = {0: "int", 1: "float", 2: "time", 3: "string", 4: "bits", 5: "opaque", 6: "compound", 7: "reference",
            8: "enum", 9: "variable", 10: "array", 11: "complex"}  # fmt: skip


class File:
    """One pass over one file."""

    def __init__(self, blob: Blob, reading: Reading, start: int) -> None:
        self._blob = blob
        self._reading = reading
        self._structure = Structure(blob.reader, start)
        self._seen: set[int] = set()
        self._queue: list[tuple[str, int]] = []

    # The walk

    def read(self) -> None:
        root = self._structure.find_root()
        self._queue = [("/", root)]
        failed: ScanError | None = None
        while self._queue:
            path, address = self._queue.pop()
            if address in self._seen:
                continue
            self._seen.add(address)
            if len(self._seen) > MAXIMUM_OBJECTS:
                raise LimitExceeded("members", f"more than {MAXIMUM_OBJECTS} HDF5 objects")
            try:
                self._object(path, address)
            except FormatError as error:
                failed = failed or error  # one broken object does not hide the others
        if failed is not None:
            raise failed

    def _object(self, path: str, address: int) -> None:
        structure = self._structure
        shape: tuple[int, ...] | None = None
        kind: Type | None = None
        layout: tuple[str, int | None, int] | None = None
        for message in structure.messages(address):
            if message.kind not in _READ:
                continue
            cursor = structure.content(message)
            match message.kind:
                case 0x01:
                    shape = structure.dataspace(cursor)
                case 0x02:
                    self._follow(path, structure.dense_links(cursor))
                case 0x03:
                    kind = structure.datatype(cursor)
                case 0x06:
                    self._follow(path, [structure.link(cursor)])
                case 0x07:
                    self._external_files(path, cursor)
                case 0x08:
                    layout = self._layout(path, cursor)
                case 0x0C:
                    self._attribute(path, cursor)
                case 0x11:
                    self._follow(path, structure.symbols(cursor))
                case _:
                    for found in structure.dense_attributes(cursor):
                        self._attribute(path, found)
        if shape is not None and kind is not None and layout is not None:
            self._dataset(path, address, shape, kind, layout)

    def _follow(self, path: str, links: Iterable[Link]) -> None:
        for link in links:
            self._structure.spend()
            inner = f"{path.rstrip('/')}/{link.name}"
            if link.file is not None:
                self._reading.state(
                    Reference(
                        location=self._reading.at(),
                        kind="hdf5-external-link",
                        target=link.file[:4096],
                        context=inner[:400],
                    )
                )
            elif link.address is not None:
                if inner.count("/") > MAXIMUM_DEPTH * 4:
                    raise LimitExceeded("depth", "groups are nested too deeply")
                self._queue.append((inner, link.address))

    # Attributes

    def _attribute(self, path: str, cursor: Cursor) -> None:
        attribute = self._structure.attribute(cursor)
        for text in attribute.texts:
            self._text(path, attribute.name, text)
            value = text.reader.read_at(text.place, min(text.length, 16)).strip(b"\0 ")
            if attribute.name == _PSEUDO_ATOM and value == b"object":
                self._reading.unread(f"{path[:200]} holds a pickle in each row (PyTables), which are not read")

    def _text(self, path: str, name: str, text: Text) -> None:
        """Hand on a text attribute that a loader would parse."""
        if text.length > MAXIMUM_ATTRIBUTE:
            raise LimitExceeded("text", f"an attribute of {text.length} bytes")
        content = Window(text.reader, text.place, text.length)
        head = content.read_at(0, 16).lstrip()
        roles: frozenset[str] = frozenset()
        if head.startswith(b"{"):
            roles = frozenset({KERAS_CONFIG})
        elif not _is_pickled(content, content.read_at(0, 2)):
            return
        here = text.reader is self._blob.reader
        self._reading.child(
            f"{name}.json" if roles else f"{name}.pickle",
            content,
            span=(text.place, text.length) if here else (0, 0),
            stored=here,
            roles=roles,
            label=f"{path.rstrip('/')}@{name}",
        )

    # Datasets

    def _layout(self, path: str, cursor: Cursor) -> tuple[str, int | None, int]:
        version = cursor.u8()
        if version in {1, 2}:
            cursor.skip(1)
            kind = cursor.u8()
            cursor.skip(5)
            address = self._structure.address(cursor) if kind else None
            return ("compact", "contiguous", "chunked")[min(kind, 2)], address, 0
        kind = cursor.u8()
        if kind == 0:
            return "compact", None, cursor.u16()
        if kind == 1:
            return "contiguous", self._structure.address(cursor), self._structure.length(cursor)
        if kind == 3:
            self._virtual(path, cursor)
            return "virtual", None, 0
        if version == 3:
            cursor.skip(1)
            return "chunked", self._structure.address(cursor), 0
        return "chunked", 0, 0

    def _virtual(self, path: str, cursor: Cursor) -> None:
        heap, index = self._structure.address(cursor), cursor.u32()
        file = ""
        if heap is not None:
            place, length = self._structure.global_heap(heap, index)
            data = self._blob.reader.read_at(place + 1 + self._structure.length_size, min(length, 4096))
            file = data.split(b"\0", 1)[0].decode("utf-8", "replace")
        self._reading.state(
            Reference(location=self._reading.at(), kind="hdf5-virtual-dataset", target=file[:4096], context=path[:400])
        )

    def _external_files(self, path: str, cursor: Cursor) -> None:
        cursor.skip(4 + 2)
        used = cursor.u16()
        heap_address = self._structure.address(cursor)
        if heap_address is None:
            return
        heap = self._structure.local_heap(heap_address)
        for _ in range(used):
            self._structure.spend()
            name = self._structure.heap_text(heap, self._structure.length(cursor))
            cursor.skip(2 * self._structure.length_size)
            self._reading.state(
                Reference(
                    location=self._reading.at(), kind="hdf5-external-storage", target=name[:4096], context=path[:400]
                )
            )

    def _dataset(
        self, path: str, address: int, shape: tuple[int, ...], kind: Type, layout: tuple[str, int | None, int]
    ) -> None:
        place = self._structure.base + address
        size = math.prod(shape) * kind.size
        file_size = self._blob.reader.size
        storage, data, stored = layout
        self._reading.state(
            Tensor(
                location=self._reading.at(place),
                name=path[:1024],
                dtype=f"{_CLASSES.get(kind.kind, 'unknown')}{8 * kind.size}",
                shape=shape[:64],
                stride=None,
                storage=storage,
                storage_offset=0,
                storage_bytes=stored or None,
            )
        )
        if size >= _BOMB and size > _RATIO * file_size:
            message = f"{path[:200]} of shape {shape[:8]} promises {size} bytes in a file of {file_size}"
            self._reading.anomaly("hdf5-shape-bomb", message, place)
        elif storage == "contiguous" and data is not None and self._structure.base + data + stored > file_size:
            message = (
                f"the data of {path[:200]} ends at {self._structure.base + data + stored}, the file at {file_size}"
            )
            self._reading.anomaly("hdf5-outside", message, place)
        if storage == "contiguous" and data is not None:
            self._reading.inert(self._structure.base + data, min(stored, file_size))


def _is_pickled(content: Reader, head: bytes) -> bool:
    """Return whether PyTables unpickles an attribute to some effect: it tries with all text that ends in a full stop.

    Source: tables/attributeset.py (`__getattr__`). What a sentence does, read as a pickle, is nothing.
    """
    tail = content.read_at(max(0, content.size - 64), 64).rstrip(b"\0 ")
    if len(head) >= 2 and head[0] == 0x80 and head[1] <= 5:
        return True
    if content.size <= 2 or not tail.endswith(b"."):
        return False
    from scanners.pickles.machine import run  # few attributes end so

    result = run(content, budget=Budget(Limits()))
    named = any(_MODULE.fullmatch(one.module) for one in result.imports)
    return named or bool(result.calls or result.limit)
