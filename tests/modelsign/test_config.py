from pathlib import Path

import pytest

from modelsign import config
from modelsign.errors import UsageError

VERBS = ("scan", "verify")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def test_the_working_directory_and_the_users_directory_are_read(work: Path, tmp_path: Path) -> None:
    (tmp_path / "xdg" / "modelsign").mkdir(parents=True)
    (tmp_path / "xdg" / "modelsign" / "modelsign.toml").write_text("quiet = true")
    (work / "modelsign.toml").write_text("[scan]\nfail-on = 'any'")
    found = config.find([str(tmp_path / "elsewhere")], explicit=None, verbs=VERBS)
    assert [settings.path.parent.name for settings in found.settings] == ["modelsign", "work"]
    assert found.settings[1].verbs == {"scan": {"fail-on": "any"}}


@pytest.mark.parametrize("target", [".", "..", "model", "model/a.bin", "/"])
def test_a_file_that_may_belong_to_the_target_is_left_out_and_named(work: Path, target: str) -> None:
    (work / "modelsign.toml").write_text("[scan]\nfail-on = 'never'")
    (work / "model").mkdir()
    found = config.find([target], explicit=None, verbs=VERBS)
    assert found.settings == ()
    assert str(work / "modelsign.toml") in found.notices[0]
    assert "--config" in found.notices[0]


def test_a_link_does_not_hide_that_the_file_lies_in_the_target(work: Path, tmp_path: Path) -> None:
    (work / "modelsign.toml").write_text("quiet = true")
    (tmp_path / "other").symlink_to(work)
    assert config.find([str(tmp_path / "other")], explicit=None, verbs=VERBS).settings == ()


def test_standard_input_and_uris_have_no_place(work: Path) -> None:
    (work / "modelsign.toml").write_text("quiet = true")
    assert config.find(["-", "hf://org/name"], explicit=None, verbs=VERBS).notices == ()


def test_a_named_file_inside_the_target_is_refused(work: Path) -> None:
    (work / "model").mkdir()
    (work / "model" / "c.toml").write_text("")
    with pytest.raises(UsageError, match="inside the scanned target"):
        config.find(["model"], explicit=Path("model/c.toml"), verbs=VERBS)


def test_a_named_file_beside_the_target_is_read_alone(work: Path) -> None:
    (work / "model").mkdir()
    (work / "c.toml").write_text("quiet = true")
    (work / "modelsign.toml").write_text("not toml at all")
    found = config.find(["model"], explicit=Path("c.toml"), verbs=VERBS)
    assert [settings.shared for settings in found.settings] == [{"quiet": True}]


@pytest.mark.parametrize("text", ["[scann]\n", "= 1", "\x00"])
def test_a_malformed_file_is_a_usage_error(work: Path, text: str) -> None:
    (work / "c.toml").write_text(text)
    with pytest.raises(UsageError, match=r"c\.toml"):
        config.find(["/nowhere"], explicit=Path("c.toml"), verbs=VERBS)


def test_a_mistyped_table_is_answered_with_the_near_name(work: Path) -> None:
    (work / "c.toml").write_text("[scann]\n")
    with pytest.raises(UsageError, match="did you mean 'scan'"):
        config.load(work / "c.toml", verbs=VERBS)


def test_a_missing_file_is_a_usage_error(work: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        config.find([], explicit=work / "none.toml", verbs=VERBS)
