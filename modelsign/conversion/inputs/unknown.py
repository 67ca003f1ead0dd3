"""What a file is that cannot be converted: one sentence for the person who tried, and what to do instead."""

from importlib import import_module
from typing import cast

from scanners.reader import Reader
from scanners.reading import Blob, Format

_LISTED = "docs/converting.md lists what can be converted"
_BEGINS = {
    b"version https://git-lfs": "this is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`",
    b"<!doctype html": "this is a web page, so the download went wrong; fetch the file again",
    b"<html": "this is a web page, so the download went wrong; fetch the file again",
    b"\x28\xb5\x2f\xfd": "this is compressed with Zstandard; unpack it first",
    b"7z\xbc\xaf\x27\x1c": "this is a 7z archive; unpack it first",
    b"rar!": "this is a rar archive; unpack it first",
}
_FORMATS = {
    "safetensors": "this is safetensors already; there is nothing to convert",
    "gguf": "this is GGUF, whose quantised blocks safetensors cannot hold; convert the checkpoint it was made from",
    "tensorflow_checkpoint": "this is a checkpoint of TensorFlow, which is not read; load it there and save its arrays "
    "with `numpy.savez`",
    "savedmodel": "this is a graph of TensorFlow, which is not read; load it there and save its arrays with "
    "`numpy.savez`",
    "tflite": "this is a model of TensorFlow Lite, which is not read; convert what it was made from",
    "onnx": "this is an ONNX graph, which is not read; convert the checkpoint it was exported from",
    "onnx_tensor": "this is a single tensor of ONNX, which is not read; save it with `numpy.save` "
    "(onnx.numpy_helper.to_array)",
    "fasttext": "this is a model of fastText, which is not read; load it there and save its matrices with "
    "`numpy.savez`",
    "torch7": "this is a file of Lua's Torch, which is not read; load it there and save its arrays",
    "rds": "this is a file of R, which is not read; save its arrays from there",
}
"""by module of `scanners.formats`"""


def named(reader: Reader) -> str:
    """Say what a file is that no parser took."""
    if not reader.size:
        return "the file is empty; fetch it again"
    head = reader.read_at(0, 64).lstrip().lower()
    for begin, sentence in _BEGINS.items():
        if head.startswith(begin.lower()):
            return sentence
    blob = Blob(reader=reader, name="")
    for name, sentence in _FORMATS.items():
        if cast("Format", import_module(f"scanners.formats.{name}")).matches(blob):
            return sentence
    return f"this is no checkpoint that is known; {_LISTED}"
