import pytest

from scanners.findings import Severity
from scanners.formats import jinja
from scanners.rules.file import templates
from tests.builders.readings import facts_of, read_with
from tests.builders.templates import HOSTILE, ORDINARY
from tests.scanners.rules.examples import Example


def _twins(bad: str) -> Example:
    good = ORDINARY["zephyr"].encode()
    return Example(bad=lambda: {"chat_template.jinja": bad.encode()}, good=lambda: {"chat_template.jinja": good})


EXAMPLES = {
    "MS410": _twins(HOSTILE["cycler-globals"]),
    "MS411": _twins(HOSTILE["tilde-name"]),
    "MS412": _twins(HOSTILE["nested-ranges"]),
    "MS413": _twins("{% include '/etc/passwd' %}"),
    "MS414": _twins("{% for x in %}"),
}


def found(text: str) -> set[str]:
    reading = read_with(jinja, text.encode(), name="chat_template.jinja")
    return {finding.rule.id for finding in templates.judge(facts_of(reading))}


@pytest.mark.parametrize("style", ORDINARY)
def test_ordinary_templates_are_quiet(style: str) -> None:
    assert found(ORDINARY[style]) == set()


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
