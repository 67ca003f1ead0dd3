"""Shards and their index, as Hugging Face's loaders expect them.

The index maps every tensor to the file that really holds it; a tied tensor's alias stands in the metadata of the file
that holds the kept one, and in the index's own metadata. Sizes are counted from what is written.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from modelsign.conversion.plan import PlannedTensor
from modelsign.errors import ConversionError, UsageError

_INDEX = re.compile(r"(?P<stem>.+)\.(?P<kind>bin|h5|msgpack)\.index(?P<variant>\.[A-Za-z0-9_-]+)?\.json\Z")
_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) *(?P<unit>[KMGT]?i?B?)\Z", re.IGNORECASE)
_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}
INDEX_LIMIT = 64 << 20
_SHARDS_LIMIT = 99_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index of shards that are no safetensors."""

    files: tuple[str, ...]
    """sorted"""
    weight_map: Mapping[str, str]


def size_of(text: str) -> int:
    """Return the bytes that `5GB`, `200MiB` or `1000000` mean.

    Raises:
        UsageError: it is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    size = 0
    if match is not None:
        unit = match["unit"].lower().removesuffix("b")
        size = int(float(match["number"]) * _UNITS[unit]) if unit in _UNITS else 0
    if size < 1:
        raise UsageError(f"--max-shard-size {text}: give a size such as 5GB or 500MiB")
    return size


def is_index(name: str) -> bool:
    """Return whether a file name is that of an index of shards that are converted."""
    return _INDEX.fullmatch(name) is not None


def index_target(name: str) -> str:
    """Return the name of the index of the converted shards: `pytorch_model.bin.index.json` has `model…`."""
    match = _INDEX.fullmatch(name)
    assert match is not None
    stem = match["stem"]
    if stem == "pytorch_model" or stem.startswith("pytorch_model."):
        stem = "model" + stem.removeprefix("pytorch_model")
    return f"{stem}.safetensors.index{match['variant'] or ''}.json"


def tensor_name(name: str) -> str:
    """Return how a tensor that an index lists is called here: Keras and Flax write paths with slashes."""
    return name.replace("/", ".").lstrip(".")


def read_index(data: bytes, name: str) -> Index:
    """Read an index of shards.

    Raises:
        ConversionError: it is malformed, or names files elsewhere.
    """
    try:
        value = json.loads(data)
        weight_map = value["weight_map"]
        entries = {str(key): weight_map[key] for key in weight_map}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConversionError(f"{name}: is no index of shards") from error
    for file in entries.values():
        if not isinstance(file, str) or file != PurePosixPath(file).name or file in {"", ".", ".."}:
            raise ConversionError(f"{name}: names a shard {file!r:.60} that is no file beside it")
    if not entries:
        raise ConversionError(f"{name}: lists no tensors")
    return Index(files=tuple(sorted(set(entries.values()))), weight_map=entries)


def shards(tensors: Sequence[PlannedTensor], limit: int) -> list[list[PlannedTensor]]:
    """Fill shards one after the other, none larger than ``limit`` except for a single tensor that is.

    Raises:
        ConversionError: there would be more shards than their names can count.
    """
    filled: list[list[PlannedTensor]] = [[]]
    size = 0
    for tensor in tensors:
        if filled[-1] and size + tensor.size > limit:
            filled.append([])
            size = 0
        filled[-1].append(tensor)
        size += tensor.size
    if len(filled) > _SHARDS_LIMIT:
        raise ConversionError(f"--max-shard-size: there would be {len(filled)} shards; choose a larger size")
    return filled


def shard_names(stem: str, count: int) -> list[str]:
    """Return the file names of ``count`` shards."""
    if count == 1:
        return [f"{stem}.safetensors"]
    return [f"{stem}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def index_bytes(files: Mapping[str, Sequence[PlannedTensor]], aliases: Mapping[str, str]) -> bytes:
    """Return the index of shards: file -> what was written into it."""
    weight_map = {tensor.name: file for file, tensors in files.items() for tensor in tensors}
    total = sum(tensor.size for tensors in files.values() for tensor in tensors)
    value = {"metadata": {**aliases, "total_size": total}, "weight_map": weight_map}
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode("ascii")
