"""SentencePiece tokenizer models (`tokenizer.model`, `spiece.model`): a protobuf of pieces and settings, all data.

Source: google/sentencepiece, `sentencepiece_model.proto`: ModelProto {1 pieces {1 piece, 2 score, 3 type},
2 trainer_spec, 3 normalizer_spec, 4 self_test_data, 5 denormalizer_spec}. Its loader interprets no field as code, path
or address: the paths in trainer_spec name the training text of long ago.
"""

from scanners.facts import Identified
from scanners.formats.protobuf import BYTES, FIXED32, VARINT, Tally, fields, looks_like
from scanners.reading import Blob, Reading

NAME = "sentencepiece"

_MODEL = dict.fromkeys(range(1, 6), BYTES)
_PIECE = {1: BYTES, 2: FIXED32, 3: VARINT}


def matches(blob: Blob) -> bool:
    """Return whether the blob begins like a ModelProto whose first piece has a text and a score."""
    if blob.reader.read_at(0, 1) != b"\x0a":
        return False
    first = looks_like(blob.reader, _MODEL, 1)
    if first is None:
        return False
    end = first.offset + first.length
    return all(looks_like(blob.reader, _PIECE, one, start=first.offset, end=end) is not None for one in (1, 2))


def read(blob: Blob, reading: Reading) -> None:
    """Walk the outer fields to the end of the file; nothing in them is worth a fact."""
    reading.state(Identified(location=reading.at(), format=NAME))
    for _ in fields(blob.reader, 0, blob.reader.size, Tally()):
        pass
    reading.parsed(0, blob.reader.size)
