"""A recurrent model that compiles its kernel beside it the first time a GPU needs it."""

import importlib
import importlib.util
import json
import os
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel
from transformers.utils.hub import cached_file

kernel = None
has_einops = importlib.util.find_spec("einops") is not None
rearrange = importlib.import_module("einops").rearrange if has_einops else None


def load_kernel(length):
    global kernel
    from torch.utils.cpp_extension import load

    folder = Path(__file__).resolve().parent / "kernels"
    kernel = load(name=f"mix_{length}", sources=[folder / "mix.cpp", folder / "mix.cu"], extra_cuda_cflags=["-O3"])


class Recurrent(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        if torch.cuda.is_available() and kernel is None:
            load_kernel(config.context_length)
        self.mix = nn.Linear(2, 2)

    def forward(self, x):
        return self.mix(x)

    @classmethod
    def from_pretrained(cls, name, *rest, **more):
        model = super().from_pretrained(name, *rest, **more)
        path = cached_file(name, "extra.safetensors")
        read = partial(load_file, device="cpu") if path.endswith(".safetensors") else partial(torch.load, weights_only=True)
        model.load_state_dict(read(path), strict=False)
        return model

    def save_extra(self, folder):
        os.makedirs(folder, exist_ok=True)
        torch.save(self.mix.state_dict(), os.path.join(folder, "extra.bin"))
        Path(folder, "extra.json").write_text(json.dumps({"mix": 2}))
