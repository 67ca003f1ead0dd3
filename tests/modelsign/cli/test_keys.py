import io
import os
import stat
import sys
from pathlib import Path

import pytest

from attestations.algorithms import key_hint
from attestations.key_files import load_private, load_public
from modelsign.cli.main import invoke

PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSIGN_KEY_PASSPHRASE", PASSPHRASE)


def test_pair_belongs_together_and_is_encrypted(passphrase: None) -> None:
    assert invoke(["keys", "generate"]) == 0
    private = Path("modelsign.key").read_bytes()
    assert private.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    public = load_public(Path("modelsign.pub").read_bytes(), "pub")
    assert key_hint(load_private(private, PASSPHRASE.encode(), "key").public_key()) == key_hint(public)


def test_private_key_is_for_its_owner_alone(passphrase: None) -> None:
    before = os.umask(0)
    try:
        assert invoke(["keys", "generate"]) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("modelsign.key").stat().st_mode) == 0o600


def test_unencrypted_key_is_made_on_request_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["keys", "generate", "--no-passphrase"]) == 0
    assert Path("modelsign.key").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert "not encrypted" in capsys.readouterr().err


def test_no_passphrase_and_nobody_to_ask_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert invoke(["keys", "generate"]) == 2
    assert "--no-passphrase" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_short_passphrase_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSIGN_KEY_PASSPHRASE", "short")
    assert invoke(["keys", "generate"]) == 2


@pytest.mark.parametrize("existing", ["modelsign.key", "modelsign.pub"])
def test_existing_key_is_never_lost(passphrase: None, existing: str) -> None:
    Path(existing).write_text("precious")
    assert invoke(["keys", "generate"]) == 2
    assert [(path.name, path.read_text()) for path in Path().iterdir()] == [(existing, "precious")]
    assert invoke(["keys", "generate", "--force"]) == 0


def test_directory_and_name_are_chosen(passphrase: None, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    assert invoke(["keys", "generate", "-o", "keys", "--name", "release"]) == 0
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["release.key", "release.pub"]


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden"])
def test_name_stays_in_the_directory(passphrase: None, name: str) -> None:
    assert invoke(["keys", "generate", "--name", name]) == 2


def test_both_halves_show_the_same_fingerprint(passphrase: None, capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["keys", "generate"])
    capsys.readouterr()
    invoke(["keys", "show", "modelsign.key"])
    private = capsys.readouterr().out
    invoke(["keys", "show", "modelsign.pub"])
    assert capsys.readouterr().out == private
    assert "ECDSA P-256" in private
