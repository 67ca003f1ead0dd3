"""torch.save since 1.6, and TorchScript: a zip whose records lie under one root.

Offsets come from the local headers, sizes from the central directory (torch writes neither sizes nor checksums into the
local ones), and everything that could make two loaders read two things is refused. A checksum of 0 means that none was
computed (`torch.serialization.set_crc32_options(False)`), which torch never checks.

Source: torch/serialization.py and caffe2/serialize/inline_container.cc of torch 2.13; design/checkpoints.md, section 2.
"""

import zlib
from dataclasses import replace

from modelsign.conversion.inputs.assembly import (
    Claims,
    StorageBytes,
    Stores,
    checked_run,
    plan_tree,
    raw_store,
)
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import Encoding, Plan, Store
from modelsign.conversion.tree import WHOLE
from modelsign.errors import ConversionError
from scanners.containers.zip import member_reader, read_directory
from scanners.containers.zip_records import DEFLATED, STORED, ZipEntry
from scanners.limits import Budget
from scanners.pickles.machine import PickleRun
from scanners.pickles.values import Made, Mapping, TensorValue, Value
from scanners.reader import Reader

_CHUNK = 1 << 20
_HARMLESS = frozenset({"zip-unclaimed-bytes", "zip-no-checksum"})
"""anomalies that change nothing about which bytes a tensor has"""
_SIDE_RECORDS = 1 << 16


def is_torch(names: "set[str]") -> bool:
    """Return whether an archive with these members is torch's."""
    return any(name.rpartition("/")[2].lower() == "data.pkl" for name in names)


class _Archive:
    """A zip archive that every loader reads alike."""

    def __init__(self, reader: Reader, budget: Budget) -> None:
        self.reader = reader
        self.budget = budget
        directory = read_directory(reader, budget)
        for anomaly in directory.anomalies:
            if anomaly.code not in _HARMLESS:
                raise ConversionError(
                    f"the archive is ambiguous or damaged: {anomaly.message}; save it again with torch.save"
                )
        if directory.others or not directory.entries:
            raise ConversionError("the archive holds members that only some loaders find; save it again")
        self.entries = {entry.name: entry for entry in directory.entries}
        self.unclaimed = any(anomaly.code == "zip-unclaimed-bytes" for anomaly in directory.anomalies)
        self.root = directory.entries[0].name.partition("/")[0]
        if any(not entry.name.startswith(f"{self.root}/") for entry in directory.entries):
            raise ConversionError(f"the archive holds records outside its root {self.root!r}; save it again")
        self.unchecked = any(not entry.crc and entry.size for entry in directory.entries)

    def get(self, name: str) -> ZipEntry | None:
        return self.entries.get(f"{self.root}/{name}")

    def open(self, name: str) -> Reader:
        entry = self.entries[f"{self.root}/{name}"]
        self.check(entry)
        reader = member_reader(self.reader, entry, self.budget)
        _check_crc(entry, reader)
        return reader

    def check(self, entry: ZipEntry) -> None:
        """Refuse what torch itself would not read, or not read in full."""
        if entry.encrypted:
            raise ConversionError(f"{entry.name}: is encrypted; decrypt the archive first")
        if entry.method not in {STORED, DEFLATED}:
            raise ConversionError(f"{entry.name}: is compressed with method {entry.method}, which torch does not read")
        if entry.method == STORED and entry.size != entry.compressed_size:
            raise ConversionError(f"{entry.name}: its two sizes differ although it is not compressed")
        limits = self.budget.limits
        if entry.method == DEFLATED and entry.size > limits.free_expansion + limits.ratio * entry.compressed_size:
            raise ConversionError(
                f"{entry.name}: {entry.compressed_size} bytes that unpack to {entry.size} look like an expansion bomb; "
                "unpack the archive and store its records uncompressed if they are genuine"
            )

    def store(self, entry: ZipEntry) -> Store:
        self.check(entry)
        crc = entry.crc if entry.crc or not entry.size else None
        if entry.method == STORED:
            return raw_store(entry.name, entry.data_offset, entry.size, crc=crc)
        return Store(
            name=entry.name,
            encoding=Encoding.DEFLATE,
            size=entry.size,
            segments=((entry.data_offset, entry.compressed_size),),
            crc=crc,
        )

    def small(self, name: str) -> bytes | None:
        entry = self.get(name)
        if entry is None:
            return None
        if entry.size > _SIDE_RECORDS:
            raise ConversionError(f"{entry.name}: {entry.size} bytes, where a few are expected")
        return self.open(name).read_at(0, entry.size)


def _check_crc(entry: ZipEntry, reader: Reader) -> None:
    if not entry.crc:
        return
    crc = 0
    position = 0
    while position < entry.size:
        data = reader.read_at(position, _CHUNK)
        if not data:
            raise ConversionError(f"{entry.name}: unpacks to {position} bytes and should have {entry.size}")
        crc = zlib.crc32(data, crc)
        position += len(data)
    if crc != entry.crc:
        raise ConversionError(
            f"{entry.name}: its bytes do not match their checksum; the file is damaged or was changed; fetch it again"
        )


def parse(reader: Reader, request: Request) -> Plan:
    """Read a torch archive.

    Raises:
        ConversionError: it is refused.
        ScanError: it is malformed.
    """
    archive = _Archive(reader, request.budget)
    if archive.get("data.pkl") is None:
        raise ConversionError("the archive has no data.pkl, so it is no checkpoint of torch.save")
    notes = []
    if archive.unchecked:
        notes.append("the archive carries no checksums for some records: damage in them cannot be noticed")
    if archive.unclaimed:
        notes.append("the archive holds bytes that belong to no record; they were left out")
    big_endian = _is_big_endian(archive)
    pickled = archive.open("data.pkl")
    script = archive.get("constants.pkl") is not None
    main = _run(pickled, archive, "data.pkl")
    root = main.root
    stores = Stores()
    claims = {"data": Claims(), "constants": Claims()}
    places: dict[tuple[str, str], StorageBytes] = {}
    constants = _constants(archive) if script else None
    from_constants = {id(tensor) for tensor in constants.tensors} if constants is not None else set()
    if constants is not None and constants.tensors:
        root = _with_constants(root, constants.root)
    if script and request.select is None:
        request = replace(request, select=WHOLE)  # a submodule that is called "model" is no wrapper

    def storage(tensor: TensorValue) -> StorageBytes:
        folder = "constants" if id(tensor) in from_constants else "data"
        size = claims[folder].size(tensor)
        known = places.get((folder, tensor.storage_key))
        if known is not None:
            return known
        entry = archive.get(f"{folder}/{tensor.storage_key}")
        if entry is None:
            raise ConversionError(f"storage {tensor.storage_key!r}: the archive has no record {folder}/… of that name")
        if size > entry.size:
            raise ConversionError(
                f"storage {tensor.storage_key!r}: claims {size} bytes and its record has {entry.size}; the file is "
                "damaged or was made to mislead"
            )
        place = StorageBytes(store=stores.add(archive.store(entry)), offset=0, size=size)
        places[folder, tensor.storage_key] = place
        return place

    pickle_stores: list[int] = []

    def pickle_store() -> int:
        if not pickle_stores:
            pickle_stores.append(stores.add(archive.store(archive.entries[f"{archive.root}/data.pkl"])))
        return pickle_stores[0]

    return plan_tree(
        root,
        request=request,
        reader=pickled,
        stores=stores,
        pickle_store=pickle_store,
        storage=storage,
        big_endian=big_endian,
        format_name="torchscript" if script else "torch-zip",
        notes=notes,
    )


def _run(reader: Reader, archive: _Archive, what: str) -> PickleRun:
    result = checked_run(reader, what, archive.budget)
    if result.stop != reader.size:
        raise ConversionError(f"{what}: {reader.size - (result.stop or 0)} bytes follow its end, which no loader reads")
    return result


def _constants(archive: _Archive) -> PickleRun:
    return _run(archive.open("constants.pkl"), archive, "constants.pkl")


def _with_constants(root: Value, constants: Value) -> Value:
    """Return the module's attributes and its constants, named as TorchScript's code names them (`CONSTANTS.c0`)."""
    named = Mapping()
    for index, value in enumerate(constants if isinstance(constants, tuple | list) else (constants,)):
        named.entries.append((f"c{index}", value))
    together = Mapping()
    states = root.states if isinstance(root, Made) else ()
    for state in states:
        if not isinstance(state, Mapping):
            raise ConversionError("the module's attributes are not in the form TorchScript writes")
        together.entries.extend(state.entries)
    together.entries.append(("CONSTANTS", named))
    return together


def _is_big_endian(archive: _Archive) -> bool:
    order = archive.small("byteorder")
    if order is None or order == b"little":
        return False
    if order == b"big":
        return True
    raise ConversionError("the record 'byteorder' says neither little nor big")
