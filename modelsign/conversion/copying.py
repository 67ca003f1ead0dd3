"""Bytes from the source into the output, and the proof that they arrived.

One thread copies in order of the output (`copy_file_range`, so that a file system with shared extents copies nothing
at all); others follow behind it, read source and output again, compare them as bytes (never as numbers: NaN is not
equal to itself) and hash what they read. Hashing and reading release the interpreter's lock, so threads suffice.
"""

import contextlib
import errno
import hashlib
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelsign.conversion.gather import pieces
from modelsign.conversion.origins import Origin, crc_differs, read_exactly
from modelsign.conversion.output import Layout
from modelsign.conversion.plan import PlannedTensor
from modelsign.errors import ConversionError

Progress = Callable[[int], None]

_COPY_STEP = 8 << 20
_CHUNK = 256 << 10
"""two buffers of two threads stay in the cache of a core, so each byte comes from memory once"""
_FLUSH_STEP = 128 << 20
_BATCH = 1 << 20
_VERIFIERS = 2
_NO_RANGE_COPY = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What the verifying threads found."""

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
            target: descriptor of the output, open for reading and writing.
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
        self._ready = 0
        self._verified = 0
        self._batches: list[range] = []
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._changed = threading.Condition()
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
        jobs: list[Callable[[], None]] = []
        if self._source is not None:
            jobs.append(self._digest_source)
        if verify:
            jobs += self._checksum_jobs()
            self._batches = _batches(self._layout)
        threads = [
            threading.Thread(target=self._follow, args=(jobs, verify), name=f"verify-{index}", daemon=True)
            for index in range(_VERIFIERS if verify else min(1, len(jobs)))
        ]
        if verify and self._layout.size > 2 * _FLUSH_STEP:
            threads.append(threading.Thread(target=self._flush, name="flush", daemon=True))
        for thread in threads:
            thread.start()
        try:
            self._copy(report=not verify)
            self._await(threads, report=verify)
        except BaseException:
            with self._changed:
                self._stop.set()
                self._changed.notify_all()
            raise
        finally:
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error
        return Copied(sha256=self._digests, source_sha256=self._source_digest)

    # -- the copying thread --------------------------------------------------------------------------------------

    def _copy(self, *, report: bool) -> None:
        _write(self._target, self._layout.header, 0)
        self._advance(len(self._layout.header), report=report)
        for tensor, place in zip(self._layout.order, self._layout.offsets, strict=True):
            if self._stop.is_set():
                return
            if tensor.verbatim:
                self._copy_range(tensor, place, report=report)
            else:
                for offset, data in self._transformed(tensor):
                    _write(self._target, data, place + offset)
                    if self._stop.is_set():
                        return
                self._advance(place + tensor.size, report=report)
        self._advance(self._layout.size, report=report)

    def _copy_range(self, tensor: PlannedTensor, place: int, *, report: bool) -> None:
        origin = self._origins[tensor.store]
        begin = origin.offset + tensor.offset
        size = tensor.size
        done = 0
        while done < size and not self._stop.is_set():
            step = min(_COPY_STEP, size - done)
            self.copy_step(origin, begin + done, place + done, step)
            done += step
            # Small tensors are announced together: waking the followers costs more than copying a kilobyte.
            if place + done - self._ready >= _BATCH:
                self._advance(place + done, report=report)

    def copy_step(self, origin: Origin, begin: int, place: int, length: int) -> None:
        """Copy bytes of a store's descriptor, by the kernel alone where it can."""
        while length and self._range_copy:
            try:
                copied = os.copy_file_range(origin.descriptor, self._target, length, begin, place)
            except OSError as error:
                if error.errno not in _NO_RANGE_COPY:
                    raise
                self._range_copy = False
                break
            if not copied:
                raise ConversionError(f"{origin.name}: the file became shorter while it was read")
            begin, place, length = begin + copied, place + copied, length - copied
        while length:
            data = read_exactly(origin.descriptor, begin, min(_CHUNK, length), origin.name)
            _write(self._target, data, place)
            begin, place, length = begin + len(data), place + len(data), length - len(data)

    def _transformed(self, tensor: PlannedTensor) -> Iterator[tuple[int, bytes]]:
        """Yield (offset in the tensor, bytes as they are to be written)."""
        origin = self._origins[tensor.store]
        if not tensor.size:
            return
        if tensor.stride is None:
            source = _sequential(origin, tensor)
        else:
            source = pieces(
                origin.read_at,
                offset=tensor.offset,
                shape=tensor.item_shape,
                stride=tensor.stride,
                itemsize=tensor.dtype.itemsize,
            )
        for offset, data in source:
            yield offset, resolved(data, tensor)

    def _advance(self, ready: int, *, report: bool) -> None:
        with self._changed:
            self._ready = ready
            self._changed.notify_all()
            verified = self._verified
        self._tell(ready if report else verified)

    def _tell(self, done: int) -> None:
        if self._progress is not None and done > self._told:
            self._progress(done - self._told)
            self._told = done

    def _await(self, threads: Sequence[threading.Thread], *, report: bool) -> None:
        """Wait for the followers in short steps, so that an interrupt is noticed and progress is told."""
        for thread in threads:
            while thread.is_alive():
                thread.join(0.05)
                if report:
                    self._tell(self._verified)
        self._tell(self._layout.size)

    # -- the flushing thread -------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Bring finished parts to the disk while others are copied: the flush before the rename then finds little."""
        flushed = 0
        while self._wait_for(min(flushed + _FLUSH_STEP, self._layout.size)) and flushed < self._layout.size:
            flushed = self._ready
            with contextlib.suppress(OSError):  # the flush that counts comes at the end, and reports
                os.fdatasync(self._target)

    # -- the following threads -----------------------------------------------------------------------------------

    def _follow(self, jobs: list[Callable[[], None]], verify: bool) -> None:
        buffers = (bytearray(_CHUNK), bytearray(_CHUNK))
        try:
            while verify and not self._stop.is_set():
                with self._changed:
                    batch = self._batches.pop() if self._batches else None
                if batch is None:
                    break
                self._verify(batch, buffers)
            while not self._stop.is_set():
                with self._changed:
                    job = jobs.pop() if jobs else None
                if job is None:
                    break
                job()
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits, which raises it
            with self._changed:
                if self._error is None:
                    self._error = error
                self._stop.set()
                self._changed.notify_all()

    def _wait_for(self, position: int) -> bool:
        if self._ready >= position:
            return not self._stop.is_set()
        with self._changed:
            self._changed.wait_for(lambda: self._stop.is_set() or self._ready >= position)
            return not self._stop.is_set()

    def _verify(self, batch: range, buffers: tuple[bytearray, bytearray]) -> None:
        """Compare and hash the tensors of a batch: one that is large, or many that are small."""
        digests: dict[str, str] = {}
        for index in batch:
            tensor, place = self._layout.order[index], self._layout.offsets[index]
            digest = hashlib.sha256()
            if tensor.verbatim:
                complete = self._compare_range(tensor, place, buffers, digest.update)
            else:
                complete = self._compare_transformed(tensor, place, digest.update)
            if not complete:
                return
            digests[tensor.name] = digest.hexdigest()
        with self._changed:
            self._digests |= digests

    def _compare_range(
        self,
        tensor: PlannedTensor,
        place: int,
        buffers: tuple[bytearray, bytearray],
        hash_more: Callable[[memoryview], None],
    ) -> bool:
        origin = self._origins[tensor.store]
        size = tensor.size
        whole = self._is_whole(tensor)
        crc = 0
        done = 0
        while done < size:
            step = min(_CHUNK, size - done)
            if not self._wait_for(place + done + step):
                return False
            expected = _read_into(
                buffers[0], origin.descriptor, origin.offset + tensor.offset + done, step, origin.name
            )
            written = _read_into(buffers[1], self._target, place + done, step, "the output")
            # A bytearray on the left compares with memcmp; two memoryviews would be compared item by item.
            same = buffers[0] == buffers[1] if step == _CHUNK else bytes(expected) == bytes(written)
            if not same:
                raise _differs(tensor, place + done)
            hash_more(written)
            if whole:
                crc = zlib.crc32(expected, crc)
            done += step
            self._verified += step
        if whole and size and origin.crc is not None and crc != origin.crc:
            raise crc_differs(origin.name, origin.crc, crc)
        return True

    def _compare_transformed(self, tensor: PlannedTensor, place: int, hash_more: Callable[[bytes], None]) -> bool:
        if not self._wait_for(place + tensor.size):
            return False
        for offset, data in self._transformed(tensor):
            if read_exactly(self._target, place + offset, len(data), "the output") != data:
                raise _differs(tensor, place + offset)
            if self._stop.is_set():
                return False
        position = 0
        while position < tensor.size:
            data = read_exactly(self._target, place + position, min(_CHUNK, tensor.size - position), "the output")
            hash_more(data)
            position += len(data)
        self._verified += tensor.size
        return True

    def _is_whole(self, tensor: PlannedTensor) -> bool:
        return tensor.verbatim and not tensor.offset and tensor.size == self._origins[tensor.store].size

    def _checksum_jobs(self) -> list[Callable[[], None]]:
        """Return a job for each record whose checksum no single tensor's comparison covers."""
        used = {tensor.store for tensor in self._layout.order if tensor.size}
        covered = {tensor.store for tensor in self._layout.order if self._is_whole(tensor)}
        origins = [self._origins[index] for index in sorted(used - covered)]
        return [_checksum_job(origin) for origin in origins if origin.crc is not None]

    def _digest_source(self) -> None:
        assert self._source is not None
        self._source_digest = hash_file(self._source)


def _batches(layout: Layout) -> list[range]:
    """Cut the tensors into ranges worth a thread's turn, the first one last: they are taken from the end."""
    found: list[range] = []
    first = 0
    size = 0
    for index, tensor in enumerate(layout.order):
        size += tensor.size
        if size >= _BATCH:
            found.append(range(first, index + 1))
            first, size = index + 1, 0
    found.append(range(first, len(layout.order)))
    return found[::-1]


def copy_file(source: int, target: int, size: int, path: Path, progress: Progress | None) -> None:
    """Copy a whole file as it is."""
    whole = Origin(name=str(path), descriptor=source, offset=0, size=size, crc=None)
    copier = Copier(source=None, target=target, layout=_NOTHING, origins=())
    for start in range(0, size, _COPY_STEP):
        step = min(_COPY_STEP, size - start)
        copier.copy_step(whole, start, start, step)
        if progress is not None:
            progress(step)


_NOTHING = Layout(header=b"", order=(), offsets=(), size=0)


def _checksum_job(origin: Origin) -> Callable[[], None]:
    def check() -> None:
        crc = 0
        position = 0
        while position < origin.size:
            data = origin.read_at(position, min(_CHUNK, origin.size - position))
            crc = zlib.crc32(data, crc)
            position += len(data)
        if crc != origin.crc and origin.crc is not None:
            raise crc_differs(origin.name, origin.crc, crc)

    return check


def hash_file(descriptor: int) -> str:
    """Return the SHA-256 of a whole file as plain hex."""
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    position = 0
    while read := os.preadv(descriptor, [buffer], position):
        digest.update(view[:read])
        position += read
    return digest.hexdigest()


def resolved(data: bytes, tensor: PlannedTensor) -> bytes:
    """Return items with byte order, conjugation and negation carried out."""
    if tensor.swap > 1:
        data = _swapped(data, tensor.swap)
    if not tensor.conj and not tensor.neg:
        return data
    import numpy as np

    width = tensor.dtype.swap
    parts = np.frombuffer(data, dtype=f"<u{width}").copy()
    if tensor.dtype.kind == "i":
        np.invert(parts, out=parts)
        parts += np.array(1, dtype=parts.dtype)
        return parts.tobytes()
    # Negating a float flips its sign bit, also that of NaN and zero.
    sign = np.array(1 << (8 * width - 1), dtype=parts.dtype)
    if tensor.neg:
        parts ^= sign
    if tensor.conj:
        parts[1::2] ^= sign
    return parts.tobytes()


def _swapped(data: bytes, width: int) -> bytes:
    from array import array

    code = {2: "H", 4: "I", 8: "Q"}[width]
    parts = array(code, data)
    parts.byteswap()
    return parts.tobytes()


def _sequential(origin: Origin, tensor: PlannedTensor) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < tensor.size:
        data = origin.read_at(tensor.offset + position, min(_CHUNK, tensor.size - position))
        yield position, data
        position += len(data)


def _read_into(buffer: bytearray, descriptor: int, offset: int, length: int, name: str) -> memoryview:
    view = memoryview(buffer)[:length]
    filled = 0
    while filled < length:
        read = os.preadv(descriptor, [view[filled:]], offset + filled)
        if not read:
            raise ConversionError(f"{name}: the file became shorter while it was read")
        filled += read
    return view


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def _differs(tensor: PlannedTensor, offset: int) -> ConversionError:
    return ConversionError(
        f"tensor {tensor.name!r}: the output differs from the source near byte {offset}: the disk or the memory is "
        "faulty, or the source changed while it was read; nothing was kept"
    )
