import json
from pathlib import Path

import pytest

from modelsign.cli.main import invoke
from modelsign.conversion import read_record
from tests.builders.checkpoints import Call, Name, floats, tensor, torch_zip

VALUE = {"epoch": 3, "state_dict": {"w": tensor("0", (2,)), "tied": tensor("0", (2,))}, "args": {"lr": 0.5}}


@pytest.fixture(name="source")
def made_source(tmp_path: Path) -> Path:
    path = tmp_path / "m.pt"
    path.write_bytes(torch_zip(VALUE, {"0": floats(2)}))
    return path


def test_convert_reports_what_was_taken_and_left_out(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["convert", str(source)]) == 0
    said = capfd.readouterr().out
    assert "Converted m.pt (torch-zip) to m.safetensors: 1 tensors" in said
    assert "Taken: 'state_dict'" in said
    assert "Tied: tied is w" in said
    assert "Left out: epoch (int)" in said
    assert "Left out: args (dict with 1 values)" in said
    assert "Nothing was executed" in said


def test_quiet_says_nothing(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["convert", str(source), "-q"]) == 0
    assert capfd.readouterr() == ("", "")


def test_json_is_the_conversion_record(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["convert", str(source), "--json", "--record", str(source.with_name("r.json"))]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed == json.loads(source.with_name("r.json").read_text())
    assert read_record(source.with_name("r.json")).target.sha256 is not None


def test_an_existing_target_is_a_usage_error(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source.with_name("m.safetensors").write_bytes(b"mine")
    assert invoke(["convert", str(source)]) == 2
    assert "--force" in capfd.readouterr().err
    assert source.with_name("m.safetensors").read_bytes() == b"mine"


def test_an_existing_record_stops_before_anything_is_written(source: Path) -> None:
    source.with_name("r.json").write_bytes(b"mine")
    assert invoke(["convert", str(source), "--record", str(source.with_name("r.json"))]) == 2
    assert not source.with_name("m.safetensors").exists()


def test_a_refusal_is_one_sentence_with_exit_code_6(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evil\x1b[2J.pt"
    call = Call(Name("os", "system"), ("echo x",))
    path.write_bytes(torch_zip({"w": tensor("0", (2,)), "x": call}, {"0": floats(2)}))
    assert invoke(["convert", str(path)]) == 6
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "os.system" in err
    assert "\x1b" not in err
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_missing_source_has_exit_code_4(tmp_path: Path) -> None:
    assert invoke(["convert", str(tmp_path / "none.pt")]) == 4


def test_the_sidecar_holds_plain_data_only(source: Path) -> None:
    sidecar = source.with_name("s.json")
    assert invoke(["convert", str(source), "-q", "--sidecar", str(sidecar)]) == 0
    assert json.loads(sidecar.read_text()) == {"args": {"lr": 0.5}, "epoch": 3}


def test_a_dry_run_of_shards_lists_them(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["convert", str(source), "--dry-run", "--tied", "duplicate", "--max-shard-size", "8"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[1] == "m-00001-of-00002.safetensors:"
    assert lines[2].startswith("  tied  F32")
    assert lines[3] == "m-00002-of-00002.safetensors:"
    assert [path.name for path in source.parent.iterdir()] == ["m.pt"]


def test_a_dry_run_lists_tensors(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["convert", str(source), "--dry-run", "--tied", "duplicate", "--dtype-report"]) == 0
    said = capfd.readouterr().out
    assert "tied" in said
    assert "[2]" in said
    assert "Type F32" in said
    assert not source.with_name("m.safetensors").exists()


def test_the_target_is_given_once(source: Path) -> None:
    assert invoke(["convert", str(source), "a.safetensors", "-o", "b.safetensors"]) == 2


def test_a_directory_is_converted(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    source.rename(folder / "pytorch_model.bin")
    (folder / "config.json").write_text("{}")
    assert invoke(["convert", str(folder), "-o", str(tmp_path / "out")]) == 0
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    assert "Converted" in capfd.readouterr().out


def test_shards_of_a_size_are_written(source: Path, tmp_path: Path) -> None:
    arguments = ["convert", str(source), "-o", str(tmp_path / "out"), "--max-shard-size", "8", "--tied", "duplicate"]
    assert invoke(arguments) == 0
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("option", [["--sidecar", "s.json", "--max-shard-size", "5GB"], ["--exclude", "x"]])
def test_options_that_do_not_fit_are_usage_errors(source: Path, option: list[str]) -> None:
    assert invoke(["convert", str(source), *option]) == 2


@pytest.mark.parametrize("option", ["--record", "--sidecar"])
def test_a_description_never_replaces_the_source_or_the_target(source: Path, option: str) -> None:
    data = source.read_bytes()
    target = source.with_name("out.safetensors")
    source.with_name("hard.pt").hardlink_to(source)
    source.with_name("soft.json").symlink_to(source)
    for place in (source, source.with_name("hard.pt"), source.with_name("soft.json"), target):
        assert invoke(["convert", str(source), str(target), option, str(place), "--force"]) == 2
    assert source.read_bytes() == data
    assert not target.exists()


def test_a_record_and_a_sidecar_are_two_files(source: Path) -> None:
    place = str(source.with_name("r.json"))
    assert invoke(["convert", str(source), "--record", place, "--sidecar", place]) == 2
    assert not source.with_name("m.safetensors").exists()


def test_a_record_does_not_lie_in_the_directory_that_is_converted(source: Path, tmp_path: Path) -> None:
    assert invoke(["convert", str(tmp_path), "-o", str(tmp_path) + "-out", "--record", str(source), "--force"]) == 2
    assert source.exists()


def test_a_target_with_a_slash_at_its_end_is_a_directory(source: Path, tmp_path: Path) -> None:
    assert invoke(["convert", str(source), f"{tmp_path}/deep/er/"]) == 0
    assert (tmp_path / "deep" / "er" / "m.safetensors").is_file()


def test_the_standard_output_is_no_target(source: Path) -> None:
    assert invoke(["convert", str(source), "-"]) == 2


def test_the_standard_input_is_no_source(tmp_path: Path) -> None:
    assert invoke(["convert", "-", str(tmp_path / "m.safetensors")]) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extra", [[], ["--max-shard-size", "1MB"]])
def test_what_is_missing_above_the_target_is_made_but_not_for_a_refusal(tmp_path: Path, extra: list[str]) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(torch_zip({"w": tensor("0", (3,), numel=3)}, {"0": floats(2)}))
    assert invoke(["convert", str(path), str(tmp_path / "a" / "b" / "c"), *extra]) == 6
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.pt"]
    path.write_bytes(torch_zip({"w": tensor("0", (2,))}, {"0": floats(2)}))
    assert invoke(["convert", str(path), str(tmp_path / "a" / "b" / "c"), *extra]) == 0
    assert (tmp_path / "a" / "b" / "c").exists()
