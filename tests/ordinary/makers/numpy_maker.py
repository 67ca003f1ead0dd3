"""numpy files and pickles of arrays, scalars, random state and records, under whichever numpy is installed."""

import pickle
import sys
from pathlib import Path

import numpy as np

OUT = Path(sys.argv[1])
RANDOM = np.random.default_rng(0)
arrays = {
    "float64": RANDOM.normal(size=(5, 3)),
    "float32-fortran": np.asfortranarray(RANDOM.normal(size=(5, 3)).astype("f4")),
    "big-endian": np.arange(6, dtype=">i4"),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "text": np.array(["a", "bc"]),
    "bytes": np.array([b"a", b"bc"]),
    "dates": np.array(["2026-11-23"], dtype="M8[D]"),
    "records": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "empty": np.zeros((0, 3)),
    "scalar": np.array(3.5),
    "object": np.array([1, "two", None, [3, 4]], dtype=object),
}
for name, value in arrays.items():
    np.save(OUT / f"{name}.npy", value)
    for protocol in (2, 4, 5):
        (OUT / f"{name}-protocol{protocol}.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
np.savez(OUT / "several.npz", **{k: v for k, v in arrays.items() if v.dtype != object})
np.savez_compressed(OUT / "compressed.npz", a=np.arange(1000), b=np.ones((10, 10)))
(OUT / "scalars.pkl").write_bytes(pickle.dumps([np.float32(1), np.int64(2), np.bool_(True), np.str_("x"), np.datetime64("2026-11-23")]))
(OUT / "generator.pkl").write_bytes(pickle.dumps(RANDOM))
(OUT / "random-state.pkl").write_bytes(pickle.dumps(np.random.RandomState(0)))
(OUT / "masked.pkl").write_bytes(pickle.dumps(np.ma.masked_array([1, 2], mask=[0, 1])))
(OUT / "dtype.pkl").write_bytes(pickle.dumps(np.dtype([("a", "i4"), ("b", "f8", (2,))])))
(OUT / "matrix.pkl").write_bytes(pickle.dumps(np.matrix([[1, 2]])))
