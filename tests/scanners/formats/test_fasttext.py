import struct

import pytest

from scanners.engine import scan_blob
from scanners.errors import FormatError
from scanners.facts import Tensor
from scanners.findings import Verdict
from scanners.formats import fasttext
from scanners.reader import BytesReader
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def head(version: int = 12) -> bytes:
    return struct.pack("<ii12id", 793712314, version, *range(12), 0.5)


def dictionary(words: list[bytes], labels: list[bytes], *, size: int | None = None, pruned: int = -1) -> bytes:
    count = len(words) + len(labels) if size is None else size
    begin = struct.pack("<iiiqq", count, len(words), len(labels), 9, pruned)
    entries = b"".join(
        one + b"\0" + struct.pack("<qb", 3, kind) for kind, group in enumerate((words, labels)) for one in group
    )
    return begin + entries + bytes(8 * max(0, pruned))


def dense(rows: int, columns: int) -> bytes:
    return struct.pack("<qq", rows, columns) + bytes(4 * rows * columns)


def quantiser(columns: int, part: int) -> bytes:
    parts = -(-columns // part)
    return struct.pack("<iiii", columns, parts, part, columns - (parts - 1) * part) + bytes(1024 * columns)


def quantised(rows: int, columns: int, *, normed: bool) -> bytes:
    codes = rows * -(-columns // 2)
    norms = bytes(rows) + quantiser(1, 1) if normed else b""
    begin = struct.pack("<?qqi", normed, rows, columns, codes)
    return begin + bytes(codes) + quantiser(columns, 2) + norms


WORDS = dictionary([b"a", "\N{CYRILLIC SMALL LETTER ZHE}".encode(), b""], [b"__label__x"])
MODEL = head() + WORDS + b"\0" + dense(5, 3) + b"\0" + dense(1, 3)
MODELS = {
    "vectors": MODEL,
    "the older version": head(11) + WORDS + b"\0" + dense(5, 3) + b"\0" + dense(1, 3),
    "quantised": head() + WORDS + b"\1" + quantised(5, 3, normed=False) + b"\1" + quantised(1, 3, normed=True),
    "an input that is quantised": head() + WORDS + b"\1" + quantised(5, 4, normed=True) + b"\0" + dense(1, 4),
    "pruned": head() + dictionary([b"a"], [], pruned=2) + b"\0" + dense(5, 3) + b"\0" + dense(1, 3),
    "no words": head() + dictionary([], []) + b"\0" + dense(0, 3) + b"\0" + dense(0, 3),
    "words over several blocks": head()
    + dictionary([b"w%07d" % number * 9 for number in range(20_000)], [])
    + b"\0" + dense(1, 1) + b"\0" + dense(1, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_data(name: str) -> None:
    data = MODELS[name]
    assert fasttext.matches(blob_of(data, "model.bin"))
    assert uncovered(read_with(fasttext, data)) == 0
    assert scan_blob(BytesReader(data), "model.bin").report.verdict is Verdict.CLEAN


def test_both_matrices_are_stated() -> None:
    tensors = [fact for fact in scan_blob(BytesReader(MODEL), "model.bin").facts.facts if isinstance(fact, Tensor)]
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors] == [
        ("input", "F32", (5, 3)),
        ("output", "F32", (1, 3)),
    ]


BROKEN = {
    "a version of tomorrow": head(13) + MODEL[len(head()) :],
    "cut off": MODEL[:-1],
    "no dictionary": head(),
    "fewer words than stated": head() + dictionary([b"a"], [], size=2),
    "less than no words": head() + struct.pack("<iiiqq", -2, -1, -1, 0, -1) + b"\0" + dense(1, 1) + b"\0" + dense(1, 1),
    "a word without an end": head() + struct.pack("<iiiqq", 1, 1, 0, 9, -1) + b"word",
    "an entry of no kind": head() + struct.pack("<iiiqq", 1, 1, 0, 9, -1) + b"a\0" + struct.pack("<qb", 1, 7),
    "more pruned than there is": head() + dictionary([b"a"], [])[:-1] + b"\0",
    "a matrix of less than nothing": head() + WORDS + b"\0" + struct.pack("<qq", -1, -1),
    "a matrix beyond the end": head() + WORDS + b"\0" + struct.pack("<qq", 1 << 62, 1 << 62),
    "neither yes nor no": head() + WORDS + b"\2" + dense(5, 3) + b"\0" + dense(1, 3),
    "codes that do not fit": head() + WORDS + b"\1" + struct.pack("<?qqi", False, 9, 4, 2) + bytes(2) + quantiser(4, 2),
    "less than no codes": head() + WORDS + b"\1" + struct.pack("<?qqi", False, 9, 4, -2) + quantiser(4, 2),
    "a quantiser of other rows": head() + WORDS + b"\1"
    + struct.pack("<?qqi", False, 1, 4, 2) + bytes(2) + quantiser(2, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_a_format_error(name: str) -> None:
    with pytest.raises(FormatError):
        read_with(fasttext, BROKEN[name])
    assert scan_blob(BytesReader(BROKEN[name]), "model.bin").report.verdict is not Verdict.CLEAN


def test_bytes_behind_the_model_are_not_clean() -> None:
    assert scan_blob(BytesReader(MODEL + b"more"), "model.bin").report.verdict is not Verdict.CLEAN


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(fasttext, [MODEL, MODELS["quantised"]], name="model.bin")
