"""dill, cloudpickle and skops: functions by value (code really travels), and plain data (none does)."""

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from uuid import UUID

import cloudpickle
import dill
import skops.io
from sklearn.linear_model import LogisticRegression

OUT = Path(sys.argv[1])
offset = 3


def shift(value, by=offset):
    """A plain function that travels by value."""
    return value + by + offset


data = {
    "ordered": OrderedDict(a=1),
    "counter": Counter("model"),
    "default": defaultdict(list, a=[1]),
    "deque": deque([1, 2], maxlen=4),
    "when": datetime(2026, 11, 23, tzinfo=UTC),
    "day": date(2026, 11, 23),
    "span": timedelta(hours=1),
    "decimal": Decimal("1.5"),
    "fraction": Fraction(1, 3),
    "path": PurePosixPath("weights/model.bin"),
    "uuid": UUID(int=1),
    "complex": 1 + 2j,
    "set": {1, 2},
    "frozen": frozenset({3}),
    "range": range(4),
    "slice": slice(1, 2),
    "bytearray": bytearray(b"abc"),
    "ellipsis": ...,
}
(OUT / "data.dill").write_bytes(dill.dumps(data))
(OUT / "data.cloudpickle").write_bytes(cloudpickle.dumps(data))
(OUT / "code-function.dill").write_bytes(dill.dumps(shift))
(OUT / "code-lambda.cloudpickle").write_bytes(cloudpickle.dumps(lambda value: value * 2))
(OUT / "code-function.cloudpickle").write_bytes(cloudpickle.dumps(shift))
model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
(OUT / "model.dill").write_bytes(dill.dumps(model))
(OUT / "model.cloudpickle").write_bytes(cloudpickle.dumps(model))
skops.io.dump(model, OUT / "model.skops")
