"""joblib: pickles with arrays between the opcodes, and its old compressed `ZF` files.

What `joblib.dump` writes is a pickle as long as it holds no array; `scanners.formats.pickle` comes here as soon as an
array wrapper shows up. Compressed files (gzip, bz2, xz, lzma, zlib, lz4) are containers with such a pickle inside.

Two loaders read such a file, and they read different things: joblib steps over the arrays, a plain unpickler takes
their bytes for opcodes. Both are run. The plain one ends in an error sooner or later, which says nothing; what it
imports or calls on the way is stated like everything else.

`NDArrayWrapper` (joblib before 0.10) names another file, which joblib loads with `numpy.load(allow_pickle=True)`.
`ZNDArrayWrapper` names a ZF file that holds the bytes of an array. Given to `joblib.load` itself it would be a pickle,
so it counts for an array only where an unpickler does nothing with it.

Sources: joblib/numpy_pickle.py and numpy_pickle_compat.py of 1.5.
"""

import zlib
from typing import Final

from scanners import native
from scanners.errors import FormatError
from scanners.facts import Identified, Import, Reference
from scanners.patterns import late
from scanners.pickles.inline_arrays import is_wrapper, names_wrapper
from scanners.pickles.machine import PickleRun, run
from scanners.pickles.resolve import Resolver
from scanners.pickles.values import Global, Made, Mapping, Value
from scanners.pickles.witness import bear_witness
from scanners.reader import BytesReader, Reader
from scanners.reading import Blob, Reading

NAME = "joblib"

_WRAPPERS: Final = frozenset({"NumpyArrayWrapper", "NDArrayWrapper", "ZNDArrayWrapper"})
_ARRAY: Final = late(r"_\d\d\.npy\.z\Z")
"""what joblib before 0.10 called the compressed arrays beside a pickle: their elements, and nothing around them"""
_PREFIX: Final = b"ZF"
ROUNDABOUT: Final = "an array wrapper of joblib is made in a roundabout way: where joblib reads on cannot be told"
_LENGTH: Final = 19
"""characters of the length in the header of a ZF file"""


def matches(blob: Blob) -> bool:
    """Return whether the blob is one of joblib's old compressed files."""
    head = blob.reader.read_at(0, len(_PREFIX) + _LENGTH)
    return head[:2] == _PREFIX and len(head) == len(_PREFIX) + _LENGTH and _length(head) is not None


def _length(head: bytes) -> int | None:
    """Return the length in a ZF header, as ``int(…, 16)`` understands it: with or without 0x."""
    try:
        return int(head[len(_PREFIX) : len(_PREFIX) + _LENGTH], 16)
    except ValueError:
        return None


def read(blob: Blob, reading: Reading) -> None:
    """Decompress a ZF file, and hand on what is in it."""
    reading.state(Identified(location=reading.at(), format=NAME, detail="ZF"))
    reader = blob.reader
    start = len(_PREFIX) + _LENGTH
    head = reader.read_at(0, start + 1)
    length = _length(head)
    if head[start : start + 1] == b" ":
        start += 1  # one character wider in joblib up to 0.8.4 on Python 2
    compressed = reader.read_at(start, min(reader.size - start, reading.budget.limits.member_bytes))
    cap = reading.budget.allowed_expansion(len(compressed))
    native.meet("zlib")
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(compressed, max(cap, 1))
    except zlib.error as error:
        raise FormatError(f"the compressed data is damaged: {error}", offset=start) from error
    reading.budget.spend_materialised(len(data))
    if inflate.unconsumed_tail:
        reading.unread("the file decompresses to more bytes than the limits allow")
    elif not inflate.eof:
        reading.unread("the compressed data ends early")
    if len(data) != length:
        reading.anomaly("joblib-length", f"the header says {length} bytes, the data has {len(data)}", 2)
    reading.parsed(0, start)
    array = _ARRAY.search(blob.name) is not None and _runs_nothing(data, reading)
    reading.child(
        "array" if array else "pickle",
        BytesReader(data),
        span=(start, reader.size - start),
        stored=False,
        roles=frozenset() if array else frozenset({"pickle"}),
    )


def _runs_nothing(data: bytes, reading: Reading) -> bool:
    """Return whether an unpickler ends in an error before it does anything, as on the elements of most arrays."""
    stream = run(BytesReader(data), start=0, budget=reading.budget)
    done = stream.calls or stream.imports or stream.persistent or stream.limit
    return stream.stop is None and stream.c_error is None and not done


def wraps(stream: PickleRun) -> bool:
    """Return whether a pickle names one of joblib's array wrappers."""
    return any(name.name.rsplit(".", 1)[-1] in _WRAPPERS for name in stream.imports)


def computes_wrapper(reading: Reading) -> bool:
    """Return whether a pickle reaches one of joblib's array wrappers under a name that it computes."""
    return any(isinstance(fact, Import) and fact.name.rsplit(".", 1)[-1] in _WRAPPERS for fact in reading.facts)


def _roundabout(stream: PickleRun, reader: Reader) -> Made | None:
    """Return a call that may make an array wrapper, but not as joblib's pickles do: `copyreg.__newobj__`, say."""
    resolver = Resolver(reader)
    for made in stream.calls:
        if is_wrapper(made):
            continue
        arguments = made.arguments if isinstance(made.arguments, tuple) else ()
        if any(names_wrapper(argument) or _is_made_wrapper(argument) for argument in arguments):
            return made
        if not isinstance(made.function, Global) and names_wrapper(resolver.value(made.function)):
            return made
    return None


def _is_made_wrapper(value: Value) -> bool:
    return isinstance(value, Made) and is_wrapper(value) and not value.states


def read_wrapped(blob: Blob, reading: Reading, extensions: dict[int, tuple[str, str]]) -> None:
    """Read a pickle the way joblib does."""
    reading.state(Identified(location=reading.at(), format=NAME))
    reader = blob.reader
    offset = 0
    while offset < reader.size:
        stream = run(reader, start=offset, budget=reading.budget, extensions=extensions, inline_arrays=True)
        if offset and stream.stop is None and not (stream.calls or stream.imports):
            break
        if offset:
            reading.anomaly("pickle-second-stream", "another pickle follows behind the end of the first", offset)
        bear_witness(stream, reader, reading)
        odd = _roundabout(stream, reader)
        if odd is not None:
            reading.anomaly("pickle-loaders-differ", ROUNDABOUT, odd.offset)
        for inner in stream.inner:
            bear_witness(inner, reader, reading)
        _files_named(stream, reading)
        if stream.limit is not None:
            raise stream.limit
        reading.parsed(offset, stream.end - offset)
        if stream.stop is None:
            reading.anomaly("pickle-malformed", f"the pickle ends in an error: {stream.error}", stream.error_offset)
            reading.unread(f"a pickle that ends in an error at byte {stream.error_offset}: {stream.error}")
            return
        offset = stream.stop
    rest = reader.size - offset
    if rest:
        reading.anomaly("pickle-data-after-stop", f"{rest} bytes follow the end of the last pickle", offset, rest)


def _files_named(stream: PickleRun, reading: Reading) -> None:
    """State the files that wrappers of the old format name."""
    for made in stream.calls:
        function = made.function
        if isinstance(function, Global) and function.name.rsplit(".", 1)[-1] in {"NDArrayWrapper", "ZNDArrayWrapper"}:
            for name in _file_names(made):
                reading.state(
                    Reference(location=reading.at(made.offset), kind="file", target=name, context=function.dotted)
                )


def _file_names(made: Made) -> list[str]:
    names = []
    for state in made.states:
        if isinstance(state, Mapping):
            names += [item for key, item in state.entries if key == "filename" and isinstance(item, str)]
    return names
