import struct

import pytest

from scanners.errors import FormatError, LimitExceeded
from scanners.facts import Tensor
from scanners.formats import gguf, jinja
from tests.builders.gguf import Weight, number_value, string, strings_value, text_value
from tests.builders.gguf import gguf as build
from tests.builders.readings import anomalies, blob_of, read_with, stated_by, survive_mutations, uncovered

ORDINARY = build(
    [
        text_value("general.architecture", "llama"),
        strings_value("tokenizer.ggml.tokens", ["<s>", "</s>", "a"]),
        text_value("tokenizer.chat_template", "{% for m in messages %}{{ m.content }}{% endfor %}"),
        number_value("general.alignment", 64),
    ],
    [Weight(), Weight(name="output.weight", type=8, shape=(32, 2), offset=512)],
    data=bytes(512 + 68),
    alignment=64,
)


def test_an_ordinary_file_is_covered_and_has_no_anomaly() -> None:
    reading = read_with(gguf, ORDINARY)
    assert anomalies(reading) == []
    assert uncovered(reading) == 0
    assert [fact.name for fact in reading.facts if isinstance(fact, Tensor)] == ["token_embd.weight", "output.weight"]


def test_content_decides_not_the_name() -> None:
    assert gguf.matches(blob_of(ORDINARY, "weights.bin"))
    assert not gguf.matches(blob_of(b"GGML", "weights.gguf"))


def test_chat_templates_are_handed_on_as_templates() -> None:
    values = [
        text_value("tokenizer.chat_template", "{{ a }}"),
        text_value("tokenizer.chat_template.tool_use", "{{ b }}"),
    ]
    children = read_with(gguf, build(values)).children
    assert [child.reader.read_at(0, 99) for child in children] == [b"{{ a }}", b"{{ b }}"]
    assert all(jinja.ROLE in child.roles for child in children)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (build(weights=[Weight(shape=(1 << 62, 1 << 3))]), "gguf-overflow"),
        (build(weights=[Weight(shape=(1 << 61, 4), type=0)]), "gguf-overflow"),
        (build(weights=[Weight(offset=(1 << 64) - 32)]), "gguf-overflow"),
        (build(weights=[Weight(offset=1 << 20)]), "gguf-outside"),
        (build(weights=[Weight(offset=7)], data=bytes(1024)), "gguf-alignment"),
        (build(weights=[Weight(), Weight(name="b", offset=32)], data=bytes(1024)), "gguf-overlap"),
        (build(weights=[Weight(), Weight()]), "gguf-duplicate-tensor"),
        (build([number_value("a", 1), number_value("a", 2)]), "gguf-duplicate-key"),
        (build(data=bytes(512 + 8192)), "gguf-trailing"),
        (build(weights=[Weight(), Weight(name="b", offset=4096)], data=bytes(4096 + 512)), "gguf-hole"),
        (build(weights=[Weight(shape=(33,), type=2)]), "gguf-block"),
    ],
)
def test_the_arithmetic_of_tensors_is_checked(data: bytes, code: str) -> None:
    assert code in anomalies(read_with(gguf, data))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (build(tensor_count=1 << 60), "gguf-count"),
        (build(key_count=1 << 60), "gguf-count"),
        (build([number_value("general.alignment", 0)]), "gguf-alignment-value"),
        (build([number_value("general.alignment", 24)]), "gguf-alignment-value"),
        (build([string("a") + struct.pack("<IIQ", 9, 8, 1 << 62)]), "gguf-count"),
        (build([string("a") + struct.pack("<IIQ", 9, 4, 1 << 62)]), "gguf-count"),
        (build([string("a") + struct.pack("<IQ", 8, (1 << 64) - 1)]), "gguf-count"),
        (build([string("tokenizer.chat_template") + struct.pack("<IQ", 8, 1 << 63)]), "gguf-count"),
        (build(weights=[Weight(shape=(1, 1, 1, 1, 1))]), "gguf-dimensions"),
        (build([struct.pack("<Q", 1 << 40) + b"x"]), "gguf-string"),
    ],
)
def test_absurd_headers_are_stated_before_the_reading_stops(data: bytes, code: str) -> None:
    assert code in anomalies(stated_by(gguf, data))
    with pytest.raises(FormatError):
        read_with(gguf, data)


def test_an_unknown_tensor_type_leaves_the_reading_incomplete() -> None:
    assert read_with(gguf, build(weights=[Weight(type=99)])).reasons


def test_an_unknown_version_is_malformed() -> None:
    with pytest.raises(FormatError):
        read_with(gguf, build(version=9))


def test_arrays_nested_without_end_are_refused() -> None:
    nested = string("a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 2) * 200
    with pytest.raises((LimitExceeded, FormatError)):
        read_with(gguf, build([nested]))


def test_big_endian_files_are_read() -> None:
    header = b"GGUF" + struct.pack(">IQQ", 3, 0, 1) + string("a", ">") + struct.pack(">II", 4, 1)
    assert anomalies(read_with(gguf, header)) == []


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(gguf, [ORDINARY], name="model.gguf")


@pytest.mark.parametrize("tail", [b"cos\nsystem\n(S'id'\ntR.", b"\x7fELF", bytes(100) + b"x"])
def test_bytes_behind_the_last_tensor_are_told_however_few(tail: bytes) -> None:
    reading = read_with(gguf, build() + tail)
    assert anomalies(reading) == ["gguf-trailing"]
    assert uncovered(reading) == len(tail)


def test_padding_behind_the_last_tensor_is_inert() -> None:
    reading = read_with(gguf, build() + bytes(31))
    assert anomalies(reading) == []
    assert uncovered(reading) == 0


def test_templates_in_an_array_are_handed_on_as_templates() -> None:
    reading = read_with(gguf, build((strings_value("tokenizer.chat_template", ["{{ a }}", "{{ b }}"]),)))
    assert [child.name for child in reading.children] == ["tokenizer.chat_template[0]", "tokenizer.chat_template[1]"]
    assert all(child.roles == {jinja.ROLE} for child in reading.children)
    assert uncovered(reading) == 0


def test_templates_without_end_are_refused() -> None:
    with pytest.raises(LimitExceeded):
        read_with(gguf, build((strings_value("tokenizer.chat_templates", ["a"] * 1001),)))
    with pytest.raises(LimitExceeded):
        read_with(gguf, build([text_value(f"template.{index}", "a") for index in range(1001)]))


def test_an_array_of_numbers_under_a_templates_key_is_stepped_over() -> None:
    value = string("template.ids") + struct.pack("<IIQII", 9, 4, 2, 1, 2)
    reading = read_with(gguf, build((value, number_value("x", 1))))
    assert anomalies(reading) == []
    assert uncovered(reading) == 0
