"""Templates and Python in the spirit of the models that people use: no library needed, and no alarm."""

import json
from pathlib import Path

import pytest

import modelsign
from modelsign import Verdict
from tests.ordinary.making import MAKERS

TEMPLATES = sorted((MAKERS / "templates").glob("*.jinja"))
CODE = sorted((MAKERS / "code").glob("*.py"))


def alarms(folder: Path) -> dict[str, tuple[Verdict, list[str]]]:
    report = modelsign.scan(folder)
    return {
        file.path: (file.verdict, [finding.message for finding in file.findings])
        for file in report.files
        if file.verdict is not Verdict.CLEAN
    }


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.stem)
def test_an_ordinary_template_raises_no_alarm(template: Path, tmp_path: Path) -> None:
    text = template.read_text("utf-8")
    (tmp_path / "chat_template.jinja").write_text(text, encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": text}))

    assert alarms(tmp_path) == {}


@pytest.mark.parametrize("source", CODE, ids=lambda source: source.stem)
def test_ordinary_code_raises_no_alarm(source: Path, tmp_path: Path) -> None:
    (tmp_path / source.name).write_bytes(source.read_bytes())

    assert alarms(tmp_path) == {}


def test_a_repository_with_code_of_its_own_raises_no_alarm(tmp_path: Path) -> None:
    for source in CODE:
        (tmp_path / source.name).write_bytes(source.read_bytes())
    classes = {
        "AutoConfig": "configuration_custom.CustomConfig",
        "AutoModelForCausalLM": "modeling_flash.CustomForCausalLM",
    }
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "custom", "auto_map": classes}))

    assert alarms(tmp_path) == {}
