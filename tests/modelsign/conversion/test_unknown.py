"""Files that are refused, and by which name."""

import pytest

from modelsign.conversion.refusals import UnknownFormatError
from tests.builders import tensorflow_bundles
from tests.builders.flatbuffers import tflite
from tests.builders.gguf import gguf
from tests.builders.protobufs import constant, onnx_model, onnx_tensor, saved_model
from tests.builders.runtimes import r_file, r_numbers, t7_tensor
from tests.builders.safetensors import safetensors
from tests.modelsign.conversion.reading import in_memory

REFUSED = {
    "empty": (b"", "the file is empty"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
    "web page": (b"\n<!DOCTYPE html><html>", "a web page"),
    "safetensors": (safetensors({"a": ("U8", [4], bytes(4))}), "is safetensors already"),
    "gguf": (gguf(), "is GGUF"),
    "tensorflow": (tensorflow_bundles.index({"w": tensorflow_bundles.entry(1, [1], 0, 4)}), "checkpoint of TensorFlow"),
    "saved model": (saved_model([constant("a", "b")]), "a graph of TensorFlow"),
    "tflite": (tflite(), "TensorFlow Lite"),
    "onnx": (onnx_model(), "an ONNX graph"),
    "a tensor of onnx": (onnx_tensor(raw=bytes(8)), "a single tensor of ONNX"),
    "fasttext": (b"\xba\x16\x4f\x2f" + bytes(80), "a model of fastText"),
    "torch7": (t7_tensor(1, [1.0]), "Lua's Torch"),
    "r": (r_file(r_numbers(1.0)), "a file of R"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7z archive"),
    "text": (b"hello", "no checkpoint that is known"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_named(name: str) -> None:
    data, words = REFUSED[name]
    with pytest.raises(UnknownFormatError, match=words):
        in_memory(data)
