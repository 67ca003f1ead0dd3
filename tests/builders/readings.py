"""Reads one blob with one format, as the engine would, for tests of formats and of file rules."""

import contextlib
import random
from collections.abc import Sequence

from scanners.errors import ScanError
from scanners.facts import Anomaly
from scanners.limits import Budget, Limits
from scanners.reader import BytesReader
from scanners.reading import Blob, FileFacts, Format, Reading


def blob_of(data: bytes, name: str = "model.bin", roles: frozenset[str] = frozenset()) -> Blob:
    """Return a blob of a file of its own."""
    return Blob(reader=BytesReader(data), name=name, roles=roles)


def read_with(
    module: Format,
    data: bytes,
    *,
    name: str = "model.bin",
    roles: frozenset[str] = frozenset(),
    limits: Limits | None = None,
) -> Reading:
    """Read ``data`` and return what was stated; a `ScanError` passes through."""
    blob = blob_of(data, name, roles)
    reading = Reading(blob=blob, budget=Budget(limits or Limits()))
    module.read(blob, reading)
    return reading


def stated_by(module: Format, data: bytes, *, name: str = "model.bin") -> Reading:
    """Like `read_with`, but what was stated before an error counts, as it does in the engine."""
    blob = blob_of(data, name)
    reading = Reading(blob=blob, budget=Budget())
    with contextlib.suppress(ScanError):
        module.read(blob, reading)
    return reading


def anomalies(reading: Reading) -> list[str]:
    """Return the codes of the stated anomalies."""
    return [fact.code for fact in reading.facts if isinstance(fact, Anomaly)]


def facts_of(reading: Reading, path: str = "model.bin", formats: tuple[str, ...] = ()) -> FileFacts:
    """Return a reading's facts as file rules get them."""
    return FileFacts(path=path, formats=formats, facts=tuple(reading.facts))


def uncovered(reading: Reading) -> int:
    """Return how many bytes no range and no child accounts for."""
    ranges = [*reading.parsed_ranges, *reading.inert_ranges]
    ranges += [(child.span[0], child.span[0] + child.span[1]) for child in reading.children if child.span]
    place = missing = 0
    for begin, end in sorted(ranges):
        missing += max(0, begin - place)
        place = max(place, end)
    return missing + max(0, reading.blob.reader.size - place)


def survive_mutations(module: Format, seeds: Sequence[bytes], *, name: str, rounds: int = 300) -> None:
    """Truncate and mutate ``seeds``: whatever comes out, only a `ScanError` may leave the reader."""
    chance = random.Random(20261123)
    for seed in seeds:
        step = max(1, len(seed) // 97)
        for length in range(0, len(seed), step):
            with contextlib.suppress(ScanError):
                read_with(module, seed[:length], name=name)
    for _ in range(rounds):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        with contextlib.suppress(ScanError):
            read_with(module, bytes(data), name=name)
