"""The one entry to untrusted bytes: a source becomes a plan, and nothing else comes out.

Content decides what the source is, its name only helps where content does not (design/checkpoints.md, section 1). This
function can run in another process: what it needs is a `Reader`, what it returns goes through JSON.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from modelsign.conversion.inputs import flax, npy, npz, raw_pickle, torch_legacy, torch_tar, torch_zip
from modelsign.conversion.inputs.archive import Archive
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import Plan
from modelsign.conversion.refusals import NoPickleError, UnknownFormatError
from modelsign.conversion.tree import WHOLE
from modelsign.errors import ConversionError
from scanners.errors import LimitExceeded, ScanError
from scanners.formats.hdf5 import superblock
from scanners.reader import Reader

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x04\x22\x4d\x18", b"\x78", b"\x5d\x00")
"""how files begin that may be compressed as a whole (gzip, bzip2, xz, LZ4, zlib, LZMA)"""


def parse(reader: Reader, request: Request) -> Plan:
    """Return the plan of a source.

    Raises:
        ConversionError: the source is no checkpoint, is damaged, or cannot be converted safely.
    """
    try:
        plan = _parse(reader, request)
    except LimitExceeded as error:
        raise ConversionError(f"too large to be read safely: {error}") from error
    except ScanError as error:
        raise ConversionError(f"damaged: {error}") from error
    plan.check(reader.size)
    return plan


def _parse(reader: Reader, request: Request) -> Plan:
    head = reader.read_at(0, 512)
    if head.startswith(b"PK\x03\x04"):
        archive = Archive(reader, request.budget)
        if npz.is_npz(archive):
            _refuse_parts(request)
            return npz.parse(archive)
        if "config.json" in archive.entries:
            from modelsign.conversion.inputs import keras  # few conversions meet one

            if keras.is_keras(archive):
                with _without_pickles():
                    return keras.parse(archive, request)
        return torch_zip.parse(archive, request)
    if head.startswith(npy.MAGIC):
        _refuse_parts(request)
        return npy.parse(reader)
    if torch_tar.is_tar(head):
        return torch_tar.parse(reader, request)
    if torch_legacy.is_legacy(head):
        return torch_legacy.parse(reader, request)
    if flax.is_flax(head):
        with _without_pickles():
            return flax.parse(reader, request)
    if superblock(reader) is not None:
        from modelsign.conversion.inputs import hdf5  # few conversions meet one

        with _without_pickles():
            return hdf5.parse(reader, request)
    if head.startswith(_COMPRESSED):
        from modelsign.conversion.inputs import compressed  # few sources are, and it imports all kinds

        encoding = compressed.encoding_of(reader)
        if encoding is not None:
            return compressed.parse(reader, request, encoding)
    if raw_pickle.is_pickle(reader):
        return raw_pickle.parse(reader, request)
    from modelsign.conversion.inputs import unknown  # what it is called is asked for only here

    raise UnknownFormatError(unknown.named(reader))


@contextmanager
def _without_pickles() -> Iterator[None]:
    """Mark what is refused of a format that has no pickles."""
    try:
        yield
    except ConversionError as error:
        raise NoPickleError(str(error)) from error
    except LimitExceeded as error:
        raise NoPickleError(f"too large to be read safely: {error}") from error
    except ScanError as error:
        raise NoPickleError(f"damaged: {error}") from error


def _refuse_parts(request: Request) -> None:
    if request.select not in {None, WHOLE}:
        raise ConversionError(f"there is no {request.select!r} in a file of plain arrays; leave out --select")
