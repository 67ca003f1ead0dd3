import errno
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

from attestations.bundle import Bundle
from attestations.verify import verify_bundle
from modelsign.cli.main import invoke
from tests.builders.signatures import verifier, write_key, write_model

if TYPE_CHECKING:
    from tests.sigstore_stack.stack import SigstoreStack

PASSPHRASE = "open sesame"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


@pytest.fixture
def key(tmp_path: Path) -> str:
    return str(write_key(tmp_path)[0])


def test_result_says_what_was_signed_and_by_whom(model: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["sign", str(model), "--key", key]) == 0
    said = capsys.readouterr()
    assert "4 files, 7.0 kB" in said.out
    assert str(model / "model.sig") in said.out
    assert "root       sha256:" in said.out
    assert said.err == ""


def test_quiet_says_nothing(model: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["sign", str(model), "--key", key, "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_json_holds_no_path_of_this_machine(model: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["sign", str(model), "--key", key, "--json"]) == 0
    text = capsys.readouterr().out
    said = json.loads(text)
    assert (said["schema"], said["files"], said["signature"]) == ("modelsign.signed/v1", 4, "model.sig")
    assert str(model) not in text


def test_no_method_is_a_usage_error_that_says_what_to_give(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["sign", str(model)]) == 2
    said = capsys.readouterr().err
    assert "--key" in said
    assert "--keyless" in said


@pytest.mark.parametrize(
    "options",
    [["--key", "k", "--keyless"], ["--key", "k", "--staging"], ["--staging", "--trust-config", "x", "--keyless"]],
)
def test_two_methods_are_a_usage_error(model: Path, options: list[str]) -> None:
    assert invoke(["sign", str(model), *options]) == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere", "--key", "KEY"], 4),
        (["MODEL", "--key", "nowhere.key"], 4),
        (["MODEL", "--key", "KEY", "--signature", "MODEL/w.bin"], 2),
        (["MODEL", "--key", "KEY", "--ignore", "*.nothing"], 2),
        (["MODEL", "--key", "KEY", "--hash", "md5"], 2),
        (["MODEL", "--key", "KEY", "--shard-size", "8192"], 2),
    ],
)
def test_mistakes_end_in_one_line_and_a_code(
    model: Path, key: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    filled = [word.replace("MODEL", str(model)).replace("KEY", key) for word in arguments]
    assert invoke(["sign", *filled]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    assert not (model / "model.sig").exists()


@pytest.mark.parametrize(
    ("uri", "option"),
    [
        ("pkcs11:token=lab;object=k?pin-value=5678", "--pkcs11-uri"),
        ("awskms:///alias/release", "--kms"),
        ("hv:release", "--kms"),
    ],
)
def test_uri_in_the_place_of_a_key_file_leads_to_its_option_and_is_not_repeated(
    model: Path, capsys: pytest.CaptureFixture[str], uri: str, option: str
) -> None:
    assert invoke(["sign", str(model), "--key", uri]) == 2
    said = capsys.readouterr().err
    assert option in said
    assert "5678" not in said


def test_missing_file_of_a_pin_is_told_in_words(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"pkcs11:token=lab;object=k?module-path=/no/such.so&pin-source=file:{tmp_path}/pin"
    assert invoke(["sign", str(model), "--pkcs11-uri", uri]) == 4
    said = capsys.readouterr().err
    assert said.endswith("/pin: the PIN cannot be read: No such file or directory\n")


def test_key_without_permission_to_read_ends_like_a_missing_one(
    model: Path, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Root may read everything, so the refusal is the system's only in appearance.
    really, refused = os.open, PermissionError(errno.EACCES, os.strerror(errno.EACCES), key)

    def opened(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path) == key:
            raise refused
        return really(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "access", lambda path, _mode: str(path) != key)
    assert invoke(["sign", str(model), "--key", key]) == 4
    said = capsys.readouterr().err
    assert "Permission denied" in said
    assert said.count("\n") == 1
    assert invoke(["sign", str(model), "--key", "nowhere.key"]) == 4


def test_model_without_files_has_its_code(tmp_path: Path, key: str) -> None:
    (tmp_path / "empty").mkdir()
    assert invoke(["sign", str(tmp_path / "empty"), "--key", key]) == 5


def test_passphrase_comes_from_the_environment(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, _ = write_key(tmp_path, "locked", PASSPHRASE.encode())
    monkeypatch.setenv("MODELSIGN_KEY_PASSPHRASE", PASSPHRASE)
    assert invoke(["sign", str(model), "--key", str(private)]) == 0
    proven = verify_bundle(Bundle.parse((model / "model.sig").read_bytes()), [verifier("locked")])
    assert proven.signed_by.name == "locked"


def test_missing_passphrase_says_where_to_put_it(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    private, _ = write_key(tmp_path, "locked", PASSPHRASE.encode())
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert invoke(["sign", str(model), "--key", str(private)]) == 2
    assert "MODELSIGN_KEY_PASSPHRASE" in capsys.readouterr().err


def test_existing_signature_is_found_before_anything_is_asked(
    model: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / "model.sig").write_bytes(b"{}")
    monkeypatch.setattr("modelsign.cli.signer.SignerChoice.make", pytest.fail)
    assert invoke(["sign", str(model), "--key", key]) == 2


def test_hostile_file_name_does_not_reach_the_terminal(
    model: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(model, {".github/a\x1b[2Jb\u202e": b""})
    invoke(["sign", str(model), "--key", key])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\\x1b[2Jb\\u202e" in said.out


# Keyless


def keyless(model: Path, stack: "SigstoreStack", *options: str) -> int:
    return invoke(["sign", str(model), "--trust-config", str(stack.trust_config), *options])


def test_keyless_says_what_becomes_public_before_it_does(
    model: Path,
    sigstore_stack: "SigstoreStack",
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "token").write_text(sigstore_stack.token() + "\n")
    monkeypatch.setattr("modelsign.cli.sign.sign_model", lambda *_, **__: sys.exit("not yet"))
    with pytest.raises(SystemExit):
        keyless(model, sigstore_stack, "--identity-token-file", str(tmp_path / "token"))
    said = capsys.readouterr().err
    assert "makes public, for ever" in said
    assert "dev@example.com" in said


def test_keyless_with_a_token_of_a_file(
    model: Path, sigstore_stack: "SigstoreStack", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(sigstore_stack.token())
    assert keyless(model, sigstore_stack, "--identity-token-file", str(tmp_path / "token")) == 0
    assert f"dev@example.com (issuer {sigstore_stack.issuer})" in capsys.readouterr().out


def test_keyless_with_a_token_of_the_environment(
    model: Path, sigstore_stack: "SigstoreStack", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", sigstore_stack.token())
    assert keyless(model, sigstore_stack) == 0


def test_keyless_with_a_token_of_standard_input(
    model: Path, sigstore_stack: "SigstoreStack", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sigstore_stack.token().encode())))
    assert keyless(model, sigstore_stack, "--identity-token-file", "-") == 0


def test_keyless_without_an_identity_says_where_one_comes_from(
    model: Path, sigstore_stack: "SigstoreStack", capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert keyless(model, sigstore_stack) == 2
    assert "--identity-token-file" in capsys.readouterr().err


class Terminal(io.StringIO):
    """Standard input of somebody who sits there and types."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("n\n", 130), ("y\n", 0)])
def test_at_a_terminal_consent_is_asked_for(
    model: Path, sigstore_stack: "SigstoreStack", monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", sigstore_stack.token())
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert keyless(model, sigstore_stack) == code
    assert (model / "model.sig").exists() == (code == 0)


def test_yes_answers_the_question(
    model: Path, sigstore_stack: "SigstoreStack", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", sigstore_stack.token())
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert keyless(model, sigstore_stack, "--yes") == 0


def test_expired_token_is_told(
    model: Path, sigstore_stack: "SigstoreStack", capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSIGN_IDENTITY_TOKEN", "not.a.token")
    assert keyless(model, sigstore_stack) == 4
    assert "token" in capsys.readouterr().err
