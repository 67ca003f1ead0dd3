"""joblib's compressed files: one compressed stream around a pickle with arrays in it.

The worker unpacks as far as it must look, within the bounds of a scan, and holds a window of it; the copying process
unpacks once more, into a scratch file. Only a pickle is looked for inside: nobody loads a compressed checkpoint else.
"""

from collections.abc import Callable
from dataclasses import replace

from modelsign.conversion.inputs import raw_pickle
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import STREAMS, Encoding, Plan, Store
from modelsign.conversion.refusals import UnknownFormatError
from modelsign.errors import ConversionError
from scanners.containers import bzip2, gzip, lz4, xz, zlib
from scanners.containers.unpacking import Method, Unpacked
from scanners.reader import Reader
from scanners.reading import Blob

_METHODS: dict[Encoding, Callable[[], Method]] = {
    Encoding.GZIP: lambda: gzip.METHOD,
    Encoding.ZLIB: lambda: zlib.METHOD,
    Encoding.BZIP2: lambda: bzip2.METHOD,
    Encoding.XZ: lambda: xz.METHOD,
    Encoding.LZMA: lambda: xz.ALONE,
    Encoding.LZ4: lz4.method,
}
assert _METHODS.keys() == STREAMS


def method_of(encoding: Encoding) -> Method:
    """Return how a compressed store is unpacked.

    Raises:
        ScanError: the package for it is not installed.
    """
    return _METHODS[encoding]()


def encoding_of(reader: Reader) -> Encoding | None:
    """Return how a file is compressed as a whole; None where it is not."""
    blob = Blob(reader=reader, name="")
    for module, encoding in (
        (gzip, Encoding.GZIP),
        (bzip2, Encoding.BZIP2),
        (lz4, Encoding.LZ4),
        (zlib, Encoding.ZLIB),
    ):
        if module.matches(blob):
            return encoding
    if xz.matches(blob):
        return Encoding.XZ if reader.read_at(0, 1) == b"\xfd" else Encoding.LZMA
    return None


def parse(reader: Reader, request: Request, encoding: Encoding) -> Plan:
    """Read the pickle inside a compressed file.

    Raises:
        ConversionError: it is refused.
        ScanError: it is malformed, or unpacks to more than it may.
    """
    request.budget.input_bytes = reader.size
    unpacked = Unpacked(reader, (0, reader.size), method_of(encoding), request.budget)
    size = unpacked.finish()
    if unpacked.broken is not None:
        raise unpacked.broken
    if unpacked.consumed != reader.size:
        raise ConversionError(
            f"{reader.size - unpacked.consumed} bytes follow the compressed data; the file was made to mislead"
        )
    if not raw_pickle.is_pickle(unpacked):
        raise UnknownFormatError(
            f"this is compressed ({encoding.value}) and holds no pickle of arrays; unpack it first"
        )
    plan = raw_pickle.parse(unpacked, request)
    if unpacked.broken is not None:
        raise unpacked.broken
    whole = Store(name="the unpacked file", encoding=encoding, size=size, segments=((0, reader.size),))
    return replace(
        plan,
        stores=(whole, *map(_inside, plan.stores)),
        tensors=tuple(replace(tensor, store=tensor.store + 1) for tensor in plan.tensors),
    )


def _inside(store: Store) -> Store:
    """Return a store of the pickle as one of the unpacked file, which is the first."""
    if store.base is not None:
        return replace(store, base=store.base + 1)
    return store if store.encoding is Encoding.INLINE else replace(store, base=0)
