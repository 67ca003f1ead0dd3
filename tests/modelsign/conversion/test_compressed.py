"""joblib's compressed files: every array arrives, and bombs, damage and what lies behind the stream are refused."""

import bz2
import gzip
import json
import lzma
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from modelsign import convert
from modelsign.errors import ConversionError
from tests.builders.checkpoints import floats, pickled
from tests.modelsign.conversion.reading import in_memory, read
from tests.modelsign.conversion.test_joblib import inline
from tests.peers import run_peer


def lz4_frame(data: bytes) -> bytes:
    frame = pytest.importorskip("lz4.frame")
    made: bytes = frame.compress(data)
    return made


def lzma_alone(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_ALONE)


PACK: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lzma_alone,
    "lz4": lz4_frame,
}
SMALL = pickled({"a": inline(floats(6), (2, 3)), "n": 1})


@pytest.mark.parametrize("method", PACK)
def test_arrays_arrive(method: str) -> None:
    assert in_memory(PACK[method](SMALL)).tensors == {"a": ("F32", (2, 3), floats(6))}


@pytest.mark.parametrize("method", PACK)
def test_large_arrays_arrive(tmp_path: Path, method: str) -> None:
    large = random.Random(1).randbytes(3 << 20)
    value = {"a": inline(large, (len(large),), "u1"), "b": [inline(bytes(8), (1,), "i8")]}
    (tmp_path / "m.joblib").write_bytes(PACK[method](pickled(value)))
    done = convert(tmp_path / "m.joblib")
    assert read(tmp_path / "m.safetensors").tensors == {
        "a": ("U8", (len(large),), large),
        "b.0": ("I64", (1,), bytes(8)),
    }
    assert done.format == "joblib"


@pytest.mark.parametrize("method", ["gzip", "bz2", "xz"])
def test_several_streams_are_one_file(method: str) -> None:
    pack = PACK[method]
    for cut in (1, 10, len(SMALL) - 1):
        assert set(in_memory(pack(SMALL[:cut]) + pack(SMALL[cut:])).tensors) == {"a"}


@pytest.mark.parametrize("method", PACK)
def test_every_truncation_is_refused(method: str) -> None:
    data = PACK[method](SMALL)
    for length in range(0, len(data) - (method == "lz4") * 4, 3):
        with pytest.raises(ConversionError):
            in_memory(data[:length])


@pytest.mark.parametrize("method", PACK)
def test_a_bomb_is_refused(method: str) -> None:
    data = PACK[method](pickled({"a": inline(bytes(1 << 27), (1 << 25,))}))
    with pytest.raises(ConversionError, match="too large to be read safely"):
        in_memory(data)


def test_bytes_behind_the_stream_are_refused() -> None:
    with pytest.raises(ConversionError, match="5 bytes follow the compressed data"):
        in_memory(zlib.compress(SMALL) + b"more.")


def test_something_else_compressed_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"is compressed \(gzip\) and holds no pickle"):
        in_memory(gzip.compress(b"plain text"))


MAKE = """
import json, sys, joblib, numpy
chance = numpy.random.default_rng(20261123)
value = {
    "a": numpy.arange(6, dtype="f4").reshape(2, 3), "b": [numpy.zeros(1, "i8")], "n": 1,
    "fortran": numpy.asfortranarray(chance.normal(size=(7, 5))), "big": numpy.arange(5, dtype=">i4"),
    "empty": numpy.zeros((0, 3), "i2"), "truth": numpy.array([True, False]), "scalar": numpy.array(3.0, "f2"),
    "large": chance.integers(0, 9, size=300_000),  # of many blocks
}
for method in (None, "zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
    for protocol in (2, 4, 5):
        name = f"{sys.argv[1]}/{method}-{protocol}.joblib"
        joblib.dump(value, name, compress=0 if method is None else (method, 3), protocol=protocol)
value["b.0"] = value.pop("b")[0]
del value["n"]
little = {name: array.astype(array.dtype.newbyteorder("<")).tobytes().hex() for name, array in value.items()}
print(json.dumps(little))
"""


@pytest.mark.interop
@pytest.mark.parametrize("peer", ["ordinary-core", "ordinary-numpy1"])
def test_what_joblib_itself_compresses_arrives(tmp_path: Path, peer: str) -> None:
    expected = json.loads(run_peer(peer, "-c", MAKE, tmp_path).stdout)
    sources = sorted(tmp_path.glob("*.joblib"))
    assert len(sources) == 21
    for source in sources:
        convert(source)
        found = read(source.with_suffix(".safetensors")).tensors
        assert {name: data.hex() for name, (_, _, data) in found.items()} == expected, source.name
