import contextlib
import random

import pytest

from scanners.errors import LimitExceeded, ScanError
from scanners.facts import Template
from scanners.formats import jinja
from scanners.limits import Budget
from scanners.reader import BytesReader
from scanners.reading import Blob, Reading
from tests.builders.templates import HOSTILE, ORDINARY, ORDINARY_KEYS


def read(text: str | bytes, *, name: str = "chat_template.jinja") -> Reading:
    data = text if isinstance(text, bytes) else text.encode()
    blob = Blob(reader=BytesReader(data), name=name)
    reading = Reading(blob=blob, budget=Budget())
    jinja.read(blob, reading)
    return reading


def constructs(text: str) -> list[str]:
    return [fact.construct for fact in read(text).facts if isinstance(fact, Template)]


@pytest.mark.parametrize("style", ORDINARY)
def test_ordinary_chat_templates_state_nothing(style: str) -> None:
    reading = read(ORDINARY[style])
    assert constructs(ORDINARY[style]) == []
    assert reading.reasons == []


@pytest.mark.parametrize("key", ORDINARY_KEYS)
def test_ordinary_ways_to_compute_a_key_state_nothing(key: str) -> None:
    assert constructs(ORDINARY_KEYS[key]) == []


@pytest.mark.parametrize("trick", HOSTILE)
def test_every_trick_is_stated(trick: str) -> None:
    assert constructs(HOSTILE[trick])


@pytest.mark.parametrize(
    ("trick", "construct"),
    [
        ("tilde-name", "string-building"),
        ("percent-c", "string-building"),
        ("reversed-name", "string-building"),
        ("hex-escapes", "dunder-attribute"),
        ("long-range", "loop-bomb"),
        ("nested-ranges", "loop-bomb"),
        ("python-open", "python-function"),
        ("flask-config", "escape-object"),
    ],
)
def test_a_trick_is_called_by_its_name(trick: str, construct: str) -> None:
    assert construct in constructs(HOSTILE[trick])


def test_a_chain_of_attributes_is_told_once() -> None:
    assert constructs("{{ a.__class__.__mro__.__len__ }}") == ["dunder-attribute"]


def test_a_name_the_template_binds_itself_is_no_foreign_object() -> None:
    assert constructs("{% set config = messages[0] %}{{ config.content }}") == []


def test_text_between_tags_is_not_judged() -> None:
    assert constructs("use obj.__class__ and os.system('x') in Python") == []


def test_what_does_not_parse_leaves_the_reading_incomplete() -> None:
    reading = read("{% for x in %}")
    assert [fact.construct for fact in reading.facts if isinstance(fact, Template)] == ["unparsable"]
    assert reading.reasons


@pytest.mark.parametrize("text", ["{{ " + "(" * 5000, "{{ " + "not " * 200_000 + "x }}", "{{ " + "9" * 5000 + " }}"])
def test_deep_or_absurd_expressions_end_in_our_error_or_a_fact(text: str) -> None:
    with contextlib.suppress(LimitExceeded):
        assert read(text).reasons


def test_a_template_of_many_megabytes_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        read("x" * (jinja.MAXIMUM_TEXT + 1))


def test_bytes_that_are_not_text_are_malformed() -> None:
    with pytest.raises(ScanError):
        read(b"{{ \xff }}")


def test_a_json_value_is_read_by_its_role() -> None:
    blob = Blob(reader=BytesReader(b"x"), name="chat_template", roles=frozenset({jinja.ROLE}))
    assert jinja.matches(blob)


def test_other_files_are_not_taken() -> None:
    assert not jinja.matches(Blob(reader=BytesReader(b"{{ x }}"), name="README.md"))


def test_mutations_end_in_a_verdict() -> None:
    chance = random.Random(7)
    seeds = [text.encode() for text in (*ORDINARY.values(), *HOSTILE.values())]
    for _ in range(400):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.choice(b"{}%()[]'\"|~.x_\\0")
        cut = bytes(data[: chance.randint(0, len(data))])
        with contextlib.suppress(ScanError):
            read(cut)


@pytest.mark.parametrize(
    ("text", "construct"),
    [
        ("{{ ('{0.__cl' ~ 'ass__}').format(1) }}", "string-building"),
        ("{% set f = '{0.__cl' ~ 'ass__}' %}{{ f.format(1) }}", "string-building"),
        ("{{ '%*d' % (10**9, 1) }}", "loop-bomb"),
        ("{{ '{:{}}'.format(1, 10**9) }}", "loop-bomb"),
        ("{{ '%.*f'|format(10**9, 1.5) }}", "loop-bomb"),
    ],
)
def test_formats_in_pieces_and_widths_from_arguments_are_followed(text: str, construct: str) -> None:
    assert construct in constructs(text)


def test_names_that_lead_to_names_without_end_are_a_limit() -> None:
    names = "".join(f"{{% set a{n} = a{(n + 1) % 60} ~ a{(n * 7) % 60} %}}" for n in range(60))
    with pytest.raises(LimitExceeded):
        read(names + "{{ x[a1 ~ a2] }}" * 25_000)
