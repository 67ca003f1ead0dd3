import pytest

from scanners.findings import Rule, Severity
from scanners.formats import jinja
from scanners.rules.file import templates
from tests.builders.readings import facts_of, read_with
from tests.builders.templates import HOSTILE, ORDINARY


def found(text: str) -> set[str]:
    reading = read_with(jinja, text.encode(), name="chat_template.jinja")
    return {finding.rule.id for finding in templates.judge(facts_of(reading))}


@pytest.mark.parametrize("style", ORDINARY)
def test_ordinary_templates_are_quiet(style: str) -> None:
    assert found(ORDINARY[style]) == set()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (templates.ESCAPE, HOSTILE["cycler-globals"]),
        (templates.BUILT, HOSTILE["tilde-name"]),
        (templates.BOMB, HOSTILE["nested-ranges"]),
        (templates.INCLUSION, "{% include '/etc/passwd' %}"),
        (templates.UNPARSABLE, "{% for x in %}"),
    ],
)
def test_each_rule_has_a_bad_example(rule: Rule, text: str) -> None:
    assert rule.id in found(text)


@pytest.mark.parametrize("trick", HOSTILE)
def test_no_trick_passes_the_default_gate(trick: str) -> None:
    reading = read_with(jinja, HOSTILE[trick].encode(), name="chat_template.jinja")
    assert max(finding.severity.rank for finding in templates.judge(facts_of(reading))) >= Severity.MEDIUM.rank


def test_cve_2024_34359_llama_cpp_python_template() -> None:
    text = (
        "{% for c in [].__class__.__base__.__subclasses__() %}{% if c.__name__ == 'catch_warnings' %}"
        "{{ c()._module.__builtins__['__import__']('os').system('id') }}{% endif %}{% endfor %}"
    )
    assert templates.ESCAPE.id in found(text)
