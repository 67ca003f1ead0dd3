import struct

import pytest

from scanners.engine import scan_blob
from scanners.errors import FormatError
from scanners.facts import Tensor
from scanners.findings import Verdict
from scanners.formats import word2vec
from scanners.reader import BytesReader
from tests.builders import pickles as p
from tests.builders.readings import blob_of, read_with, survive_mutations, uncovered


def vectors(words: list[bytes], width: int = 3, *, count: int | None = None, end: bytes = b"") -> bytes:
    numbers = struct.pack(f"<{width}f", *range(width))
    head = b"%d %d\n" % (len(words) if count is None else count, width)
    return head + b"".join(word + b" " + numbers + end for word in words)


FILES = {
    "of gensim": vectors([b"a", b"b_c"]),
    "of word2vec": vectors([b"</s>", "\N{CYRILLIC SMALL LETTER ZHE}".encode()], end=b"\n"),
    "wide ones": vectors([b"a", b"b"], 90_000),
    "many": vectors([b"w%06d" % number for number in range(50_000)], 8),
}


@pytest.mark.parametrize("name", FILES)
def test_vectors_are_data(name: str) -> None:
    data = FILES[name]
    assert word2vec.matches(blob_of(data, "vectors.bin"))
    assert uncovered(read_with(word2vec, data)) == 0
    report = scan_blob(BytesReader(data), "vectors.bin").report
    assert (report.verdict, report.formats) == (Verdict.CLEAN, ("word2vec",))


def test_their_shape_is_stated() -> None:
    facts = scan_blob(BytesReader(FILES["of gensim"]), "vectors.bin").facts.facts
    assert [fact.shape for fact in facts if isinstance(fact, Tensor)] == [(2, 3)]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (FILES["of gensim"], "vectors.dat"),
        (b"", "x.bin"),
        (b"2 3", "x.bin"),
        (b"2 3\n", "x.bin"),
        (b"0 3\n", "x.bin"),
        (b"2 3 4\n" + bytes(99), "x.bin"),
        (vectors([b"a"], count=9_999_999_999), "x.bin"),
        (p.system(), "pytorch_model.bin"),
    ],
)
def test_other_files_are_not_claimed(data: bytes, name: str) -> None:
    assert not word2vec.matches(blob_of(data, name))


@pytest.mark.parametrize(
    "data",
    [
        vectors([b"a", b"b"])[:-1],
        vectors([b"a", b"b" * 20_000]),
        vectors([b"a" * 40], count=2),
        b"1 1\nno-space",
    ],
    ids=["cut off", "a word too long", "fewer than stated", "no space"],
)
def test_a_record_that_is_not_there_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_with(word2vec, data)
    assert scan_blob(BytesReader(data), "vectors.bin").report.verdict is not Verdict.CLEAN


@pytest.mark.parametrize("behind", [b"more", p.system(), b"\n" + p.system()])
def test_bytes_behind_the_vectors_are_not_clean(behind: bytes) -> None:
    assert scan_blob(BytesReader(FILES["of gensim"] + behind), "vectors.bin").report.verdict is not Verdict.CLEAN


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(word2vec, [FILES["of gensim"], FILES["of word2vec"]], name="vectors.bin")
