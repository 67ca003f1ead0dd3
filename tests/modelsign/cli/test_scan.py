import json
import os
import subprocess
import sys
import warnings
import zipfile
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from modelsign.cli.main import invoke

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads(files("modelsign.report").joinpath("schemas/report-v1.json").read_text())


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a directory that holds no target and has no configuration."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    return model


@pytest.fixture
def hostile(clean: Path) -> Path:
    with zipfile.ZipFile(clean / "weights.zip", "w") as archive:
        archive.writestr("../../.profile", "echo")
    return clean


@pytest.fixture
def partial(clean: Path) -> Path:
    (clean / "weights.bin").symlink_to("/etc/hostname")
    return clean


def test_a_clean_target_exits_with_0_and_prints_one_line(clean: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["scan", str(clean)]) == 0
    captured = capfd.readouterr()
    assert captured.out == "model: clean - no known danger in 1 file (json, 2 bytes)\n"
    assert captured.err == ""


def test_a_hostile_target_exits_with_1(hostile: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["scan", str(hostile)]) == 1
    assert "weights.zip: malicious" in capfd.readouterr().out


def test_what_could_not_be_analysed_exits_with_3(partial: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["scan", str(partial)]) == 3
    assert "weights.bin: incomplete" in capfd.readouterr().out
    assert invoke(["scan", "--allow-incomplete", str(partial)]) == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--fail-on", "malicious"], 1),
        (["--fail-on", "never"], 0),
        (["--exit-zero"], 0),
        (["--exit-codes", "simple"], 1),
    ],
)
def test_the_gate_can_be_set(hostile: Path, options: list[str], code: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["scan", str(hostile), *options]) == code
    assert "malicious" in capfd.readouterr().out


def test_several_targets_are_judged_together(clean: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.writestr("../../.profile", "echo")
    assert invoke(["scan", "--json", str(clean), str(tmp_path / "weights.zip")]) == 1
    value = json.loads(capfd.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    assert [report["verdict"] for report in value["reports"]] == ["clean", "malicious"]


def test_a_missing_target_exits_with_4(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["scan", str(tmp_path / "nothing")]) == 4
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "no such file" in captured.err


def test_an_empty_directory_exits_with_5(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert invoke(["scan", str(tmp_path / "empty")]) == 5
    assert "no file" in capfd.readouterr().err


def test_json_is_the_same_on_every_run_and_from_every_directory(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    invoke(["scan", "--json", "--digest", str(hostile)])
    first = capfd.readouterr().out
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(first))
    monkeypatch.chdir(hostile)
    invoke(["scan", "--json", "--digest", "."])
    assert capfd.readouterr().out == first
    monkeypatch.chdir(hostile.parent)
    invoke(["scan", "--format", "json", "--digest", "model/", "-j", "1", "--sandbox", "off"])
    assert capfd.readouterr().out == first


def test_reports_go_to_files_in_several_forms(hostile: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    reports = [f"--report={form}={out / form}" for form in ("json", "sarif", "human")]
    assert invoke(["scan", str(hostile), *reports, "-o", str(out / "main")]) == 1
    assert capfd.readouterr().out == ""
    assert json.loads((out / "json").read_text())["schema"] == "modelsign.report/v1"
    assert json.loads((out / "sarif").read_text())["version"] == "2.1.0"
    assert (out / "human").read_text() == (out / "main").read_text()


def test_a_report_does_not_overwrite_what_it_is_about(hostile: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = hostile / "config.json"
    assert invoke(["scan", str(hostile), "-o", str(config)]) == 2
    assert config.read_text() == "{}"
    assert "would overwrite" in capfd.readouterr().err


def test_an_earlier_report_inside_the_target_may_be_replaced(clean: Path) -> None:
    assert invoke(["scan", str(clean), "--report", f"json={clean / 'scan.json'}"]) == 0
    assert invoke(["scan", str(clean), "--report", f"json={clean / 'scan.json'}"]) == 0


def test_a_report_goes_through_a_link_without_replacing_it(clean: Path, tmp_path: Path) -> None:
    # What /dev/stdout is: replaced by a rename, it would be gone for every program of the machine.
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "behind")
    for _ in range(2):
        assert invoke(["scan", str(clean), "--json", "-o", str(link)]) == 0
        assert link.is_symlink()
        assert json.loads((tmp_path / "behind").read_text())["verdict"] == "clean"


def test_a_report_goes_into_a_pipe_without_replacing_it(clean: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert invoke(["scan", str(clean), "--json", "-o", str(pipe)]) == 0
        assert json.loads(os.read(reading, 1 << 16))["verdict"] == "clean"
    finally:
        os.close(reading)
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--formt", "json"], "--format"),
        (["--format", "yaml"], "sarif"),
        (["--report", "json"], "FORMAT=FILE"),
        (["--report", "yaml=x"], "FORMAT=FILE"),
        (["--fail-on", "high"], "suspicious"),
        (["--json", "--format", "sarif"], "exclude each other"),
        ([""], "empty string"),
        (["-j", "0"], "--jobs"),
    ],
)
def test_usage_errors_exit_with_2_and_say_the_way_out(
    clean: Path, arguments: list[str], hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["scan", str(clean), *arguments]) == 2
    assert hint in capfd.readouterr().err


def test_a_configuration_in_the_target_is_left_out_and_named(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (hostile / "modelsign.toml").write_text("[scan]\nfail-on = 'never'\nallow-incomplete = true\n")
    monkeypatch.chdir(hostile)
    assert invoke(["scan", "."]) == 1
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert f"{hostile / 'modelsign.toml'} is left out" in error


def test_a_configuration_elsewhere_applies(hostile: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("modelsign.toml").write_text("quiet = true\n[scan]\nfail-on = 'never'\nformat = 'json'\n")
    assert invoke(["scan", str(hostile)]) == 0
    assert json.loads(capfd.readouterr().out)["verdict"] == "malicious"
    assert invoke(["scan", str(hostile), "--fail-on", "any"]) == 1


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[scan]\nfial-on = 'never'", "fail-on"),
        ("[scan]\nfail-on = 'hgih'", "fail-on"),
        ("[scan]\ndigest = 'yes'", "true or false"),
        ("colour = 'never'", "color"),
        ("[scna]\n", "scan"),
        ("quiet = 1", "true or false"),
        ("[scan]\njobs = 'many'", "jobs"),
    ],
)
def test_a_mistake_in_the_configuration_exits_with_2_and_names_the_near_key(
    clean: Path, text: str, hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("modelsign.toml").write_text(text)
    assert invoke(["scan", str(clean)]) == 2
    error = capfd.readouterr().err
    assert hint in error
    assert "modelsign.toml" in error


def test_the_environment_sets_options_but_never_loosens_the_gate(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELSIGN_FORMAT", "json")
    monkeypatch.setenv("MODELSIGN_FAIL_ON", "never")
    monkeypatch.setenv("MODELSIGN_EXIT_ZERO", "1")
    monkeypatch.setenv("MODELSIGN_SANDBOX", "off")
    assert invoke(["scan", str(hostile)]) == 1
    captured = capfd.readouterr()
    assert json.loads(captured.out)["verdict"] == "malicious"
    for name in ("MODELSIGN_FAIL_ON", "MODELSIGN_EXIT_ZERO", "MODELSIGN_SANDBOX"):
        assert f"{name} is ignored" in captured.err


def test_standard_input_is_a_target(clean: Path) -> None:
    command = [sys.executable, "-m", "modelsign", "scan", "--json", "-"]
    piped = subprocess.run(command, cwd=ROOT, input=b"{}", capture_output=True, check=False)
    with (clean / "config.json").open("rb") as file:
        redirected = subprocess.run(command, cwd=ROOT, stdin=file, capture_output=True, check=False)
    value = json.loads(piped.stdout)
    assert (value["target"], value["files"][0]["path"], value["files"][0]["size"]) == ("-", "-", 2)
    assert redirected.stdout == piped.stdout


def test_nothing_heavy_is_imported(clean: Path) -> None:
    code = (
        "import sys\n"
        "from modelsign.cli.main import invoke\n"
        f"code = invoke(['scan', {str(clean)!r}])\n"
        "heavy = {'sigstore', 'huggingface_hub', 'numpy', 'rich', 'torch', 'cryptography', 'jinja2', 'requests',\n"
        "         'asyncio', 'multiprocessing', 'concurrent', 'subprocess', 'jsonschema', 'pickle'}\n"
        "print(sorted(heavy & set(sys.modules)), code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_no_colour_where_it_is_not_wanted(
    hostile: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(["scan", str(hostile)])
    assert "\x1b" not in capfd.readouterr().out
    invoke(["scan", str(hostile), "--color", "always"])
    assert "\x1b[31m" in capfd.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    invoke(["scan", str(hostile)])
    assert "\x1b" not in capfd.readouterr().out


def test_quiet_says_nothing_about_a_clean_target(clean: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["scan", "-q", str(clean)]) == 0
    assert capfd.readouterr() == ("", "")


def test_an_interrupted_scan_still_reports(
    clean: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (clean / "z.json").write_text("{}")
    calls: list[int] = []

    def interrupt(descriptor: int) -> str:
        calls.append(descriptor)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return "0" * 64

    monkeypatch.setattr("modelsign.scanning.sha256_of", interrupt)
    assert invoke(["scan", "--json", "--digest", str(clean)]) == 130
    value = json.loads(capfd.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    assert [file["verdict"] for file in value["files"]] == ["clean", "incomplete"]
    assert value["complete"] is False


def test_a_reader_that_goes_away_is_no_internal_error(clean: Path) -> None:
    for number in range(3000):
        (clean / f"{number}.json").write_text("{}")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "modelsign", "scan", "--json", str(clean)],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (4, b"")


@pytest.fixture
def odd(clean: Path) -> Path:
    """A model with one suspicious finding: an archive whose members disagree about a name."""
    with zipfile.ZipFile(clean / "weights.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("data", "one")
        archive.writestr("data", "two")
    return clean


def test_a_baseline_passes_what_was_there_and_shows_it(
    odd: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["scan", str(odd), "--json", "-o", str(tmp_path / "base.json")]) == 1
    assert invoke(["scan", str(odd), "--baseline", str(tmp_path / "base.json")]) == 0
    text = capfd.readouterr().out
    assert "model: SUSPICIOUS" in text
    assert "accepted by baseline" in text


def test_a_baseline_never_passes_what_is_malicious(
    hostile: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["scan", str(hostile), "--json", "-o", str(tmp_path / "base.json")]) == 1
    assert invoke(["scan", str(hostile), "--baseline", str(tmp_path / "base.json")]) == 1
    capfd.readouterr()


def test_a_waiver_passes_for_a_while(odd: Path, capfd: pytest.CaptureFixture[str]) -> None:
    invoke(["scan", str(odd), "--json", "--digest"])
    value = json.loads(capfd.readouterr().out)
    [digest] = [file["sha256"] for file in value["files"] if file["path"] == "weights.zip"]
    tomorrow = datetime.now().astimezone().date() + timedelta(days=1)
    for rule in {finding["rule"] for finding in value["findings"] if finding["severity"] == "medium"}:
        with Path("waivers.toml").open("a") as file:
            file.write(
                f'[[waiver]]\nrule = "{rule}"\nsha256 = "{digest}"\nreason = "known"\nowner = "ml"\n'
                f"expires = {tomorrow.isoformat()}\n"
            )
    assert invoke(["scan", str(odd)]) == 0
    assert "accepted by waiver of ml" in capfd.readouterr().out


def test_waivers_and_patterns_in_the_target_are_left_out_and_named(
    odd: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (odd / "waivers.toml").write_text("this would not even be read")
    (odd / ".modelsignignore").write_text("*\n")
    monkeypatch.chdir(odd)
    assert invoke(["scan", "."]) == 1
    error = capfd.readouterr().err
    assert "waivers.toml is left out" in error
    assert ".modelsignignore is left out" in error
    assert invoke(["scan", ".", "--waivers", "waivers.toml"]) == 2
    assert invoke(["scan", ".", "--ignore-file", ".modelsignignore"]) == 2
    capfd.readouterr()


def test_ignored_files_make_the_report_incomplete(odd: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path(".modelsignignore").write_text("*.zip\n")
    assert invoke(["scan", str(odd)]) == 3
    assert "left out by the ignore pattern '*.zip'" in capfd.readouterr().out
    assert invoke(["scan", str(odd), "--allow-incomplete"]) == 0
    capfd.readouterr()


def test_the_environment_is_told_only_when_asked(clean: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["scan", "--json", "--with-environment", str(clean)]) == 0
    value = json.loads(capfd.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    assert set(value["environment"]) == {"started", "finished", "python", "platform", "machine", "sandbox"}
    assert invoke(["scan", "--json", str(clean)]) == 0
    assert "environment" not in json.loads(capfd.readouterr().out)


def test_reports_can_be_asked_for_by_environment_and_configuration(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELSIGN_REPORT", f"json={tmp_path / 'one'} sarif={tmp_path / 'two'}")
    monkeypatch.setenv("MODELSIGN_OUTPUT", str(tmp_path / "three"))
    assert invoke(["scan", str(clean)]) == 0
    assert capfd.readouterr() == ("", "")
    assert all((tmp_path / name).exists() for name in ("one", "two", "three"))
    monkeypatch.delenv("MODELSIGN_REPORT")
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "m.toml").write_text("[scan]\nreport = ['json=here.json']\n")
    assert invoke(["scan", str(clean), "--config", str(tmp_path / "settings" / "m.toml")]) == 0
    assert (tmp_path / "settings" / "here.json").exists()


def test_a_place_that_cannot_be_written_is_named_before_the_work(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("modelsign.cli.scan.scan_target", lambda *_, **__: pytest.fail("the scan began"))
    assert invoke(["scan", str(clean), "-o", str(tmp_path / "no" / "where")]) == 4
    assert "there is no directory" in capfd.readouterr().err


def test_a_terminated_scan_still_reports(clean: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "import modelsign.scanning\n"
        "from modelsign.cli.main import invoke\n"
        "modelsign.scanning.sha256_of = lambda descriptor: os.kill(os.getpid(), signal.SIGTERM)\n"
        f"raise SystemExit(invoke(['scan', '--json', '--digest', {str(clean)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, "modelsign: terminated\n")
    value = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    assert value["complete"] is False
