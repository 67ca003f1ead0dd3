"""The index of weights in several files: `model.safetensors.index.json`, Keras's `model.weights.json` and the like.

Sources: transformers `modeling_utils.py` (`weight_map`: tensor name to file name, relative to the index), Keras
`saving_lib.py` (`ShardedH5IOStore`: a variable's path to one file name or several). Files are stated once each, with
how many tensors they are to hold; whether they are there is judged over all files.
"""

from scanners.facts import Identified, Reference
from scanners.formats.json_text import document_of
from scanners.reading import Blob, Reading

NAME = "weights-index"
KIND = "shard"
MAXIMUM_SHARDS = 100_000


def matches(blob: Blob) -> bool:
    """Return whether the blob is named as loaders look for an index."""
    return blob.name.lower().endswith((".index.json", ".index.fp16.json", ".weights.json"))


def read(blob: Blob, reading: Reading) -> None:
    """State the files of the weight map."""
    value = document_of(blob, reading.budget).value
    mapping = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(mapping, dict):
        return
    reading.state(Identified(location=reading.at(0), format=NAME))
    counts: dict[str, int] = {}
    for named in mapping.values():
        for file in named if isinstance(named, list) else [named]:
            if isinstance(file, str):
                counts[file] = counts.get(file, 0) + 1
    for place, (file, count) in enumerate(sorted(counts.items())):
        if place >= MAXIMUM_SHARDS:
            reading.unread(f"more than {MAXIMUM_SHARDS} files of weights")
            return
        reading.state(Reference(location=reading.at(), kind=KIND, target=file[:4096], context=f"{count} tensors"))
