"""Raw pickles: one stream after another, whatever the file is called.

A file is taken for a pickle by what the machine makes of its beginning, not by its name: a protocol 2 to 5 header and a
few opcodes that hold together, or (protocols 0 and 1 have no header) opcodes that reach a STOP or make a call. Ordinary
text and raw weights run into an error within an opcode or two.

After each STOP the next stream is looked for at once: `pickle.load` called twice reads it, and so does torch. What lies
behind the last one is stated. Where joblib's array wrappers appear, the file is read a second time the way joblib reads
it: joblib skips the arrays that lie between the opcodes, a plain unpickler runs them as opcodes.
"""

from typing import Final

from scanners.facts import Identified
from scanners.formats import joblib, torch_legacy
from scanners.limits import Budget, Limits
from scanners.patterns import late
from scanners.pickles import opcodes
from scanners.pickles.machine import PickleRun, run
from scanners.pickles.streams import more_streams, report_failure, state_stream, trailing
from scanners.pickles.values import Global
from scanners.pickles.witness import NESTED, bear_witness
from scanners.reader import Window
from scanners.reading import Blob, Reading

NAME = "pickle"

PICKLE_ROLES: Final = frozenset({"torch-data-pkl", "torch-constants-pkl", "torch-debug-pkl", "pickle"})
"""roles of members that a loader hands to an unpickler, whatever they hold"""

_SUFFIXES: Final = (".pkl", ".pickle", ".p", ".dill", ".cloudpickle", ".joblib", ".sav", ".pkl4", ".pck", ".pcl")
_HEAD: Final = 65_536
_STREAMS: Final = 16
"""pickles that are looked at before a file without header or name is taken for something else"""
NOT_FIRST: Final = frozenset(b".012QRabdeghjlopqrstu\x81\x85\x86\x87\x90\x91\x92\x93\x94\x98")
"""opcodes that take something from the stack or the memo, which are empty: what begins with one is no pickle"""
_NAME: Final = late(r"[^\W\d][\w.]*\Z")


def matches(blob: Blob) -> bool:
    """Return whether an unpickler would make something of the blob's beginning."""
    if PICKLE_ROLES & blob.roles:
        return True
    size = blob.reader.size
    head = blob.reader.read_at(0, 4)
    if not head or torch_legacy.is_legacy(blob):
        return False
    framed = head[0] == 0x80 and len(head) > 1 and head[1] <= opcodes.HIGHEST_PROTOCOL
    if head[0] not in opcodes.NAMES or head[0] in NOT_FIRST:
        return False
    named = blob.name.lower().endswith(_SUFFIXES)
    window = Window(blob.reader, 0, min(size, _HEAD))
    first = run(window, budget=Budget(limits=Limits(opcodes=_HEAD, facts=_HEAD)))
    cut_short = size > _HEAD and first.error is not None and first.error.startswith(("pickle data was", "ran out"))
    if framed:
        return first.stop is not None or first.opcodes >= 8 or named or bool(_touched(first)) or cut_short
    if first.stop is not None:
        if named or _plausible(first) or (first.stop == size and first.opcodes >= 4 and first.root is not None):
            return True
        return _goes_on(window, first.stop)
    return (bool(first.calls) and _plausible(first)) or (named and (first.opcodes >= 4 or bool(first.imports)))


def _goes_on(window: Window, start: int) -> bool:
    """Whether pickles that follow one without a name in it name something: a program that loads several gets there."""
    for _ in range(_STREAMS):
        after = run(window, start=start, budget=Budget(limits=Limits(opcodes=_HEAD, facts=_HEAD)))
        if _plausible(after):
            return True
        if after.stop is None:
            return False
        start = after.stop
    return False


def _touched(first: PickleRun) -> list[Global]:
    return [name for name in first.imports if _NAME.match(name.module) and _NAME.match(name.name)]


def _plausible(first: PickleRun) -> bool:
    """Whether every name could be one: a text file that begins like an opcode does not get that far."""
    return bool(first.imports) and len(_touched(first)) == len(first.imports)


def read(blob: Blob, reading: Reading) -> None:
    """Run every stream of the blob."""
    reading.state(Identified(location=reading.at(), format=NAME))
    if NESTED in blob.roles:
        reading.anomaly("pickle-nested", "a constant of a pickle is a pickle itself", 0, blob.reader.size)
    extensions: dict[int, tuple[str, str]] = {}
    first = run(blob.reader, budget=reading.budget, extensions=extensions)
    if joblib.wraps(first):
        bear_witness(first, blob.reader, reading)
        joblib.read_wrapped(blob, reading, {})
        return
    state_stream(first, blob.reader, reading, extensions)
    if joblib.computes_wrapper(reading):
        reading.anomaly("pickle-loaders-differ", joblib.ROUNDABOUT, 0)
    if first.stop is None:
        report_failure(first, reading)
        return
    end = more_streams(blob.reader, first.stop, reading, extensions)
    reading.parsed(0, end)
    trailing(blob.reader, end, reading)
