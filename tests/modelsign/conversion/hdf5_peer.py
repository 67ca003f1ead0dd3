"""Runs where h5py or Keras is: writes files of weights, and what is in them, as told by the library that wrote them."""

import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

KINDS = ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "|b1"]
KINDS += [f"{order}{kind}{size}" for order in "<>" for kind in "iu" for size in (1, 2, 4, 8)]


def told(folder: Path, name: str, arrays: dict[str, Any]) -> None:
    (folder / f"{name}.json").write_text(
        json.dumps({key: [str(a.dtype), list(a.shape), little(a).hex()] for key, a in arrays.items()})
    )


def little(array: Any) -> bytes:
    data: bytes = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return data


def arrays_of(file: Any) -> dict[str, Any]:
    h5py = import_module("h5py")

    found = {}

    def visit(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[path.replace("/", ".")] = np.asarray(item[()])

    file.visititems(visit)
    return found


def h5py_files(folder: Path) -> None:
    h5py = import_module("h5py")

    chance = np.random.default_rng(20261123)

    def numbers(kind: str, *shape: int) -> Any:
        if kind == "|b1":
            return chance.integers(0, 2, shape).astype(bool)
        count = int(np.prod(shape)) * np.dtype(kind).itemsize
        return np.frombuffer(chance.bytes(count), "u1").view(kind).reshape(shape)

    layouts: dict[str, dict[str, Any]] = {
        "contiguous": {},
        "chunked": {"chunks": (3, 4)},
        "rows": {"chunks": (2, 11)},
        "columns": {"chunks": (7, 1)},
        "gzip": {"chunks": (3, 4), "compression": "gzip"},
        "shuffled": {"chunks": (4, 4), "compression": "gzip", "shuffle": True},
        "shuffle-only": {"chunks": (4, 4), "shuffle": True},
        "growing": {"chunks": (3, 4), "maxshape": (None, None)},
    }
    for libver in ("earliest", "v108"):
        for name, options in layouts.items():
            with h5py.File(folder / f"{libver}-{name}.h5", "w", libver=libver) as file:
                for kind in KINDS:
                    file.create_dataset(
                        f"g/{np.dtype(kind).name}{kind[0] == '>'}/w", data=numbers(kind, 7, 11), **options
                    )
                told(folder, f"{libver}-{name}", arrays_of(file))
    with h5py.File(folder / "shapes.h5", "w") as file:
        file["scalar"] = np.float32(1.5)
        file["empty"] = np.zeros((0, 3), "f4")
        file["deep/er/still"] = np.arange(5)
        file.create_dataset("cube", data=numbers("<i2", 5, 6, 7), chunks=(2, 6, 3), compression="gzip", shuffle=True)
        file.create_dataset("flat", data=numbers("<u1", 5, 6, 7), chunks=(2, 6, 7), compression="gzip")
        file.create_dataset("none", shape=(0, 4), maxshape=(None, 4), dtype="f4", chunks=(2, 2))
        file.create_dataset("one", data=numbers("<f4", 4, 4), chunks=(4, 4))
        for number in range(500):
            file[f"many/w{number}"] = np.full(3, number, "i4")
        file.create_dataset("large", data=np.arange(100_000, dtype="<i4"), chunks=(100,), compression="gzip")
        told(folder, "shapes", arrays_of(file))
        file["twin"] = file["one"]
        file["soft"] = h5py.SoftLink("/deep/er/still")
        file["words"] = ["a", "b"]
        file["nothing"] = h5py.Empty("f4")
    with h5py.File(folder / "v110-single.h5", "w", libver=("v110", "v110")) as file:
        file.create_dataset("one", data=numbers("<f4", 4, 4), chunks=(4, 4))
        file.create_dataset("packed", data=numbers("<f4", 4, 4), chunks=(4, 4), compression="gzip")
        file["plain"] = np.arange(9)
        told(folder, "v110-single", arrays_of(file))
    hostile(folder, h5py)


def hostile(folder: Path, h5py: Any) -> None:
    def refused(name: str, make: Callable[[Any], object], **options: Any) -> None:
        with h5py.File(folder / f"refused-{name}.h5", "w", **options) as file:
            make(file)

    data = np.arange(100, dtype="f4")
    refused("external-link", lambda f: f.__setitem__("w", h5py.ExternalLink("/etc/x.h5", "/x")))
    refused("dangling", lambda f: f.__setitem__("w", h5py.SoftLink("/absent")))
    refused("external", lambda f: f.create_dataset("w", (100,), "f4", external=[(str(folder / "raw"), 0, 400)]))
    refused("lzf", lambda f: f.create_dataset("w", data=data, chunks=(10,), compression="lzf"))
    refused("fletcher32", lambda f: f.create_dataset("w", data=data, chunks=(10,), fletcher32=True))
    refused("scaleoffset", lambda f: f.create_dataset("w", data=data.astype("i4"), chunks=(10,), scaleoffset=8))
    refused("records", lambda f: f.create_dataset("w", data=np.zeros(2, [("a", "f4")])))
    refused("complex", lambda f: f.create_dataset("w", data=np.zeros(2, "c8")))
    refused("unwritten", lambda f: f.create_dataset("w", (100,), "f4"))
    refused("sparse", lambda f: f.create_dataset("w", (100,), "f4", chunks=(10,)).__setitem__(slice(0, 10), 1))
    refused("bomb", lambda f: f.create_dataset("w", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip"))
    refused(
        "array", lambda f: f.create_dataset("w", data=data, chunks=(10,), compression="gzip"), libver=("v110", "v110")
    )

    def committed(file: Any) -> None:
        file["kind"] = np.dtype("f4")
        file.create_dataset("w", data=data, dtype=file["kind"])

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout(shape=(100,), dtype="f4")
        layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", shape=(100,))
        file.create_virtual_dataset("w", layout)

    def looped(file: Any) -> None:
        file["w"] = data
        file["g/again"] = file["/"]

    refused("committed", committed)
    refused("virtual", virtual)
    refused("newest", lambda f: f.create_dataset("w", data=data, chunks=(10,), compression="gzip"), libver="latest")
    refused("looped", looped)


def keras_files(folder: Path) -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    h5py = import_module("h5py")
    keras = import_module("keras")

    def model(*more: Any) -> Any:
        layers = [keras.layers.Dense(3, activation="relu"), keras.layers.BatchNormalization(), *more]
        made = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])
        made.compile("adam", "mse")
        made.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
        return made

    plain, hostile_ = model(), model(keras.layers.Lambda(lambda x: x))
    plain.save(folder / "model.keras")
    plain.save(folder / "old.h5")
    plain.save_weights(folder / "plain.weights.h5")
    hostile_.save(folder / "lambda.keras")
    hostile_.save(folder / "lambda.h5")
    keras.config.set_dtype_policy("bfloat16")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(folder / "brain.keras")
    for path in sorted(folder.glob("*.h5")) + sorted(folder.glob("*.keras")):
        source: Path | io.BytesIO = path
        if path.suffix == ".keras":
            source = io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5"))
        with h5py.File(source) as file:
            told(folder, path.name, arrays_of(file.get("model_weights", file)))


if __name__ == "__main__":
    {"h5py": h5py_files, "keras": keras_files}[sys.argv[1]](Path(sys.argv[2]))
