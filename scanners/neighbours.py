"""What one file of a target says about another one's bytes.

Weights without a header (ONNX external data, external buffers of TensorFlow Lite, the `.bin` beside OpenVINO's `.xml`)
carry nothing by which a reader could know them. The file that uses them does: it names them, and its loader takes their
bytes for numbers.
"""

from collections.abc import Sequence
from posixpath import dirname, join, normpath

from scanners.facts import Identified, Reference
from scanners.reading import FileFacts


def raw_weights(files: Sequence[FileFacts]) -> frozenset[str]:
    """Return the paths that a neighbour in the same directory, or above, uses as raw weights."""
    found: set[str] = set()
    for file in files:
        for fact in file.facts:
            if isinstance(fact, Reference) and fact.kind in {"external-data", "external-buffers"}:
                path = normpath(join(dirname(file.path), fact.target))
                if not path.startswith(("../", "/")):
                    found.add(path)
            elif isinstance(fact, Identified) and fact.format == "openvino" and file.path.endswith(".xml"):
                found.add(file.path.removesuffix(".xml") + ".bin")
    return frozenset(found)
