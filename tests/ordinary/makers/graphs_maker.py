"""Keras models in every saved form, SavedModels of TensorFlow 2 and 1, checkpoints, frozen graphs, TensorFlow Lite."""

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

OUT = Path(sys.argv[1])


@keras.saving.register_keras_serializable(package="ordinary")
class Scale(keras.layers.Layer):
    """A custom layer that is registered."""

    def __init__(self, factor: float = 2.0, **more: Any) -> None:
        super().__init__(**more)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


class Subclassed(keras.Model):
    """A model written as a class."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


layers = keras.layers
inputs = keras.Input((8,))
hidden = layers.Dense(4, activation="gelu", kernel_regularizer=keras.regularizers.L2(1e-4))(inputs)
functional = keras.Model(inputs, [layers.Dense(2)(hidden), layers.Dense(1, activation="sigmoid")(hidden)])
sequential = keras.Sequential(
    [keras.Input((4,)), layers.Normalization(), layers.Dense(3), layers.Dropout(0.1), layers.BatchNormalization()]
)
sequential.compile(optimizer=keras.optimizers.AdamW(1e-3), loss="mse", metrics=["mae", keras.metrics.AUC()])
sequential.fit(np.zeros((4, 4)), np.zeros((4, 3)), verbose=0)
models = {
    "functional": functional,
    "sequential": sequential,
    "recurrent": keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(2)),
        ]
    ),
    "images": keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.RandomFlip(),
            layers.Conv2D(4, 3),
            layers.Flatten(),
        ]
    ),
    "custom": keras.Sequential([keras.Input((4,)), Scale(), layers.Dense(2)]),
    "nested": keras.Sequential([keras.Input((4,)), keras.Sequential([keras.Input((4,)), layers.Dense(2)])]),
}
for name, model in models.items():
    model.save(OUT / f"{name}.keras")
    model.save(OUT / f"{name}.h5")
    model.save_weights(OUT / f"{name}.weights.h5")
    (OUT / f"{name}.json").write_text(model.to_json())
    model.export(OUT / f"export-{name}", verbose=False)
    if name in {"functional", "custom", "images"}:
        (OUT / f"{name}.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())

words = layers.TextVectorization(max_tokens=10)
words.adapt(["a b", "c d"])
text = keras.Sequential([keras.Input((1,), dtype="string"), words, layers.Embedding(10, 4)])
text.save(OUT / "text.keras")
text.export(OUT / "export-text", verbose=False)
lookup = keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a", "b"])])
lookup.save(OUT / "lookup.keras")
subclassed = Subclassed()
subclassed(np.zeros((1, 3), "f4"))
subclassed.save(OUT / "subclassed.keras")
tf.saved_model.save(subclassed, OUT / "saved-subclassed")
code = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: x * 2)])
code.save(OUT / "code-lambda.keras")
code.save(OUT / "code-lambda.h5")


class Table(tf.Module):
    """A table filled from an asset, a variable, and something printed."""

    def __init__(self) -> None:
        super().__init__()
        vocabulary = OUT / "vocabulary.txt"
        vocabulary.write_text("a\nb\n")
        key, value = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        source = tf.lookup.TextFileInitializer(str(vocabulary), tf.string, key, tf.int64, value)
        self.table = tf.lookup.StaticHashTable(source, -1)
        self.offset = tf.Variable(1, dtype=tf.int64)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, x: Any) -> Any:
        tf.print("seen", tf.size(x))
        return self.table.lookup(x) + self.offset


tf.saved_model.save(Table(), OUT / "saved-table")
tf.train.Checkpoint(v=tf.Variable(1.0), model=sequential).save(OUT / "checkpoint" / "ck")

one = tf.compat.v1
graph = tf.Graph()
with graph.as_default(), one.Session() as session:
    x = one.placeholder(tf.float32, [None, 2], name="x")
    y = tf.matmul(x, one.get_variable("w", [2, 2]), name="y")
    saver = one.train.Saver()
    session.run(one.global_variables_initializer())
    saver.save(session, str(OUT / "version1" / "model"))
    one.saved_model.simple_save(session, str(OUT / "version1-saved"), {"x": x}, {"y": y})
    frozen = one.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y"])
    tf.io.write_graph(frozen, str(OUT), "frozen.pb", as_text=False)
    tf.io.write_graph(frozen, str(OUT), "frozen.pbtxt", as_text=True)
