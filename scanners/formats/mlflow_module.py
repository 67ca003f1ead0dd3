"""The name of a module that MLflow imports before it unpickles a model: `pickle_module_info.txt`, `keras_module.txt`.

Sources: mlflow/pytorch/__init__.py (`_load_model` imports the module and hands it to `torch.load`) and
mlflow/tensorflow/__init__.py (`_load_keras_model`).
"""

from scanners.errors import FormatError
from scanners.facts import Identified, Reference
from scanners.reading import Blob, Reading

NAME = "mlflow-module"

_NAMES = frozenset({"pickle_module_info.txt", "keras_module.txt"})
_LONGEST = 4096


def matches(blob: Blob) -> bool:
    """Return whether the blob is named as MLflow names the file."""
    return blob.name.rsplit("/", 1)[-1] in _NAMES


def read(blob: Blob, reading: Reading) -> None:
    """State the module."""
    reading.state(Identified(location=reading.at(), format=NAME))
    if blob.reader.size > _LONGEST:
        raise FormatError("this is longer than a module's name")
    text = blob.reader.read_at(0, blob.reader.size).decode("utf-8", "replace").strip()
    reading.state(Reference(location=reading.at(), kind="mlflow", target=text[:400], context="module"))
    reading.parsed(0, blob.reader.size)
