"""Pickles one after another: what every format with pickles in it does with a stream and with what follows it."""

import re
from typing import Final, cast

from scanners.errors import LimitExceeded
from scanners.pickles import opcodes
from scanners.pickles.machine import PickleRun, run
from scanners.pickles.witness import bear_witness
from scanners.reader import BytesReader, Reader, Window
from scanners.reading import Blob, Reading

_STREAMS: Final = 10_000


def read_stream(
    reader: Reader,
    start: int,
    reading: Reading,
    extensions: dict[int, tuple[str, str]],
    *,
    storages: dict[str, int] | None = None,
) -> PickleRun:
    """Run the pickle at ``start``, state what it shows, and what about it loaders disagree on."""
    stream = run(reader, start=start, budget=reading.budget, extensions=extensions)
    state_stream(stream, reader, reading, extensions, storages=storages)
    return stream


def state_stream(
    stream: PickleRun,
    reader: Reader,
    reading: Reading,
    extensions: dict[int, tuple[str, str]],
    *,
    storages: dict[str, int] | None = None,
) -> None:
    """State what a run shows, and what about it loaders disagree on. Raises `LimitExceeded` where a budget ran out."""
    known = storages if storages is not None else storages_around(reading.blob)
    bear_witness(stream, reader, reading, storages=known)
    state_differences(stream, reading)
    for at, end in stream.frame_crossings[:1]:
        reread_across_frame(reader, stream, at, end, reading, extensions)
    if stream.limit is not None:
        raise stream.limit


def storages_around(blob: Blob) -> dict[str, int]:
    """Return the bytes of torch's storages by key, where the container found some."""
    around = blob.around.get("torch-storages")
    return cast("dict[str, int]", around) if isinstance(around, dict) else {}


def state_differences(stream: PickleRun, reading: Reading) -> None:
    """State where unpicklers part ways."""
    if stream.c_error is not None:
        reading.anomaly(
            "pickle-loaders-differ",
            f"CPython's C unpickler stops here, another one goes on: {stream.c_error}",
            stream.c_error_offset,
        )


def report_failure(stream: PickleRun, reading: Reading) -> None:
    """State that a pickle has no end that a loader would reach. What it did before that counts all the same."""
    reading.parsed(stream.start, stream.end - stream.start)
    reading.anomaly("pickle-malformed", f"the pickle ends in an error: {stream.error}", stream.error_offset)
    reading.unread(f"a pickle that ends in an error at byte {stream.error_offset}: {stream.error}")


def more_streams(reader: Reader, offset: int, reading: Reading, extensions: dict[int, tuple[str, str]]) -> int:
    """Read the pickles that follow one another from ``offset``; return where the last one ends."""
    count = 1
    while offset < reader.size:
        after = run(reader, start=offset, budget=reading.budget, extensions=extensions)
        if after.stop is None and not (after.calls or after.imports):
            break
        count += 1
        if count > _STREAMS:
            raise LimitExceeded("streams", f"more than {_STREAMS} pickles one after another")
        if count == 2:
            reading.anomaly("pickle-second-stream", "another pickle follows behind the end of the first", offset)
        state_stream(after, reader, reading, extensions)
        if after.stop is None:
            report_failure(after, reading)
            return after.end
        offset = after.stop
    return offset


def trailing(reader: Reader, offset: int, reading: Reading) -> None:
    """State bytes behind the last STOP, and look for pickles that a loader would find further on."""
    length = reader.size - offset
    if length <= 0:
        return
    head = reader.read_at(offset, min(length, 1 << 20))
    if not head.strip(b"\0\n\r\t ") and length <= len(head):
        reading.inert(offset, length)
        return
    reading.anomaly("pickle-data-after-stop", f"{length} bytes follow the end of the last pickle", offset, length)
    reading.parsed(offset, length)
    reading.child(
        f"after-stop@{offset}",
        Window(reader, offset, length),
        span=(offset, length),
        stored=True,
        roles=frozenset({"after-stop"}),
    )
    found = 0
    for match in re.finditer(rb"\x80[\x02-\x05]", head):
        if found >= 64 or match.start() == 0:
            continue
        inner = run(reader, start=offset + match.start(), budget=reading.budget)
        if inner.calls or inner.imports:
            found += 1
            bear_witness(inner, reader, reading)


def reread_across_frame(
    reader: Reader,
    stream: PickleRun,
    at: int,
    frame_end: int,
    reading: Reading,
    extensions: dict[int, tuple[str, str]],
) -> None:
    """Read on as a loader from a file does when an argument reaches beyond the end of its frame.

    It has the frame in a buffer, finds too little there, drops the rest and reads the argument from behind the frame.
    """
    reading.anomaly(
        "pickle-loaders-differ",
        "an argument reaches beyond its frame: loaders from a file and from memory read on in different places",
        at,
    )
    op = reader.read_at(at, 1)[:1]
    skipped = at + 1
    if op and op[0] in opcodes.COUNTED and at + 1 + opcodes.COUNTED[op[0]] <= frame_end:
        skipped += opcodes.COUNTED[op[0]]
    elif op and op[0] in opcodes.LINES:
        first_line = reader.read_at(at + 1, min(frame_end - at - 1, 65_536))
        if opcodes.LINES[op[0]] == 2 and b"\n" in first_line:
            skipped += first_line.index(b"\n") + 1
    if reader.size > reading.budget.limits.text:
        reading.unread("a pickle whose argument reaches beyond its frame is too large to be read again")
        return
    before = reader.read_at(stream.start, skipped - stream.start)
    behind = reader.read_at(frame_end, reader.size - frame_end)
    spliced = BytesReader(before + behind)
    again = run(spliced, budget=reading.budget, extensions=extensions)
    bear_witness(again, spliced, reading)
