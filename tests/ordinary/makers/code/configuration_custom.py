"""Settings of a custom model."""

from transformers import PretrainedConfig
from transformers.utils import logging

logger = logging.get_logger(__name__)


class CustomConfig(PretrainedConfig):
    model_type = "custom"
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(self, hidden_size=16, hidden_act="silu", norm_type="LayerNorm", num_hidden_layers=2, **more):
        self.hidden_size, self.hidden_act, self.norm_type = hidden_size, hidden_act, norm_type
        self.num_hidden_layers = num_hidden_layers
        super().__init__(**more)
