from pathlib import Path

import pytest

from scanners.engine import scan_blob
from scanners.errors import FormatError
from scanners.findings import Verdict
from scanners.formats import lightgbm
from scanners.reader import BytesReader
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered
from tests.peers import run_peer

MODEL = b"""tree
version=v4
num_class=1
objective=binary sigmoid:1
average_output
feature_names=a b c=d
feature_infos=[-2.5:2.7] none -1:1:0:2
tree_sizes=100

Tree=0
num_leaves=2
split_feature=1
threshold=1.08
leaf_value=-0.7 0.5
shrinkage=0.1


end of trees

feature_importances:
a=3
c=d=1

parameters:
[boosting: gbdt]
[data: /home/somebody/train.csv]
[machines: ]

end of parameters

pandas_categorical:[["x", "y \\"q\\"", "z=1"]]
"""


def test_a_model_is_read_to_its_end_and_clean() -> None:
    reading = read_with(lightgbm, MODEL, name="model.txt")
    assert uncovered(reading) == 0
    assert scan_blob(BytesReader(MODEL), "model.txt").report.verdict is Verdict.CLEAN
    assert scan_blob(BytesReader(MODEL.replace(b"\n", b"\r\n")), "lgb.model").report.verdict is Verdict.CLEAN


def test_a_model_larger_than_a_block_is_read_line_by_line() -> None:
    large = MODEL.replace(b"leaf_value=-0.7 0.5", b"leaf_value=" + b"0.123456 " * 400_000)
    assert uncovered(read_with(lightgbm, large)) == 0


@pytest.mark.parametrize(
    "line",
    [b"import os", b"Tree=x", b"[data]", b"a=1\0", b"pandas_categorical:[", b"#!/bin/sh", b"{{ x }}", b"\x80\x04."],
)
def test_a_line_that_lightgbm_does_not_write_is_malformed(line: bytes) -> None:
    with pytest.raises(FormatError):
        read_with(lightgbm, MODEL.replace(b"num_leaves=2", line))
    assert scan_blob(BytesReader(MODEL + line), "model.txt").report.verdict is Verdict.INCOMPLETE


def test_other_texts_are_left_alone() -> None:
    assert not lightgbm.matches(blob_of(b"tree\nhouse\n", "a.txt"))
    assert not lightgbm.matches(blob_of(b"a tree\nversion=v4\n", "a.txt"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(lightgbm, [MODEL], name="model.txt")


_SCRIPT = """
import sys, numpy, pandas, lightgbm
numbers = numpy.random.default_rng(0)
x = numbers.normal(size=(300, 5)); y = (x[:, 0] > 0).astype(int)
frame = pandas.DataFrame(x, columns=list("abcde"))
frame["cat col"] = pandas.Categorical(numbers.choice(["x", 'y "q"', "z=1"], 300))
quiet = {"n_estimators": 3, "verbose": -1}
models = [
    lightgbm.LGBMClassifier(**quiet).fit(x, y),
    lightgbm.LGBMRegressor(linear_tree=True, **quiet).fit(x, y),
    lightgbm.LGBMClassifier(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5, **quiet).fit(frame, y),
    lightgbm.LGBMRanker(**quiet).fit(x, y, group=[100, 200]),
]
for number, model in enumerate(models):
    model.booster_.save_model(f"{sys.argv[1]}/{number}.txt")
"""


def test_what_lightgbm_writes_is_clean(tmp_path: Path) -> None:
    run_peer("ordinary-core", "-W", "ignore", "-c", _SCRIPT, tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    reports = [scan_blob(BytesReader(one.read_bytes()), one.name).report for one in files]
    assert {(report.verdict, report.formats) for report in reports} == {(Verdict.CLEAN, ("lightgbm",))}
