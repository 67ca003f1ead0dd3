"""Indexes of TensorFlow checkpoints and their shards, by hand and as TensorFlow itself writes them."""

from pathlib import Path

from scanners.engine import finish, scan_blob
from scanners.findings import Report, Verdict
from scanners.reader import BytesReader
from tests.builders.tensorflow_bundles import OBJECT_GRAPH, STRING, checkpoint, entry, index, string_tensor, thing
from tests.peers import run_peer
from tests.scanners.rules.examples import scan_files

THING = thing(values={"w/.ATTRIBUTES/VARIABLE_VALUE": "w"})


def test_a_checkpoint_whose_object_graph_was_read_is_clean_and_complete() -> None:
    report = scan_files(checkpoint(THING, prefix="variables/variables"))
    assert report.verdict is Verdict.CLEAN
    assert report.complete


def test_an_index_whose_shard_is_missing_is_incomplete() -> None:
    files = checkpoint(THING)
    files["variables.data-00000-of-00002"] = files.pop("variables.data-00000-of-00001")
    report = scan_files(files)
    assert report.verdict is Verdict.INCOMPLETE
    assert "not among the files" in report.findings[0].message


def test_an_object_graph_where_tensorflow_puts_none_is_incomplete() -> None:
    weights = bytes(40)
    hidden = string_tensor(THING)
    files = {
        "v.index": index({OBJECT_GRAPH: entry(STRING, [], 8, len(hidden))}),
        "v.data-00000-of-00001": weights + hidden,
    }
    report = scan_files(files)
    assert report.verdict is Verdict.INCOMPLETE
    assert "was not read" in report.findings[0].message
    assert not report.complete


def test_the_shard_an_index_names_is_the_one_that_counts() -> None:
    first, second = checkpoint(THING), checkpoint(THING)
    entries = {OBJECT_GRAPH: entry(STRING, [], 40, len(string_tensor(THING)), shard=1)}
    files = {
        "v.index": index(entries, shards=2),
        "v.data-00000-of-00002": bytes(40),
        "v.data-00001-of-00002": first["variables.data-00000-of-00001"],
    }
    assert scan_files(files).verdict is Verdict.CLEAN
    files["v.data-00000-of-00002"], files["v.data-00001-of-00002"] = (
        second["variables.data-00000-of-00001"],
        bytes(40),
    )
    assert scan_files(files).verdict is Verdict.INCOMPLETE


def test_an_index_alone_is_complete_in_itself() -> None:
    assert scan_files({"variables.index": checkpoint(THING)["variables.index"]}).verdict is Verdict.CLEAN


_SCRIPT = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, tensorflow as tf
os.chdir(sys.argv[1])
class Model(tf.Module):
    def __init__(self):
        self.kernel = tf.Variable(tf.zeros([100, 10]))
        self.words = tf.Variable(["x", "yy"])
        self.more = [tf.Variable(1.0), {"k": tf.Variable(2.0)}]
model = Model()
tf.train.Checkpoint(model=model).save("checkpoint/c")
tf.saved_model.save(model, "saved")
network = keras.Sequential([keras.layers.Input([4]), keras.layers.Dense(3), keras.layers.BatchNormalization()])
network.compile("adam", "mse")
network.fit(tf.zeros([8, 4]), tf.zeros([8, 3]), verbose=0)
network.export("exported", verbose=False)
tf.train.Checkpoint(model=network, optimizer=network.optimizer).write("written/w")
"""


def _scanned(directory: Path) -> Report:
    files = sorted(one for one in directory.rglob("*") if one.is_file())
    scanned = [scan_blob(BytesReader(one.read_bytes()), one.relative_to(directory).as_posix()) for one in files]
    return finish(directory.name, scanned, tool_version="0")


def test_the_object_graphs_of_real_checkpoints_are_read(tmp_path: Path) -> None:
    run_peer("ordinary-graphs", "-c", _SCRIPT, tmp_path)
    report = _scanned(tmp_path)
    shards = {file.path: file for file in report.files if ".data-" in file.path}
    assert sorted(shards) == [
        "checkpoint/c-1.data-00000-of-00001",
        "exported/variables/variables.data-00000-of-00001",
        "saved/variables/variables.data-00000-of-00001",
        "written/w.data-00000-of-00001",
    ]
    assert all(file.coverage.parsed for file in shards.values())
    assert report.verdict is Verdict.CLEAN
    assert report.complete
