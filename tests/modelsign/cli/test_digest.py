import hashlib
import json
from pathlib import Path

import pytest

from attestations.manifest import measure
from modelsign.cli.main import invoke
from tests.builders.signatures import FILES, write_key, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def test_root_and_every_file_are_printed(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["digest", str(model)]) == 0
    root, *files = capsys.readouterr().out.splitlines()
    assert root == str(measure(model).root)
    assert [line.split() for line in files] == [
        [hashlib.sha256(FILES[name]).hexdigest(), str(len(FILES[name])), name] for name in sorted(FILES)
    ]


def test_quiet_prints_the_root_alone(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["digest", str(model), "-q"]) == 0
    assert capsys.readouterr().out == f"{measure(model).root}\n"


def test_json_lists_resources(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["digest", str(model), "--json", "--hash", "blake2b", "--method", "shards"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["hash_type"], said["shard_size"]) == ("modelsign.manifest/v1", "blake2b", 10**9)
    assert said["resources"][0]["name"] == "a.txt:0:4"


def test_digest_is_the_signed_one_whatever_signatures_lie_there(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = write_key(tmp_path)
    assert invoke(["sign", str(model), "--key", str(private)]) == 0
    assert invoke(["sign", str(model), "--key", str(private), "--signature", str(model / "second.sig")]) == 0
    claimed = tmp_path / "digests.json"
    assert invoke(["digest", str(model), "--json", "-o", str(claimed)]) == 0
    options = ["--manifest", str(claimed), "--accept-claimed-digests"]
    assert invoke(["verify", str(model), "--key", str(public), *options]) == 0
    capsys.readouterr()
    (model / "no.sig").write_bytes(b"data")
    assert invoke(["digest", str(model)]) == 0
    said = capsys.readouterr().out
    assert "no.sig" in said
    assert "second.sig" not in said


def test_missing_target_has_its_code(tmp_path: Path) -> None:
    assert invoke(["digest", str(tmp_path / "none")]) == 4


@pytest.mark.parametrize(
    "command",
    [
        ["digest"],
        ["sign", "--key", "KEY"],
        ["attest", "--scan", "--key", "KEY"],
        ["release", "--key", "KEY", "-o", "OUT"],
    ],
)
def test_address_is_called_one(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"KEY": str(write_key(tmp_path)[0]), "OUT": str(tmp_path / "out")}
    assert invoke([*(names.get(word, word) for word in command), "hf://acme/model"]) == 2
    assert "hf://acme/model: the scheme hf:// is not known" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
