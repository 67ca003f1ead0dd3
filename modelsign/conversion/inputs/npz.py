"""numpy.savez: a zip of array files. Members that are no arrays are left out and named."""

from modelsign.conversion.inputs.archive import Archive
from modelsign.conversion.inputs.npy import MAGIC, planned, read_header
from modelsign.conversion.plan import Plan, Store
from modelsign.conversion.record import LeftOut
from modelsign.conversion.refusals import NoPickleError
from modelsign.errors import ConversionError

_SUFFIX = ".npy"


def is_npz(archive: Archive) -> bool:
    """Return whether an archive holds arrays and is none of torch's."""
    return not any(name.lower().endswith("/data.pkl") for name in archive.entries) and any(
        name.endswith(_SUFFIX) for name in archive.entries
    )


def parse(archive: Archive) -> Plan:
    """Read an archive of arrays.

    Raises:
        ConversionError: it is refused.
        ScanError: it is malformed.
    """
    stores: list[Store] = []
    tensors = []
    left_out = []
    unfit: NoPickleError | None = None
    for entry in archive.entries.values():
        if entry.is_directory:
            continue
        member = archive.open(entry)
        if not entry.name.endswith(_SUFFIX) or member.read_at(0, len(MAGIC)) != MAGIC:
            left_out.append(LeftOut(path=entry.name, kind="file"))
            continue
        name = entry.name.removesuffix(_SUFFIX)
        try:
            tensors.append(planned(read_header(member, name), name, store=len(stores)))
        except NoPickleError as error:
            unfit = unfit or error  # a later array may be a pickle, which is worse
            continue
        stores.append(archive.store(entry))
    if unfit is not None:
        raise unfit
    if not tensors:
        raise ConversionError("the archive holds no arrays")
    return Plan(format="npz", stores=tuple(stores), tensors=tuple(tensors), left_out=tuple(left_out))
