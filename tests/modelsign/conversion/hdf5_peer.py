"""Runs where h5py or Keras is: writes files of weights, and what is in them, as told by the library that wrote them."""

import ctypes
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
        "growing-packed": {"chunks": (3, 4), "maxshape": (None, None), "compression": "gzip"},
        "longer": {"chunks": (1, 2), "maxshape": (None, 20)},
        "longer-packed": {"chunks": (1, 2), "maxshape": (None, 11), "compression": "gzip"},
        "wider": {"chunks": (3, 1), "maxshape": (20, None), "shuffle": True},
        "roomier": {"chunks": (3, 4), "maxshape": (30, 40)},
        "whole": {"chunks": (7, 11)},
        "whole-packed": {"chunks": (7, 11), "compression": "gzip"},
        "summed": {"chunks": (3, 4), "fletcher32": True},
        "lzf": {"chunks": (3, 4), "compression": "lzf"},
        "all-filters": {"chunks": (3, 4), "fletcher32": True, "shuffle": True, "compression": "gzip"},
    }
    for libver in ("earliest", "v108", "v110", "latest"):
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
        file.create_dataset("runs", data=np.arange(40_000, dtype="<i4") // 700, compression="lzf", fletcher32=True)
        file.create_dataset("mixed", data=numbers("<f4", 200, 300), compression="lzf", shuffle=True)
        file.create_dataset("large", data=np.arange(100_000, dtype="<i4"), chunks=(100,), compression="gzip")
        told(folder, "shapes", arrays_of(file))
        file["twin"] = file["one"]
        file["soft"] = h5py.SoftLink("/deep/er/still")
        file["words"] = ["a", "b"]
        file["nothing"] = h5py.Empty("f4")
    with h5py.File(folder / "indexes.h5", "w", libver="latest") as file:
        indexes(h5py, file, numbers)
        told(folder, "indexes", arrays_of(file))
    with h5py.File(folder / "committed.h5", "w") as file:
        file["kind"] = np.dtype("f4")
        file["truth"] = np.dtype(bool)
        file.create_dataset("w", data=numbers("<f4", 9), dtype=file["kind"])
        file.create_dataset("b", data=numbers("|b1", 9), dtype=file["truth"])
        told(folder, "committed", arrays_of(file))
    with shared_messages(h5py, folder / "shared.h5") as file:
        for number in range(40):
            file.create_dataset(f"g{number % 5}/w{number}", data=numbers("<f4", 3, 4), chunks=(2, 2), compression=4)
        told(folder, "shared", arrays_of(file))
    with h5py.File(folder / "packed-groups.h5", "w", libver="latest") as file:
        packed_group(h5py, file, "packed", 300)
        told(folder, "packed-groups", arrays_of(file))
    hostile(folder, h5py)


def indexes(h5py: Any, file: Any, numbers: Callable[..., Any]) -> None:
    """Every index of blocks, large enough for all that it is made of: pages, super blocks, inner nodes."""
    file.create_dataset("array/pages", data=numbers("<i2", 3000), chunks=(1,))
    file.create_dataset("array/packed-pages", data=numbers("<i2", 3000), chunks=(1,), compression="gzip")
    file.create_dataset("longer/few", data=numbers("<i2", 5), chunks=(2,), maxshape=(None,))
    file.create_dataset("longer/many", data=numbers("<i2", 135_000), chunks=(1,), maxshape=(None,))
    file.create_dataset("longer/packed", data=numbers("<i2", 3000), chunks=(1,), maxshape=(None,), compression=1)
    file.create_dataset("longer/last", data=numbers("<i2", 3, 900), chunks=(2, 1), maxshape=(7, None))
    file.create_dataset("tree/deep", data=numbers("<i2", 60, 100), chunks=(1, 1), maxshape=(None, None))
    file.create_dataset("tree/packed", data=numbers("<i2", 50, 60), chunks=(1, 1), maxshape=(None, None), shuffle=True)
    file.create_dataset("tree/cube", data=numbers("<i2", 5, 6, 7), chunks=(2, 2, 2), maxshape=(None, 6, None))
    for name, most in (("same", (10, 10)), ("roomy", (30, 40))):
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((3, 4))
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space, link = h5py.h5s.create_simple((10, 10), most), h5py.h5p.create(h5py.h5p.LINK_CREATE)
        link.set_create_intermediate_group(True)
        made = h5py.h5d.create(file.id, f"row/{name}".encode(), h5py.h5t.IEEE_F32LE, space, properties, link)
        h5py.Dataset(made)[...] = numbers("<f4", 10, 10)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((3, 4))
    properties.set_deflate(6)
    library(h5py).H5Pset_chunk_opts(ctypes.c_int64(properties.id), ctypes.c_uint(2))
    space = h5py.h5s.create_simple((10, 10))
    made = h5py.h5d.create(file.id, b"plain-edges", h5py.h5t.IEEE_F32LE, space, properties)
    h5py.Dataset(made)[...] = numbers("<f4", 10, 10)


def library(h5py: Any) -> ctypes.CDLL:
    """Return the HDF5 library behind h5py, for what h5py itself does not offer."""
    folder = Path(h5py.__file__).parent.parent / "h5py.libs"
    return ctypes.CDLL(str(next(folder.glob("libhdf5-*.so*"))))


def shared_messages(h5py: Any, path: Path) -> Any:
    """Return a new file whose types, shapes, filters and attributes lie in heaps that all objects share."""
    properties = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    functions, identifier = library(h5py), ctypes.c_int64(properties.id)
    functions.H5Pset_shared_mesg_nindexes(identifier, ctypes.c_uint(2))
    for number, kinds in enumerate((1 << 1 | 1 << 3 | 1 << 11, 1 << 12)):
        functions.H5Pset_shared_mesg_index(identifier, ctypes.c_uint(number), ctypes.c_uint(kinds), ctypes.c_uint(1))
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    return h5py.File(h5py.h5f.create(bytes(path), h5py.h5f.ACC_TRUNC, properties, access))


def packed_group(h5py: Any, file: Any, name: str, count: int) -> Any:
    """Make a group whose links lie in compressed blocks of its heap."""
    properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    library(h5py).H5Pset_deflate(ctypes.c_int64(properties.id), ctypes.c_uint(6))
    group = h5py.Group(h5py.h5g.create(file.id, name.encode(), None, properties))
    for number in range(count):
        group[f"{'weights' * 9}{number}"] = np.arange(number % 7, dtype="i4")
    group["x" * 5000] = np.arange(3)
    return group


def scanned(folder: Path) -> None:
    """Files whose attributes lie wherever a writer may put them."""
    h5py = import_module("h5py")
    config = json.dumps({"pad": "x" * 9000}).encode()

    def attributes(item: Any, count: int = 60) -> None:
        for number in range(count):
            item.attrs[f"a{number}"] = json.dumps({"x": number})
        item.attrs["huge"] = np.bytes_(config)
        item.attrs["model_config"] = np.bytes_(b'{"y": "' + item.name.encode() + b'"}')

    with shared_messages(h5py, folder / "shared.h5") as file:
        attributes(file)
        attributes(file.create_group("few"), 2)
    with h5py.File(folder / "dense.h5", "w", libver="latest") as file:
        attributes(file)
        attributes(file.create_group("ordered", track_order=True))
        attributes(packed_group(h5py, file, "packed", 300))
        attributes(file["packed"]["x" * 5000])
    with h5py.File(folder / "committed.h5", "w") as file:
        file["kind"] = h5py.string_dtype()
        for item in (file, file.create_group("g")):
            made = h5py.h5a.create(item.id, b"model_config", file["kind"].id, h5py.h5s.create(h5py.h5s.SCALAR))
            made.write(np.array('{"y": 1}', dtype=h5py.string_dtype()))

    misleading(h5py, folder)


def misleading(h5py: Any, folder: Path) -> None:
    """Files whose header says one thing where the library does another; it must still read them."""

    def written(name: str, text: str) -> bytearray:
        with h5py.File(folder / name, "w") as file:
            file.attrs["model_config"] = text
            file.attrs["second"] = text
        return bytearray((folder / name).read_bytes())

    def kept(name: str, data: bytearray) -> None:
        (folder / name).write_bytes(data)
        with h5py.File(folder / name) as file:
            assert json.loads(file.attrs["model_config"]) == {"y": 1}

    outer, inner = written("base.h5", '{"y": 1}'), written("inner.h5", "none")
    outer += bytes(-len(outer) % 512)
    outer[24:32] = len(outer).to_bytes(8, "little")  # the base address
    outer[40:48] = (len(outer) + len(inner)).to_bytes(8, "little")
    kept("base.h5", outer + inner)
    count = written("count.h5", '{"y": 1}')
    root = int.from_bytes(count[64:72], "little")
    assert count[root + 2] > 1
    count[root + 2] = 1
    kept("count.h5", count)
    (folder / "inner.h5").unlink()


def hostile(folder: Path, h5py: Any) -> None:
    def refused(name: str, make: Callable[[Any], object], **options: Any) -> None:
        with h5py.File(folder / f"refused-{name}.h5", "w", **options) as file:
            make(file)

    data = np.arange(100, dtype="f4")
    refused("external-link", lambda f: f.__setitem__("w", h5py.ExternalLink("/etc/x.h5", "/x")))
    refused("dangling", lambda f: f.__setitem__("w", h5py.SoftLink("/absent")))
    refused("external", lambda f: f.create_dataset("w", (100,), "f4", external=[(str(folder / "raw"), 0, 400)]))
    refused("scaleoffset", lambda f: f.create_dataset("w", data=data.astype("i4"), chunks=(10,), scaleoffset=8))
    refused("records", lambda f: f.create_dataset("w", data=np.zeros(2, [("a", "f4")])))
    refused("complex", lambda f: f.create_dataset("w", data=np.zeros(2, "c8")))
    refused("unwritten", lambda f: f.create_dataset("w", (100,), "f4"))
    refused("sparse", lambda f: f.create_dataset("w", (100,), "f4", chunks=(10,)).__setitem__(slice(0, 10), 1))
    refused("bomb", lambda f: f.create_dataset("w", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip"))

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout(shape=(100,), dtype="f4")
        layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", shape=(100,))
        file.create_virtual_dataset("w", layout)

    def looped(file: Any) -> None:
        file["w"] = data
        file["g/again"] = file["/"]

    def damaged(file: Any) -> None:
        file.create_dataset("w", data=data, chunks=(100,), fletcher32=True)
        place = file["w"].id.get_chunk_info(0).byte_offset
        file.close()
        with Path(folder / "refused-damaged.h5").open("r+b") as raw:
            raw.seek(place + 40)
            raw.write(b"\xff")

    refused("virtual", virtual)
    refused("damaged", damaged)
    refused("sparse-latest", lambda f: f.create_dataset("w", (99,), "f4", chunks=(2,))[:9].sum(), libver="latest")
    refused("sparse-pages", sparse_pages, libver="latest")
    refused("looped", looped)


def sparse_pages(file: Any) -> None:
    file.create_dataset("w", (5000,), "i2", chunks=(1,))[:10] = 1
    file.create_dataset("z", (50_000,), "i2", chunks=(1,), maxshape=(None,))[40_000:] = 1


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
    {"h5py": h5py_files, "keras": keras_files, "scanned": scanned}[sys.argv[1]](Path(sys.argv[2]))
