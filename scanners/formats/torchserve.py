"""TorchServe's model archives (`.mar`): a zip whose manifest names the Python file that serves the model.

The server puts the unpacked archive on its import path and imports the handler; a handler that is none of TorchServe's
own is code in the archive. Sources are read by the format for Python, checkpoints by theirs.

Source: TorchServe, `model-archiver/README.md`, `ts/model_loader.py`; CVE-2023-48299 (names that lead outside).
"""

from scanners.containers import zip as zip_container
from scanners.containers.zip import ZipEntry, directory_of, member_reader
from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Code, Identified
from scanners.formats.json_text import parse
from scanners.reading import Blob, Reading

NAME = "torchserve"

_MANIFEST = "mar-inf/manifest.json"
_BUILT_IN = frozenset({"image_classifier", "text_classifier", "object_detector", "image_segmenter"})
"""handlers that TorchServe brings along (`ts/torch_handler`)"""


def matches(blob: Blob) -> bool:
    """Return whether the blob is a zip; `read` finds out whether it has a manifest."""
    return zip_container.matches(blob)


def read(blob: Blob, reading: Reading) -> None:
    """Name the handler."""
    directory = directory_of(blob, reading.budget)
    manifests = [entry for entry in directory.everything if entry.name.lower() == _MANIFEST]
    if not manifests:
        return
    reading.state(Identified(location=reading.at(), format=NAME))
    for manifest in manifests:
        handler = _handler(blob, manifest, reading)
        if handler.partition(":")[0].removesuffix(".py") not in _BUILT_IN:
            text = f"handler {handler or '(not named)'}"
            reading.state(
                Code(
                    location=reading.at(manifest.header_offset),
                    language="python",
                    action="packaged",
                    text=text,
                    runs="load",
                )
            )


def _handler(blob: Blob, manifest: ZipEntry, reading: Reading) -> str:
    """Return what the manifest names, empty where it names nothing."""
    data = member_reader(blob.reader, manifest, reading.budget)
    if data.size > reading.budget.limits.text:
        raise LimitExceeded("text", f"a manifest of {data.size} bytes")
    value = parse(data.read_at(0, data.size)).value
    model = value.get("model") if isinstance(value, dict) else None
    if not isinstance(model, dict):
        raise FormatError("the manifest describes no model", offset=manifest.header_offset)
    handler = model.get("handler")
    return handler if isinstance(handler, str) else ""
