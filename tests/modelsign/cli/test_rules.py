import json

import pytest

from modelsign.cli.main import invoke
from scanners.registry import ALL_RULES


def test_every_rule_is_listed_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["rules", "list"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [rule.id for rule in ALL_RULES]


def test_the_list_is_there_for_programs(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["rules", "list", "--json"]) == 0
    assert set(json.loads(capfd.readouterr().out)) == {rule.id for rule in ALL_RULES}


@pytest.mark.parametrize("name", ["MS907", "ms907", "file-left-out"])
def test_a_rule_is_explained_by_id_or_name(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["rules", "show", name]) == 0
    assert capfd.readouterr().out.startswith("# MS907 file-left-out")


@pytest.mark.parametrize("name", ["MS9O7", "file-left-ou", "../../etc/passwd"])
def test_an_unknown_rule_exits_with_2(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["rules", "show", name]) == 2
    assert "modelsign rules list" in capfd.readouterr().err


def test_a_near_name_is_offered(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["rules", "show", "file-left-ou"]) == 2
    assert "did you mean 'file-left-out'" in capfd.readouterr().err
