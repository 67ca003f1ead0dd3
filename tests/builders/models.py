"""Small models as people publish them, with a signature and claims by a key."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelsign.attesting import attest
from modelsign.signing import sign
from tests.builders.checkpoints import Call, Name, floats, tensor, torch_zip
from tests.builders.safetensors import safetensors
from tests.builders.signatures import write_key

WEIGHTS = safetensors({"a.weight": ("F32", [2], b"\0" * 8)}, {"format": "pt"})
CHECKPOINT = torch_zip({"state_dict": {"a": tensor("0", [2]), "b": tensor("0", [2])}}, {"0": floats(2)})
"""two tied tensors in a wrapper"""
HOSTILE = torch_zip(Call(Name("posix", "system"), ("echo hi",)), {"0": floats(2)})
"""a checkpoint that would only echo"""
CONFIG = b'{"model_type": "tiny"}'


def model(directory: Path) -> Path:
    """Write a model of three files."""
    directory.mkdir()
    (directory / "config.json").write_bytes(CONFIG)
    (directory / "README.md").write_bytes(b"# A model\n")
    (directory / "weights").mkdir()
    (directory / "weights" / "model.safetensors").write_bytes(WEIGHTS)
    return directory


def released(directory: Path) -> tuple[Path, Path, Path]:
    """Write a signed and scanned model, and a key pair beside it; return the three paths."""
    private, public = write_key(directory)
    place = model(directory / "model")
    sign(place, key=private)
    attest(place, key=private, scan=True)
    return place, private, public


def rewrite(path: Path, change: Callable[[Any], None]) -> None:
    """Change a bundle in place."""
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def rewrite_payload(path: Path, change: Callable[[Any], None]) -> None:
    """Change what a bundle's statement says, and leave its signature as it is."""

    def inside(document: Any) -> None:
        payload = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
        change(payload)
        document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()

    rewrite(path, inside)
