"""Bytes from the source into the output, and the proof that they arrived.

Threads take tensors, or batches of small ones, and do all that a chunk of them needs while it lies in the cache of a
core: read it, write it, read source and output again, compare the two as bytes (never as numbers: NaN is not equal to
itself), hash and checksum. All of these release the interpreter's lock but the comparison, and no thread waits for
another; only a tensor that is larger than a thread's share of the file is done by two, the second behind the first.
"""

import errno
import hashlib
import os
import threading
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from modelsign.conversion.chunks import Piece, batches, chunks
from modelsign.conversion.origins import Origin, crc_differs, read_exactly
from modelsign.conversion.output import Layout
from modelsign.conversion.plan import PlannedTensor
from modelsign.conversion.transforming import transformed
from modelsign.errors import ConversionError
from modelsign.publish import reserve

Progress: TypeAlias = Callable[[int], None]

CHUNK = 512 << 10
"""two of them stay in the cache of a core, so each byte comes from memory once; smaller ones cost more calls"""
_WRITE_STEP = 128 << 10
"""for longer writes Linux looks for larger runs of free memory, which on a busy machine costs more than the calls"""
_SHARE_STEP = 8 << 20
_FLUSH_STEP = 128 << 20
_BATCH = 4 << 20
_THREADS = 4
"""more would wait for each other: the system lets one at a time write to a file"""
_BLOCK = 4096
"""file systems share whole blocks: of ranges that begin differently within one, they share nothing"""
_NO_RANGE_COPY = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY})

_Buffers: TypeAlias = tuple[bytearray, bytearray]
_Job: TypeAlias = Callable[[_Buffers], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was found while copying."""

    sha256: dict[str, str]
    """tensor -> plain hex; empty when nothing was verified"""
    source_sha256: str | None
    """of the whole source, where it was asked for"""


class Copier:
    """One output file's worth of tensors."""

    def __init__(
        self,
        *,
        source: int | None,
        target: int,
        layout: Layout,
        origins: Sequence[Origin],
        progress: Progress | None = None,
    ) -> None:
        """Prepare to write.

        Args:
            source: descriptor of a source that is to be hashed as a whole meanwhile.
            target: descriptor of the output, empty, open for reading and writing.
            layout: what goes where.
            origins: of every store of the plan.
            progress: told how many further bytes of the output are done.
        """
        self._source = source
        self._target = target
        self._layout = layout
        self._origins = origins
        self._progress = progress
        self._told = 0
        self._done = 0
        self._jobs: deque[_Job] = deque()
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._digests: dict[str, str] = {}
        self._source_digest: str | None = None
        self._range_copy = hasattr(os, "copy_file_range")

    def run(self, *, verify: bool) -> Copied:
        """Write header and tensors.

        Args:
            verify: read both sides again, compare, hash each tensor and check the source's checksums.

        Raises:
            ConversionError: the source is damaged, changed underneath, or the output differs from it.
            OSError: the output cannot be written.
        """
        count = min(_threads(), _THREADS) if verify else 1
        if self._source is not None:
            self._jobs.append(self._digest_source)
        for batch in batches(self._layout, _BATCH, threads=count):
            self._jobs.extend([partial(self._convert, batch, False)] if not verify else self._verified(batch, count))
        if verify:
            self._jobs.extend(self._checksum_jobs())
        threads = [threading.Thread(target=self._work, name=f"copy-{index}", daemon=True) for index in range(count)]
        flusher = threading.Thread(target=self._flush, name="flush", daemon=True)
        reserve(self._target, self._layout.size)
        _write(self._target, self._layout.header, 0)
        self._count(len(self._layout.header))
        try:
            for thread in threads:
                thread.start()
            if verify and self._layout.size > 2 * _FLUSH_STEP:
                flusher.start()
            self._await(threads)
        finally:
            self._stop.set()
            for thread in (*threads, flusher):
                if thread.ident is not None:
                    thread.join()
        if self._error is not None:
            raise self._error
        self._tell(self._layout.size)
        return Copied(sha256=self._digests, source_sha256=self._source_digest)

    # -- the thread that waits -----------------------------------------------------------------------------------

    def _await(self, threads: Sequence[threading.Thread]) -> None:
        """Wait for the others in short steps, so that an interrupt is noticed and progress is told."""
        for thread in threads:
            while thread.is_alive():
                thread.join(0.05)
                self._tell(self._done)

    def _tell(self, done: int) -> None:
        if self._progress is not None and done > self._told:
            self._progress(done - self._told)
            self._told = done

    # -- the flushing thread -------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Bring finished parts to the disk while others are copied: the flush before the rename then finds little.

        The system reports that data could not be written to the first who asks, and to nobody after that: so what is
        reported here ends the conversion.
        """
        flush = getattr(os, "fdatasync", os.fsync)
        flushed = 0
        try:
            while not self._stop.wait(0.02):
                if self._done - flushed >= _FLUSH_STEP:
                    flushed = self._done
                    flush(self._target)
        except OSError as error:
            self._fail(error)

    # -- the working threads -------------------------------------------------------------------------------------

    def _work(self) -> None:
        buffers = (bytearray(CHUNK), bytearray(CHUNK))
        try:
            while not self._stop.is_set():
                try:
                    job = self._jobs.popleft()
                except IndexError:
                    break
                job(buffers)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits, which raises it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
        self._stop.set()

    def _count(self, size: int) -> None:
        with self._lock:
            self._done += size

    def _verified(self, batch: range, threads: int) -> list[_Job]:
        """Return the job of a batch, or two where one thread alone would still be at it when all others are done.

        They stand in the order in which they are taken, so that whoever follows has somebody to wait for.
        """
        first = self._layout.order[batch.start] if len(batch) == 1 else None
        if first is not None and first.verbatim and first.size >= max(_BATCH, self._layout.size // threads):
            lead = _Lead()
            return [partial(self._lead, batch.start, lead), partial(self._follow, batch.start, lead)]
        return [partial(self._convert, batch, True)]

    def _convert(self, batch: range, verify: bool, buffers: _Buffers) -> None:
        """Write the tensors of a batch: one that is large, or many that are small."""
        digests: dict[str, str] = {}
        for verbatim, group in groupby(batch, key=lambda index: self._layout.order[index].verbatim):
            if verbatim:
                self._move(list(group), verify, buffers, digests)
            else:
                for index in group:
                    self._transform(index, verify, digests)
            if self._stop.is_set():
                return
        with self._lock:
            self._digests |= digests

    def _move(self, indices: Sequence[int], verify: bool, buffers: _Buffers, digests: dict[str, str]) -> None:
        """Copy neighbours in the output as they are."""
        checksums = _Checksums(self._layout, self._origins)
        sha256 = _Digests(self._layout, digests)
        for place, pieces in chunks(self._layout, indices, CHUNK):
            if self._stop.is_set():
                return
            length = self._put(place, pieces, buffers[0])
            if verify:
                source, written = self._compare(place, pieces, buffers)
                checksums.add(pieces, source)
                sha256.add(pieces, written)
            self._count(length)

    def _lead(self, index: int, lead: "_Lead", buffers: _Buffers) -> None:
        """Copy a large tensor, and compute its record's checksum, for another thread to follow."""
        checksums = _Checksums(self._layout, self._origins)
        for place, pieces in chunks(self._layout, [index], CHUNK):
            if self._stop.is_set():
                return
            length = self._put(place, pieces, buffers[0])
            lead.reach(place + length)
            if checksums.wanted(index):
                checksums.add(pieces, self._fill(buffers[0], pieces))

    def _follow(self, index: int, lead: "_Lead", buffers: _Buffers) -> None:
        """Compare and hash a large tensor while another thread copies it."""
        digests: dict[str, str] = {}
        sha256 = _Digests(self._layout, digests)
        for place, pieces in chunks(self._layout, [index], CHUNK):
            length = sum(length for _, _, length in pieces)
            while not lead.wait(place + length):
                if self._stop.is_set():
                    return
            _, written = self._compare(place, pieces, buffers)
            sha256.add(pieces, written)
            self._count(length)
        with self._lock:
            self._digests |= digests

    def _compare(self, place: int, pieces: Sequence[Piece], buffers: _Buffers) -> tuple[memoryview, memoryview]:
        """Read a chunk on both sides; return what the source has and what was found in the output, which is the same.

        Raises:
            ConversionError: it is not.
        """
        source = self._fill(buffers[0], pieces)
        written = _read_into(buffers[1], self._target, place, len(source), "the output")
        # A bytearray compares its beginning by memcmp; two memoryviews would be compared item by item.
        if not buffers[0].startswith(written):
            raise self._difference(pieces, source, written)
        return source, written

    def _put(self, place: int, pieces: Sequence[Piece], buffer: bytearray) -> int:
        """Write a chunk; return its length."""
        if len(pieces) == 1 and self._range_copy:
            index, begin, length = pieces[0]
            tensor = self._layout.order[index]
            origin = self._origins[tensor.store]
            begin += origin.offset + tensor.offset
            if not (begin - place) % _BLOCK:
                self._range_copy = _share(origin.descriptor, self._target, begin, place, length, origin.name)
                if self._range_copy:
                    return length
        data = self._fill(buffer, pieces)
        _write(self._target, data, place)
        return len(data)

    def _fill(self, buffer: bytearray, pieces: Sequence[Piece]) -> memoryview:
        """Read a chunk from the source."""
        view = memoryview(buffer)
        filled = 0
        for index, begin, length in pieces:
            if length:
                tensor = self._layout.order[index]
                origin = self._origins[tensor.store]
                _read(
                    view[filled : filled + length],
                    origin.descriptor,
                    origin.offset + tensor.offset + begin,
                    origin.name,
                )
                filled += length
        return view[:filled]

    def _transform(self, index: int, verify: bool, digests: dict[str, str]) -> None:
        """Write one tensor whose bytes are not the source's own."""
        tensor, place = self._layout.order[index], self._layout.offsets[index]
        origin = self._origins[tensor.store]
        for offset, data in transformed(origin, tensor):
            _write(self._target, data, place + offset)
            if self._stop.is_set():
                return
        if verify:
            for offset, data in transformed(origin, tensor):
                if read_exactly(self._target, place + offset, len(data), "the output") != data:
                    raise _differs(tensor, place + offset)
                if self._stop.is_set():
                    return
            digests[tensor.name] = _digest(self._target, place, tensor.size, "the output")
        self._count(tensor.size)

    def _difference(self, pieces: Sequence[Piece], source: memoryview, written: memoryview) -> ConversionError:
        """Return the refusal that names the tensor in which a chunk differs."""
        at = next(place for place in range(len(source)) if source[place] != written[place])
        for index, begin, length in pieces:
            if at < length:
                return _differs(self._layout.order[index], self._layout.offsets[index] + begin + at)
            at -= length
        raise AssertionError("the pieces of a chunk are as long as it")

    def _checksum_jobs(self) -> list[_Job]:
        """Return a job for each record whose checksum no single tensor's comparison covers."""
        used = {tensor.store for tensor in self._layout.order if tensor.size}
        covered = {tensor.store for tensor in self._layout.order if _is_whole(tensor, self._origins[tensor.store])}
        origins = [self._origins[index] for index in sorted(used - covered)]
        return [partial(self._checksum, origin) for origin in origins if origin.crc is not None]

    def _checksum(self, origin: Origin, buffers: _Buffers) -> None:
        crc = 0
        for position in range(0, origin.size, CHUNK):
            length = min(CHUNK, origin.size - position)
            crc = zlib.crc32(
                _read_into(buffers[0], origin.descriptor, origin.offset + position, length, origin.name), crc
            )
            if self._stop.is_set():
                return
        if crc != origin.crc and origin.crc is not None:
            raise crc_differs(origin.name, origin.crc, crc)

    def _digest_source(self, _buffers: _Buffers) -> None:
        assert self._source is not None
        self._source_digest = hash_file(self._source)


class _Digests:
    """SHA-256 of tensors that come in pieces, one after the other."""

    def __init__(self, layout: Layout, digests: dict[str, str]) -> None:
        self._layout = layout
        self._digests = digests
        self._sha256 = hashlib.sha256()

    def add(self, pieces: Sequence[Piece], data: memoryview) -> None:
        """Take the next chunk."""
        at = 0
        for index, begin, length in pieces:
            tensor = self._layout.order[index]
            if not begin:
                self._sha256 = hashlib.sha256()
            self._sha256.update(data[at : at + length])
            at += length
            if begin + length == tensor.size:
                self._digests[tensor.name] = self._sha256.hexdigest()


class _Checksums:
    """Checksums of records that are one tensor each, which come in pieces, one after the other."""

    def __init__(self, layout: Layout, origins: Sequence[Origin]) -> None:
        self._layout = layout
        self._origins = origins
        self._crc = 0

    def wanted(self, index: int) -> bool:
        """Return whether a tensor is all of a record that has a checksum."""
        tensor = self._layout.order[index]
        origin = self._origins[tensor.store]
        return origin.crc is not None and bool(tensor.size) and _is_whole(tensor, origin)

    def add(self, pieces: Sequence[Piece], data: memoryview) -> None:
        """Take the next chunk.

        Raises:
            ConversionError: a record ends here, and its checksum is another.
        """
        at = 0
        for index, begin, length in pieces:
            if self.wanted(index):
                self._crc = zlib.crc32(data[at : at + length], self._crc if begin else 0)
                tensor = self._layout.order[index]
                origin = self._origins[tensor.store]
                if begin + length == tensor.size and origin.crc is not None and self._crc != origin.crc:
                    raise crc_differs(origin.name, origin.crc, self._crc)
            at += length


class _Lead:
    """How far a thread has come that another one follows."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._position = 0

    def reach(self, position: int) -> None:
        """Say that everything before a position is there."""
        with self._changed:
            self._position = position
            self._changed.notify_all()

    def wait(self, position: int) -> bool:
        """Wait until everything before a position is there, or for a moment; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._position >= position, timeout=0.05)


def _is_whole(tensor: PlannedTensor, origin: Origin) -> bool:
    return tensor.verbatim and not tensor.offset and tensor.size == origin.size


def _threads() -> int:
    """Return how many threads can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _share(source: int, target: int, begin: int, place: int, length: int, name: str) -> bool:
    """Let the kernel copy, or share, a range; False where it does not do that between these two files."""
    while length:
        try:
            copied = os.copy_file_range(source, target, length, begin, place)
        except OSError as error:
            if error.errno not in _NO_RANGE_COPY:
                raise
            return False
        if not copied:
            raise ConversionError(f"{name}: the file became shorter while it was read")
        begin, place, length = begin + copied, place + copied, length - copied
    return True


def copy_file(source: int, target: int, size: int, path: Path, progress: Progress | None) -> None:
    """Copy a whole file as it is."""
    buffer = bytearray(CHUNK)
    share = hasattr(os, "copy_file_range")
    position = 0
    while position < size:
        step = min(_SHARE_STEP, size - position)
        share = share and _share(source, target, position, position, step, str(path))
        if not share:
            step = min(CHUNK, size - position)
            _write(target, _read_into(buffer, source, position, step, str(path)), position)
        position += step
        if progress is not None:
            progress(step)


def hash_file(descriptor: int) -> str:
    """Return the SHA-256 of a whole file as plain hex."""
    digest = hashlib.sha256()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    position = 0
    while read := os.preadv(descriptor, [buffer], position):
        digest.update(view[:read])
        position += read
    return digest.hexdigest()


def _digest(descriptor: int, offset: int, length: int, name: str) -> str:
    digest = hashlib.sha256()
    for position in range(0, length, CHUNK):
        digest.update(read_exactly(descriptor, offset + position, min(CHUNK, length - position), name))
    return digest.hexdigest()


def _read_into(buffer: bytearray, descriptor: int, offset: int, length: int, name: str) -> memoryview:
    view = memoryview(buffer)[:length]
    _read(view, descriptor, offset, name)
    return view


def _read(view: memoryview, descriptor: int, offset: int, name: str) -> None:
    filled = os.preadv(descriptor, [view], offset)
    while filled < len(view):
        read = os.preadv(descriptor, [view[filled:]], offset + filled)
        if not read:
            raise ConversionError(f"{name}: the file became shorter while it was read")
        filled += read


def _write(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view[:_WRITE_STEP], offset)
        view = view[written:]
        offset += written


def _differs(tensor: PlannedTensor, offset: int) -> ConversionError:
    return ConversionError(
        f"tensor {tensor.name!r}: the output differs from the source near byte {offset}: the disk or the memory is "
        "faulty, or the source changed while it was read; nothing was kept"
    )
