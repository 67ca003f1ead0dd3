"""A Keras configuration beside weights: it is left out, and the code in it is named."""

from scanners.errors import ScanError
from scanners.facts import Operator
from scanners.formats import keras_config
from scanners.formats.hdf5 import KERAS_CONFIG
from scanners.limits import Budget
from scanners.reader import Reader
from scanners.reading import Blob, Reading

_CODE = frozenset({"Lambda", "TFSMLayer", "TorchModuleWrapper"})
_SHOWN = 10


def code_notes(reader: Reader, name: str, budget: Budget) -> tuple[str, ...]:
    """Return a note about the code that a configuration carries; it is no reason to refuse weights."""
    reading = Reading(
        blob=Blob(reader=reader, name="config.json", roles=frozenset({KERAS_CONFIG})), budget=Budget(budget.limits)
    )
    try:
        keras_config.read(reading.blob, reading)
    except ScanError as error:
        return (f"{name} was left out; it could not be read: {error}",)
    found = [
        f"{fact.name} at {dict(fact.arguments).get('at', '?')}"
        for fact in reading.facts
        if isinstance(fact, Operator) and fact.name in _CODE
    ]
    if not found:
        return ()
    shown = ", ".join(found[:_SHOWN]) + (" …" if len(found) > _SHOWN else "")
    return (f"{name} carries code or loads it ({shown}); it was left out, only weights were taken",)
