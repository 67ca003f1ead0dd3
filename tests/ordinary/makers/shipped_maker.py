"""Files that distributions bring along: models of many of their versions and trained weights, made by other people.

They are copied, not loaded. Which distributions are looked at depends on what is installed here: the first group whose
first member is.
"""

import shutil
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

OUT = Path(sys.argv[1])
GROUPS = (
    ("gensim", "networkx", "torchmetrics", "torch"),
    ("onnx", "h5py"),
    ("joblib", "scipy", "numpy", "statsmodels"),
)
SUFFIXES = frozenset(
    ".bin .bz2 .gz .h5 .id2word .kv .mat .model .npy .npz .onnx .pb .pkl .pt .pth .ptl .state .tst .vec .vocab .w2v"
    " .z".split()
)
WHOLE = ("gensim/test/test_data/",)
"""folders whose models have no suffix"""


def installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


group = next(names for names in GROUPS if installed(names[0]) is not None)
for name in group:
    found = installed(name)
    for path in (found.files if found is not None else None) or ():
        source = Path(str(path.locate()))
        whole = str(path).startswith(WHOLE) and source.suffix in {"", *SUFFIXES}
        table = source.name.endswith((".dat.gz", ".csv.gz"))
        if (whole or source.suffix in SUFFIXES) and not table and ".." not in path.parts and source.is_file():
            target = OUT / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
if not any(OUT.iterdir()):
    sys.exit(f"no files: {', '.join(group)} were installed without their test data")
