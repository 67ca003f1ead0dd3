"""ONNX with and without external data, from its own helpers and from scikit-learn; GGUF; HDF5 as h5py writes it."""

import sys
from pathlib import Path

import gguf
import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OUT = Path(sys.argv[1])
RANDOM = np.random.default_rng(0)
x, y = RANDOM.normal(size=(40, 3)).astype("f4"), RANDOM.integers(0, 2, 40)
for name, estimator in {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    "forest": RandomForestClassifier(3),
}.items():
    (OUT / f"{name}.onnx").write_bytes(to_onnx(estimator.fit(x, y), x[:1]).SerializeToString())

weights = numpy_helper.from_array(RANDOM.normal(size=(64, 64)).astype("f4"), "w")
branch = helper.make_graph(
    [helper.make_node("Identity", ["x"], ["z"])],
    "then",
    [],
    [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
)
model = helper.make_model(
    helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weights],
    )
)
onnx.save(model, OUT / "inside.onnx")
onnx.save(model, OUT / "outside.onnx", save_as_external_data=True, location="outside.onnx_data", size_threshold=0)

writer = gguf.GGUFWriter(OUT / "tiny.gguf", "llama")
writer.add_context_length(128)
writer.add_token_list([f"t{number}" for number in range(500)])
writer.add_token_scores([0.0] * 500)
writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endfor %}")
writer.add_tensor("token_embd.weight", np.zeros((500, 32), "f4"))
writer.add_tensor("blk.0.attn_q.weight", np.zeros((32, 32), "f2"))
quantised = gguf.quants.quantize(RANDOM.normal(size=(32, 64)).astype("f4"), gguf.GGMLQuantizationType.Q8_0)
writer.add_tensor("blk.0.ffn_up.weight", quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

for library in ("earliest", "latest"):
    with h5py.File(OUT / f"{library}.h5", "w", libver=library) as file:
        for number in range(100):
            group = file.create_group(f"layer_{number}")
            group.create_dataset(
                "kernel", data=np.zeros((4, 4)), compression="gzip" if number % 2 else None, chunks=(2, 2)
            )
            group.attrs["names"] = [b"kernel:0", b"bias:0"]
        file.attrs["note"] = "ordinary"
