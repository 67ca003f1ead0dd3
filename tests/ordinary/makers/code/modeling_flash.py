"""A decoder that uses flash attention and Triton where they are installed."""

import logging
import math
import os
import sys
import warnings

import torch
import torch.nn.functional as F
from packaging import version
from torch import nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_custom import CustomConfig

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None
try:
    from flash_attn import flash_attn_func
    from flash_attn.bert_padding import pad_input, unpad_input
except ImportError:
    flash_attn_func = None
    warnings.warn("flash-attn is not installed; attention will be slow")

log = logging.getLogger(__name__)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if os.environ.get("CUSTOM_DEBUG", "0") == "1":
    log.setLevel(logging.DEBUG)
if sys.platform != "darwin":
    torch._C._jit_set_profiling_mode(False)
    torch._C._jit_override_can_fuse_on_cpu(True)

if triton is not None:

    @triton.autotune(configs=[triton.Config({"BLOCK": 64}, num_warps=4)], key=["width"])
    @triton.jit
    def _scale_kernel(source, target, width, BLOCK: tl.constexpr):
        places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        values = tl.load(source + places, mask=places < width, other=0.0)
        tl.store(target + places, tl.exp(values), mask=places < width)


def newer_than(wanted: str) -> bool:
    import flash_attn

    return version.parse(flash_attn.__version__) >= version.parse(wanted)


@torch.jit.script
def rotate(x: torch.Tensor) -> torch.Tensor:
    left, right = x.chunk(2, dim=-1)
    return torch.cat((-right, left), dim=-1)


class Attention(nn.Module):
    def __init__(self, config: CustomConfig, layer: int):
        super().__init__()
        self.scale = 1 / math.sqrt(config.hidden_size)
        self.act = ACT2FN[config.hidden_act]
        self.norm = getattr(nn, config.norm_type)(config.hidden_size)
        self.register_buffer("inverse", 10000.0 ** -torch.arange(0, 1, 0.1), persistent=False)
        setattr(self, f"proj_{layer}", nn.Linear(config.hidden_size, config.hidden_size))

    def forward(self, hidden, mask=None):
        if flash_attn_func is not None and newer_than("2.1.0"):
            return flash_attn_func(hidden, hidden, hidden, softmax_scale=self.scale)
        return F.scaled_dot_product_attention(rotate(hidden), hidden, hidden, attn_mask=mask)


class CustomForCausalLM(PreTrainedModel):
    config_class = CustomConfig
    _no_split_modules = ["Attention"]

    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.ModuleList(Attention(config, number) for number in range(config.num_hidden_layers))
        self.post_init()

    def forward(self, input_ids=None, **kwargs):
        hidden = input_ids.float()
        for layer in self.layers:
            hidden = torch.utils.checkpoint.checkpoint(layer, hidden) if self.training else layer(hidden)
        return CausalLMOutputWithPast(logits=hidden)

    def stream_chat(self, tokenizer, text):
        import queue
        import threading

        results = queue.Queue()
        threading.Thread(target=lambda: results.put(self.generate(**tokenizer(text)))).start()
        yield results.get()

    @classmethod
    def from_tensorflow(cls, path):
        import tensorflow as tf

        return {name: tf.train.load_variable(path, name) for name, _ in tf.train.list_variables(os.path.abspath(path))}
