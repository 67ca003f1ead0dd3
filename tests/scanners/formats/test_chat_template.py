import json

from scanners.formats import chat_template, jinja
from tests.builders.readings import blob_of, read_with, survive_mutations

NAMED = json.dumps(
    {"chat_template": [{"name": "default", "template": "{{ a }}"}, {"name": "rag", "template": "{{ b }}"}]}
)


def test_every_named_template_is_handed_on() -> None:
    children = read_with(chat_template, NAMED.encode(), name="tokenizer_config.json").children
    assert [(child.name, child.reader.read_at(0, 99)) for child in children] == [
        ("chat_template[0].template", b"{{ a }}"),
        ("chat_template[1].template", b"{{ b }}"),
    ]
    assert all(jinja.ROLE in child.roles for child in children)


def test_a_key_written_with_escapes_is_found() -> None:
    data = b'{"\\u0063hat_t\\u0065mplate": "{{ a }}"}'
    assert chat_template.matches(blob_of(data, "tokenizer_config.json"))
    assert len(read_with(chat_template, data).children) == 1


def test_text_without_tags_is_no_template() -> None:
    assert read_with(chat_template, b'{"chat_template": "plain", "other": "{{ x }}"}').children == []


def test_files_without_templates_are_left_to_others() -> None:
    assert not chat_template.matches(blob_of(b'{"a": 1}', "config.json"))
    assert not chat_template.matches(blob_of(NAMED.encode(), "notes.txt"))


def test_truncations_and_mutations_end_in_a_verdict() -> None:
    survive_mutations(chat_template, [NAMED.encode()], name="x.json", rounds=150)
