"""A `.keras` file: a zip of a configuration, which is left out, and weights in HDF5.

Source: keras/src/saving/saving_lib.py of Keras 3.15 (`_save_model_to_fileobj`).
"""

from dataclasses import replace

from modelsign.conversion.inputs import hdf5
from modelsign.conversion.inputs.archive import Archive
from modelsign.conversion.inputs.keras_config import code_notes
from modelsign.conversion.inputs.request import Request
from modelsign.conversion.plan import Plan
from modelsign.conversion.record import LeftOut
from modelsign.errors import ConversionError

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_OTHERS = ("model.weights.npz", "model.weights.json")


def is_keras(archive: Archive) -> bool:
    """Return whether an archive holds a Keras model."""
    return _CONFIG in archive.entries and any(name in archive.entries for name in (_WEIGHTS, *_OTHERS))


def parse(archive: Archive, request: Request) -> Plan:
    """Read the weights of a model.

    Raises:
        ConversionError: they are refused.
        ScanError: they are malformed.
    """
    entry = archive.entries.get(_WEIGHTS)
    if entry is None:
        raise ConversionError(f"the model keeps its weights in another form than {_WEIGHTS}; save it again as one file")
    plan = hdf5.parse(archive.open(entry), request, member=archive.store(entry), format_name="keras")
    left_out = [
        LeftOut(path=name, kind="Keras configuration" if name == _CONFIG else "file")
        for name, other in sorted(archive.entries.items())
        if name != _WEIGHTS and not other.is_directory
    ]
    notes = code_notes(archive.open(archive.entries[_CONFIG]), _CONFIG, request.budget)
    return replace(plan, left_out=(*plan.left_out, *left_out), notes=(*notes, *plan.notes))
