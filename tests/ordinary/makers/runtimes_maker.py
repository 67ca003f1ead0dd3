"""One small network as ONNX (both exporters), an exported program, OpenVINO, Core ML, ExecuTorch; a Flax checkpoint."""

import sys
from pathlib import Path

import coremltools
import flax.serialization
import jax.numpy as jnp
import numpy as np
import openvino
import torch
from executorch.exir import to_edge

OUT = Path(sys.argv[1])


class Network(torch.nn.Module):
    """A convolution and a linear layer."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3)
        self.linear = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.linear(torch.relu(self.convolution(x)).mean((2, 3)))


network, example = Network().eval(), torch.zeros(1, 3, 8, 8)
torch.onnx.export(network, (example,), OUT / "exported.onnx", dynamo=True)
torch.onnx.export(network, (example,), OUT / "traced.onnx", dynamo=False)
program = torch.export.export(network, (example,))
torch.export.save(program, OUT / "program.pt2")
(OUT / "program.pte").write_bytes(to_edge(program).to_executorch().buffer)
openvino.save_model(openvino.convert_model(network, example_input=example), OUT / "openvino.xml")
traced = torch.jit.trace(network, example)
inputs = [coremltools.TensorType(shape=example.shape)]
coremltools.convert(traced, inputs=inputs, convert_to="neuralnetwork").save(str(OUT / "network.mlmodel"))
coremltools.convert(traced, inputs=inputs, convert_to="mlprogram").save(str(OUT / "network.mlpackage"))
state = {"params": {"kernel": jnp.zeros((3, 4)), "bias": np.zeros(4, "f2")}, "step": 3, "z": 1 + 2j, "s": np.float32(2)}
(OUT / "flax_model.msgpack").write_bytes(flax.serialization.to_bytes(state))
