"""Keras configurations and `.keras` files."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

Config = dict[str, Any]


def layer(name: str, config: Config | None = None, *, module: str | None = "keras.layers", **more: Any) -> Config:
    """A described object."""
    return {"module": module, "class_name": name, "config": config or {}, "registered_name": None, **more}


def sequential(*layers: Config, **more: Any) -> bytes:
    """A configuration of a Sequential model."""
    return json.dumps({**layer("Sequential", {"name": "m", "layers": list(layers)}, module="keras"), **more}).encode()


DENSE = layer(
    "Dense",
    {
        "units": 2,
        "activation": "relu",
        "kernel_initializer": layer("GlorotUniform", {"seed": None}, module="keras.initializers"),
        "dtype": layer("DTypePolicy", {"name": "float32"}, module="keras"),
    },
)


def keras_file(
    config: bytes, *, weights: bytes = b"", deflated: bool = False, members: Mapping[str, bytes] | None = None
) -> bytes:
    """A `.keras` archive, with further members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)
        for name, data in (members or {}).items():
            archive.writestr(name, data)
    return buffer.getvalue()
