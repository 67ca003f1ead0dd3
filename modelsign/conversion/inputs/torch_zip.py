"""torch.save since 1.6, and TorchScript: a zip whose records lie under one root.

Offsets come from the local headers, sizes from the central directory (torch writes neither sizes nor checksums into the
local ones), and everything that could make two loaders read two things is refused. A checksum of 0 means that none was
computed (`torch.serialization.set_crc32_options(False)`), which torch never checks.

Source: torch/serialization.py and caffe2/serialize/inline_container.cc of torch 2.13; design/checkpoints.md, section 2.
"""

from dataclasses import replace

from modelsign.conversion.inputs.archive import Archive
from modelsign.conversion.inputs.assembly import (
    Claims,
    StorageBytes,
    Stores,
    checked_run,
    plan_tree,
)
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import Plan
from modelsign.conversion.refusals import UnknownFormatError
from modelsign.conversion.tree import WHOLE
from modelsign.errors import ConversionError
from scanners.containers.zip_records import ZipEntry
from scanners.pickles.machine import PickleRun
from scanners.pickles.values import Made, Mapping, TensorValue, Value
from scanners.reader import Reader

_SIDE_RECORDS = 1 << 16


class _Records:
    """The records of an archive, which lie under one root."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.root = next(iter(archive.entries)).partition("/")[0]

    def get(self, name: str) -> ZipEntry | None:
        """Return a record by its name under the root."""
        return self.archive.entries.get(f"{self.root}/{name}")

    def small(self, name: str) -> bytes | None:
        """Return the bytes of a small record, None where there is none."""
        entry = self.get(name)
        if entry is None:
            return None
        if entry.size > _SIDE_RECORDS:
            raise ConversionError(f"{entry.name}: {entry.size} bytes, where a few are expected")
        return self.archive.open(entry).read_at(0, entry.size)


def parse(archive: Archive, request: Request) -> Plan:
    """Read a torch archive.

    Raises:
        ConversionError: it is refused.
        ScanError: it is malformed.
    """
    records = _Records(archive)
    main_entry = records.get("data.pkl")
    if main_entry is None:
        if any(name.lower().endswith("data.pkl") for name in archive.entries):
            raise ConversionError("the archive has its data.pkl where only some loaders find it; save it again")
        if records.small("archive_format") == b"pt2":
            raise UnknownFormatError(
                "this is a program of torch.export, which is not read yet; save its `state_dict` with torch.save"
            )
        raise UnknownFormatError("the archive has no data.pkl, so it is no checkpoint of torch.save")
    if any(not name.startswith(f"{records.root}/") for name in archive.entries):
        raise ConversionError(f"the archive holds records outside its root {records.root!r}; save it again")
    notes = []
    if archive.unchecked:
        notes.append("the archive carries no checksums for some records: damage in them cannot be noticed")
    if archive.unclaimed:
        notes.append("the archive holds bytes that belong to no record; they were left out")
    big_endian = _is_big_endian(records)
    pickled = archive.open(main_entry)
    constants_entry = records.get("constants.pkl")
    script = constants_entry is not None
    root = _run(pickled, archive, "data.pkl").root  # the rest of the run is as large as the tree: it goes at once
    stores = Stores()
    claims = {"data": Claims(), "constants": Claims()}
    places: dict[tuple[str, str], StorageBytes] = {}
    constants = None
    if constants_entry is not None:
        constants = _run(archive.open(constants_entry), archive, "constants.pkl")
    from_constants = {id(tensor) for tensor in constants.tensors} if constants is not None else set()
    if constants is not None and constants.tensors:
        root = _with_constants(root, constants.root)
    if script and request.select is None:
        request = replace(request, select=WHOLE)  # a submodule that is called "model" is no wrapper

    def storage(tensor: TensorValue) -> StorageBytes:
        folder = "constants" if id(tensor) in from_constants else "data"
        if tensor.view is not None:
            raise ConversionError(
                f"storage {tensor.storage_key!r}: is described as only the old format does, which no loader reads here"
            )
        size = claims[folder].size(tensor)
        known = places.get((folder, tensor.storage_key))
        if known is not None:
            return known
        entry = records.get(f"{folder}/{tensor.storage_key}")
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
            pickle_stores.append(stores.add(archive.store(main_entry)))
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


def _run(reader: Reader, archive: Archive, what: str) -> PickleRun:
    result = checked_run(reader, what, archive.budget)
    if result.stop != reader.size:
        raise ConversionError(f"{what}: {reader.size - (result.stop or 0)} bytes follow its end, which no loader reads")
    return result


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


def _is_big_endian(records: _Records) -> bool:
    order = records.small("byteorder")
    if order is None or order == b"little":
        return False
    if order == b"big":
        return True
    raise ConversionError("the record 'byteorder' says neither little nor big")
