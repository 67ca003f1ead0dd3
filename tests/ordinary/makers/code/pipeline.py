"""A custom pipeline and an endpoint."""

import base64
import io
import os
from typing import Any

import torch
from PIL import Image
from transformers import Pipeline, pipeline
from transformers.pipelines import PIPELINE_REGISTRY


class PairPipeline(Pipeline):
    def _sanitize_parameters(self, **more):
        return {}, {}, {}

    def preprocess(self, text, second=None):
        return self.tokenizer(text, text_pair=second, return_tensors=self.framework)

    def _forward(self, inputs):
        return self.model(**inputs)

    def postprocess(self, outputs):
        return outputs.logits[0].softmax(-1).numpy()


class EndpointHandler:
    def __init__(self, path=""):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.pipe = pipeline("image-classification", model=path, token=os.environ.get("HF_TOKEN"))

    def __call__(self, data: dict[str, Any]):
        return self.pipe(Image.open(io.BytesIO(base64.b64decode(data["inputs"]))).convert("RGB"))


PIPELINE_REGISTRY.register_pipeline("pairs", pipeline_class=PairPipeline)
